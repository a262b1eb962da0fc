#include "label/inference.h"

#include "core/message.h"
#include "data/trainset.h"
#include "label/store.h"
#include "model/binding.h"
#include "model/model.h"
#include "model/recipe.h"

#include <math.h>
#include <string.h>

/* What shards will say of their features. */
static PetscErrorCode describe_features(RtInference *i)
{
  PetscFunctionBegin;
  i->store.components = i->components.count;
  i->store.kept = i->components.kept;
  PetscCall(PetscStrncpy(i->store.features, i->components.hash, sizeof(i->store.features)));
  PetscCall(PetscStrncpy(i->store.layer, i->components.layer, sizeof(i->store.layer)));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_inference_open(const RtJob *job, RtInference *inference, bool *stopped)
{
  RtInference *i = inference;
  const char *path;
  char hash[RT_HASH_TEXT];
  int width, value[2];

  PetscFunctionBegin;
  *stopped = false;
  *i = (RtInference){.job = job};
  PetscCall(rt_job_need(job, "data_train", "the training set, from `retort import`", &path));
  PetscCall(rt_dataset_open(job->comm, path, &i->dataset));
  i->info = rt_dataset_info(i->dataset);
  PetscCall(rt_model_read(job, "teacher", i->info, &i->teacher, hash));
  PetscCall(PetscCalloc1(i->info->fields, &i->want));
  PetscCall(rt_binding_want(i->teacher, i->info, "teacher", i->want));
  PetscCall(rt_recipe_width(i->teacher, &width));
  PetscCall(rt_trainset_augment(job, i->info, &i->augment));
  PetscCall(rt_trainset_check_views(&i->augment, i->info, i->teacher, "teacher"));
  PetscCall(rt_store_describe(job, i->info, hash, width, &i->augment, &i->store, i->dir));
  PetscCall(rt_options_record(job->options, RT_CONTENT_LABELS, &i->record));
  rt_recipe_say(i->teacher, "teacher");
  PetscCall(rt_components_open(&(RtComponentsSource){job, i->dataset, i->teacher, hash}, &i->components, stopped));
  if (*stopped) PetscFunctionReturn(0);
  PetscCall(describe_features(i));
  value[0] = rt_tap_logits(i->teacher);
  value[1] = i->components.value;
  RtAgree(job->comm, rt_predictor_create(i->teacher, i->components.count ? 2 : 1, value,
                                         rt_options_int(job->options, "label", "batch"),
                                         strcmp(i->store.precision, "bf16") ? RT_PRECISION_FP32 : RT_PRECISION_BF16,
                                         job->threads, &i->predictor));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_inference_close(RtInference *inference)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(inference->record));
  PetscCall(PetscFree(inference->want));
  PetscCall(rt_predictor_destroy(&inference->predictor));
  PetscCall(rt_components_close(&inference->components));
  PetscCall(rt_graph_destroy(&inference->teacher));
  PetscCall(rt_dataset_close(&inference->dataset));
  PetscFunctionReturn(0);
}

/* Where the rows of a micro-batch go, and how many went there. */
typedef struct {
  float *logits, *features;
  const RtComponents *components;
  int width, views;
  int64_t view, done;
  RtInferenceWatch watch;
  void *context;
  bool ended;
} Place;

static PetscErrorCode put_rows(void *context, int thread, int64_t at, int64_t rows, const int64_t *sample,
                               const float *const *row)
{
  Place *p = context;
  const float *logits = row[0];
  int64_t stride = (int64_t)p->views * p->components->count;

  PetscFunctionBegin;
  (void)thread;
  for (int64_t r = 0; r < rows; r++) {
    for (int k = 0; k < p->width; k++)
      RtCheck(isfinite(logits[r * p->width + k]), "the teacher's output for sample %lld is not finite",
              (long long)sample[r]);
    memcpy(p->logits + ((at + r) * p->views + p->view) * p->width, logits + r * p->width,
           (size_t)p->width * sizeof(float));
  }
  if (p->features)
    rt_components_project(p->components, rows, row[1], stride,
                          p->features + at * stride + p->view * p->components->count);
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
                                const int64_t *sample, float *logits, float *features, RtInferenceWatch watch,
                                void *context)
{
  const RtLabelstoreInfo *store = &inference->store;
  Place place = {.logits = logits,
                 .features = features,
                 .components = &inference->components,
                 .width = store->classes,
                 .views = store->views,
                 .watch = watch,
                 .context = context};
  RtPredictorRange range = {.samples = samples,
                            .augment = &inference->augment,
                            .count = count,
                            .sample = sample,
                            .stride = 1,
                            .watch = watch ? watch_rows : NULL,
                            .watch_context = &place};

  PetscFunctionBegin;
  for (place.view = 0; place.view < store->views && !place.ended; place.view++) {
    range.view = place.view;
    PetscCall(rt_predictor_run(inference->predictor, &range, put_rows, &place));
  }
  PetscFunctionReturn(0);
}
