#include "cli/stage.h"
#include "cli/verbs.h"

PetscErrorCode rt_cli_label(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  PetscCall(rt_stage_run(comm, argc, argv, "label", RT_STAGE_SHARED, rt_labeller_run, stopped));
  PetscFunctionReturn(0);
}
