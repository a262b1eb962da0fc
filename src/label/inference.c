#include "label/inference.h"

#include "core/memory.h"
#include "core/message.h"
#include "data/trainset.h"
#include "label/store.h"
#include "model/binding.h"
#include "model/model.h"
#include "model/recipe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The record of a mixture also names its models. */
static PetscErrorCode make_record(RtInference *i)
{
  char *options, *models;
  size_t length;

  PetscFunctionBegin;
  PetscCall(rt_options_record(i->job->options, RT_CONTENT_LABELS, &options));
  PetscCall(rt_mixture_record(&i->teacher, &models));
  length = strlen(options) + strlen(models) + 1;
  PetscCall(PetscMalloc1(length, &i->record));
  snprintf(i->record, length, "%s%s", options, models);
  PetscCall(PetscFree(options));
  PetscCall(PetscFree(models));
  PetscFunctionReturn(0);
}

/* Components of the fields that have this form. */
static PetscErrorCode open_components(RtInference *i, const RtKept *kept, bool *stopped)
{
  char option[64];
  RtComponentsSource source = {i->job, i->dataset, i->teacher.graph[0], i->teacher.hash[0], NULL};

  PetscFunctionBegin;
  for (int f = 0; f < i->store.fields && !*stopped; f++) {
    RtLabelstoreField *field = &i->store.field[f];
    const RtComponentsWant want = {field->name, option, kept->value[f], kept->components[f]};

    if (!want.count) continue;
    source.want = &want;
    snprintf(option, sizeof(option), strcmp(field->name, "features") ? "label_taps_%s_components" : "label_components",
             field->name);
    PetscCall(rt_components_open(&source, &i->components[f], stopped));
    field->kept = i->components[f].kept;
    PetscCall(PetscStrncpy(field->hash, i->components[f].hash, sizeof(field->hash)));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode open_predictors(RtInference *i, const RtKept *kept)
{
  const RtPrecision precision = strcmp(i->store.precision, "bf16") ? RT_PRECISION_FP32 : RT_PRECISION_BF16;

  PetscFunctionBegin;
  for (int m = 0; m < i->teacher.models; m++) {
    const int logits = rt_tap_logits(i->teacher.graph[m]);

    PetscCall(rt_predictor_create(i->teacher.graph[m], i->store.fields, i->teacher.models > 1 ? &logits : kept->value,
                                  rt_options_int(i->job->options, "label", "batch"), precision, i->job->threads,
                                  &i->predictor[m]));
  }
  PetscFunctionReturn(0);
}

/* The folder and fields of a share: fp32 logits, named by their model. */
static PetscErrorCode describe_share(const RtInference *i, int model, RtLabelstoreInfo *store, char *dir)
{
  char role[24];

  PetscFunctionBegin;
  *store = i->store;
  rt_labelstore_logits(store, i->teacher.width);
  PetscCall(PetscStrncpy(store->teacher, i->teacher.hash[model], sizeof(store->teacher)));
  snprintf(role, sizeof(role), "%.16s", i->teacher.hash[model]);
  PetscCall(rt_job_path(i->job, RT_FILES_SHARE, role, dir));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_inference_open(const RtJob *job, int which, RtInference *inference, bool *stopped)
{
  RtInference *i = inference;
  const char *path;
  char hash[RT_HASH_TEXT];
  RtKept kept;

  PetscFunctionBegin;
  *stopped = false;
  *i = (RtInference){.job = job, .shares = which == RT_INFERENCE_SHARES};
  PetscCall(rt_job_need(job, "data_train", "the training set, from `retort import`", &path));
  PetscCall(rt_dataset_open(job->comm, path, &i->dataset));
  i->info = rt_dataset_info(i->dataset);
  PetscCall(rt_mixture_read(job, i->info, PetscMax(which, RT_MIXTURE_ALL), &i->teacher, hash));
  PetscCall(PetscCalloc1(i->info->fields, &i->want));
  PetscCall(rt_trainset_augment(job, i->info, &i->augment));
  for (int m = 0; m < i->teacher.models; m++) {
    PetscCall(rt_binding_want(i->teacher.graph[m], i->info, "teacher", i->want));
    PetscCall(rt_trainset_check_views(&i->augment, i->info, i->teacher.graph[m], "teacher"));
  }
  PetscCall(rt_store_describe(job, i->info, hash, i->teacher.width, &i->augment, &i->store, i->dir));
  PetscCall(rt_kept_describe(job, rt_mixture_named(job->options) ? NULL : i->teacher.graph[0], i->teacher.width,
                             &i->store, &kept));
  kept.value[0] = rt_tap_logits(i->teacher.graph[0]);
  if (which >= 0) PetscCall(describe_share(i, 0, &i->store, i->dir));
  PetscCall(make_record(i));
  if (!i->shares)
    for (int m = 0; m < i->teacher.models; m++) rt_recipe_say(i->teacher.graph[m], "teacher");
  PetscCall(open_components(i, &kept, stopped));
  if (!*stopped && !i->shares) RtAgree(job->comm, open_predictors(i, &kept));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_inference_close(RtInference *inference)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(inference->record));
  PetscCall(PetscFree(inference->want));
  for (int m = 0; m < RT_MIXTURE; m++) PetscCall(rt_predictor_destroy(&inference->predictor[m]));
  for (int f = 0; f < RT_LABELSTORE_FIELDS; f++) PetscCall(rt_components_close(&inference->components[f]));
  PetscCall(rt_mixture_free(&inference->teacher));
  PetscCall(rt_dataset_close(&inference->dataset));
  PetscFunctionReturn(0);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

/* Where the rows of a micro-batch go, and how many went there. */
typedef struct {
  const RtInference *inference;
  float *const *data; /* [fields][count, views, width] */
  double *sum;        /* [count, views, classes] of a mixture; NULL without */
  int model;
  int64_t view, done;
  RtInferenceWatch watch;
  void *context;
  bool ended;
} Place;

/* One field of some rows, as the model has it or as its components. */
static PetscErrorCode put_field(const Place *p, int f, int64_t at, int64_t rows, const int64_t *sample,
                                const float *row)
{
  const RtInference *i = p->inference;
  const int64_t width = i->store.field[f].width, stride = i->store.views * width, first = at * stride + p->view * width;

  PetscFunctionBegin;
  if (i->components[f].count) {
    rt_components_project(&i->components[f], rows, row, stride, p->data[f] + first);
    PetscFunctionReturn(0);
  }
  for (int64_t r = 0; r < rows; r++) {
    const float *from = row + r * width;

    for (int64_t k = 0; k < width; k++)
      RtCheck(isfinite(from[k]), "the teacher's %s for sample %lld is not finite",
              f ? i->store.field[f].name : "output", (long long)sample[r]);
    if (p->sum)
      rt_mixture_add(&i->teacher, p->model, 1, width, from, p->sum + first + r * stride);
    else
      memcpy(p->data[f] + first + r * stride, from, (size_t)width * sizeof(float));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode put_rows(void *context, int thread, int64_t at, int64_t rows, const int64_t *sample,
                               const float *const *row)
{
  Place *p = context;

  PetscFunctionBegin;
  (void)thread;
  for (int f = 0; f < p->inference->store.fields; f++) PetscCall(put_field(p, f, at, rows, sample, row[f]));
#pragma omp atomic
  p->done += rows;
  PetscFunctionReturn(0);
}

static bool watch_rows(void *context)
{
  Place *p = context;
  int64_t done;

#pragma omp atomic read
  done = p->done;
  p->ended = p->watch(p->context, done);
  return p->ended;
}

PetscErrorCode rt_inference_run(const RtInference *inference, const RtSamples *samples, int64_t count,
                                const int64_t *sample, float *const *data, RtInferenceWatch watch, void *context)
{
  const RtLabelstoreInfo *store = &inference->store;
  const int64_t numbers = count * store->views * inference->teacher.width;
  Place place = {.inference = inference, .data = data, .watch = watch, .context = context};
  RtPredictorRange range = {.samples = samples,
                            .augment = &inference->augment,
                            .count = count,
                            .sample = sample,
                            .stride = 1,
                            .watch = watch ? watch_rows : NULL,
                            .watch_context = &place};
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  if (inference->teacher.models > 1) PetscCall(rt_memory_create((size_t)numbers * sizeof(double), &place.sum));
  for (; place.model < inference->teacher.models; place.model++)
    for (place.view = 0; place.view < store->views && !place.ended && !error; place.view++) {
      range.view = place.view;
      error = rt_predictor_run(inference->predictor[place.model], &range, put_rows, &place);
    }
  if (place.sum && !error && !place.ended) rt_mixture_end(numbers, place.sum, data[0]);
  PetscCall(rt_memory_destroy(&place.sum));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode add_share(const RtInference *i, int model, int64_t shard, float *logits, double *sum)
{
  RtLabelstoreInfo *store;
  char dir[PETSC_MAX_PATH_LEN];
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&store));
  error = describe_share(i, model, store, dir);
  if (!error) error = rt_labelstore_read(dir, store, shard, 0, logits);
  if (!error)
    rt_mixture_add(&i->teacher, model, rt_labelstore_count(store, shard) * store->views, i->teacher.width, logits, sum);
  PetscCall(PetscFree(store));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_inference_mix(const RtInference *inference, int64_t shard, float *data)
{
  const int64_t numbers =
      rt_labelstore_count(&inference->store, shard) * inference->store.views * inference->teacher.width;
  float *logits = NULL;
  double *sum = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_memory_create((size_t)numbers * sizeof(float), &logits);
  if (!error) error = rt_memory_create((size_t)numbers * sizeof(double), &sum);
  for (int m = 0; m < inference->teacher.models && !error; m++) error = add_share(inference, m, shard, logits, sum);
  if (!error) rt_mixture_end(numbers, sum, data);
  PetscCall(rt_memory_destroy(&logits));
  PetscCall(rt_memory_destroy(&sum));
  PetscCall(error);
  PetscFunctionReturn(0);
}
