#include "core/memory.h"
#include "core/message.h"
#include "distill/recipe.h"
#include "run/init.h"
#include "run/stages.h"
#include "run/store.h"

/* The loss must suit the dataset. */
static PetscErrorCode choose_loss(const RtJob *job, const RtDatasetInfo *info, RtTrainerParams *params)
{
  const char *name = rt_options_text(job->options, "distill", "loss");

  PetscFunctionBegin;
  params->loss = rt_loss_find(name);
  params->loss_params.temperature = rt_options_real(job->options, "distill", "temperature");
  params->loss_params.alpha = rt_options_real(job->options, "distill", "alpha");
  if (info->targets && !params->loss->regression)
    RtUsage("-distill_loss %s is for classes, but the dataset has float targets; take mse", name);
  if (info->classes && params->loss->regression)
    RtUsage("-distill_loss %s is for float targets, but the dataset has classes; take kl or logits", name);
  if (!info->classes && !info->targets && params->loss_params.alpha < 1)
    RtUsage("the dataset has neither labels nor targets: -distill_alpha must be 1");
  PetscFunctionReturn(0);
}

/* The hash of the teacher, and how many logits it gives a sample. */
static PetscErrorCode read_teacher(const RtJob *job, const RtModelData *data, int *width, char hash[RT_HASH_TEXT])
{
  RtGraph *teacher = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_model_read(job, "teacher", data->info, &teacher, hash));
  error = rt_recipe_width(teacher, width);
  PetscCall(rt_graph_destroy(&teacher));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* The teacher's logits, from a store that is made whole before. */
static PetscErrorCode load_labels(const RtJob *job, const RtModelData *data, int width, const char *hash,
                                  float **logits, bool *stopped)
{
  RtLabelstoreInfo info;
  char dir[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  PetscCall(rt_store_describe(job, data->info, hash, width, &data->augment, &info, dir));
  PetscCall(rt_labeller_mend(job, dir, &info, stopped));
  if (!*stopped) PetscCall(rt_store_load(job, dir, &info, logits));
  PetscFunctionReturn(0);
}

static PetscErrorCode train(const RtJob *job, RtModelData *data, const RtTrainerParams *params, const float *teacher,
                            const RtInitTeacher *start, bool *stopped)
{
  RtTrainerInput input = {.samples = &data->samples,
                          .augment = &data->augment,
                          .sampler = &data->sampler,
                          .teacher = teacher,
                          .views = (int)rt_options_int(job->options, "label", "views")};
  RtTrainerResult result;
  RtGraph *graph = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_init_make(job, data, start, &graph, stopped));
  if (*stopped) PetscFunctionReturn(0);
  rt_message_print("student: %lld parameters, %lld samples, batches of %lld in %d lanes, %d x %d threads",
                   (long long)graph->parameters, (long long)data->sampler.count, (long long)params->batch,
                   params->lanes, job->size, job->threads);
  error = rt_trainer_run(job->comm, params, &input, graph, &result);
  if (!error && !result.stopped) error = rt_model_write(job, "student", params->record, &result, graph);
  if (!error && !result.stopped) error = rt_trainer_clean(job->comm, params);
  PetscCall(rt_graph_destroy(&graph));
  PetscCall(error);
  *stopped = result.stopped;
  PetscFunctionReturn(0);
}

static PetscErrorCode distill(const RtJob *job, RtModelData *data, bool *stopped)
{
  RtTrainerParams params;
  char hash[RT_HASH_TEXT] = "", start[RT_HASH_TEXT] = "", *record = NULL;
  const char *model = rt_options_text(job->options, "student", "model");
  float *teacher = NULL;
  int width = 0;
  PetscErrorCode error;
  bool done = false;

  PetscFunctionBegin;
  PetscCall(rt_init_check(job));
  PetscCall(rt_model_training(job, "distill", "student", &params));
  PetscCall(choose_loss(job, data->info, &params));
  error = params.loss_params.alpha > 0 ? read_teacher(job, data, &width, hash) : 0;
  if (!error && model[0]) error = rt_model_hash(job, model, start);
  if (!error) error = rt_model_record(job, RT_CONTENT_STUDENT, data->info->hash, hash, start, &record);
  params.record = record;
  if (!error) error = rt_model_done(job, "student.onnx", record, &done);
  if (!error && done) rt_message_print("student: %s/student.onnx is done already", job->dir);
  if (!error && done) error = rt_trainer_clean(job->comm, &params);
  if (!error && !done && width) error = load_labels(job, data, width, hash, &teacher, stopped);
  if (!error && !done && !*stopped) error = train(job, data, &params, teacher, &(RtInitTeacher){hash, width}, stopped);
  PetscCall(PetscFree(record));
  PetscCall(rt_memory_destroy(&teacher));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_distiller_run(const RtJob *job, bool *stopped)
{
  RtModelData data;
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  PetscCall(rt_model_open_data(job, "distill", &data));
  error = distill(job, &data, stopped);
  PetscCall(rt_model_close_data(&data));
  PetscCall(error);
  PetscFunctionReturn(0);
}
