/* Cast between float, int64, int32, uint8 and bool; a cast to the same type is another name for the input. To bool,
   what is not 0 becomes 1, also NaN; to whole numbers, fractions are cut off. */
#include "ops/families.h"

#include <stdio.h>

enum { ONNX_BOOL = 9 };

/* Numbers of ONNX's TensorProto.DataType; double is taken as float, bool as uint8. */
static bool type_of(int64_t onnx, RtType *type)
{
  switch (onnx) {
  case 1:
  case 11:
    *type = RT_FLOAT;
    return true;
  case 2:
  case ONNX_BOOL:
    *type = RT_UINT8;
    return true;
  case 6:
    *type = RT_INT32;
    return true;
  case 7:
    *type = RT_INT64;
    return true;
  default:
    return false;
  }
}

static PetscErrorCode check(const RtGraph *graph, const RtNode *node, char *why, size_t length)
{
  int64_t to = rt_graph_attribute_int(node, "to", 0);
  RtType type;

  PetscFunctionBegin;
  (void)graph;
  if (!type_of(to, &type)) snprintf(why, length, "the type number %lld is not supported", (long long)to);
  PetscFunctionReturn(0);
}

static PetscErrorCode shape(RtStep *step)
{
  const RtTensor *x = step->in[0];
  RtTensor *y = step->out[0];
  int64_t to = rt_graph_attribute_int(step->node, "to", 0);

  PetscFunctionBegin;
  (void)type_of(to, &y->type);
  y->truth = to == ONNX_BOOL;
  y->ndim = x->ndim;
  for (int i = 0; i < x->ndim; i++) y->dim[i] = x->dim[i];
  if (y->type == x->type && (x->truth || !y->truth)) y->root = x->root;
  PetscFunctionReturn(0);
}

static double get(const void *data, RtType type, int64_t i)
{
  switch (type) {
  case RT_FLOAT:
    return ((const float *)data)[i];
  case RT_UINT8:
    return ((const uint8_t *)data)[i];
  case RT_INT32:
    return ((const int32_t *)data)[i];
  default:
    return (double)((const int64_t *)data)[i];
  }
}

/* Truncates towards zero; what does not fit becomes the nearest number that does, and NaN becomes 0. */
static void put(void *data, RtType type, int64_t i, double number)
{
  static const double least[RT_TYPES] = {0, 0, INT32_MIN, -0x1p53}, most[RT_TYPES] = {0, 255, INT32_MAX, 0x1p53};

  if (type != RT_FLOAT) number = number >= least[type] ? PetscMin(number, most[type]) : number < 0 ? least[type] : 0;
  switch (type) {
  case RT_FLOAT:
    ((float *)data)[i] = (float)number;
    break;
  case RT_UINT8:
    ((uint8_t *)data)[i] = (uint8_t)number;
    break;
  case RT_INT32:
    ((int32_t *)data)[i] = (int32_t)number;
    break;
  default:
    ((int64_t *)data)[i] = (int64_t)number;
    break;
  }
}

static void convert(const RtStep *step, const void *from, void *to)
{
  const uint8_t *byte = from;
  float *number = to;

  if (step->out[0]->truth)
    for (int64_t i = 0; i < step->out[0]->size; i++) ((uint8_t *)to)[i] = get(from, step->in[0]->type, i) != 0;
  else if (step->in[0]->type == RT_UINT8 && step->out[0]->type == RT_FLOAT)
    for (int64_t i = 0; i < step->out[0]->size; i++) number[i] = byte[i];
  else
    for (int64_t i = 0; i < step->out[0]->size; i++) put(to, step->out[0]->type, i, get(from, step->in[0]->type, i));
}

static PetscErrorCode fold(RtStep *step)
{
  RtTensor *y = step->out[0];

  PetscFunctionBegin;
  PetscCall(PetscMalloc1((size_t)y->size * rt_types_size(y->type) + 1, (char **)&y->folded));
  convert(step, step->in[0]->constant, y->folded);
  PetscFunctionReturn(0);
}

static PetscErrorCode forward(const RtStep *step, RtWork *work)
{
  PetscFunctionBegin;
  convert(step, rt_op_data(work, step->in[0]), rt_op_data(work, step->out[0]));
  PetscFunctionReturn(0);
}

static bool to_float(const RtNode *node)
{
  RtType type;

  return type_of(rt_graph_attribute_int(node, "to", 0), &type) && type == RT_FLOAT;
}

const RtOp rt_op_cast = {.type = "Cast",
                         .inputs_min = 1,
                         .inputs_max = 1,
                         .opset_min = 6,
                         .renames = true,
                         .passes = 1,
                         .carries = to_float,
                         .attributes = RT_OP_ATTRIBUTES({.name = "to", .kind = RT_ATTRIBUTE_INT}),
                         .check = check,
                         .shape = shape,
                         .fold = fold,
                         .forward = forward};
