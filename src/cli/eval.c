#include "cli/stage.h"
#include "cli/verbs.h"

static PetscErrorCode stage(const RtJob *job, bool *stopped)
{
  PetscFunctionBegin;
  *stopped = false;
  PetscCall(rt_evaluator_run(job));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_cli_eval(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  PetscCall(rt_stage_run(comm, argc, argv, "eval", stage, stopped));
  PetscFunctionReturn(0);
}
