#include "cli/stage.h"
#include "cli/verbs.h"

PetscErrorCode rt_cli_train(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  PetscCall(rt_stage_run(comm, argc, argv, "train", RT_STAGE_ALONE, rt_teach_run, stopped));
  PetscFunctionReturn(0);
}
