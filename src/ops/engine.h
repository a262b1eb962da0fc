/* oneDNN behind a small interface: the only file that differs between its versions is engine.c. Not collective. */
#ifndef RT_OPS_ENGINE_H
#define RT_OPS_ENGINE_H

#include <retort/plan.h>

/* C = A B (+ bias) (then Relu). A: m x k, B: k x n, C: m x n, row-major where strides do not say otherwise. */
typedef struct {
  int64_t m, n, k;
  bool a_transposed, b_transposed; /* stored as k x m, as n x k */
  bool bias, relu;                 /* bias: [n] */
  bool bf16;                       /* A and B are bf16 */
  bool packed;                     /* B comes in the layout that rt_engine_pack writes */
  int threads;                     /* that may run it at once */
} RtProductParams;

typedef struct RtProduct RtProduct;

PetscErrorCode rt_engine_product(const RtProductParams *params, RtProduct **product);
PetscErrorCode rt_engine_destroy(RtProduct **product);
size_t rt_engine_scratch(const RtProduct *product);
/* Bytes of the packed B. */
size_t rt_engine_packed(const RtProduct *product);
/* b: float, stored as params say. packed: [rt_engine_packed]. */
PetscErrorCode rt_engine_pack(const RtProduct *product, const float *b, void *packed);
/* Runs in the calling thread; slot: which of `threads`. bias may be NULL where params have none. */
PetscErrorCode rt_engine_run(const RtProduct *product, int slot, const void *a, const void *b, const float *bias,
                             float *c, void *scratch);

#endif
