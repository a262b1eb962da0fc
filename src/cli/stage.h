/* What the verbs that work on a run directory share. */
#ifndef RT_CLI_STAGE_H
#define RT_CLI_STAGE_H

#include "run/stages.h"

/* Several jobs may work in one run directory at once, or each has it for itself while it writes. */
typedef enum { RT_STAGE_SHARED, RT_STAGE_ALONE } RtStageKind;

/* Make the job, listen to signals, run the stage under its name in -log_view. Collective. */
PetscErrorCode rt_stage_run(MPI_Comm comm, int argc, char **argv, const char *name, RtStageKind kind,
                            PetscErrorCode (*stage)(const RtJob *job, bool *stopped), bool *stopped);

#endif
