#include "model/model.h"

#include "core/file.h"
#include "core/hash.h"
#include "core/message.h"
#include "job/record.h"
#include "model/binding.h"
#include "model/recipe.h"
#include "ops/registry.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

PetscErrorCode rt_model_record(const RtJob *job, unsigned content, int64_t window, const char *dataset,
                               const char *teacher, const char *start, const char *extra, char **record)
{
  char *options, line[48] = "";
  size_t length;

  PetscFunctionBegin;
  PetscCall(rt_options_record(job->options, content, &options));
  if (window) snprintf(line, sizeof(line), "data_window=%lld\n", (long long)window);
  length = strlen(options) + strlen(extra) + 3 * RT_HASH_TEXT + 96;
  PetscCall(PetscMalloc1(length, record));
  snprintf(*record, length, "%s%s%sdataset=%s\nteacher=%s\nstart=%s\n", options, extra, line, dataset, teacher, start);
  PetscCall(PetscFree(options));
  PetscFunctionReturn(0);
}

const char rt_model_record_key[] = "retort_record";

PetscErrorCode rt_model_sign(RtGraph *graph, const char *role, const char *record)
{
  PetscFunctionBegin;
  PetscCall(rt_graph_set_metadata(graph, "retort_version", RETORT_VERSION));
  PetscCall(rt_graph_set_metadata(graph, "retort_role", role));
  PetscCall(rt_graph_set_metadata(graph, rt_model_record_key, record));
  PetscFunctionReturn(0);
}

const char *rt_model_made_with(const RtGraph *graph)
{
  return rt_graph_get_metadata(graph, rt_model_record_key);
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
  before = rt_model_made_with(graph);
  differs =
      rt_record_differ(before ? before : "", record, rt_options_defaults(job->options), name, old_value, new_value);
  PetscCall(rt_graph_destroy(&graph));
  *done = !differs;
  if (differs && !job->force)
    RtFail("%s was made with %s %s, now it is %s; take another -run_dir, or make it again with -run_force", path, name,
           old_value[0] ? old_value : "absent", new_value[0] ? new_value : "absent");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_done(const RtJob *job, const char *role, const char *record, bool *done)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error = 0;
  int answer = 0;

  PetscFunctionBegin;
  PetscCall(rt_job_path(job, RT_FILES_MODEL, role, path));
  if (job->rank == 0) error = compare(job, path, record, &answer);
  RtAgree(job->comm, error);
  PetscCallMPI(MPI_Bcast(&answer, 1, MPI_INT, 0, job->comm));
  *done = answer;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_hash(const RtJob *job, const char *role, const char *path, char hash[RT_HASH_TEXT])
{
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  if (job->rank == 0) error = rt_hash_file(path, hash);
  if (job->rank == 0 && !error) error = rt_binding_hash(rt_model_inputs(job, role), hash);
  RtAgree(job->comm, error);
  PetscCallMPI(MPI_Bcast(hash, RT_HASH_TEXT, MPI_CHAR, 0, job->comm));
  PetscFunctionReturn(0);
}

const char *rt_model_inputs(const RtJob *job, const char *role)
{
  const char *inputs = rt_options_text(job->options, role, "inputs");
  const bool cut = !strcmp(role, "student") && !strcmp(rt_options_text(job->options, role, "init"), "svd");

  return cut && !inputs[0] ? rt_options_text(job->options, "teacher", "inputs") : inputs;
}

/* Does the job name a teacher of its own? */
static bool is_own(const RtJob *job, const char *role)
{
  return !strcmp(role, "teacher") && rt_options_text(job->options, role, "model")[0];
}

PetscErrorCode rt_model_path(const RtJob *job, const char *role, char *path)
{
  const char *model = rt_options_text(job->options, role, "model");

  PetscFunctionBegin;
  if (is_own(job, role)) {
    RtCheck(strlen(model) < PETSC_MAX_PATH_LEN, "-%s_model: the path is too long", role);
    PetscCall(PetscStrncpy(path, model, PETSC_MAX_PATH_LEN));
  } else {
    PetscCall(rt_job_path(job, RT_FILES_MODEL, role, path));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_read(const RtJob *job, const char *role, const RtDatasetInfo *info, RtGraph **graph,
                             char hash[RT_HASH_TEXT])
{
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  if (!strcmp(role, "teacher") && rt_options_text(job->options, role, "models")[0])
    RtUsage("-teacher_models: this needs one teacher, not several: name it with -teacher_model");
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

  PetscFunctionBegin;
  *graph = NULL;
  if (!strcmp(role, "teacher") && rt_options_text(job->options, role, "models")[0]) PetscFunctionReturn(0);
  PetscCall(rt_model_path(job, role, path));
  PetscCall(rt_model_read_file(job, role, path, info, graph, hash));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_read_file(const RtJob *job, const char *role, const char *path, const RtDatasetInfo *info,
                                  RtGraph **graph, char hash[RT_HASH_TEXT])
{
  PetscErrorCode error;
  int there = 0;

  PetscFunctionBegin;
  *graph = NULL;
  if (job->rank == 0) there = rt_file_exists(path);
  PetscCallMPI(MPI_Bcast(&there, 1, MPI_INT, 0, job->comm));
  if (!there) PetscFunctionReturn(0);
  error = rt_onnx_read(path, graph, hash);
  if (!error) error = rt_binding_attach(*graph, info, rt_model_inputs(job, role), role);
  if (!error) error = rt_binding_hash(rt_model_inputs(job, role), hash);
  if (!error) error = rt_registry_hash(*graph, hash);
  if (!error) error = rt_recipe_check(*graph, info, role);
  error = rt_message_agree(job->comm, error);
  if (error) PetscCall(rt_graph_destroy(graph));
  PetscCall(error);
  PetscFunctionReturn(0);
}

int rt_model_count(const RtJob *job)
{
  int count = 1;

  for (const char *c = rt_options_text(job->options, "teacher", "models"); *c; c++) count += *c == ',';
  return count;
}

PetscErrorCode rt_model_list(const RtJob *job, int i, char *path)
{
  const char *from = rt_options_text(job->options, "teacher", "models");
  size_t length;

  PetscFunctionBegin;
  for (; i; i--) from = strchr(from, ',') + 1;
  while (*from == ' ') from++;
  length = strcspn(from, ",");
  while (length && from[length - 1] == ' ') length--;
  if (!length) RtUsage("-teacher_models: a name is empty");
  if (length >= PETSC_MAX_PATH_LEN) RtUsage("-teacher_models: a path is too long");
  memcpy(path, from, length);
  path[length] = 0;
  PetscFunctionReturn(0);
}

/* Of one file. */
static PetscErrorCode want_file(const RtJob *job, const char *role, const char *path, const RtDatasetInfo *info,
                                bool *want)
{
  RtGraph *graph = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_onnx_read(path, &graph, NULL);
  if (!error) error = rt_binding_attach(graph, info, rt_model_inputs(job, role), role);
  if (!error) error = rt_binding_want(graph, info, role, want);
  PetscCall(rt_graph_destroy(&graph));
  RtAgree(job->comm, error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_want(const RtJob *job, const char *role, const RtDatasetInfo *info, bool *want)
{
  const char *model = rt_options_text(job->options, role, "model");
  const bool several = !strcmp(role, "teacher") && rt_options_text(job->options, role, "models")[0];
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  for (int i = 0; several && i < rt_model_count(job); i++) {
    PetscCall(rt_model_list(job, i, path));
    PetscCall(want_file(job, role, path, info, want));
  }
  if (model[0])
    PetscCall(want_file(job, role, model, info, want));
  else if (!several && info->input >= 0)
    want[info->input] = true;
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
    if (!error) error = rt_binding_attach(*graph, info, rt_model_inputs(job, role), role);
    if (!error) error = rt_recipe_check(*graph, info, role);
  } else {
    if (rt_options_text(job->options, role, "inputs")[0])
      RtUsage("-%s_inputs says what a model file reads: name one with -%s_model", role, role);
    recipe.layers = rt_options_ints(job->options, role, "hidden", hidden);
    recipe.dropouts = rt_options_reals(job->options, role, "dropout", dropout);
    if (recipe.dropouts > recipe.layers + 1)
      RtUsage("-%s_dropout has %d numbers; there are %d layers to drop from", role, recipe.dropouts, recipe.layers + 1);
    if (!strcmp(role, "student")) recipe.seed ^= (uint64_t)1 << 63; /* not the teacher's weights cut to size */
    error = rt_recipe_find(rt_options_text(job->options, role, "arch"))->make(&recipe, info, graph);
    if (!error) error = rt_binding_attach(*graph, info, "", role);
  }
  error = rt_message_agree(job->comm, error);
  if (error) PetscCall(rt_graph_destroy(graph));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_model_write(const RtJob *job, const char *role, const char *record, int64_t epoch, double accuracy,
                              RtGraph *graph)
{
  char path[PETSC_MAX_PATH_LEN], text[32];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_job_path(job, RT_FILES_MODEL, role, path));
  PetscCall(rt_model_sign(graph, role, record));
  snprintf(text, sizeof(text), "%lld", (long long)epoch);
  PetscCall(rt_graph_set_metadata(graph, "retort_epoch", text));
  if (!isnan(accuracy)) {
    snprintf(text, sizeof(text), "%.6f", accuracy);
    PetscCall(rt_graph_set_metadata(graph, "retort_holdout_accuracy", text));
  }
  if (job->rank == 0) error = rt_onnx_write(graph, path, NULL);
  RtAgree(job->comm, error);
  PetscFunctionReturn(0);
}
