/* Transpose: axes in another order, that of `perm`, or the reverse where it is absent. y[i] = x[perm⁻¹ i].
   Backward: the same walk with the roles of the two exchanged. */
#include "ops/axis.h"
#include "ops/families.h"

#include <stdio.h>
#include <string.h>

/* y's axis i is x's axis perm(i). */
static int axis_of(const RtStep *step, int i)
{
  const RtAttribute *perm = rt_graph_attribute(step->node, "perm");

  return perm ? (int)perm->ints[i] : step->in[0]->ndim - 1 - i;
}

static PetscErrorCode check(const RtGraph *graph, const RtNode *node, char *why, size_t length)
{
  const RtAttribute *perm = rt_graph_attribute(node, "perm");
  unsigned seen = 0;

  PetscFunctionBegin;
  (void)graph;
  if (perm && perm->count > RT_MAX_DIM) snprintf(why, length, "its attribute 'perm' has %d numbers", perm->count);
  for (int i = 0; perm && i < perm->count && !why[0]; i++) {
    if (perm->ints[i] < 0 || perm->ints[i] >= perm->count || seen >> perm->ints[i] & 1)
      snprintf(why, length, "its attribute 'perm' is not an order of axes");
    else
      seen |= 1u << perm->ints[i];
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode shape(RtStep *step)
{
  const RtAttribute *perm = rt_graph_attribute(step->node, "perm");
  const RtTensor *x = step->in[0];

  PetscFunctionBegin;
  RtCheck(!perm || perm->count == x->ndim, "node '%s' (Transpose) orders %d axes, its input has %d", step->name,
          perm ? perm->count : 0, x->ndim);
  rt_axis_like(x, step->out[0]);
  for (int i = 0; i < x->ndim; i++) step->out[0]->dim[i] = x->dim[axis_of(step, i)];
  PetscFunctionReturn(0);
}

/* Walk through y in its order. from, to: x and y, or (backward) y into x. bytes: of an element. */
static void walk(const RtStep *step, const char *x, char *y, size_t bytes, bool back)
{
  const RtTensor *in = step->in[0], *out = step->out[0];
  int64_t stride[RT_MAX_DIM], index[RT_MAX_DIM] = {0}, at = 0, last, run;
  int n = out->ndim;

  for (int i = 0; i < n; i++) stride[i] = rt_axis_inner(in, axis_of(step, i));
  last = n ? stride[n - 1] : 1;
  run = n ? out->dim[n - 1] : 1;
  for (int64_t done = 0; done < out->size; done += run) {
    for (int64_t j = 0; j < run; j++) {
      size_t px = (size_t)(at + j * last) * bytes, py = (size_t)(done + j) * bytes;

      if (back)
        memcpy(y + px, x + py, bytes);
      else
        memcpy(y + py, x + px, bytes);
    }
    for (int i = n - 2; i >= 0; i--) {
      at += stride[i];
      if (++index[i] < out->dim[i]) break;
      at -= stride[i] * out->dim[i];
      index[i] = 0;
    }
  }
}

static PetscErrorCode fold(RtStep *step)
{
  PetscFunctionBegin;
  PetscCall(rt_axis_fold(step->out[0]));
  walk(step, step->in[0]->constant, step->out[0]->folded, rt_types_size(step->in[0]->type), false);
  PetscFunctionReturn(0);
}

static PetscErrorCode forward(const RtStep *step, RtWork *work)
{
  PetscFunctionBegin;
  walk(step, rt_op_data(work, step->in[0]), rt_op_data(work, step->out[0]), rt_types_size(step->in[0]->type), false);
  PetscFunctionReturn(0);
}

static PetscErrorCode backward(const RtStep *step, RtWork *work)
{
  PetscFunctionBegin;
  walk(step, (const char *)rt_op_dout(work, step->out[0]), (char *)rt_op_din(work, step, 0), sizeof(float), true);
  PetscFunctionReturn(0);
}

const RtOp rt_op_transpose = {.type = "Transpose",
                              .inputs_min = 1,
                              .inputs_max = 1,
                              .opset_min = 1,
                              .passes = 1,
                              .attributes = RT_OP_ATTRIBUTES({.name = "perm", .kind = RT_ATTRIBUTE_INTS}),
                              .check = check,
                              .shape = shape,
                              .fold = fold,
                              .forward = forward,
                              .backward = backward};
