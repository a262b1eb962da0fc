/* The teacher of a job, ready to label its dataset: all that label, verify and distill need to make or check shards. */
#ifndef RT_LABEL_INFERENCE_H
#define RT_LABEL_INFERENCE_H

#include "data/samples.h"
#include "label/components.h"
#include "train/predictor.h"

#include <retort/labelstore.h>

typedef struct {
  const RtJob *job;
  RtDataset *dataset;
  const RtDatasetInfo *info; /* of the dataset */
  bool *want;                /* [info->fields] what the teacher reads */
  RtGraph *teacher;
  RtPredictor *predictor;
  RtAugment augment;
  RtLabelstoreInfo store; /* what a shard must have been made from */
  char dir[PETSC_MAX_PATH_LEN];
  char *record;            /* options that determine the labels */
  RtComponents components; /* of the layer whose activations are kept; count 0: of none */
} RtInference;

/* Collective. Where the job keeps a layer's activations, their components are found first, which a request to stop may
   end. Errors: no dataset, no teacher, a teacher that does not fit the dataset; also then, close it. */
PetscErrorCode rt_inference_open(const RtJob *job, RtInference *inference, bool *stopped);
PetscErrorCode rt_inference_close(RtInference *inference);

/* Asked by the calling thread between micro-batches. done: samples times views so far. True ends the work early. */
typedef bool (*RtInferenceWatch)(void *context, int64_t done);

/* Not collective. Raw logits of all views of sample[0 … count - 1], whose elements are in `samples`.
   logits: [count, views, classes]; features: [count, views, components], NULL where there are none. watch: may be NULL.
   Errors: a logit that is not finite. */
PetscErrorCode rt_inference_run(const RtInference *inference, const RtSamples *samples, int64_t count,
                                const int64_t *sample, float *logits, float *features, RtInferenceWatch watch,
                                void *context);

#endif
