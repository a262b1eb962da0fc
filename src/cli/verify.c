#include "cli/stage.h"
#include "cli/verbs.h"

static PetscErrorCode stage(const RtJob *job, bool *stopped)
{
  PetscFunctionBegin;
  *stopped = false;
  PetscCall(rt_verifier_run(job));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_cli_verify(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  PetscCall(rt_stage_run(comm, argc, argv, "verify", stage, stopped));
  PetscFunctionReturn(0);
}
