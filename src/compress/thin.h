/* A copy of a graph in which some fully connected layers have become two thin ones. Not collective. */
#ifndef RT_COMPRESS_THIN_H
#define RT_COMPRESS_THIN_H

#include "model/dense.h"

typedef struct {
  const RtDense *dense; /* of the graph that is copied */
  int64_t rank;
  float *first, *second, *bias; /* [in, rank]; [rank, out]; [out], used where the layer has one */
} RtThin;

/* plain: leave Dropout nodes out. Metadata are not copied; all else is, so with count 0 this is a copy. */
PetscErrorCode rt_thin_build(const RtGraph *graph, int count, const RtThin *thin, bool plain, RtGraph **copy);

#endif
