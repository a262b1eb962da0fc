#include "label/verifier.h"

#include "comm/agree.h"
#include "core/message.h"
#include "core/stop.h"
#include "label/inference.h"
#include "label/store.h"

#include <math.h>

/* Another processor may use other kernels; mistakes are far larger. */
static const double tolerance = 1e-4;

typedef struct {
  RtInference teacher;
  int64_t each;                           /* samples to label again in a shard, at most */
  int64_t *sample;                        /* [each] their numbers */
  float *fresh, *store;                   /* [each, views, classes] and [shard, views, classes] */
  float *fresh_features, *store_features; /* the same of the components, where there are any */
  double largest;                         /* relative difference between the two */
  int64_t checked;                        /* samples */
} Verifier;

/* The largest difference of fresh rows to those of the store, each as a part of the larger of 1 and its number, or of
   its row's largest: a component near 0 is a difference of large activations. width: of a row with all its views. */
static void compare_rows(Verifier *v, int64_t first, int64_t count, int64_t width, bool by_row, const float *fresh,
                         const float *store)
{
  for (int64_t i = 0; i < count; i++) {
    const float *old = store + (v->sample[i] - first) * width, *now = fresh + i * width;
    double scale = 1;

    for (int64_t k = 0; by_row && k < width; k++) scale = fmax(scale, fabs(old[k]));
    for (int64_t k = 0; k < width; k++) {
      double off = fabs((double)now[k] - old[k]) / (by_row ? scale : fmax(1, fabs(old[k])));

      if (!(off <= v->largest)) v->largest = isnan(off) ? INFINITY : off;
    }
  }
}

static PetscErrorCode compare_shard(Verifier *v, int64_t shard)
{
  const RtInference *t = &v->teacher;
  int64_t first = shard * t->store.shard;
  int64_t in_shard = rt_labelstore_count(&t->store, shard), count = PetscMin(v->each, in_shard);
  RtSamples samples;
  PetscErrorCode error;

  PetscFunctionBegin;
  for (int64_t i = 0; i < count; i++) v->sample[i] = first + i * in_shard / count;
  PetscCall(rt_labelstore_read(t->dir, &t->store, shard, v->store));
  if (v->store_features) PetscCall(rt_labelstore_read_features(t->dir, &t->store, shard, v->store_features));
  PetscCall(rt_samples_load(t->dataset, t->want, first, in_shard, &samples));
  error = rt_inference_run(t, &samples, count, v->sample, v->fresh, v->fresh_features, NULL, NULL);
  PetscCall(rt_samples_free(&samples));
  PetscCall(error);
  compare_rows(v, first, count, (int64_t)t->store.views * t->store.classes, false, v->fresh, v->store);
  if (v->store_features)
    compare_rows(v, first, count, (int64_t)t->store.views * t->store.components, true, v->fresh_features,
                 v->store_features);
  v->checked += count;
  PetscFunctionReturn(0);
}

/* Shards are dealt out to ranks; each takes an equal part of the samples, spread over its shard. */
static PetscErrorCode compare(Verifier *v)
{
  const RtInference *t = &v->teacher;
  int64_t shards = rt_labelstore_shards(&t->store);
  int64_t wanted = PetscMin(rt_options_int(t->job->options, "verify", "samples"), t->store.samples);
  size_t row = (size_t)t->store.views * (size_t)t->store.classes;
  size_t features = (size_t)t->store.views * (size_t)t->store.components;

  PetscFunctionBegin;
  v->each = (wanted + shards - 1) / shards;
  PetscCall(PetscMalloc3(v->each, &v->sample, (size_t)v->each * row, &v->fresh,
                         (size_t)rt_labelstore_count(&t->store, 0) * row, &v->store));
  if (features)
    PetscCall(PetscMalloc2((size_t)v->each * features, &v->fresh_features,
                           (size_t)rt_labelstore_count(&t->store, 0) * features, &v->store_features));
  for (int64_t s = t->job->rank; s < shards && !rt_stop_asked(); s += t->job->size) PetscCall(compare_shard(v, s));
  PetscFunctionReturn(0);
}

/* Are all shards there? They are named that are not. */
static PetscErrorCode check(const RtInference *t, bool *stopped)
{
  RtStoreCheck found;
  PetscErrorCode error;
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  error = rt_store_check(t->job, t->dir, &t->store, INT64_MAX, &found);
  *stopped = !error && found.count[RT_LABELSTORE_UNKNOWN] > 0;
  for (int64_t s = 0; s < found.shards && !error; s++) {
    if (found.state[s] != RT_LABELSTORE_MISSING || found.count[RT_LABELSTORE_MISSING] == found.shards) continue;
    error = rt_labelstore_path(t->dir, s, path);
    rt_message_note("%s is missing", path);
  }
  PetscCall(rt_store_free(&found));
  PetscCall(error);
  RtCheck(*stopped || !found.lacks[0], "%s: %s; run `retort label`", t->dir, found.lacks);
  PetscFunctionReturn(0);
}

static PetscErrorCode verify(Verifier *v, bool *stopped)
{
  const RtInference *t = &v->teacher;
  int asked;

  PetscFunctionBegin;
  PetscCall(check(t, stopped));
  if (*stopped) PetscFunctionReturn(0);
  PetscCall(rt_message_meet(t->job->comm, compare(v)));
  asked = rt_stop_asked();
  PetscCall(rt_agree_max(t->job->comm, 1, &asked));
  PetscCall(rt_agree_largest(t->job->comm, 1, &v->largest));
  PetscCall(rt_agree_count(t->job->comm, 1, &v->checked));
  RtCheck(v->largest <= tolerance,
          "%s: labels differ by %g from what the teacher says now; remove the store and run `retort label`", t->dir,
          v->largest);
  *stopped = asked;
  if (!*stopped)
    rt_message_print("verify: %lld samples of %lld shards labelled again, largest relative difference %g",
                     (long long)v->checked, (long long)rt_labelstore_shards(&t->store), v->largest);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_verifier_run(const RtJob *job, bool *stopped)
{
  Verifier v = {.each = 0};
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  error = rt_inference_open(job, &v.teacher, stopped);
  if (!error && !*stopped) error = verify(&v, stopped);
  PetscCall(PetscFree3(v.sample, v.fresh, v.store));
  PetscCall(PetscFree2(v.fresh_features, v.store_features));
  PetscCall(rt_inference_close(&v.teacher));
  PetscCall(error);
  PetscFunctionReturn(0);
}
