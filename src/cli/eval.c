#include "cli/stage.h"
#include "cli/verbs.h"

PetscErrorCode rt_cli_eval(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  PetscCall(rt_stage_run(comm, argc, argv, "eval", RT_STAGE_ALONE, rt_evaluator_run, stopped));
  PetscFunctionReturn(0);
}
