#include "run/model.h"

#include "core/file.h"
#include "core/hash.h"
#include "core/message.h"
#include "distill/recipe.h"
#include "optim/tao.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

PetscErrorCode rt_model_augment(const RtJob *job, const RtDatasetInfo *info, RtAugment *augment)
{
  RtAugmentParams params = {.shift = (int)rt_options_int(job->options, "augment", "shift"),
                            .rotate = rt_options_real(job->options, "augment", "rotate"),
                            .scale = rt_options_real(job->options, "augment", "scale"),
                            .shear = rt_options_real(job->options, "augment", "shear")};

  PetscFunctionBegin;
  PetscCall(rt_augment_create(&params, job->seed, info, augment));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_record(const RtJob *job, unsigned content, int64_t window, const char *dataset,
                               const char *teacher, const char *start, char **record)
{
  const char *section = content == RT_CONTENT_TEACHER ? "teacher" : "distill";
  char *options, *tao = NULL, line[48] = "";
  size_t length;

  PetscFunctionBegin;
  PetscCall(rt_options_record(job->options, content, &options));
  if (!strcmp(rt_options_text(job->options, section, "optimizer"), "tao")) PetscCall(rt_tao_record(&tao));
  if (window) snprintf(line, sizeof(line), "data_window=%lld\n", (long long)window);
  length = strlen(options) + (tao ? strlen(tao) : 0) + 3 * RT_HASH_TEXT + 96;
  PetscCall(PetscMalloc1(length, record));
  snprintf(*record, length, "%s%s%sdataset=%s\nteacher=%s\nstart=%s\n", options, tao ? tao : "", line, dataset, teacher,
           start);
  PetscCall(PetscFree(options));
  PetscCall(PetscFree(tao));
  PetscFunctionReturn(0);
}

/* On rank 0: 1 if the file is done, 0 if it is to be made. */
static PetscErrorCode compare(const RtJob *job, const char *path, const char *record, int *done)
{
  char name[64], old_value[96], new_value[96];
  RtGraph *graph = NULL;
  const char *before;
  bool differs;

  PetscFunctionBegin;
  *done = 0;
  if (!rt_file_exists(path)) PetscFunctionReturn(0);
  PetscCall(rt_onnx_read(path, &graph, NULL));
  before = rt_graph_get_metadata(graph, "retort_record");
  differs = rt_options_differ(before ? before : "", record, name, old_value, new_value);
  PetscCall(rt_graph_destroy(&graph));
  *done = !differs;
  if (differs && !job->force)
    RtFail("%s was made with %s %s, now it is %s; take another -run_dir, or make it again with -run_force", path, name,
           old_value[0] ? old_value : "absent", new_value[0] ? new_value : "absent");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_done(const RtJob *job, const char *name, const char *record, bool *done)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error = 0;
  int answer = 0;

  PetscFunctionBegin;
  PetscCall(rt_job_path(job, name, path));
  if (job->rank == 0) error = compare(job, path, record, &answer);
  RtAgree(job->comm, error);
  PetscCallMPI(MPI_Bcast(&answer, 1, MPI_INT, 0, job->comm));
  *done = answer;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_hash(const RtJob *job, const char *path, char hash[RT_HASH_TEXT])
{
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  if (job->rank == 0) error = rt_hash_file(path, hash);
  RtAgree(job->comm, error);
  PetscCallMPI(MPI_Bcast(hash, RT_HASH_TEXT, MPI_CHAR, 0, job->comm));
  PetscFunctionReturn(0);
}

/* Does the job name a teacher of its own? */
static bool is_own(const RtJob *job, const char *role)
{
  return !strcmp(role, "teacher") && rt_options_text(job->options, role, "model")[0];
}

PetscErrorCode rt_model_path(const RtJob *job, const char *role, char *path)
{
  const char *model = rt_options_text(job->options, role, "model");
  char name[32];

  PetscFunctionBegin;
  if (is_own(job, role)) {
    RtCheck(strlen(model) < PETSC_MAX_PATH_LEN, "-%s_model: the path is too long", role);
    PetscCall(PetscStrncpy(path, model, PETSC_MAX_PATH_LEN));
  } else {
    snprintf(name, sizeof(name), "%s.onnx", role);
    PetscCall(rt_job_path(job, name, path));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_read(const RtJob *job, const char *role, const RtDatasetInfo *info, RtGraph **graph,
                             char hash[RT_HASH_TEXT])
{
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  PetscCall(rt_model_read_if_there(job, role, info, graph, hash));
  if (*graph) PetscFunctionReturn(0);
  PetscCall(rt_model_path(job, role, path));
  if (is_own(job, role)) RtFail("%s: the %s cannot be read: there is no such file", path, role);
  RtFail("%s is missing: run `retort %s` first%s", path, strcmp(role, "teacher") ? "distill" : "train",
         strcmp(role, "teacher") ? "" : ", or name your own model with -teacher_model");
}

PetscErrorCode rt_model_read_if_there(const RtJob *job, const char *role, const RtDatasetInfo *info, RtGraph **graph,
                                      char hash[RT_HASH_TEXT])
{
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error;
  int there = 0;

  PetscFunctionBegin;
  *graph = NULL;
  PetscCall(rt_model_path(job, role, path));
  if (job->rank == 0) there = rt_file_exists(path);
  PetscCallMPI(MPI_Bcast(&there, 1, MPI_INT, 0, job->comm));
  if (!there) PetscFunctionReturn(0);
  error = rt_onnx_read(path, graph, hash);
  if (!error) error = rt_recipe_check(*graph, info, role);
  error = rt_message_agree(job->comm, error);
  if (error) PetscCall(rt_graph_destroy(graph));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_sketch(const RtJob *job, const char *role, const RtDatasetInfo *info, const RtModelInput *input,
                               RtGraph **graph)
{
  const char *model = rt_options_text(job->options, role, "model");
  int64_t hidden[RT_OPTIONS_LIST];
  double dropout[RT_OPTIONS_LIST];
  RtRecipe recipe = {.hidden = hidden,
                     .dropout = dropout,
                     .width = input->width,
                     .mean = input->mean,
                     .deviation = input->deviation,
                     .seed = job->seed};
  PetscErrorCode error;

  PetscFunctionBegin;
  *graph = NULL;
  if (model[0]) {
    error = rt_onnx_read(model, graph, NULL);
    if (!error) error = rt_recipe_check(*graph, info, role);
  } else {
    recipe.layers = rt_options_ints(job->options, role, "hidden", hidden);
    recipe.dropouts = rt_options_reals(job->options, role, "dropout", dropout);
    if (recipe.dropouts > recipe.layers + 1)
      RtUsage("-%s_dropout has %d numbers; there are %d layers to drop from", role, recipe.dropouts, recipe.layers + 1);
    if (!strcmp(role, "student")) recipe.seed ^= (uint64_t)1 << 63; /* not the teacher's weights cut to size */
    error = rt_recipe_mlp(&recipe, info, graph);
  }
  error = rt_message_agree(job->comm, error);
  if (error) PetscCall(rt_graph_destroy(graph));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_make(const RtJob *job, const char *role, const RtTrainset *data, int width, RtGraph **graph)
{
  RtModelInput input = {.width = width};

  PetscFunctionBegin;
  if (!rt_options_text(job->options, role, "model")[0] && rt_options_bool(job->options, role, "normalize"))
    PetscCall(rt_trainset_measure(job, data, &input.mean, &input.deviation));
  PetscCall(rt_model_sketch(job, role, data->info, &input, graph));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_training(const RtJob *job, const char *section, const char *role, RtTrainerParams *params)
{
  const RtOptions *o = job->options;

  PetscFunctionBegin;
  *params = (RtTrainerParams){
      .role = role,
      .dir = job->dir,
      .force = job->force,
      .train_set = rt_options_text(o, "data", "train"),
      .test_set = rt_options_text(o, "data", "test"),
      .seed = job->seed,
      .epochs = rt_options_int(o, section, "epochs"),
      .batch = rt_options_int(o, section, "batch"),
      .lanes = (int)rt_options_int(o, section, "lanes"),
      .threads = job->threads,
      .reduce = strcmp(rt_options_text(o, NULL, "reduce"), "fast") ? RT_REDUCE_TREE : RT_REDUCE_FAST,
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

PetscErrorCode rt_model_write(const RtJob *job, const char *role, const char *record, const RtTrainerResult *result,
                              RtGraph *graph)
{
  char path[PETSC_MAX_PATH_LEN], name[32], text[32];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  snprintf(name, sizeof(name), "%s.onnx", role);
  PetscCall(rt_job_path(job, name, path));
  PetscCall(rt_graph_set_metadata(graph, "retort_version", RETORT_VERSION));
  PetscCall(rt_graph_set_metadata(graph, "retort_role", role));
  PetscCall(rt_graph_set_metadata(graph, "retort_record", record));
  snprintf(text, sizeof(text), "%lld", (long long)result->best_epoch);
  PetscCall(rt_graph_set_metadata(graph, "retort_epoch", text));
  if (!isnan(result->accuracy)) {
    snprintf(text, sizeof(text), "%.6f", result->accuracy);
    PetscCall(rt_graph_set_metadata(graph, "retort_holdout_accuracy", text));
  }
  if (job->rank == 0) error = rt_onnx_write(graph, path, NULL);
  RtAgree(job->comm, error);
  PetscFunctionReturn(0);
}
