/* A model's outputs for many samples, in fixed micro-batches, so that the bits do not depend on who computes them.
   Not collective: each rank takes the micro-batches that its caller names; the threads of a rank share them. */
#ifndef RT_TRAIN_PREDICTOR_H
#define RT_TRAIN_PREDICTOR_H

#include "data/samples.h"

#include "graph/parts.h"

#include <retort/plan.h>

typedef struct RtPredictor RtPredictor;

/* value: [taps] ids of float values with a row for each sample; taps 0: the logits. The graph must outlive it. */
PetscErrorCode rt_predictor_create(const RtGraph *graph, int taps, const int *value, int64_t batch,
                                   RtPrecision precision, int threads, RtPredictor **predictor);
PetscErrorCode rt_predictor_destroy(RtPredictor **predictor);
/* Take over new parameters, [graph->flat]. */
PetscErrorCode rt_predictor_set(RtPredictor *predictor, const float *parameter);
/* Gets the rows of one micro-batch: places at … at + rows - 1 of range->sample. row: [taps] those of each tap. Called
   by several threads at once. */
typedef PetscErrorCode (*RtPredictorSink)(void *context, int thread, int64_t at, int64_t rows, const int64_t *sample,
                                          const float *const *row);

/* What to run on. Micro-batch b covers sample[b * batch …]; those with b = first, first + stride, … are run. */
typedef struct {
  const RtSamples *samples;
  const RtAugment *augment;
  int64_t view;
  int64_t count;
  const int64_t *sample; /* [count] */
  int64_t first, stride;
  bool (*watch)(void *context); /* NULL, or called by the calling thread between its micro-batches; true: end early */
  void *watch_context;
} RtPredictorRange;
/* A watch that ends where this rank is asked to stop. left_out: a bool that is set then. */
bool rt_predictor_stop(void *left_out);
PetscErrorCode rt_predictor_run(RtPredictor *predictor, const RtPredictorRange *range, RtPredictorSink sink,
                                void *context);

#endif
