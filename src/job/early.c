#include "job/early.h"

#include "job/value.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Does the option stand there? Then its text. */
static PetscErrorCode look(PetscOptions options, const char *name, char *text, bool *given)
{
  char word[64];
  PetscBool found;

  PetscFunctionBegin;
  snprintf(word, sizeof(word), "-%s", name);
  PetscCall(PetscOptionsGetString(options, NULL, word, text, RT_VALUE_TEXT, &found));
  *given = found;
  if (*given && strlen(text) >= RT_VALUE_TEXT - 1)
    RtUsage("-%s: the value is too long; %d characters are allowed", name, RT_VALUE_TEXT - 2);
  PetscFunctionReturn(0);
}

/* Into a database of its own. Rank 0 reads the file, so all ranks get the same answer. */
static PetscErrorCode read_job(MPI_Comm comm, const char *job, PetscOptions options)
{
  struct stat status;
  int rank, there = 0;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (rank == 0) there = !stat(job, &status) && S_ISREG(status.st_mode);
  PetscCallMPI(MPI_Bcast(&there, 1, MPI_INT, 0, comm));
  if (!there) PetscFunctionReturn(0);
  PetscCall(PetscPushErrorHandler(PetscReturnErrorHandler, NULL));
  (void)PetscOptionsInsertFileYAML(comm, options, job, PETSC_FALSE);
  PetscCall(PetscPopErrorHandler());
  PetscFunctionReturn(0);
}

PetscErrorCode rt_early_text(MPI_Comm comm, const char *name, char **text)
{
  char job[RT_VALUE_TEXT] = "";
  PetscOptions options;
  PetscErrorCode error;
  bool given;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1(RT_VALUE_TEXT, text));
  error = look(NULL, name, *text, &given);
  if (!error && !given) {
    PetscCall(PetscOptionsGetString(NULL, NULL, "-job", job, sizeof(job), NULL));
    PetscCall(PetscOptionsCreate(&options));
    error = job[0] ? read_job(comm, job, options) : 0;
    if (!error) error = look(options, name, *text, &given);
    PetscCall(PetscOptionsDestroy(&options));
  }
  if (error) PetscCall(PetscFree(*text));
  PetscCall(error);
  PetscFunctionReturn(0);
}
