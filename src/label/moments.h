/* Means and covariances of layers' activations over a dataset's samples, of one layer or of several together, also with
   the teacher's logits. The sums are exact: the same bits on any number of ranks and threads. */
#ifndef RT_LABEL_MOMENTS_H
#define RT_LABEL_MOMENTS_H

#include "data/sampler.h"
#include "job/job.h"
#include "linalg/gram.h"

#include "graph/parts.h"
#include <retort/dataset.h>
#include <retort/labelstore.h>

/* A value of a graph, whose rows are what is summed. */
typedef struct {
  const RtGraph *graph; /* layers of one graph stand together in a list */
  int value;
  int64_t columns; /* numbers in a row; a value with more of them for a sample holds several rows; 0: all are one row,
                      and their number is put here */
} RtMomentsLayer;

typedef struct {
  const RtJob *job;
  const RtDataset *dataset;
  const RtSampler *sampler; /* whose pool; NULL: all of the dataset */
  int64_t most;             /* take so many of them, evenly spread; 0: all */
  int layers;
  RtMomentsLayer *layer; /* [layers] */
  bool joined;           /* all columns of a sample are one row, with one sum; otherwise each layer has its own */
  const RtLabelstoreInfo *store; /* where joined: logits of the plain samples as last columns; NULL: without */
  const char *store_dir;
} RtMoments;

/* Collective on the job's communicator. gram: [layers], or one where joined; NULL where a request to stop on any rank
   ended it. Errors: more columns than sums are kept for in memory (2^31 bytes). */
PetscErrorCode rt_moments_collect(const RtMoments *moments, RtGram **gram, bool *stopped);

#endif
