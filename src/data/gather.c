#include "data/gather.h"

#include "core/memory.h"
#include "core/size.h"

#include <string.h>

/* Files are read in runs that begin and end with a wanted sample; what lies between is dropped. */
struct RtGather {
  const RtDataset *dataset;
  RtLabelstoreReader *reader;       /* NULL: no logits */
  int64_t sample_span, logits_span; /* longest runs */
  int fields;                       /* of the store */
  int part[RT_LABELSTORE_FIELDS];   /* [fields] their numbers a sample */
  int64_t width;                    /* numbers of all of them */
  RtSamples run;                    /* [sample_span] */
  float *logits;                    /* [logits_span, width of the widest] */
};

/* Samples in a run. */
static int64_t span(int64_t bytes, int64_t size)
{
  return PetscMax(1, bytes / PetscMax(1, size));
}

int64_t rt_gather_bytes(int64_t bytes, int64_t sample, int64_t logits)
{
  return rt_size_plus(span(bytes, sample) * sample, span(bytes, logits) * logits);
}

PetscErrorCode rt_gather_create(const RtDataset *dataset, const bool *want, const RtLabelstoreInfo *store,
                                const char *dir, int64_t bytes, int open, RtGather **gather)
{
  const RtDatasetInfo *info = rt_dataset_info(dataset);
  RtGather *g;
  int widest = 1;

  PetscFunctionBegin;
  PetscCall(PetscNew(&g));
  *gather = g;
  g->dataset = dataset;
  g->sample_span = PetscMin(span(bytes, rt_samples_bytes(info, want)), info->samples);
  PetscCall(rt_samples_create(info, want, g->sample_span, &g->run));
  if (!store) PetscFunctionReturn(0);
  g->fields = store->fields;
  g->width = rt_labelstore_width(store);
  for (int f = 0; f < g->fields; f++) widest = PetscMax(widest, g->part[f] = store->field[f].width);
  g->logits_span = PetscMin(span(bytes, (int64_t)sizeof(float) * g->width), info->samples);
  PetscCall(rt_memory_create((size_t)(g->logits_span * widest) * sizeof(float), &g->logits));
  PetscCall(rt_labelstore_reader_create(dir, store, open, &g->reader));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_gather_destroy(RtGather **gather)
{
  PetscFunctionBegin;
  if (!*gather) PetscFunctionReturn(0);
  PetscCall(rt_labelstore_reader_destroy(&(*gather)->reader));
  PetscCall(rt_samples_free(&(*gather)->run));
  PetscCall(rt_memory_destroy(&(*gather)->logits));
  PetscCall(PetscFree(*gather));
  PetscFunctionReturn(0);
}

/* How many of the ascending numbers lie in a run of `most` samples that begins with the first of them. */
static int64_t in_run(const int64_t *number, int64_t count, int64_t most)
{
  int64_t n = 1;

  while (n < count && number[n] - number[0] < most) n++;
  return n;
}

static PetscErrorCode read_samples(RtGather *g, int64_t first, int64_t count, RtSamples *list)
{
  const RtDatasetInfo *info = list->info;
  const RtSamples *run = &g->run;

  PetscFunctionBegin;
  for (int64_t n, end = first + count; first < end; first += n) {
    const int64_t *number = list->number + first;

    n = in_run(number, end - first, g->sample_span);
    PetscCall(rt_dataset_read(g->dataset, number[0], number[n - 1] - number[0] + 1, run->field));
    for (int f = 0; f < info->fields; f++) {
      const int64_t bytes = rt_field_bytes(&info->field[f]);

      for (int64_t i = 0; run->field[f] && i < n; i++)
        memcpy((char *)list->field[f] + (first + i) * bytes,
               (const char *)run->field[f] + (number[i] - number[0]) * bytes, (size_t)bytes);
    }
  }
  PetscFunctionReturn(0);
}

/* Rows of the store have their fields one after the other. */
static PetscErrorCode read_logits(RtGather *g, int64_t first, int64_t count, const RtSamples *list, int view,
                                  float *logits)
{
  PetscFunctionBegin;
  for (int64_t n, end = first + count; first < end; first += n) {
    const int64_t *number = list->number + first;
    float *to = logits + first * g->width;

    n = in_run(number, end - first, g->logits_span);
    for (int f = 0; f < g->fields; to += g->part[f++]) {
      const int64_t width = g->part[f];

      PetscCall(rt_labelstore_reader_read(g->reader, f, view, number[0], number[n - 1] - number[0] + 1, g->logits));
      for (int64_t i = 0; i < n; i++)
        memcpy(to + i * g->width, g->logits + (number[i] - number[0]) * width, (size_t)width * sizeof(float));
    }
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_gather_read(RtGather *gather, int64_t first, int64_t count, RtSamples *list, int view, float *logits)
{
  PetscFunctionBegin;
  PetscCall(read_samples(gather, first, count, list));
  if (logits) PetscCall(read_logits(gather, first, count, list, view, logits));
  PetscFunctionReturn(0);
}
