/* Arithmetic on sizes, as PyTorch exports x.view(x.size(0), -1): Shape, and Slice on constants. They run when the plan
   is made, when all sizes are known, and never at run time. */
#include "ops/families.h"

#include <string.h>

static PetscErrorCode need_constants(const RtStep *step)
{
  PetscFunctionBegin;
  for (int i = 0; i < step->inputs; i++)
    RtCheck(!step->in[i] || step->in[i]->place == RT_PLACE_CONSTANT,
            "node '%s' (%s) is supported only where its inputs are known in advance", step->name, step->op->type);
  PetscFunctionReturn(0);
}

static PetscErrorCode allocate(RtTensor *y)
{
  PetscFunctionBegin;
  PetscCall(PetscCalloc1((size_t)y->size * rt_types_size(y->type) + 1, (char **)&y->folded));
  PetscFunctionReturn(0);
}

/* Dimensions [from, to) that Shape gives; a part of them since opset 15. */
static void shape_range(const RtStep *step, int64_t *from, int64_t *to)
{
  int64_t ndim = step->in[0]->ndim;

  *from = step->opset < 15 ? 0 : rt_graph_attribute_int(step->node, "start", 0);
  *to = step->opset < 15 ? ndim : rt_graph_attribute_int(step->node, "end", ndim);
  if (*from < 0) *from += ndim;
  if (*to < 0) *to += ndim;
  *from = PetscMax(0, PetscMin(*from, ndim));
  *to = PetscMax(*from, PetscMin(*to, ndim));
}

static PetscErrorCode shape_shape(RtStep *step)
{
  int64_t from, to;

  PetscFunctionBegin;
  shape_range(step, &from, &to);
  step->out[0]->type = RT_INT64;
  step->out[0]->ndim = 1;
  step->out[0]->dim[0] = to - from;
  PetscFunctionReturn(0);
}

static PetscErrorCode fold_shape(RtStep *step)
{
  int64_t from, to;

  PetscFunctionBegin;
  PetscCall(allocate(step->out[0]));
  shape_range(step, &from, &to);
  memcpy(step->out[0]->folded, step->in[0]->dim + from, (size_t)(to - from) * sizeof(int64_t));
  PetscFunctionReturn(0);
}

/* One whole number of a node: of an attribute before opset 10, then of input k. there: whether it has one. */
static PetscErrorCode number_of(const RtStep *step, const char *name, int k, bool *there, int64_t *number)
{
  const RtAttribute *attribute = rt_graph_attribute(step->node, name);
  const RtTensor *x = k < step->inputs ? step->in[k] : NULL;

  PetscFunctionBegin;
  *there = attribute || x;
  if (!*there) PetscFunctionReturn(0);
  if (attribute) {
    RtCheck(attribute->count == 1, "node '%s' (Slice) is supported only for one axis", step->name);
    *number = attribute->ints[0];
  } else {
    RtCheck(x->size == 1 && (x->type == RT_INT64 || x->type == RT_INT32),
            "node '%s' (Slice) is supported only for one axis", step->name);
    *number = x->type == RT_INT64 ? *(const int64_t *)x->constant : *(const int32_t *)x->constant;
  }
  PetscFunctionReturn(0);
}

/* Slice of a vector with step 1. */
static PetscErrorCode slice_range(const RtStep *step, int64_t *from, int64_t *to)
{
  const RtTensor *x = step->in[0];
  int64_t axis = 0, stride = 1;
  bool starts, ends, there;

  PetscFunctionBegin;
  PetscCall(number_of(step, "starts", 1, &starts, from));
  PetscCall(number_of(step, "ends", 2, &ends, to));
  PetscCall(number_of(step, "axes", 3, &there, &axis));
  PetscCall(number_of(step, "steps", 4, &there, &stride));
  RtCheck(starts && ends, "node '%s' (Slice) does not say where it starts and ends", step->name);
  RtCheck(x->ndim == 1 && (axis == 0 || axis == -1), "node '%s' (Slice) is supported only for vectors", step->name);
  RtCheck(stride == 1, "node '%s' (Slice) is supported only with step 1", step->name);
  if (*from < 0) *from += x->dim[0];
  if (*to < 0) *to += x->dim[0];
  *from = PetscMax(0, PetscMin(*from, x->dim[0]));
  *to = PetscMax(*from, PetscMin(*to, x->dim[0]));
  PetscFunctionReturn(0);
}

static PetscErrorCode shape_slice(RtStep *step)
{
  int64_t from, to;

  PetscFunctionBegin;
  PetscCall(need_constants(step));
  PetscCall(slice_range(step, &from, &to));
  step->out[0]->type = step->in[0]->type;
  step->out[0]->ndim = 1;
  step->out[0]->dim[0] = to - from;
  PetscFunctionReturn(0);
}

static PetscErrorCode fold_slice(RtStep *step)
{
  size_t bytes = rt_types_size(step->in[0]->type);
  int64_t from, to;

  PetscFunctionBegin;
  PetscCall(slice_range(step, &from, &to));
  PetscCall(allocate(step->out[0]));
  memcpy(step->out[0]->folded, (const char *)step->in[0]->constant + (size_t)from * bytes, (size_t)(to - from) * bytes);
  PetscFunctionReturn(0);
}

#define SIZES(name, least, most, oldest, rule, folding, ...)                                                           \
  {                                                                                                                    \
    .type = name, .inputs_min = least, .inputs_max = most, .opset_min = oldest, .host = true, .shape = rule,           \
    .fold = folding, .attributes = RT_OP_ATTRIBUTES(__VA_ARGS__)                                                       \
  }
#define INT(text) .name = text, .kind = RT_ATTRIBUTE_INT
#define INTS(text) .name = text, .kind = RT_ATTRIBUTE_INTS

const RtOp rt_op_shape =
    SIZES("Shape", 1, 1, 1, shape_shape, fold_shape, {INT("start"), .first = 15}, {INT("end"), .first = 15});
const RtOp rt_op_slice = SIZES("Slice", 1, 5, 1, shape_slice, fold_slice, {INTS("starts"), .last = 9},
                               {INTS("ends"), .last = 9}, {INTS("axes"), .last = 9});
