/* Operators that only give the same elements another shape: Identity, Flatten, Reshape, Squeeze, Unsqueeze. The output
   is another name for the input, so there is nothing to run and nothing to derive. */
#include "ops/families.h"

#include <stdio.h>

/* Whole numbers from attribute `name` or, since some opset, from input 1. count: -1 where there are none. */
static PetscErrorCode numbers(const RtStep *step, const char *name, int *count, const int64_t **number)
{
  const RtAttribute *attribute = rt_graph_attribute(step->node, name);
  const RtTensor *input = step->inputs > 1 ? step->in[1] : NULL;

  PetscFunctionBegin;
  *count = -1;
  if (attribute) {
    *count = attribute->count;
    *number = attribute->ints;
  } else if (input) {
    RtCheck(input->place == RT_PLACE_CONSTANT && input->type == RT_INT64 && input->ndim <= 1 &&
                input->size <= RT_MAX_DIM,
            "node '%s' (%s): the sizes at its second input are not known in advance", step->name, step->op->type);
    *count = (int)input->size;
    *number = input->constant;
  }
  PetscFunctionReturn(0);
}

static void rename_input(RtStep *step)
{
  step->out[0]->type = step->in[0]->type;
  step->out[0]->truth = step->in[0]->truth;
  step->out[0]->root = step->in[0]->root;
}

static PetscErrorCode shape_identity(RtStep *step)
{
  PetscFunctionBegin;
  rename_input(step);
  step->out[0]->ndim = step->in[0]->ndim;
  for (int i = 0; i < step->in[0]->ndim; i++) step->out[0]->dim[i] = step->in[0]->dim[i];
  PetscFunctionReturn(0);
}

static PetscErrorCode shape_flatten(RtStep *step)
{
  const RtTensor *x = step->in[0];
  int64_t axis = rt_graph_attribute_int(step->node, "axis", 1);
  RtTensor *y = step->out[0];

  PetscFunctionBegin;
  RtCheck(axis >= -x->ndim && axis <= x->ndim, "node '%s' (Flatten) has no axis %lld", step->name, (long long)axis);
  if (axis < 0) axis += x->ndim;
  rename_input(step);
  y->ndim = 2;
  y->dim[0] = y->dim[1] = 1;
  for (int i = 0; i < x->ndim; i++) y->dim[i >= axis] *= x->dim[i];
  PetscFunctionReturn(0);
}

static PetscErrorCode shape_reshape(RtStep *step)
{
  const RtTensor *x = step->in[0];
  const int64_t *dim = NULL;
  RtTensor *y = step->out[0];
  int64_t known = 1;
  int count, open = -1;
  bool allow_zero = rt_graph_attribute_int(step->node, "allowzero", 0) && step->opset >= 14;

  PetscFunctionBegin;
  PetscCall(numbers(step, "shape", &count, &dim));
  RtCheck(count >= 0, "node '%s' (Reshape) has no shape", step->name);
  rename_input(step);
  y->ndim = count;
  for (int i = 0; i < count; i++) {
    y->dim[i] = dim[i];
    if (dim[i] == 0 && !allow_zero) y->dim[i] = i < x->ndim ? x->dim[i] : 0;
    if (dim[i] == -1 && open < 0)
      open = i;
    else
      RtCheck(y->dim[i] >= 0 && !__builtin_mul_overflow(known, y->dim[i], &known),
              "node '%s' (Reshape) has an impossible shape", step->name);
  }
  if (open >= 0) y->dim[open] = known > 0 ? x->size / known : 0;
  RtCheck(open >= 0 ? known > 0 && x->size % known == 0 : known == x->size,
          "node '%s' (Reshape): %lld elements do not fit its shape; if the batch size stands in the model as a fixed "
          "number, export it again with a dynamic first axis",
          step->name, (long long)x->size);
  PetscFunctionReturn(0);
}

/* Marks the dimensions that `axes` names, of `ndim`. */
static PetscErrorCode mark_axes(const RtStep *step, int count, const int64_t *axis, int ndim, bool mark[RT_MAX_DIM])
{
  PetscFunctionBegin;
  for (int i = 0; i < RT_MAX_DIM; i++) mark[i] = false;
  for (int i = 0; i < count; i++) {
    int64_t k = axis[i] < 0 ? axis[i] + ndim : axis[i];

    RtCheck(k >= 0 && k < ndim && !mark[k], "node '%s' (%s): axis %lld is out of place", step->name, step->op->type,
            (long long)axis[i]);
    mark[k] = true;
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode shape_squeeze(RtStep *step)
{
  const RtTensor *x = step->in[0];
  const int64_t *axis = NULL;
  RtTensor *y = step->out[0];
  bool drop[RT_MAX_DIM];
  int count;

  PetscFunctionBegin;
  PetscCall(numbers(step, "axes", &count, &axis));
  PetscCall(mark_axes(step, PetscMax(count, 0), axis, x->ndim, drop));
  rename_input(step);
  y->ndim = 0;
  for (int i = 0; i < x->ndim; i++) {
    RtCheck(!drop[i] || x->dim[i] == 1, "node '%s' (Squeeze): dimension %d is not 1", step->name, i);
    if (count < 0 ? x->dim[i] != 1 : !drop[i]) y->dim[y->ndim++] = x->dim[i];
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode shape_unsqueeze(RtStep *step)
{
  const RtTensor *x = step->in[0];
  const int64_t *axis = NULL;
  RtTensor *y = step->out[0];
  bool added[RT_MAX_DIM];
  int count, from = 0;

  PetscFunctionBegin;
  PetscCall(numbers(step, "axes", &count, &axis));
  RtCheck(count >= 0 && x->ndim + count <= RT_MAX_DIM, "node '%s' (Unsqueeze) has no usable axes", step->name);
  PetscCall(mark_axes(step, count, axis, x->ndim + count, added));
  rename_input(step);
  y->ndim = x->ndim + count;
  for (int i = 0; i < y->ndim; i++) y->dim[i] = added[i] ? 1 : x->dim[from++];
  PetscFunctionReturn(0);
}

#define RESHAPE(name, most, oldest, rule, ...)                                                                         \
  {                                                                                                                    \
    .type = name, .inputs_min = 1, .inputs_max = most, .opset_min = oldest, .renames = true, .passes = 1,              \
    .shape = rule, __VA_ARGS__                                                                                         \
  }
#define AXES RT_OP_ATTRIBUTES({.name = "axes", .kind = RT_ATTRIBUTE_INTS, .last = 12})

const RtOp rt_op_identity = RESHAPE("Identity", 1, 1, shape_identity, .same = true);
const RtOp rt_op_flatten =
    RESHAPE("Flatten", 1, 1, shape_flatten, .attributes = RT_OP_ATTRIBUTES({.name = "axis", .kind = RT_ATTRIBUTE_INT}));
const RtOp rt_op_reshape =
    RESHAPE("Reshape", 2, 5, shape_reshape, .resizes = true,
            .attributes = RT_OP_ATTRIBUTES({.name = "allowzero", .kind = RT_ATTRIBUTE_INT, .first = 14}));
const RtOp rt_op_squeeze = RESHAPE("Squeeze", 2, 1, shape_squeeze, .attributes = AXES);
const RtOp rt_op_unsqueeze = RESHAPE("Unsqueeze", 2, 1, shape_unsqueeze, .attributes = AXES);
