#include "core/message.h"
#include "data/trainset.h"
#include "label/mixture.h"
#include "model/model.h"
#include "run/stages.h"
#include "run/training.h"

static PetscErrorCode train(const RtJob *job, RtTrainset *data, const char *record, bool *stopped)
{
  RtTrainerParams params;
  RtTrainerResult result = {.stopped = false};
  RtGraph *graph = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_training_params(job, "teacher", "teacher", &params));
  PetscCall(rt_trainer_check(&params, job->size, NULL));
  params.record = record;
  rt_terms_short(rt_loss_find(data->info->classes ? "kl" : "mse"), 1, 0,
                 rt_options_real(job->options, "teacher", "label_smoothing"), &params.terms);
  PetscCall(rt_trainset_load(job, data));
  PetscCall(rt_trainset_model(job, "teacher", data, 0, &graph));
  error = rt_training_freeze(job, "teacher", graph);
  if (!error) rt_training_say(job, &params, graph, data->sampler.count);
  if (!error) error = rt_trainer_run(job->comm, &params, &data->source, graph, &result);
  if (!error && !result.stopped)
    error = rt_model_write(job, "teacher", record, result.best_epoch, result.accuracy, graph);
  if (!error && !result.stopped) error = rt_trainer_clean(job->comm, &params);
  PetscCall(rt_graph_destroy(&graph));
  PetscCall(error);
  *stopped = result.stopped;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_teach_run(const RtJob *job, bool *stopped)
{
  const char *own = rt_options_text(job->options, "teacher", "model");
  RtTrainset data;
  char name[RT_FILES_NAME], *record = NULL;
  PetscErrorCode error;
  bool done = false;

  PetscFunctionBegin;
  *stopped = false;
  if (rt_mixture_named(job->options)) RtUsage("-teacher_models are finished teachers: there is nothing to train");
  if (own[0]) RtUsage("-teacher_model %s is a finished teacher: there is nothing to train", own);
  PetscCall(rt_trainset_open(job, "teacher", &data));
  error = rt_trainset_plan(job, "teacher", 0, NULL, &data);
  if (!error)
    error = rt_training_record(job, RT_CONTENT_TEACHER, data.source.window, data.info->hash, "", "", "", &record);
  if (!error) error = rt_model_done(job, "teacher", record, &done);
  if (!error && done)
    rt_message_print("teacher: %s/%s is done already", job->dir, rt_files_name(RT_FILES_MODEL, "teacher", name));
  if (!error && done) error = rt_trainer_clean(job->comm, &(RtTrainerParams){.role = "teacher", .dir = job->dir});
  if (!error && !done) error = train(job, &data, record, stopped);
  PetscCall(PetscFree(record));
  PetscCall(rt_trainset_close(&data));
  PetscCall(error);
  PetscFunctionReturn(0);
}
