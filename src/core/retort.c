#include <retort/retort.h>

#include "core/message.h"

#include <stdlib.h>

static char **words_of_petsc;
static PetscBool others; /* PETSc is: it ran before, and stays */

PetscErrorCode rt_retort_initialize(int *argc, char ***argv)
{
  /* The job file and the command line decide, nothing that happens to lie in the home folder. */
  static char skip[] = "-skip_petscrc";
  char **words;
  int count = *argc + 1;

  PetscFunctionBegin;
  words = calloc((size_t)count + 1, sizeof(*words)); /* PETSc is not there yet, and keeps the pointer */
  if (!words) PetscFunctionReturn(PETSC_ERR_MEM);
  for (int i = 0; i < *argc; i++) words[i] = (*argv)[i];
  words[*argc] = skip;
  words_of_petsc = words;
  PetscCall(PetscInitialized(&others));
  if (!others) PetscCall(PetscOptionsSetValue(NULL, "-no_signal_handler", NULL)); /* signals are the host's */
  PetscCall(PetscInitialize(&count, &words, NULL, NULL));
  PetscCall(rt_message_start(PETSC_COMM_WORLD));
  PetscFunctionReturn(0);
}

int rt_retort_finalize(PetscErrorCode error)
{
  int code = rt_message_finish(error);

  if (!others && PetscFinalize() && code == RT_EXIT_DONE) code = RT_EXIT_FAILED;
  free(words_of_petsc);
  words_of_petsc = NULL;
  return code;
}
