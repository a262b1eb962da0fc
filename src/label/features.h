/* Activations of models: what chosen values of their graphs hold for many samples. Ranks share out micro-batches, whose
   samples do not depend on the number of ranks, nor do the bits; the threads of a rank share its own. Not collective.
 */
#ifndef RT_LABEL_FEATURES_H
#define RT_LABEL_FEATURES_H

#include "data/sampler.h"

#include "graph/parts.h"
#include <retort/dataset.h>
#include <retort/labelstore.h>

#include <retort/plan.h>

typedef struct RtFeatures RtFeatures;

/* Whether a value is a layer: float, its first dimension the batch. width: what the others hold is one row a sample of
   so many numbers. Errors: it is none, by name. */
PetscErrorCode rt_features_check(const RtGraph *graph, int value, int64_t *width);
/* The same, with the axes of such a row. dim: [axes]. */
PetscErrorCode rt_features_shape(const RtGraph *graph, int value, int64_t *width, int *axes, int64_t dim[RT_MAX_DIM]);

/* value: [values] ids of float values whose first dimension is the batch; what the others hold is one row a sample. The
   graph must outlive the features. Errors: a value of another kind, by name. */
PetscErrorCode rt_features_create(const RtGraph *graph, int values, const int *value, int threads,
                                  RtFeatures **features);
PetscErrorCode rt_features_destroy(RtFeatures **features);
/* Numbers in a row of the value that stands at this place of the list. */
int64_t rt_features_width(const RtFeatures *features, int place);

typedef struct {
  const RtDataset *dataset;
  const RtSampler *sampler;      /* whose pool; NULL: all of the dataset */
  int64_t most;                  /* take so many of these, evenly spread; 0: all */
  const RtLabelstoreInfo *store; /* whose logits of the same samples go with the rows; NULL: none */
  const char *store_dir;
  int rank, size;
  const char *title; /* of the progress bar */
  int models;
  RtFeatures *const *features; /* [models] */
  /* Some rows; row[i], [rows, width]: the values of all models in order; logits: [rows, classes], NULL without a
     store. */
  PetscErrorCode (*take)(void *context, int64_t rows, float *const *row, const float *logits);
  void *context;
  bool *stopped; /* NULL, or set where a request to stop on this rank ended the walk early */
} RtFeaturesWalk;

/* The samples themselves, without augmentation. Errors: as rt_dataset_read and rt_labelstore_read. */
PetscErrorCode rt_features_walk(const RtFeaturesWalk *walk);

#endif
