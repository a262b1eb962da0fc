#include "run/training.h"

#include "core/message.h"
#include "optim/tao.h"

#include <stdio.h>
#include <string.h>

PetscErrorCode rt_training_params(const RtJob *job, const char *section, const char *role, RtTrainerParams *params)
{
  const RtOptions *o = job->options;

  PetscFunctionBegin;
  *params = (RtTrainerParams){
      .role = role,
      .dir = job->dir,
      .force = job->force,
      .defaults = rt_options_defaults(o),
      .train_set = rt_options_text(o, "data", "train"),
      .test_set = rt_options_text(o, "data", "test"),
      .seed = job->seed,
      .epochs = rt_options_int(o, section, "epochs"),
      .batch = rt_options_int(o, section, "batch"),
      .lanes = (int)rt_options_int(o, section, "lanes"),
      .threads = job->threads,
      .reduce = strcmp(rt_options_text(o, NULL, "reduce"), "fast") ? RT_REDUCE_TREE : RT_REDUCE_FAST,
      .reduce_memory = rt_options_int(o, NULL, "reduce_memory"),
      .precision = strcmp(rt_options_text(o, section, "precision"), "bf16") ? RT_PRECISION_FP32 : RT_PRECISION_BF16,
      .loss_params = {.label_smoothing = rt_options_real(o, section, "label_smoothing"), .temperature = 1},
      .optimizer = rt_optimizer_find(rt_options_text(o, section, "optimizer")),
      .optimizer_params = {.momentum = rt_options_real(o, section, "momentum"),
                           .nesterov = rt_options_bool(o, section, "nesterov"),
                           .beta1 = rt_options_real(o, section, "beta1"),
                           .beta2 = rt_options_real(o, section, "beta2"),
                           .epsilon = rt_options_real(o, section, "epsilon")},
      .weight_decay = rt_options_real(o, section, "weight_decay"),
      .max_norm = rt_options_real(o, section, "max_norm"),
      .clip = rt_options_real(o, section, "clip"),
      .skip_bad = rt_options_bool(o, section, "skip_bad"),
      .schedule = {.kind = rt_options_text(o, section, "schedule"),
                   .rate = rt_options_real(o, section, "rate"),
                   .final = rt_options_real(o, section, "final"),
                   .factor = rt_options_real(o, section, "factor")},
      .warmup_epochs = rt_options_real(o, section, "warmup"),
      .every_epochs = rt_options_real(o, section, "every"),
      .select_best = !strcmp(rt_options_text(o, section, "select"), "best"),
      .checkpoint_epochs = rt_options_int(o, NULL, "checkpoint_epochs"),
      .checkpoint_steps = rt_options_int(o, NULL, "checkpoint_steps"),
      .checkpoint_seconds = rt_options_real(o, NULL, "checkpoint_seconds"),
      .checkpoint_keep = rt_options_int(o, NULL, "checkpoint_keep")};
  PetscFunctionReturn(0);
}

PetscErrorCode rt_training_record(const RtJob *job, unsigned content, int64_t window, const char *dataset,
                                  const char *teacher, const char *start, char **record)
{
  const char *section = content == RT_CONTENT_TEACHER ? "teacher" : "distill";
  char *tao = NULL;

  PetscFunctionBegin;
  if (!strcmp(rt_options_text(job->options, section, "optimizer"), "tao")) PetscCall(rt_tao_record(&tao));
  PetscCall(rt_model_record(job, content, window, dataset, teacher, start, tao ? tao : "", record));
  PetscCall(PetscFree(tao));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_training_freeze(const RtJob *job, const char *role, RtGraph *graph)
{
  const char *patterns = rt_options_text(job->options, role, "freeze");
  char option[64];

  PetscFunctionBegin;
  snprintf(option, sizeof(option), "-%s_freeze", role);
  PetscCall(rt_graph_freeze(graph, patterns, option));
  PetscFunctionReturn(0);
}

void rt_training_say(const RtJob *job, const RtTrainerParams *params, const RtGraph *graph, int64_t samples)
{
  char names[256];
  int frozen = rt_graph_frozen(graph, names, sizeof(names));

  rt_message_print("%s: %lld parameters, %lld samples, batches of %lld in %d lanes, %d x %d threads", params->role,
                   (long long)graph->parameters, (long long)samples, (long long)params->batch, params->lanes, job->size,
                   job->threads);
  if (frozen)
    rt_message_print("%s: %d constant%s stay%s as in the model: %s", params->role, frozen, frozen == 1 ? "" : "s",
                     frozen == 1 ? "s" : "", names);
}
