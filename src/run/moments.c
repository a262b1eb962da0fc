#include "run/moments.h"

#include "comm/agree.h"
#include "core/memory.h"
#include "core/message.h"
#include "run/features.h"
#include "run/stop.h"

#include <string.h>

typedef struct {
  const RtMoments *moments;
  RtGram **gram; /* [layers] */
  bool measured; /* the second pass */
  int64_t *each; /* [layers] rows of a sample */
  int64_t first; /* sample of the shard in memory */
  float *logits; /* [shard, views, classes] */
  float *row;    /* a row of the widest layer and the logits */
} Sums;

static PetscErrorCode begin_shard(void *context, int64_t unit)
{
  Sums *s = context;

  PetscFunctionBegin;
  s->first = unit * s->moments->store->shard;
  PetscCall(rt_labelstore_read(s->moments->store_dir, s->moments->store, unit, s->logits));
  PetscFunctionReturn(0);
}

static PetscErrorCode add(const Sums *s, int layer, int64_t rows, const float *row)
{
  PetscFunctionBegin;
  if (s->measured)
    PetscCall(rt_gram_add(s->gram[layer], rows, row));
  else
    PetscCall(rt_gram_measure(s->gram[layer], rows, row));
  PetscFunctionReturn(0);
}

/* Rows of one layer, each with its logits behind it. */
static PetscErrorCode add_with_logits(const Sums *s, int layer, int64_t rows, const int64_t *sample, const float *row)
{
  const RtLabelstoreInfo *store = s->moments->store;
  int64_t own = s->moments->layer[layer].columns;

  PetscFunctionBegin;
  for (int64_t i = 0; i < rows; i++) {
    memcpy(s->row, row + i * own, (size_t)own * sizeof(float));
    memcpy(s->row + own, s->logits + (sample[i] - s->first) * store->views * store->classes,
           (size_t)store->classes * sizeof(float));
    PetscCall(add(s, layer, 1, s->row));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode take_rows(void *context, int64_t rows, const int64_t *sample, float *const *row)
{
  const Sums *s = context;

  PetscFunctionBegin;
  for (int i = 0; i < s->moments->layers; i++) {
    if (s->moments->store)
      PetscCall(add_with_logits(s, i, rows, sample, row[i]));
    else
      PetscCall(add(s, i, rows * s->each[i], row[i]));
  }
  PetscFunctionReturn(0);
}

/* One pass over the samples. */
static PetscErrorCode pass(const RtFeaturesWalk *walk, MPI_Comm comm, bool *stopped)
{
  int asked;

  PetscFunctionBegin;
  RtAgree(comm, rt_features_walk(walk));
  asked = *stopped;
  PetscCall(rt_agree_max(comm, 1, &asked));
  *stopped = asked;
  PetscFunctionReturn(0);
}

/* Both of them. */
static PetscErrorCode collect(Sums *s, RtFeatures *features, bool *stopped)
{
  const RtMoments *m = s->moments;
  RtFeaturesWalk walk = {.dataset = m->dataset,
                         .sampler = m->sampler,
                         .unit = m->store ? m->store->shard : RT_MOMENTS_UNIT,
                         .rank = m->job->rank,
                         .size = m->job->size,
                         .title = "sums of activations",
                         .models = 1,
                         .features = &features,
                         .begin = m->store ? begin_shard : NULL,
                         .take = take_rows,
                         .context = s,
                         .stopped = rt_stop_late() ? NULL : stopped};

  PetscFunctionBegin;
  PetscCall(pass(&walk, m->job->comm, stopped));
  if (*stopped) PetscFunctionReturn(0);
  for (int i = 0; i < m->layers; i++) PetscCall(rt_gram_scale(m->job->comm, s->gram[i]));
  s->measured = true;
  PetscCall(pass(&walk, m->job->comm, stopped));
  if (*stopped) PetscFunctionReturn(0);
  for (int i = 0; i < m->layers; i++) PetscCall(rt_gram_sum(m->job->comm, s->gram[i]));
  PetscFunctionReturn(0);
}

/* What a rank needs for itself. value: [layers]. */
static PetscErrorCode start(Sums *s, int *value, RtFeatures **features)
{
  const RtMoments *m = s->moments;
  int64_t samples = m->sampler ? m->sampler->count : rt_dataset_info(m->dataset)->samples, widest = 0;
  int64_t classes = m->store ? m->store->classes : 0;

  PetscFunctionBegin;
  for (int i = 0; i < m->layers; i++) value[i] = m->layer[i].value;
  PetscCall(rt_features_create(m->graph, m->layers, value, m->job->threads, features));
  for (int i = 0; i < m->layers; i++) {
    int64_t width = rt_features_width(*features, i), columns = m->layer[i].columns;

    s->each[i] = width / columns;
    PetscCheck(s->each[i] * columns == width && (s->each[i] == 1 || !m->store), PETSC_COMM_SELF, PETSC_ERR_ARG_SIZ,
               "rows of %lld numbers", (long long)width);
    PetscCall(rt_gram_create(columns + classes, samples * s->each[i], m->job->threads, &s->gram[i]));
    widest = PetscMax(widest, columns);
  }
  if (!m->store) PetscFunctionReturn(0);
  PetscCall(PetscMalloc1(widest + classes, &s->row));
  PetscCall(rt_memory_create((size_t)(PetscMin(m->store->shard, m->store->samples) * m->store->views) *
                                 (size_t)classes * sizeof(float),
                             &s->logits));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_moments_collect(const RtMoments *moments, RtGram **gram, bool *stopped)
{
  Sums sums = {.moments = moments, .gram = gram};
  RtFeatures *features = NULL;
  int *value;
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  for (int i = 0; i < moments->layers; i++) gram[i] = NULL;
  PetscCall(PetscCalloc2(moments->layers, &value, moments->layers, &sums.each));
  error = rt_message_agree(moments->job->comm, start(&sums, value, &features));
  if (!error) error = collect(&sums, features, stopped);
  PetscCall(rt_features_destroy(&features));
  PetscCall(PetscFree2(value, sums.each));
  PetscCall(PetscFree(sums.row));
  PetscCall(rt_memory_destroy(&sums.logits));
  for (int i = 0; i < moments->layers && (error || *stopped); i++) PetscCall(rt_gram_destroy(&gram[i]));
  PetscCall(error);
  PetscFunctionReturn(0);
}
