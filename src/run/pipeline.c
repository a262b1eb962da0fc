#include "core/message.h"
#include "data/trainset.h"
#include "label/kept.h"
#include "label/mixture.h"
#include "label/store.h"
#include "model/model.h"
#include "model/recipe.h"
#include "run/stages.h"
#include "run/training.h"

#include <math.h>
#include <stdio.h>

enum { TRAIN, LABEL, DISTILL, EVAL, STAGES };

static const char *const stage_name[STAGES] = {"train", "label", "distill", "eval"};

/* Whether there is a model besides the student. */
static bool has_teacher(const RtOptions *options)
{
  const RtTrainingTeacher teacher = rt_training_teacher(options);

  return teacher != RT_TRAINING_ALONE && teacher != RT_TRAINING_SELF;
}

static bool is_needed(const RtOptions *options, int stage)
{
  if (stage == TRAIN) return has_teacher(options) && !rt_mixture_own(options);
  if (stage == LABEL) return rt_training_teacher(options) == RT_TRAINING_STORE;
  return stage != EVAL || rt_options_text(options, "data", "test")[0];
}

const char *rt_pipeline_stages(const RtOptions *options, char text[64])
{
  size_t used = 0;

  text[0] = 0;
  for (int s = 0; s < STAGES; s++)
    if (is_needed(options, s)) used += (size_t)snprintf(text + used, 64 - used, "%s%s", used ? " " : "", stage_name[s]);
  return text;
}

/* What labelling would refuse of the teacher. */
static PetscErrorCode check_labels(const RtJob *job, const RtTrainset *data, const RtGraph *teacher)
{
  RtLabelstoreInfo store;
  RtKept kept;
  char dir[PETSC_MAX_PATH_LEN];
  int width;

  PetscFunctionBegin;
  PetscCall(rt_recipe_width(teacher, &width));
  PetscCall(rt_store_describe(job, data->info, "", width, &data->augment, &store, dir));
  PetscCall(rt_kept_describe(job, rt_mixture_named(job->options) ? NULL : teacher, width, &store, &kept));
  PetscFunctionReturn(0);
}

/* The teacher that is there, its first model where it has several, or what is to be trained; NULL where only hard
   labels are used. */
static PetscErrorCode sketch_teacher(const RtJob *job, const RtDatasetInfo *info, bool own, RtGraph **teacher)
{
  const RtModelInput input = {.mean = 0, .deviation = rt_options_bool(job->options, "teacher", "normalize")};
  char hash[RT_HASH_TEXT];
  RtMixture mix = {.models = 0};
  PetscErrorCode error;

  PetscFunctionBegin;
  if (!own) {
    PetscCall(rt_model_sketch(job, "teacher", info, &input, teacher));
    PetscFunctionReturn(0);
  }
  error = rt_mixture_read(job, info, RT_MIXTURE_ALL, &mix, hash);
  *teacher = mix.graph[0];
  mix.graph[0] = NULL;
  PetscCall(rt_mixture_free(&mix));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* What a later stage would refuse is said before the first one works for hours. */
static PetscErrorCode check(const RtJob *job, bool own, bool alone, bool tested)
{
  RtTrainset data;
  RtGraph *teacher = NULL;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_trainset_open(job, "distill", &data));
  if (own || !alone) error = sketch_teacher(job, data.info, own, &teacher);
  if (!error && !alone) error = check_labels(job, &data, teacher);
  if (!error) error = rt_distiller_check(job, data.info, alone ? NULL : teacher);
  if (!error && tested && teacher) error = rt_evaluator_check(job, data.info, teacher);
  PetscCall(rt_graph_destroy(&teacher));
  PetscCall(rt_trainset_close(&data));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_pipeline_run(const RtJob *job, bool *stopped)
{
  PetscErrorCode (*const stage[STAGES])(const RtJob *, bool *) = {rt_teach_run, rt_labeller_run, rt_distiller_run,
                                                                  rt_evaluator_run};
  bool teacher = rt_mixture_own(job->options);
  bool tested = rt_options_text(job->options, "data", "test")[0] != 0;
  bool alone = !has_teacher(job->options);
  double seconds[STAGES];
  char name[2][RT_FILES_NAME];

  PetscFunctionBegin;
  *stopped = false;
  if (alone && !teacher && tested && rt_options_bool(job->options, "eval", "cka"))
    RtUsage("-eval_cka compares teacher and student, but the job has no teacher: leave it out, or "
            "name one with -teacher_model");
  if (rt_mixture_named(job->options) && tested && rt_options_bool(job->options, "eval", "cka"))
    RtUsage("-eval_cka compares the layers of two models, but -teacher_models names several teachers: leave it out");
  PetscCall(check(job, teacher, alone, tested));
  for (int s = 0; s < STAGES && !*stopped; s++) {
    double start = MPI_Wtime();

    seconds[s] = NAN;
    if (s == EVAL && !tested) rt_message_print("eval: left out, as the job names no -data_test");
    if (!is_needed(job->options, s)) continue;
    PetscCall(stage[s](job, stopped));
    seconds[s] = MPI_Wtime() - start;
  }
  if (*stopped) PetscFunctionReturn(0);
  rt_message_print("%s", "");
  rt_message_print("stage      seconds");
  for (int s = 0; s < STAGES; s++)
    if (!isnan(seconds[s])) rt_message_print("%-10s %7.1f", stage_name[s], seconds[s]);
  rt_message_print("%s", "");
  rt_message_print("models     %s/%s%s%s", job->dir, rt_files_name(RT_FILES_MODEL, "student", name[0]),
                   alone || teacher ? "" : ", ",
                   alone || teacher ? "" : rt_files_name(RT_FILES_MODEL, "teacher", name[1]));
  rt_message_print("results    %s/%s%s%s", job->dir, rt_files_name(RT_FILES_HISTORY, "student", name[0]),
                   tested ? ", " : "", tested ? rt_files_name(RT_FILES_EVAL, NULL, name[1]) : "");
  rt_message_print("report     python3 analysis/report.py %s", job->dir);
  PetscFunctionReturn(0);
}
