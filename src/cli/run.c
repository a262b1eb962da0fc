#include "cli/stage.h"
#include "cli/verbs.h"

PetscErrorCode rt_cli_run(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  PetscCall(rt_stage_run(comm, argc, argv, "run", RT_STAGE_ALONE, rt_pipeline_run, stopped));
  PetscFunctionReturn(0);
}
