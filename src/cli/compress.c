#include "cli/stage.h"
#include "cli/verbs.h"

PetscErrorCode rt_cli_compress(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  PetscCall(rt_stage_run(comm, argc, argv, "compress", RT_STAGE_SHARED, rt_compressor_run, stopped));
  PetscFunctionReturn(0);
}
