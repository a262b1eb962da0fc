/* Walking through tensors of different shapes as NumPy broadcasts them. Not collective. */
#ifndef RT_OPS_BROADCAST_H
#define RT_OPS_BROADCAST_H

#include "graph/parts.h"

#include <retort/operator.h>

/* The common shape of a and b in y. Errors: they do not fit. */
PetscErrorCode rt_broadcast_shape(const char *node, const RtTensor *a, const RtTensor *b, RtTensor *y);
/* Whether x can be stretched to the shape of y. */
bool rt_broadcast_fits(const RtTensor *x, const RtTensor *y);

/* A walk over y in runs of its innermost part. */
typedef struct {
  int ndim;
  int64_t dim[RT_MAX_DIM];
  int64_t stride[2][RT_MAX_DIM]; /* of a and b; 0 where they are stretched */
  int64_t index[RT_MAX_DIM];
  int64_t run, runs; /* length of a run, number of runs */
  int64_t at[2];     /* where a and b stand at the start of the run */
} RtBroadcast;
/* b may be NULL. Neighbouring dimensions that both walk alike are joined, so runs are long. */
void rt_broadcast_start(RtBroadcast *walk, const RtTensor *a, const RtTensor *b, const RtTensor *y);
void rt_broadcast_next(RtBroadcast *walk);

/* y += factor * x, x stretched. */
void rt_broadcast_add(float factor, const float *x, const RtTensor *x_shape, float *y, const RtTensor *y_shape);
/* dx = factor * the sum of dy over the dimensions in which x is stretched, in the order of dy. */
void rt_broadcast_reduce(float factor, const float *dy, const RtTensor *y_shape, float *dx, const RtTensor *x_shape);

#endif
