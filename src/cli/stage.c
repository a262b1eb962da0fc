#include "cli/stage.h"

#include "comm/launch.h"
#include "core/message.h"
#include "core/stop.h"
#include "run/table.h"

PetscErrorCode rt_stage_run(MPI_Comm comm, int argc, char **argv, const char *name, RtStageKind kind,
                            PetscErrorCode (*stage)(const RtJob *job, bool *stopped), bool *stopped)
{
  PetscLogStage log;
  const RtOption *table;
  RtJob job;
  int count;
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  PetscCall(rt_launch_check(comm));
  table = rt_table_options(&count);
  error = rt_job_create(comm, table, count, argc, argv, &job);
  if (!error) error = rt_launch_crowd(job.comm, job.threads);
  if (!error) {
    PetscCall(PetscLogStageRegister(name, &log));
    PetscCall(PetscLogStagePush(log));
    rt_stop_start(rt_options_real(job.options, NULL, "stop_after"));
    if (kind == RT_STAGE_ALONE) error = rt_job_claim(&job, stopped);
    if (!error && !*stopped) error = stage(&job, stopped);
    if (!error && *stopped) rt_message_print("stopped on request; the same command goes on");
    PetscCall(PetscLogStagePop());
  }
  PetscCall(rt_job_destroy(&job));
  PetscCall(error);
  PetscFunctionReturn(0);
}
