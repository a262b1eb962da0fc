#include "cli/stage.h"
#include "cli/verbs.h"

PetscErrorCode rt_cli_verify(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  PetscCall(rt_stage_run(comm, argc, argv, "verify", RT_STAGE_SHARED, rt_verifier_run, stopped));
  PetscFunctionReturn(0);
}
