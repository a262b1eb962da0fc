/* The inside of a plan: the graph bound to shapes. */
#ifndef RT_GRAPH_BOUND_H
#define RT_GRAPH_BOUND_H

#include "graph/parts.h"

#include <retort/operator.h>

struct RtPlan {
  const RtGraph *graph;
  RtPlanParams params;
  int steps, works;
  RtTensor *tensor; /* [graph->values] */
  RtStep *step;     /* [steps] one a node */
  int taps;
  RtTap *tap;    /* [taps] */
  bool *reached; /* [graph->values] training: it gets a gradient */
  size_t slab, packed_size;
  char *packed;
  const float *parameter;
  int64_t *ready; /* [steps] training: after backward of this step the gradient stands from here on */
};

/* Shapes, folding, names for the same storage: fills tensor and step. Errors: by node name. */
PetscErrorCode rt_bound_create(RtPlan *plan);
/* Let a matrix product do the bias and the Relu that follow it. */
PetscErrorCode rt_bound_fuse(RtPlan *plan);
/* Mark what the taps do not need with `skip`. */
PetscErrorCode rt_bound_prune(RtPlan *plan);
/* Decide where gradients go: din, dadd. Only for training. Errors: a tap that depends on no parameter. */
PetscErrorCode rt_bound_differentiate(RtPlan *plan);
/* Place everything in the slab by lifetimes. */
PetscErrorCode rt_bound_place(RtPlan *plan);

#endif
