#include "run/features.h"

#include "core/message.h"
#include "data/samples.h"
#include "run/stop.h"

#include <omp.h>
#include <string.h>

enum { BLOCK = 2048 /* samples whose rows are handed over at once */, MICRO = 128 /* that a model sees at once */ };

struct RtFeatures {
  RtGraph view; /* the graph with the chosen values as its outputs; all else is shared */
  RtPlan *plan;
  int threads;
  RtWork **work;  /* [threads] */
  int64_t *width; /* [view.outputs] */
};

static PetscErrorCode check_value(const RtGraph *graph, const RtPlan *plan, int value, int64_t *width)
{
  const RtValue *v = &graph->value[value];
  int64_t dim[RT_MAX_DIM];
  int ndim = rt_plan_shape(plan, value, dim);

  PetscFunctionBegin;
  RtCheck(ndim >= 2 && dim[0] == MICRO && (v->kind == RT_VALUE_INPUT || v->kind == RT_VALUE_RESULT),
          "'%s' has no row for each sample: it is no layer of the model", v->name);
  *width = 1;
  for (int i = 1; i < ndim; i++) *width *= dim[i]; /* the plan has checked that it fits */
  PetscFunctionReturn(0);
}

static PetscErrorCode start(RtFeatures *f, const int *value)
{
  RtPlanParams params = {.batch = MICRO, .threads = f->threads, .outputs = true};

  PetscFunctionBegin;
  PetscCall(PetscCalloc3(f->view.outputs, &f->view.output, f->view.outputs, &f->width, f->threads, &f->work));
  PetscCall(PetscArraycpy(f->view.output, value, f->view.outputs));
  PetscCall(rt_plan_create(&f->view, &params, &f->plan));
  for (int i = 0; i < f->view.outputs; i++) PetscCall(check_value(&f->view, f->plan, value[i], &f->width[i]));
  for (int t = 0; t < f->threads; t++) PetscCall(rt_work_create(f->plan, &f->work[t]));
  PetscCall(rt_plan_set_parameters(f->plan, f->view.parameter));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_features_create(const RtGraph *graph, int values, const int *value, int threads,
                                  RtFeatures **features)
{
  RtFeatures *f;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&f));
  f->view = *graph;
  f->view.outputs = values;
  f->view.output = NULL;
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
  PetscCall(PetscFree3(f->view.output, f->width, f->work));
  PetscCall(PetscFree(*features));
  PetscFunctionReturn(0);
}

int64_t rt_features_width(const RtFeatures *features, int place)
{
  return features->width[place];
}

/* One micro-batch of a block through one model; rows: [outputs] the block's. */
static PetscErrorCode run_micro(RtFeatures *f, int thread, const RtFeaturesWalk *walk, const RtSamples *samples,
                                int64_t at, int64_t count, const int64_t *sample, float *const *row)
{
  RtWork *work = f->work[thread];
  int64_t padded[MICRO];

  PetscFunctionBegin;
  for (int i = 0; i < MICRO; i++) padded[i] = i < count ? sample[at + i] : -1;
  rt_samples_fill(samples, walk->augment, MICRO, padded, walk->view, rt_work_input(work, 0));
  PetscCall(rt_plan_forward(f->plan, work));
  for (int o = 0; o < f->view.outputs; o++)
    memcpy(row[o] + at * f->width[o], rt_work_output(work, o), (size_t)(count * f->width[o]) * sizeof(float));
  PetscFunctionReturn(0);
}

static PetscErrorCode run_model(RtFeatures *f, const RtFeaturesWalk *walk, const RtSamples *samples, int64_t count,
                                const int64_t *sample, float *const *row)
{
  PetscErrorCode failed = 0;

  PetscFunctionBegin;
#pragma omp parallel for schedule(dynamic) num_threads(f->threads) if (f->threads > 1)
  for (int64_t at = 0; at < count; at += MICRO) {
    PetscErrorCode error =
        run_micro(f, omp_get_thread_num(), walk, samples, at, PetscMin(MICRO, count - at), sample, row);

    if (error) {
#pragma omp atomic write
      failed = error;
    }
  }
  PetscCall(failed);
  PetscFunctionReturn(0);
}

/* Is sample i one of those to take? */
static bool is_wanted(const RtFeaturesWalk *walk, int64_t i)
{
  int64_t all = walk->sampler ? walk->sampler->count : rt_dataset_info(walk->dataset)->samples;

  if (walk->sampler && !rt_sampler_has(walk->sampler, i)) return false;
  if (!walk->most || walk->most >= all) return true;
  return (__int128)(i + 1) * walk->most / all > (__int128)i * walk->most / all;
}

/* Samples [first, last) of the dataset, of which the walk takes some. sample: [BLOCK], to work with. */
static PetscErrorCode walk_block(const RtFeaturesWalk *walk, int64_t first, int64_t last, int64_t *sample,
                                 float *const *row)
{
  int64_t count = 0;
  RtSamples samples;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  for (int64_t i = first; i < last; i++)
    if (is_wanted(walk, i)) sample[count++] = i;
  if (!count) PetscFunctionReturn(0);
  PetscCall(rt_samples_load(walk->dataset, first, last - first, &samples));
  for (int m = 0, place = 0; m < walk->models && !error; m++) {
    error = run_model(walk->features[m], walk, &samples, count, sample, row + place);
    place += walk->features[m]->view.outputs;
  }
  PetscCall(rt_samples_free(&samples));
  PetscCall(error);
  PetscCall(walk->take(walk->context, count, sample, row));
  PetscFunctionReturn(0);
}

static PetscErrorCode walk_units(const RtFeaturesWalk *walk, int64_t *sample, float *const *row)
{
  int64_t total = rt_dataset_info(walk->dataset)->samples;
  RtProgress progress;

  PetscFunctionBegin;
  rt_message_progress_start(&progress, walk->title, "samples", total);
  for (int64_t unit = walk->rank; unit * walk->unit < total && !(walk->stopped && *walk->stopped); unit += walk->size) {
    int64_t first = unit * walk->unit, end = PetscMin(first + walk->unit, total);

    if (walk->begin) PetscCall(walk->begin(walk->context, unit));
    for (; first < end; first += BLOCK) {
      if (walk->stopped && rt_stop_asked()) *walk->stopped = true;
      if (walk->stopped && *walk->stopped) break;
      PetscCall(walk_block(walk, first, PetscMin(first + BLOCK, end), sample, row));
      rt_message_progress_show(&progress, PetscMin(first * walk->size, total));
    }
  }
  rt_message_progress_clear(&progress);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_features_walk(const RtFeaturesWalk *walk)
{
  int rows = 0, made = 0;
  int64_t *sample;
  float **row;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  for (int m = 0; m < walk->models; m++) rows += walk->features[m]->view.outputs;
  PetscCall(PetscCalloc2(rows, &row, BLOCK, &sample));
  for (int m = 0; m < walk->models; m++)
    for (int o = 0; o < walk->features[m]->view.outputs && !error; o++)
      error = PetscMalloc1(BLOCK * walk->features[m]->width[o], &row[made++]);
  if (!error) error = walk_units(walk, sample, row);
  for (int i = 0; i < made; i++) PetscCall(PetscFree(row[i]));
  PetscCall(PetscFree2(row, sample));
  PetscCall(error);
  PetscFunctionReturn(0);
}
