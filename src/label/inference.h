/* The teacher of a job, ready to label its dataset: all that label, verify and distill need to make or check shards. */
#ifndef RT_LABEL_INFERENCE_H
#define RT_LABEL_INFERENCE_H

#include "data/samples.h"
#include "label/components.h"
#include "label/kept.h"
#include "label/mixture.h"
#include "train/predictor.h"

#include <retort/labelstore.h>

/* Which part of a teacher of several models. One from 0 on: its share, a store of its own for its logits. */
enum {
  RT_INFERENCE_ALL = -1,   /* the models themselves, mixed: nothing is read but samples */
  RT_INFERENCE_SHARES = -2 /* what the shares of all models hold, mixed */
};

typedef struct {
  const RtJob *job;
  RtDataset *dataset;
  const RtDatasetInfo *info; /* of the dataset */
  bool *want;                /* [info->fields] what the teacher reads */
  RtMixture teacher;
  RtPredictor *predictor[RT_MIXTURE]; /* NULL where shares are mixed */
  bool shares;
  RtAugment augment;
  RtLabelstoreInfo store; /* what a shard must have been made from */
  char dir[PETSC_MAX_PATH_LEN];
  char *record;                                  /* options that determine the labels */
  RtComponents components[RT_LABELSTORE_FIELDS]; /* [store.fields]; count 0: that field has another form */
} RtInference;

/* Collective. Where the job keeps components of a layer, these are found first, which a request to stop may end.
   Errors: no dataset, no teacher, a teacher that does not fit the dataset or what is to be kept of it; also then, close
   it. */
PetscErrorCode rt_inference_open(const RtJob *job, int which, RtInference *inference, bool *stopped);
PetscErrorCode rt_inference_close(RtInference *inference);

/* Asked by the calling thread between micro-batches. done: samples times views so far, of all models. True ends the
 * work early. */
typedef bool (*RtInferenceWatch)(void *context, int64_t done);

/* Not collective. All fields of all views of sample[0 … count - 1], whose elements are in `samples`: as the teacher
   gives them, without what their forms round. data: [fields][count, views, width]. watch: may be NULL.
   Errors: a number that is not finite. */
PetscErrorCode rt_inference_run(const RtInference *inference, const RtSamples *samples, int64_t count,
                                const int64_t *sample, float *const *data, RtInferenceWatch watch, void *context);
/* Not collective. The same of a whole shard, from the shares. data: [count, views, classes]. Errors: a share whose
   shard is missing or damaged. */
PetscErrorCode rt_inference_mix(const RtInference *inference, int64_t shard, float *data);

#endif
