/* Matrix products: Gemm, and MatMul with the bias and Relu that follow it. Y = A B + bias, A: [m, k], B: [k, n].
   Backward: dA = dY Bᵀ, dB = Aᵀ dY, dbias = column sums of dY. In bf16 the factors are rounded, sums stay float. */
#include "core/half.h"
#include "core/memory.h"
#include "ops/broadcast.h"
#include "ops/engine.h"
#include "ops/families.h"

#include <stdio.h>
#include <string.h>

enum { FORWARD, INPUT, WEIGHT, PRODUCTS };

typedef struct {
  RtProduct *product[PRODUCTS]; /* Y; dA; dB. INPUT and WEIGHT are NULL where not wanted */
  int64_t batches, m, n, k;
  bool ta, tb;    /* stored transposed */
  bool fast_bias; /* bias is [n] and rides on the product */
  bool slow;      /* alpha, or a C that is not a plain bias: done after the product */
  bool bf16;
  float alpha, beta;
  size_t c16; /* bytes in scratch: A or dY in bf16 */
} Linear;

static PetscErrorCode check_gemm(const RtGraph *graph, const RtNode *node, char *why, size_t length)
{
  PetscFunctionBegin;
  if (graph->opset < 11 && node->inputs < 3) snprintf(why, length, "before opset 11 it needs an input C");
  PetscFunctionReturn(0);
}

static PetscErrorCode shape_gemm(RtStep *step)
{
  const RtTensor *a = step->in[0], *b = step->in[1];
  RtTensor *y = step->out[0];
  bool ta = rt_graph_attribute_int(step->node, "transA", 0), tb = rt_graph_attribute_int(step->node, "transB", 0);

  PetscFunctionBegin;
  RtCheck(a->ndim == 2 && b->ndim == 2 && a->type == RT_FLOAT && b->type == RT_FLOAT,
          "node '%s' (Gemm) needs two float matrices", step->name);
  RtCheck(a->dim[!ta] == b->dim[tb], "node '%s' (Gemm): %lld columns meet %lld rows", step->name,
          (long long)a->dim[!ta], (long long)b->dim[tb]);
  y->type = RT_FLOAT;
  y->ndim = 2;
  y->dim[0] = a->dim[ta];
  y->dim[1] = b->dim[!tb];
  if (step->inputs > 2 && step->in[2])
    RtCheck(rt_broadcast_fits(step->in[2], y), "node '%s' (Gemm): the shape of C does not fit", step->name);
  PetscFunctionReturn(0);
}

static PetscErrorCode shape_matmul(RtStep *step)
{
  const RtTensor *a = step->in[0], *b = step->in[1];
  RtTensor *y = step->out[0];

  PetscFunctionBegin;
  RtCheck(a->ndim >= 2 && b->ndim >= 2 && a->type == RT_FLOAT && b->type == RT_FLOAT,
          "node '%s' (MatMul) needs two float matrices", step->name);
  RtCheck(a->dim[a->ndim - 1] == b->dim[b->ndim - 2], "node '%s' (MatMul): %lld columns meet %lld rows", step->name,
          (long long)a->dim[a->ndim - 1], (long long)b->dim[b->ndim - 2]);
  RtCheck(b->ndim == 2 || (a->ndim == b->ndim && !memcmp(a->dim, b->dim, (size_t)(b->ndim - 2) * sizeof(b->dim[0]))),
          "node '%s' (MatMul): the leading dimensions differ; only equal ones or a plain matrix are supported",
          step->name);
  y->type = RT_FLOAT;
  y->ndim = a->ndim;
  for (int i = 0; i < a->ndim - 1; i++) y->dim[i] = a->dim[i];
  y->dim[a->ndim - 1] = b->dim[b->ndim - 1];
  PetscFunctionReturn(0);
}

static PetscErrorCode make_products(RtStep *step, Linear *l)
{
  RtProductParams forward = {.m = l->m,
                             .n = l->n,
                             .k = l->k,
                             .a_transposed = l->ta,
                             .b_transposed = l->tb,
                             .bias = l->fast_bias,
                             .relu = step->relu && !l->slow,
                             .bf16 = l->bf16,
                             .packed = step->in[1]->place != RT_PLACE_WORK && l->batches == 1 && !step->training,
                             .threads = step->threads};
  /* dA: [m, k] = dY [m, n] Bᵀ; stored transposed it is [k, m] = B dYᵀ */
  RtProductParams input = {.m = l->ta ? l->k : l->m,
                           .n = l->ta ? l->m : l->k,
                           .k = l->n,
                           .a_transposed = l->ta ? l->tb : false,
                           .b_transposed = l->ta ? true : !l->tb,
                           .bf16 = l->bf16,
                           .threads = step->threads};
  /* dB: [k, n] = Aᵀ dY; stored transposed it is [n, k] = dYᵀ A */
  RtProductParams weight = {.m = l->tb ? l->n : l->k,
                            .n = l->tb ? l->k : l->n,
                            .k = l->m,
                            .a_transposed = l->tb ? true : !l->ta,
                            .b_transposed = l->tb ? l->ta : false,
                            .bf16 = l->bf16,
                            .threads = step->threads};

  PetscFunctionBegin;
  PetscCall(rt_engine_product(&forward, &l->product[FORWARD]));
  if (step->din[0] != RT_DIN_UNWANTED) PetscCall(rt_engine_product(&input, &l->product[INPUT]));
  if (step->din[1] != RT_DIN_UNWANTED) PetscCall(rt_engine_product(&weight, &l->product[WEIGHT]));
  if (forward.packed) step->packed_size = rt_memory_align(rt_engine_packed(l->product[FORWARD]));
  PetscFunctionReturn(0);
}

static PetscErrorCode setup(RtStep *step)
{
  const RtTensor *a = step->in[0], *b = step->in[1], *c = step->inputs > 2 ? step->in[2] : NULL, *y = step->out[0];
  Linear *l;
  size_t scratch = 0;

  PetscFunctionBegin;
  RtCheck(a->size > 0 && b->size > 0, "node '%s' (%s): a matrix has no elements", step->name, step->op->type);
  PetscCall(PetscNew(&l));
  step->data = l;
  l->ta = rt_graph_attribute_int(step->node, "transA", 0);
  l->tb = rt_graph_attribute_int(step->node, "transB", 0);
  l->alpha = rt_graph_attribute_float(step->node, "alpha", 1);
  /* a bias from the Add that follows is not the node's own C */
  l->beta = step->inputs > step->node->inputs ? 1 : rt_graph_attribute_float(step->node, "beta", 1);
  l->n = y->dim[y->ndim - 1];
  l->k = b->dim[l->tb ? b->ndim - 1 : b->ndim - 2];
  l->batches = b->ndim == 2 ? 1 : b->size / (l->n * l->k);
  l->m = b->ndim == 2 ? a->size / l->k : a->dim[a->ndim - 2];
  l->fast_bias = c && l->alpha == 1 && l->beta == 1 && c->ndim && c->size == l->n && c->dim[c->ndim - 1] == l->n;
  l->slow = (c && !l->fast_bias) || l->alpha != 1;
  l->bf16 =
      step->precision == RT_PRECISION_BF16 && l->batches == 1 && b->place != RT_PLACE_WORK && a->place == RT_PLACE_WORK;
  PetscCall(make_products(step, l));
  for (int i = 0; i < PRODUCTS; i++)
    if (l->product[i]) scratch = PetscMax(scratch, rt_engine_scratch(l->product[i]));
  step->scratch_size = rt_memory_align(scratch);
  if (l->bf16) {
    /* A is rounded once, in forward, and kept for dB; dY is rounded in backward; B plain as well for dA. */
    if (step->training) step->keep_size = (size_t)a->size * sizeof(uint16_t);
    l->c16 = step->scratch_size;
    step->scratch_size += rt_memory_align((size_t)PetscMax(y->size, a->size) * sizeof(uint16_t));
    if (step->training) step->packed_size = (size_t)b->size * sizeof(uint16_t);
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode destroy(RtStep *step)
{
  Linear *l = step->data;

  PetscFunctionBegin;
  for (int i = 0; i < PRODUCTS; i++) PetscCall(rt_engine_destroy(&l->product[i]));
  PetscCall(PetscFree(step->data));
  PetscFunctionReturn(0);
}

/* In training B changes at each step: rounding it is cheaper than bringing it into the layout that oneDNN likes best.
 */
static PetscErrorCode pack(const RtStep *step, const float *parameter, void *packed)
{
  const Linear *l = step->data;
  const float *b =
      step->in[1]->place == RT_PLACE_CONSTANT ? step->in[1]->constant : parameter + step->in[1]->root->offset;

  PetscFunctionBegin;
  if (step->training)
    rt_half_to_bf16(step->in[1]->size, b, packed);
  else
    PetscCall(rt_engine_pack(l->product[FORWARD], b, packed));
  PetscFunctionReturn(0);
}

/* alpha, and a C that is not a plain bias. */
static void finish_slowly(const RtStep *step, const Linear *l, const float *c, float *y)
{
  if (l->alpha != 1)
    for (int64_t i = 0; i < step->out[0]->size; i++) y[i] *= l->alpha;
  if (c) rt_broadcast_add(l->beta, c, step->in[2], y, step->out[0]);
  if (step->relu)
    for (int64_t i = 0; i < step->out[0]->size; i++) y[i] = y[i] > 0 ? y[i] : 0;
}

static PetscErrorCode forward(const RtStep *step, RtWork *work)
{
  const Linear *l = step->data;
  const float *a = rt_op_data(work, step->in[0]), *c = NULL;
  const float *b = rt_op_data(work, step->in[1]);
  float *y = rt_op_data(work, step->out[0]);
  char *scratch = work->slab + step->scratch;
  const void *a_used = a, *b_used = step->packed_size ? work->packed + step->packed : (const void *)b;

  PetscFunctionBegin;
  if (step->inputs > 2 && step->in[2]) c = rt_op_data(work, step->in[2]);
  if (l->bf16) {
    uint16_t *a16 = (uint16_t *)(void *)(step->training ? work->slab + step->keep : scratch + l->c16);

    rt_half_to_bf16(step->in[0]->size, a, a16);
    a_used = a16;
  }
  PetscCall(rt_engine_run(l->product[FORWARD], work->slot, a_used, b_used, l->fast_bias ? c : NULL, y, scratch));
  for (int64_t i = 1; i < l->batches; i++)
    PetscCall(rt_engine_run(l->product[FORWARD], work->slot, a + i * l->m * l->k, b + i * l->k * l->n,
                            l->fast_bias ? c : NULL, y + i * l->m * l->n, scratch));
  if (l->slow) finish_slowly(step, l, c, y);
  PetscFunctionReturn(0);
}

/* dY of what came before Relu and the bias, in place. */
static void undo_relu(int64_t count, const float *restrict y, float *restrict dy)
{
  for (int64_t i = 0; i < count; i++) dy[i] = y[i] > 0 ? dy[i] : 0;
}

static PetscErrorCode backward(const RtStep *step, RtWork *work)
{
  const Linear *l = step->data;
  const float *a = rt_op_data(work, step->in[0]), *b = rt_op_data(work, step->in[1]);
  float *dy = rt_op_dout(work, step->out[0]);
  float *da = rt_op_din(work, step, 0), *db = rt_op_din(work, step, 1);
  char *scratch = work->slab + step->scratch;
  const void *a_used = a, *b_used = b, *dy_used = dy;

  PetscFunctionBegin;
  if (step->relu) undo_relu(step->out[0]->size, rt_op_data(work, step->out[0]), dy);
  if (step->inputs > 2 && step->in[2] && step->din[2] != RT_DIN_UNWANTED)
    rt_broadcast_reduce(l->beta, dy, step->out[0], rt_op_din(work, step, 2), step->in[2]);
  if (l->alpha != 1)
    for (int64_t i = 0; i < step->out[0]->size; i++) dy[i] *= l->alpha;
  if (l->bf16) {
    uint16_t *dy16 = (uint16_t *)(void *)(scratch + l->c16);

    rt_half_to_bf16(step->out[0]->size, dy, dy16);
    dy_used = dy16;
    a_used = work->slab + step->keep;
    b_used = work->packed + step->packed;
  }
  for (int64_t i = 0; i < l->batches; i++) {
    if (i > 0) {
      a_used = a + i * l->m * l->k;
      b_used = b + i * l->k * l->n;
      dy_used = dy + i * l->m * l->n;
    }
    if (db)
      PetscCall(rt_engine_run(l->product[WEIGHT], work->slot, l->tb ? dy_used : a_used, l->tb ? a_used : dy_used, NULL,
                              db + i * l->k * l->n, scratch));
    if (da)
      PetscCall(rt_engine_run(l->product[INPUT], work->slot, l->ta ? b_used : dy_used, l->ta ? dy_used : b_used, NULL,
                              da + i * l->m * l->k, scratch));
  }
  PetscFunctionReturn(0);
}

const RtOp rt_op_gemm = {.type = "Gemm",
                         .inputs_min = 2,
                         .inputs_max = 3,
                         .opset_min = 7,
                         .trainable = 1 << 0 | 1 << 1 | 1 << 2,
                         .needs = RT_NEEDS_INPUT,
                         .matrix = true,
                         .attributes = RT_OP_ATTRIBUTES({.name = "alpha", .kind = RT_ATTRIBUTE_FLOAT},
                                                        {.name = "beta", .kind = RT_ATTRIBUTE_FLOAT},
                                                        {.name = "transA", .kind = RT_ATTRIBUTE_INT},
                                                        {.name = "transB", .kind = RT_ATTRIBUTE_INT}),
                         .check = check_gemm,
                         .shape = shape_gemm,
                         .setup = setup,
                         .pack = pack,
                         .forward = forward,
                         .backward = backward,
                         .destroy = destroy};

const RtOp rt_op_matmul = {.type = "MatMul",
                           .inputs_min = 2,
                           .inputs_max = 2,
                           .opset_min = 1,
                           .trainable = 1 << 0 | 1 << 1,
                           .needs = RT_NEEDS_INPUT,
                           .matrix = true,
                           .shape = shape_matmul,
                           .setup = setup,
                           .pack = pack,
                           .forward = forward,
                           .backward = backward,
                           .destroy = destroy};
