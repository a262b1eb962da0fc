#include "model/onnx_fixed.h"

#include <stdio.h>

int64_t rt_onnx_fixed_samples(const RtGraph *graph, const Onnx__GraphProto *proto)
{
  int64_t samples = 0;

  for (size_t i = 0; i < proto->n_input; i++) {
    int id = rt_graph_find(graph, proto->input[i]->name);
    const Onnx__TensorShapeProto__Dimension *first;

    if (id < 0 || graph->value[id].kind != RT_VALUE_INPUT) continue;
    first = proto->input[i]->type->tensor_type->shape->dim[0];
    if (first->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE || first->dim_value <= 0) return 0;
    if (samples && samples != first->dim_value) return 0;
    samples = first->dim_value;
  }
  return samples;
}

PetscErrorCode rt_onnx_fixed_release(RtGraph *graph, int64_t samples, int64_t allowzero, int data, int *shape)
{
  const RtValue *value = &graph->value[*shape];
  const int64_t *old = value->data;
  char name[1200];
  int64_t *changed;
  int known;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (!samples || allowzero || graph->value[data].kind == RT_VALUE_CONSTANT) PetscFunctionReturn(0);
  if (value->kind != RT_VALUE_CONSTANT || value->type != RT_INT64 || value->ndim != 1) PetscFunctionReturn(0);
  if (value->size < 1 || old[0] != samples) PetscFunctionReturn(0);
  snprintf(name, sizeof(name), "%s/any_batch", value->name);
  known = rt_graph_find(graph, name);
  if (known >= 0) {
    if (graph->value[known].kind == RT_VALUE_CONSTANT) *shape = known;
    PetscFunctionReturn(0);
  }
  PetscCall(PetscMalloc1(value->size, &changed));
  PetscCall(PetscArraycpy(changed, old, value->size));
  changed[0] = 0;
  error = rt_graph_add_value(graph, name, RT_VALUE_CONSTANT, RT_INT64, 1, value->dim, changed, shape);
  PetscCall(PetscFree(changed));
  PetscCall(error);
  PetscFunctionReturn(0);
}
