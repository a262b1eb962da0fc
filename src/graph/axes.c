/* Axes of inputs that are known by name: their lengths come from the data. */
#include "graph/parts.h"

#include <string.h>

PetscErrorCode rt_axes_add(RtGraph *graph, const char *name, int64_t *dim)
{
  int axis = 0;

  PetscFunctionBegin;
  while (axis < graph->axes && strcmp(graph->axis[axis], name) != 0) axis++;
  if (axis == graph->axes) {
    PetscCall(PetscRealloc((size_t)(axis + 1) * sizeof(*graph->axis), &graph->axis));
    PetscCall(PetscRealloc((size_t)(axis + 1) * sizeof(*graph->length), &graph->length));
    PetscCall(PetscStrallocpy(name, &graph->axis[axis]));
    graph->length[axis] = 0;
    graph->axes++;
  }
  *dim = RT_BATCH - 1 - axis;
  PetscFunctionReturn(0);
}

int rt_axes_of(int64_t dim)
{
  return dim < RT_BATCH ? (int)(RT_BATCH - 1 - dim) : -1;
}

PetscErrorCode rt_axes_copy(const RtGraph *from, RtGraph *to)
{
  int64_t dim;

  PetscFunctionBegin;
  for (int a = 0; a < from->axes; a++) {
    PetscCall(rt_axes_add(to, from->axis[a], &dim));
    to->length[rt_axes_of(dim)] = from->length[a];
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_axes_destroy(RtGraph *graph)
{
  PetscFunctionBegin;
  for (int a = 0; a < graph->axes; a++) PetscCall(PetscFree(graph->axis[a]));
  PetscCall(PetscFree(graph->axis));
  PetscCall(PetscFree(graph->length));
  PetscFunctionReturn(0);
}
