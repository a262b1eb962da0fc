#include "core/message.h"
#include "run/stages.h"

#include <math.h>
#include <stdio.h>

enum { TRAIN, LABEL, DISTILL, EVAL, STAGES };

static const char *const stage_name[STAGES] = {"train", "label", "distill", "eval"};

static PetscErrorCode eval(const RtJob *job, bool *stopped)
{
  PetscFunctionBegin;
  *stopped = false;
  if (rt_options_text(job->options, "data", "test")[0])
    PetscCall(rt_evaluator_run(job, stopped));
  else
    rt_message_print("eval: left out, as the job names no -data_test");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_pipeline_run(const RtJob *job, bool *stopped)
{
  PetscErrorCode (*const stage[STAGES])(const RtJob *, bool *) = {rt_teach_run, rt_labeller_run, rt_distiller_run,
                                                                  eval};
  bool teacher = rt_options_text(job->options, "teacher", "model")[0] != 0;
  bool tested = rt_options_text(job->options, "data", "test")[0] != 0;
  bool hard_only = rt_options_real(job->options, "distill", "alpha") == 0;
  double seconds[STAGES];

  PetscFunctionBegin;
  *stopped = false;
  if (hard_only && !teacher && tested && rt_options_bool(job->options, "eval", "cka"))
    RtUsage("-eval_cka compares teacher and student, but with -distill_alpha 0 there is no teacher: leave it out, or "
            "name one with -teacher_model");
  for (int s = 0; s < STAGES && !*stopped; s++) {
    double start = MPI_Wtime();

    seconds[s] = NAN;
    if (s == TRAIN && (teacher || hard_only)) continue;
    if (s == LABEL && hard_only) continue;
    PetscCall(stage[s](job, stopped));
    seconds[s] = MPI_Wtime() - start;
  }
  if (*stopped) PetscFunctionReturn(0);
  rt_message_print("%s", "");
  rt_message_print("stage      seconds");
  for (int s = 0; s < STAGES; s++)
    if (!isnan(seconds[s])) rt_message_print("%-10s %7.1f", stage_name[s], seconds[s]);
  rt_message_print("%s", "");
  rt_message_print("models     %s/student.onnx%s%s", job->dir, hard_only || teacher ? "" : ", ",
                   hard_only || teacher ? "" : "teacher.onnx");
  rt_message_print("results    %s/student-history.nc%s", job->dir, tested ? ", eval.nc" : "");
  rt_message_print("report     python3 analysis/report.py %s", job->dir);
  PetscFunctionReturn(0);
}
