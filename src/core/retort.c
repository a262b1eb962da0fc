#include <retort/retort.h>

#include "core/message.h"

#include <omp.h>
#include <stdlib.h>

static char **words_of_petsc;

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
  PetscCall(PetscInitialize(&count, &words, NULL, NULL));
  /* Our threads take lanes and micro-batches; oneDNN must see one thread when it chooses its kernels and inside. */
  omp_set_num_threads(1);
  PetscCall(rt_message_start(PETSC_COMM_WORLD));
  PetscFunctionReturn(0);
}

int rt_retort_finalize(PetscErrorCode error)
{
  int code = rt_message_finish(error);

  if (PetscFinalize() && code == RT_EXIT_DONE) code = RT_EXIT_FAILED;
  free(words_of_petsc);
  words_of_petsc = NULL;
  return code;
}
