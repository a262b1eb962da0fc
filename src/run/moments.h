/* Means and covariances of layers' activations over the training samples, also together with the teacher's logits. The
   sums are exact: the same bits on any number of ranks and threads. */
#ifndef RT_RUN_MOMENTS_H
#define RT_RUN_MOMENTS_H

#include "data/sampler.h"
#include "linalg/gram.h"
#include "run/job.h"

#include <retort/dataset.h>
#include <retort/graph.h>
#include <retort/labelstore.h>

enum { RT_MOMENTS_UNIT = 8192 /* samples that a rank takes at once, where there is no store */ };

/* A value of the graph, whose rows are what is summed. */
typedef struct {
  int value;
  int64_t columns; /* numbers in such a row; a value with more of them for a sample holds several rows */
} RtMomentsLayer;

typedef struct {
  const RtJob *job;
  const RtDataset *dataset;
  const RtSampler *sampler; /* whose pool; NULL: all of the dataset */
  const RtGraph *graph;
  int layers;
  const RtMomentsLayer *layer;   /* [layers] */
  const RtLabelstoreInfo *store; /* logits of the plain samples as further columns; NULL: without */
  const char *store_dir;
} RtMoments;

/* Collective on the job's communicator. gram: [layers] sums over the columns of each, then the logits; NULL where a
   request to stop on any rank ended it. */
PetscErrorCode rt_moments_collect(const RtMoments *moments, RtGram **gram, bool *stopped);

#endif
