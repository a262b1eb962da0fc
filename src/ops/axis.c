#include "ops/axis.h"

PetscErrorCode rt_axis_find(const RtStep *step, int64_t absent, int ndim, int *axis)
{
  int64_t number = rt_graph_attribute_int(step->node, "axis", absent);

  PetscFunctionBegin;
  RtCheck(number >= -ndim && number < ndim, "node '%s' (%s) has no axis %lld", step->name, step->op->type,
          (long long)number);
  *axis = (int)(number < 0 ? number + ndim : number);
  PetscFunctionReturn(0);
}

int64_t rt_axis_outer(const RtTensor *tensor, int axis)
{
  int64_t count = 1;

  for (int i = 0; i < axis; i++) count *= tensor->dim[i];
  return count;
}

int64_t rt_axis_inner(const RtTensor *tensor, int axis)
{
  int64_t count = 1;

  for (int i = axis + 1; i < tensor->ndim; i++) count *= tensor->dim[i];
  return count;
}

void rt_axis_like(const RtTensor *x, RtTensor *y)
{
  y->type = x->type;
  y->truth = x->truth;
  y->ndim = x->ndim;
  for (int i = 0; i < x->ndim; i++) y->dim[i] = x->dim[i];
}

PetscErrorCode rt_axis_fold(RtTensor *y)
{
  PetscFunctionBegin;
  PetscCall(PetscCalloc1((size_t)y->size * rt_types_size(y->type) + 1, (char **)&y->folded));
  PetscFunctionReturn(0);
}
