#include "cli/stage.h"
#include "cli/verbs.h"

PetscErrorCode rt_cli_distill(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  PetscCall(rt_stage_run(comm, argc, argv, "distill", RT_STAGE_ALONE, rt_distiller_run, stopped));
  PetscFunctionReturn(0);
}
