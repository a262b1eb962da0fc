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
  int64_t each;                       /* samples to label again in a shard, at most */
  int64_t *sample;                    /* [each] their numbers */
  float *fresh[RT_LABELSTORE_FIELDS]; /* [fields][each, views, width] */
  float *store;                       /* [shard, views, width of the widest] */
  double largest;                     /* relative difference between the two */
  double beyond;                      /* the largest as a part of what the field's form allows */
  int64_t checked;                    /* samples */
} Verifier;

/* The largest difference of fresh rows to those of the store, each as a part of the larger of 1 and its number, or of
   its row's largest: a number near 0 is a difference of large activations. width: of a row with all its views. */
static double compare_rows(const Verifier *v, int64_t first, int64_t count, int64_t width, bool by_row,
                           const float *fresh)
{
  double largest = 0;

  for (int64_t i = 0; i < count; i++) {
    const float *old = v->store + (v->sample[i] - first) * width, *now = fresh + i * width;
    double scale = 1;

    for (int64_t k = 0; by_row && k < width; k++) scale = fmax(scale, fabs(old[k]));
    for (int64_t k = 0; k < width; k++) {
      double off = fabs((double)now[k] - old[k]) / (by_row ? scale : fmax(1, fabs(old[k])));

      if (!(off <= largest)) largest = isnan(off) ? INFINITY : off;
    }
  }
  return largest;
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
  PetscCall(rt_samples_load(t->dataset, t->want, first, in_shard, &samples));
  error = rt_inference_run(t, &samples, count, v->sample, v->fresh, NULL, NULL);
  PetscCall(rt_samples_free(&samples));
  PetscCall(error);
  for (int f = 0; f < t->store.fields; f++) {
    const RtLabelstoreField *field = &t->store.field[f];
    double off;

    PetscCall(rt_labelstore_read(t->dir, &t->store, shard, f, v->store));
    off = compare_rows(v, first, count, (int64_t)t->store.views * field->width, f > 0, v->fresh[f]);
    v->largest = fmax(v->largest, off);
    v->beyond = fmax(v->beyond, off / (tolerance + 1.01 * (field->absolute + field->relative)));
  }
  v->checked += count;
  PetscFunctionReturn(0);
}

/* Shards are dealt out to ranks; each takes an equal part of the samples, spread over its shard. */
static PetscErrorCode compare(Verifier *v)
{
  const RtInference *t = &v->teacher;
  int64_t shards = rt_labelstore_shards(&t->store);
  int64_t wanted = PetscMin(rt_options_int(t->job->options, "verify", "samples"), t->store.samples), widest = 1;

  PetscFunctionBegin;
  v->each = (wanted + shards - 1) / shards;
  for (int f = 0; f < t->store.fields; f++) {
    widest = PetscMax(widest, t->store.field[f].width);
    PetscCall(PetscMalloc1(v->each * t->store.views * t->store.field[f].width, &v->fresh[f]));
  }
  PetscCall(PetscMalloc2(v->each, &v->sample, rt_labelstore_count(&t->store, 0) * t->store.views * widest, &v->store));
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
  PetscCall(rt_agree_largest(t->job->comm, 1, &v->beyond));
  RtCheck(v->beyond <= 1,
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
  error = rt_inference_open(job, RT_INFERENCE_ALL, &v.teacher, stopped);
  if (!error && !*stopped) error = verify(&v, stopped);
  PetscCall(PetscFree2(v.sample, v.store));
  for (int f = 0; f < RT_LABELSTORE_FIELDS; f++) PetscCall(PetscFree(v.fresh[f]));
  PetscCall(rt_inference_close(&v.teacher));
  PetscCall(error);
  PetscFunctionReturn(0);
}
