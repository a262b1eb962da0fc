/* Activations of models: what chosen values of their graphs hold for many samples. Samples are taken in units that
   ranks share out, and within them in blocks and micro-batches that depend on the unit alone, so that the bits do not
   depend on ranks and threads. Not collective: each rank takes its own units; the threads of a rank share
   micro-batches. */
#ifndef RT_RUN_FEATURES_H
#define RT_RUN_FEATURES_H

#include "data/augment.h"
#include "data/sampler.h"

#include <retort/plan.h>

typedef struct RtFeatures RtFeatures;

/* value: [values] ids of float values whose first dimension is the batch; what the others hold is one row a sample. The
   graph must outlive the features. Errors: a value of another kind, by name. */
PetscErrorCode rt_features_create(const RtGraph *graph, int values, const int *value, int threads,
                                  RtFeatures **features);
PetscErrorCode rt_features_destroy(RtFeatures **features);
/* Numbers in a row of the value that stands at this place of the list. */
int64_t rt_features_width(const RtFeatures *features, int place);

typedef struct {
  const RtDataset *dataset;
  const RtAugment *augment; /* and which view of each sample; NULL: the samples themselves */
  int64_t view;
  const RtSampler *sampler; /* whose pool; NULL: all of the dataset */
  int64_t most;             /* take about so many of these, evenly spread; 0: all */
  int64_t unit;             /* samples of the dataset that a rank takes at once: unit u is [u · unit, …) */
  int rank, size;
  const char *title; /* of the progress bar */
  int models;
  RtFeatures *const *features; /* [models] */
  /* Before the rows of a unit; may be NULL. */
  PetscErrorCode (*begin)(void *context, int64_t unit);
  /* Some rows; row[i], [rows, width]: the values of all models in order. The rows may be overwritten. */
  PetscErrorCode (*take)(void *context, int64_t rows, const int64_t *sample, float *const *row);
  void *context;
  bool *stopped; /* NULL, or set where a request to stop on this rank ended the walk early */
} RtFeaturesWalk;
PetscErrorCode rt_features_walk(const RtFeaturesWalk *walk);

#endif
