#include "label/moments.h"

#include "comm/agree.h"
#include "core/message.h"
#include "core/stop.h"
#include "label/features.h"

typedef struct {
  const RtMoments *moments;
  int grams, models;
  RtGram **gram;         /* [grams] */
  RtFeatures **features; /* [models] */
  bool measured;         /* the second pass */
  int64_t *each;         /* [layers] rows of a sample */
  int64_t columns;       /* of joined rows */
  float *row;            /* [columns] */
} Sums;

static PetscErrorCode add(const Sums *s, int gram, int64_t rows, const float *row)
{
  PetscFunctionBegin;
  if (s->measured)
    PetscCall(rt_gram_add(s->gram[gram], rows, row));
  else
    PetscCall(rt_gram_measure(s->gram[gram], rows, row));
  PetscFunctionReturn(0);
}

/* All that one sample has, side by side. */
static PetscErrorCode add_joined(const Sums *s, int64_t at, float *const *row, const float *logits)
{
  const int64_t classes = logits ? s->moments->store->field[0].width : 0;
  int64_t used = 0;

  PetscFunctionBegin;
  for (int i = 0; i < s->moments->layers; i++) {
    int64_t columns = s->moments->layer[i].columns;

    PetscCall(PetscArraycpy(s->row + used, row[i] + at * columns, columns));
    used += columns;
  }
  if (logits) PetscCall(PetscArraycpy(s->row + used, logits + at * classes, classes));
  PetscCall(add(s, 0, 1, s->row));
  PetscFunctionReturn(0);
}

static PetscErrorCode take_rows(void *context, int64_t rows, float *const *row, const float *logits)
{
  const Sums *s = context;

  PetscFunctionBegin;
  for (int64_t r = 0; s->moments->joined && r < rows; r++) PetscCall(add_joined(s, r, row, logits));
  for (int i = 0; !s->moments->joined && i < s->moments->layers; i++) PetscCall(add(s, i, rows * s->each[i], row[i]));
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
static PetscErrorCode collect(Sums *s, bool *stopped)
{
  const RtMoments *m = s->moments;
  RtFeaturesWalk walk = {.dataset = m->dataset,
                         .sampler = m->sampler,
                         .most = m->most,
                         .store = m->store,
                         .store_dir = m->store_dir,
                         .rank = m->job->rank,
                         .size = m->job->size,
                         .title = "sums of activations",
                         .models = s->models,
                         .features = s->features,
                         .take = take_rows,
                         .context = s,
                         .stopped = rt_stop_late() ? NULL : stopped};

  PetscFunctionBegin;
  PetscCall(pass(&walk, m->job->comm, stopped));
  if (*stopped) PetscFunctionReturn(0);
  for (int i = 0; i < s->grams; i++) PetscCall(rt_gram_scale(m->job->comm, s->gram[i]));
  s->measured = true;
  PetscCall(pass(&walk, m->job->comm, stopped));
  if (*stopped) PetscFunctionReturn(0);
  for (int i = 0; i < s->grams; i++) PetscCall(rt_gram_sum(m->job->comm, s->gram[i]));
  PetscFunctionReturn(0);
}

/* One model for each run of layers of one graph. value: [layers]. */
static PetscErrorCode open_models(Sums *s, int *value)
{
  const RtMoments *m = s->moments;

  PetscFunctionBegin;
  for (int first = 0, last; first < m->layers; first = last) {
    RtFeatures *features;

    for (last = first; last < m->layers && m->layer[last].graph == m->layer[first].graph; last++)
      value[last - first] = m->layer[last].value;
    PetscCall(rt_features_create(m->layer[first].graph, last - first, value, m->job->threads, &features));
    s->features[s->models++] = features;
    for (int i = first; i < last; i++) {
      RtMomentsLayer *layer = &m->layer[i];
      int64_t width = rt_features_width(features, i - first);

      if (!layer->columns) layer->columns = width;
      s->each[i] = width / layer->columns;
      PetscCheck(s->each[i] * layer->columns == width && (s->each[i] == 1 || !m->joined), PETSC_COMM_SELF,
                 PETSC_ERR_ARG_SIZ, "rows of %lld numbers", (long long)width);
      s->columns += layer->columns;
    }
  }
  PetscFunctionReturn(0);
}

/* What a rank needs for itself. */
static PetscErrorCode start(Sums *s, int *value)
{
  const RtMoments *m = s->moments;
  int64_t samples = m->sampler ? m->sampler->count : rt_dataset_info(m->dataset)->samples;

  PetscFunctionBegin;
  PetscCall(open_models(s, value));
  if (m->store) s->columns += m->store->field[0].width;
  for (int i = 0; i < s->grams; i++) {
    int64_t columns = m->joined ? s->columns : m->layer[i].columns, each = m->joined ? 1 : s->each[i];

    RtCheck(
        rt_gram_bytes(columns) < 0x1p31,
        "sums of the products of %lld numbers of a sample need %.1f GiB on each rank, more than 2: only layers of up "
        "to about 22 thousand numbers, those compared all together, can be solved for",
        (long long)columns, rt_gram_bytes(columns) / 0x1p30);
    PetscCall(rt_gram_create(columns, samples * each, m->job->threads, &s->gram[i]));
  }
  if (m->joined) PetscCall(PetscMalloc1(s->columns, &s->row));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_moments_collect(const RtMoments *moments, RtGram **gram, bool *stopped)
{
  Sums sums = {.moments = moments, .grams = moments->joined ? 1 : moments->layers, .gram = gram};
  int *value;
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  for (int i = 0; i < sums.grams; i++) gram[i] = NULL;
  PetscCall(PetscCalloc3(moments->layers, &value, moments->layers, &sums.each, moments->layers, &sums.features));
  error = rt_message_agree(moments->job->comm, start(&sums, value));
  if (!error) error = collect(&sums, stopped);
  for (int i = 0; i < sums.models; i++) PetscCall(rt_features_destroy(&sums.features[i]));
  PetscCall(PetscFree3(value, sums.each, sums.features));
  PetscCall(PetscFree(sums.row));
  for (int i = 0; i < sums.grams && (error || *stopped); i++) PetscCall(rt_gram_destroy(&gram[i]));
  PetscCall(error);
  PetscFunctionReturn(0);
}
