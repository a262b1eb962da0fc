#include "label/features.h"

#include "core/message.h"
#include "core/stop.h"
#include "data/gather.h"
#include "model/binding.h"

#include <omp.h>
#include <string.h>

enum {
  MICRO = 128,     /* samples that a model sees at once */
  BLOCK = 16,      /* micro-batches whose rows are handed over at once */
  PIECE = 1 << 21, /* bytes of a file that are read at once */
  OPEN = 2         /* shards of labels that stay open */
};

struct RtFeatures {
  const RtGraph *graph;
  RtPlan *plan;
  int threads, values;
  RtWork **work;     /* [threads] */
  RtTap *tap;        /* [values] */
  int64_t *width;    /* [values] */
  RtFieldRead *read; /* [graph->inputs] of the dataset that is walked */
};

static PetscErrorCode check_value(const RtGraph *graph, const RtPlan *plan, int value, int64_t *width)
{
  const RtValue *v = &graph->value[value];
  int64_t dim[RT_MAX_DIM];
  int ndim = rt_plan_shape(plan, value, dim);

  PetscFunctionBegin;
  RtCheck(ndim >= 2 && dim[0] == MICRO && (v->kind == RT_VALUE_INPUT || v->kind == RT_VALUE_RESULT),
          "'%s' has no row for each sample: it is no layer of the model", v->name);
  RtCheck(rt_plan_type(plan, value) == RT_FLOAT, "'%s' holds whole numbers: it is no layer of the model", v->name);
  *width = 1;
  for (int i = 1; i < ndim; i++) *width *= dim[i]; /* the plan has checked that it fits */
  PetscFunctionReturn(0);
}

PetscErrorCode rt_features_shape(const RtGraph *graph, int value, int64_t *width, int *axes, int64_t dim[RT_MAX_DIM])
{
  int64_t whole[RT_MAX_DIM];

  RtTap tap = {.value = value};
  RtPlanParams params = {.batch = MICRO, .taps = 1, .tap = &tap};
  RtPlan *plan = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_plan_create(graph, &params, &plan));
  error = check_value(graph, plan, value, width);
  *axes = error ? 0 : rt_plan_shape(plan, value, whole) - 1;
  for (int i = 0; i < *axes; i++) dim[i] = whole[i + 1];
  PetscCall(rt_plan_destroy(&plan));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_features_check(const RtGraph *graph, int value, int64_t *width)
{
  int64_t dim[RT_MAX_DIM];
  int axes;

  PetscFunctionBegin;
  PetscCall(rt_features_shape(graph, value, width, &axes, dim));
  PetscFunctionReturn(0);
}

static PetscErrorCode start(RtFeatures *f, const int *value)
{
  RtPlanParams params = {.batch = MICRO, .threads = f->threads, .taps = f->values};

  PetscFunctionBegin;
  PetscCall(PetscCalloc4(f->values, &f->tap, f->values, &f->width, f->threads, &f->work, f->graph->inputs, &f->read));
  for (int i = 0; i < f->values; i++) f->tap[i].value = value[i];
  params.tap = f->tap;
  PetscCall(rt_plan_create(f->graph, &params, &f->plan));
  for (int i = 0; i < f->values; i++) PetscCall(check_value(f->graph, f->plan, value[i], &f->width[i]));
  for (int t = 0; t < f->threads; t++) PetscCall(rt_work_create(f->plan, &f->work[t]));
  PetscCall(rt_plan_set_parameters(f->plan, f->graph->parameter));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_features_create(const RtGraph *graph, int values, const int *value, int threads,
                                  RtFeatures **features)
{
  RtFeatures *f;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&f));
  f->graph = graph;
  f->values = values;
  f->threads = threads;
  error = start(f, value);
  if (error) PetscCall(rt_features_destroy(&f));
  PetscCall(error);
  *features = f;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_features_destroy(RtFeatures **features)
{
  RtFeatures *f = *features;

  PetscFunctionBegin;
  if (!f) PetscFunctionReturn(0);
  for (int t = 0; f->work && t < f->threads; t++) PetscCall(rt_work_destroy(&f->work[t]));
  PetscCall(rt_plan_destroy(&f->plan));
  PetscCall(PetscFree4(f->tap, f->width, f->work, f->read));
  PetscCall(PetscFree(*features));
  PetscFunctionReturn(0);
}

int64_t rt_features_width(const RtFeatures *features, int place)
{
  return features->width[place];
}

/* One block in work: its samples, and the rows of all models. */
typedef struct {
  const RtFeaturesWalk *walk;
  int64_t pool, total; /* samples that there are; that are taken */
  bool *want;          /* [fields] what the models read */
  RtGather *gather;
  RtSamples list; /* [BLOCK · MICRO] */
  float *logits;  /* [BLOCK · MICRO, classes] */
  int rows;       /* of activations: values of all models */
  float **row;    /* [rows][BLOCK · MICRO, width] */
} Block;

/* One micro-batch through one model. count: samples in the block; row: [values] of this model. */
static PetscErrorCode run_micro(RtFeatures *f, int thread, const Block *b, int64_t at, int64_t count, float *const *row)
{
  RtWork *work = f->work[thread];
  int64_t place[MICRO], rows = PetscMin(MICRO, count - at);

  PetscFunctionBegin;
  for (int64_t i = 0; i < MICRO; i++) place[i] = i < rows ? at + i : -1;
  for (int i = 0; i < f->graph->inputs; i++)
    rt_samples_fill(&b->list, f->read[i], NULL, MICRO, place, 0, rt_work_input(work, i));
  PetscCall(rt_plan_forward(f->plan, work));
  for (int o = 0; o < f->values; o++)
    memcpy(row[o] + at * f->width[o], rt_work_tap(work, o), (size_t)(rows * f->width[o]) * sizeof(float));
  PetscFunctionReturn(0);
}

static PetscErrorCode run_model(RtFeatures *f, const Block *b, int64_t count, float *const *row)
{
  PetscErrorCode failed = 0;

  PetscFunctionBegin;
#pragma omp parallel for schedule(dynamic) num_threads(f->threads) if (f->threads > 1)
  for (int64_t at = 0; at < count; at += MICRO) {
    PetscErrorCode error = run_micro(f, omp_get_thread_num(), b, at, count, row);

    if (error) {
#pragma omp atomic write
      failed = error;
    }
  }
  PetscCall(failed);
  PetscFunctionReturn(0);
}

/* Numbers of the samples [first, first + count) of those that are taken. */
static void choose(const Block *b, int64_t first, int64_t count, int64_t *number)
{
  if (b->walk->sampler && b->total == b->pool) {
    rt_sampler_pool(b->walk->sampler, first, count, number);
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    int64_t place = (int64_t)((__int128)(first + i) * b->pool / b->total);

    if (b->walk->sampler)
      rt_sampler_pool(b->walk->sampler, place, 1, &number[i]);
    else
      number[i] = place;
  }
}

static PetscErrorCode walk_block(Block *b, int64_t first, int64_t count)
{
  const RtFeaturesWalk *walk = b->walk;

  PetscFunctionBegin;
  choose(b, first, count, b->list.number);
  PetscCall(rt_gather_read(b->gather, 0, count, &b->list, 0, b->logits));
  for (int m = 0, place = 0; m < walk->models; place += walk->features[m++]->values)
    PetscCall(run_model(walk->features[m], b, count, b->row + place));
  PetscCall(walk->take(walk->context, count, b->row, b->logits));
  PetscFunctionReturn(0);
}

/* The rank's own micro-batches. */
static PetscErrorCode walk_all(Block *b)
{
  const RtFeaturesWalk *walk = b->walk;
  int64_t micros = (b->total + MICRO - 1) / MICRO, at = micros * walk->rank / walk->size;
  int64_t end = micros * (walk->rank + 1) / walk->size;
  RtProgress progress;

  PetscFunctionBegin;
  rt_message_progress_start(&progress, walk->title, "samples", b->total);
  for (int64_t begin = at; at < end; at += BLOCK) {
    int64_t last = PetscMin(PetscMin(at + BLOCK, end) * MICRO, b->total);

    if (walk->stopped && rt_stop_asked()) *walk->stopped = true;
    if (walk->stopped && *walk->stopped) break;
    PetscCall(walk_block(b, at * MICRO, last - at * MICRO));
    rt_message_progress_show(&progress, PetscMin((last - begin * MICRO) * walk->size, b->total));
  }
  rt_message_progress_clear(&progress);
  PetscFunctionReturn(0);
}

static PetscErrorCode open_block(Block *b)
{
  const RtFeaturesWalk *walk = b->walk;
  const RtDatasetInfo *info = rt_dataset_info(walk->dataset);

  PetscFunctionBegin;
  b->pool = walk->sampler ? walk->sampler->count : info->samples;
  b->total = walk->most ? PetscMin(walk->most, b->pool) : b->pool;
  PetscCall(PetscCalloc1(info->fields, &b->want));
  for (int m = 0; m < walk->models; m++) {
    RtFeatures *f = walk->features[m];

    PetscCall(rt_binding_reads(f->graph, info, "model", f->read));
    for (int i = 0; i < f->graph->inputs; i++) b->want[f->read[i].field] = true;
  }
  PetscCall(rt_gather_create(walk->dataset, b->want, walk->store, walk->store_dir, PIECE, OPEN, &b->gather));
  PetscCall(rt_samples_reserve(info, b->want, BLOCK * MICRO, &b->list));
  if (walk->store) PetscCall(PetscMalloc1((size_t)BLOCK * MICRO * (size_t)walk->store->field[0].width, &b->logits));
  for (int m = 0; m < walk->models; m++) b->rows += walk->features[m]->values;
  PetscCall(PetscCalloc1(b->rows, &b->row));
  for (int m = 0, place = 0; m < walk->models; m++)
    for (int o = 0; o < walk->features[m]->values; o++)
      PetscCall(PetscMalloc1(BLOCK * MICRO * walk->features[m]->width[o], &b->row[place++]));
  PetscFunctionReturn(0);
}

static PetscErrorCode close_block(Block *b)
{
  PetscFunctionBegin;
  for (int i = 0; b->row && i < b->rows; i++) PetscCall(PetscFree(b->row[i]));
  PetscCall(PetscFree(b->row));
  PetscCall(PetscFree(b->logits));
  PetscCall(rt_samples_free(&b->list));
  PetscCall(rt_gather_destroy(&b->gather));
  PetscCall(PetscFree(b->want));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_features_walk(const RtFeaturesWalk *walk)
{
  Block block = {.walk = walk};
  PetscErrorCode error;

  PetscFunctionBegin;
  error = open_block(&block);
  if (!error) error = walk_all(&block);
  PetscCall(close_block(&block));
  PetscCall(error);
  PetscFunctionReturn(0);
}
