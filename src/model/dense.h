/* Fully connected layers of a graph, y = x W + b: each a Gemm, or a MatMul with the Add that follows it. Not
 * collective.
 */
#ifndef RT_MODEL_DENSE_H
#define RT_MODEL_DENSE_H

#include "graph/parts.h"

typedef struct {
  int node, add;                   /* the product; the Add with the bias, -1: none */
  int input, weight, bias, output; /* value ids; bias: -1 where there is none */
  int64_t in, out;
  bool transposed; /* W is stored as [out, in] */
} RtDense;

/* All of them in running order: those whose W and b are parameters that nothing else uses. *dense is allocated with
   PetscMalloc. */
PetscErrorCode rt_dense_find(const RtGraph *graph, int *count, RtDense **dense);

/* The node of the first product with a matrix of the model, also where it is no such layer; -1: there is none. */
int rt_dense_first(const RtGraph *graph);

/* weight: [in, out] row-major; bias: [out], zeros where there is none. Any may be NULL. */
void rt_dense_get(const RtGraph *graph, const RtDense *dense, double *weight, double *bias);
/* Errors: a bias where the layer has none. */
PetscErrorCode rt_dense_set(RtGraph *graph, const RtDense *dense, const double *weight, const double *bias);

/* W[i, o]. */
static inline double rt_dense_weight(const RtGraph *graph, const RtDense *dense, int64_t i, int64_t o)
{
  return graph
      ->parameter[graph->value[dense->weight].offset + (dense->transposed ? o * dense->in + i : i * dense->out + o)];
}

#endif
