/* Concat and Split: tensors put together along an axis, and taken apart. Each is the other's backward.
   Whole: [outer, length, inner]; piece k: [outer, length of k, inner]. */
#include "ops/axis.h"
#include "ops/families.h"

#include <stdio.h>
#include <string.h>

enum { MOST_PIECES = 4096 };

/* Copy between the whole and one piece of it, or zeros into the whole where the piece is NULL. at: where along the axis
   the piece begins. bytes: of what stands at one place of the axis. into: from the piece into the whole. */
static void copy_piece(int64_t outer, int64_t length, int64_t at, int64_t part, size_t bytes, void *whole, void *piece,
                       bool into)
{
  size_t run = (size_t)part * bytes, stride = (size_t)length * bytes;
  char *w = (char *)whole + (size_t)at * bytes, *p = piece;

  if (!run) return;
  for (int64_t o = 0; o < outer; o++, w += stride) {
    if (!p)
      memset(w, 0, run);
    else
      memcpy(into ? w : p, into ? p : w, run);
    if (p) p += run;
  }
}

typedef void *(*Place)(const RtStep *step, RtWork *work, int k);

/* All pieces of a whole. count: of the places that `of` knows; those that are left out come with their length as well.
 */
static void copy_all(const RtStep *step, RtWork *work, const RtTensor *shape, int count, RtTensor **piece, void *whole,
                     Place of, bool into)
{
  int axis = 0;
  int64_t outer, at = 0;
  size_t bytes;

  (void)rt_axis_find(step, 0, shape->ndim, &axis); /* it was found when the plan was made */
  outer = rt_axis_outer(shape, axis);
  bytes = (size_t)rt_axis_inner(shape, axis) * rt_types_size(shape->type);
  for (int k = 0; k < count; k++) {
    void *p = of(step, work, k);

    if (p || into) copy_piece(outer, shape->dim[axis], at, piece[k]->dim[axis], bytes, whole, p, into);
    at += piece[k]->dim[axis];
  }
}

static void *in_constant(const RtStep *step, RtWork *work, int k)
{
  (void)work;
  return (void *)step->in[k]->constant;
}
static void *in_data(const RtStep *step, RtWork *work, int k)
{
  return rt_op_data(work, step->in[k]);
}
static void *in_gradient(const RtStep *step, RtWork *work, int k)
{
  return rt_op_din(work, step, k);
}
static void *out_folded(const RtStep *step, RtWork *work, int k)
{
  (void)work;
  return step->out[k]->folded;
}
static void *out_data(const RtStep *step, RtWork *work, int k)
{
  return rt_op_data(work, step->out[k]);
}
static void *out_gradient(const RtStep *step, RtWork *work, int k)
{
  return rt_op_dout(work, step->out[k]);
}

/* --- Concat ------------------------------------------------------------------------------------------------------- */

static PetscErrorCode shape_concat(RtStep *step)
{
  const RtTensor *first = step->in[0];
  RtTensor *y = step->out[0];
  int axis;

  PetscFunctionBegin;
  rt_axis_like(first, y);
  PetscCall(rt_axis_find(step, 0, first->ndim, &axis));
  y->dim[axis] = 0;
  for (int k = 0; k < step->inputs; k++) {
    const RtTensor *x = step->in[k];

    RtCheck(x && x->ndim == y->ndim && x->type == y->type,
            "node '%s' (Concat): its inputs differ in type or number of dimensions", step->name);
    for (int i = 0; i < y->ndim; i++)
      RtCheck(i == axis || x->dim[i] == y->dim[i], "node '%s' (Concat): %lld meets %lld in dimension %d", step->name,
              (long long)y->dim[i], (long long)x->dim[i], i);
    RtCheck(!__builtin_add_overflow(y->dim[axis], x->dim[axis], &y->dim[axis]),
            "node '%s' (Concat): its result is too large", step->name);
    y->truth = y->truth && x->truth;
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode fold_concat(RtStep *step)
{
  PetscFunctionBegin;
  PetscCall(rt_axis_fold(step->out[0]));
  copy_all(step, NULL, step->out[0], step->inputs, step->in, step->out[0]->folded, in_constant, true);
  PetscFunctionReturn(0);
}

static PetscErrorCode forward_concat(const RtStep *step, RtWork *work)
{
  PetscFunctionBegin;
  copy_all(step, work, step->out[0], step->inputs, step->in, rt_op_data(work, step->out[0]), in_data, true);
  PetscFunctionReturn(0);
}

static PetscErrorCode backward_concat(const RtStep *step, RtWork *work)
{
  PetscFunctionBegin;
  copy_all(step, work, step->out[0], step->inputs, step->in, rt_op_dout(work, step->out[0]), in_gradient, false);
  PetscFunctionReturn(0);
}

static PetscErrorCode check_concat(const RtGraph *graph, const RtNode *node, char *why, size_t length)
{
  PetscFunctionBegin;
  (void)graph;
  if (!rt_graph_attribute(node, "axis")) snprintf(why, length, "it has no attribute 'axis'");
  for (int k = 0; k < node->inputs && !why[0]; k++)
    if (node->input[k] < 0) snprintf(why, length, "its input %d is missing", k);
  PetscFunctionReturn(0);
}

const RtOp rt_op_concat = {.type = "Concat",
                           .inputs_min = 1,
                           .inputs_max = MOST_PIECES,
                           .opset_min = 4,
                           .factors = ~0u,
                           .passes = ~0u,
                           .attributes = RT_OP_ATTRIBUTES({.name = "axis", .kind = RT_ATTRIBUTE_INT}),
                           .check = check_concat,
                           .shape = shape_concat,
                           .fold = fold_concat,
                           .forward = forward_concat,
                           .backward = backward_concat};

/* --- Split -------------------------------------------------------------------------------------------------------- */

static PetscErrorCode check_split(const RtGraph *graph, const RtNode *node, char *why, size_t length)
{
  const RtAttribute *split = rt_graph_attribute(node, "split");

  PetscFunctionBegin;
  (void)graph;
  if (split && split->count != node->outputs)
    snprintf(why, length, "it has %d lengths for %d outputs", split->count, node->outputs);
  if (rt_graph_attribute_int(node, "num_outputs", node->outputs) != node->outputs)
    snprintf(why, length, "its attribute 'num_outputs' is not the number of its outputs");
  for (int k = 0; k < node->outputs && !why[0]; k++)
    if (node->output[k] < 0) snprintf(why, length, "its output %d is missing", k);
  PetscFunctionReturn(0);
}

/* The lengths of the pieces: from the attribute before opset 13, then from input 1; NULL: all are equal. */
static PetscErrorCode lengths_of(const RtStep *step, const int64_t **length)
{
  const RtAttribute *split = rt_graph_attribute(step->node, "split");
  const RtTensor *input = step->inputs > 1 ? step->in[1] : NULL;

  PetscFunctionBegin;
  *length = split ? split->ints : NULL;
  if (!input) PetscFunctionReturn(0);
  RtCheck(step->opset >= 13 && input->place == RT_PLACE_CONSTANT && input->type == RT_INT64 && input->ndim == 1 &&
              input->size == step->outputs,
          "node '%s' (Split): its second input is not one length known in advance for each output", step->name);
  *length = input->constant;
  PetscFunctionReturn(0);
}

static PetscErrorCode shape_split(RtStep *step)
{
  const RtTensor *x = step->in[0];
  const int64_t *length;
  int64_t left, each;
  int axis;

  PetscFunctionBegin;
  PetscCall(rt_axis_find(step, 0, x->ndim, &axis));
  PetscCall(lengths_of(step, &length));
  left = x->dim[axis];
  each = left / step->outputs + (left % step->outputs != 0);
  RtCheck(length || step->opset >= 18 || left % step->outputs == 0,
          "node '%s' (Split): %lld cannot be split into %d equal parts", step->name, (long long)left, step->outputs);
  for (int k = 0; k < step->outputs; k++) {
    int64_t part = length ? length[k] : PetscMin(each, left);

    RtCheck(part >= 0 && part <= left, "node '%s' (Split): its lengths do not add up to the %lld of axis %d",
            step->name, (long long)x->dim[axis], axis);
    rt_axis_like(x, step->out[k]);
    step->out[k]->dim[axis] = part;
    left -= part;
  }
  RtCheck(left == 0, "node '%s' (Split): its lengths do not add up to the %lld of axis %d", step->name,
          (long long)x->dim[axis], axis);
  PetscFunctionReturn(0);
}

static PetscErrorCode fold_split(RtStep *step)
{
  PetscFunctionBegin;
  for (int k = 0; k < step->outputs; k++) PetscCall(rt_axis_fold(step->out[k]));
  copy_all(step, NULL, step->in[0], step->outputs, step->out, (void *)step->in[0]->constant, out_folded, false);
  PetscFunctionReturn(0);
}

static PetscErrorCode forward_split(const RtStep *step, RtWork *work)
{
  PetscFunctionBegin;
  copy_all(step, work, step->in[0], step->outputs, step->out, rt_op_data(work, step->in[0]), out_data, false);
  PetscFunctionReturn(0);
}

/* The part of an output that nothing reads is zero. */
static PetscErrorCode backward_split(const RtStep *step, RtWork *work)
{
  PetscFunctionBegin;
  copy_all(step, work, step->in[0], step->outputs, step->out, rt_op_din(work, step, 0), out_gradient, true);
  PetscFunctionReturn(0);
}

const RtOp rt_op_split = {.type = "Split",
                          .inputs_min = 1,
                          .inputs_max = 2,
                          .outputs_max = MOST_PIECES,
                          .opset_min = 2,
                          .passes = 1,
                          .attributes =
                              RT_OP_ATTRIBUTES({.name = "axis", .kind = RT_ATTRIBUTE_INT},
                                               {.name = "split", .kind = RT_ATTRIBUTE_INTS, .last = 12},
                                               {.name = "num_outputs", .kind = RT_ATTRIBUTE_INT, .first = 18}),
                          .check = check_split,
                          .shape = shape_split,
                          .fold = fold_split,
                          .forward = forward_split,
                          .backward = backward_split};
