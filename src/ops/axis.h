/* One axis of a tensor: which it is, and what stands before and behind it. Not collective. */
#ifndef RT_OPS_AXIS_H
#define RT_OPS_AXIS_H

#include "graph/parts.h"

#include <retort/operator.h>

/* The attribute `axis` of a node for a tensor of ndim dimensions: 0 … ndim - 1, counted from the end where it is
   negative; `absent` where the node has none. Errors: no such axis. */
PetscErrorCode rt_axis_find(const RtStep *step, int64_t absent, int ndim, int *axis);

/* Products of the lengths before the axis and behind it, of a tensor whose size is known to fit. */
int64_t rt_axis_outer(const RtTensor *tensor, int axis);
int64_t rt_axis_inner(const RtTensor *tensor, int axis);

/* The shape and type of x for y. */
void rt_axis_like(const RtTensor *x, RtTensor *y);

/* Allocate the elements of a result that is known when the plan is made; zeros. */
PetscErrorCode rt_axis_fold(RtTensor *y);

#endif
