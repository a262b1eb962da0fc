/* Gather: rows of a table by number, y[outer, index…, inner] = x[outer, index, inner] along an axis. The table is a
   parameter (an embedding) or a value; the numbers are known when the plan is made or come with each run. Negative ones
   count from the end.
   Backward: dx = 0, then dy is added to the rows that were taken, in the order of dy. */
#include "ops/axis.h"
#include "ops/families.h"

#include <string.h>

typedef struct {
  int64_t outer, length, inner; /* of the table: before the axis, of the axis, behind it */
  int64_t count;                /* numbers */
} Gather;

static Gather gather_of(const RtStep *step)
{
  const RtTensor *x = step->in[0];
  int axis = 0;

  (void)rt_axis_find(step, 0, x->ndim, &axis); /* it was found when the plan was made */
  return (Gather){rt_axis_outer(x, axis), x->dim[axis], rt_axis_inner(x, axis), step->in[1]->size};
}

static PetscErrorCode shape(RtStep *step)
{
  const RtTensor *x = step->in[0], *index = step->in[1];
  RtTensor *y = step->out[0];
  int axis;

  PetscFunctionBegin;
  PetscCall(rt_axis_find(step, 0, x->ndim, &axis));
  RtCheck(index->type == RT_INT64 || index->type == RT_INT32, "node '%s' (Gather): its indices are not int32 or int64",
          step->name);
  RtCheck(x->ndim - 1 + index->ndim <= RT_MAX_DIM, "node '%s' (Gather): its result has more than %d dimensions",
          step->name, (int)RT_MAX_DIM);
  y->type = x->type;
  y->truth = x->truth;
  y->ndim = 0;
  for (int i = 0; i < axis; i++) y->dim[y->ndim++] = x->dim[i];
  for (int i = 0; i < index->ndim; i++) y->dim[y->ndim++] = index->dim[i];
  for (int i = axis + 1; i < x->ndim; i++) y->dim[y->ndim++] = x->dim[i];
  PetscFunctionReturn(0);
}

/* Number i of the indices, from 0; -1 where it is out of range. */
static int64_t row_of(const Gather *g, const RtTensor *index, const void *data, int64_t i, int64_t *number)
{
  *number = index->type == RT_INT64 ? ((const int64_t *)data)[i] : ((const int32_t *)data)[i];
  if (*number >= g->length || *number < -g->length) return -1;
  return *number < 0 ? *number + g->length : *number;
}

static PetscErrorCode apply(const RtStep *step, const void *x, const void *index, void *y)
{
  const Gather g = gather_of(step);
  size_t row = (size_t)g.inner * rt_types_size(step->in[0]->type);
  char *to = y;

  PetscFunctionBegin;
  for (int64_t i = 0; i < g.count; i++) {
    int64_t number;

    RtCheck(row_of(&g, step->in[1], index, i, &number) >= 0,
            "node '%s' (Gather): '%s' holds %lld, but there are %lld rows to choose from", step->name,
            step->in[1]->name, (long long)number, (long long)g.length);
  }
  for (int64_t o = 0; o < g.outer; o++)
    for (int64_t i = 0; i < g.count; i++, to += row) {
      int64_t number, k = row_of(&g, step->in[1], index, i, &number);

      memcpy(to, (const char *)x + (size_t)(o * g.length + k) * row, row);
    }
  PetscFunctionReturn(0);
}

static PetscErrorCode fold(RtStep *step)
{
  PetscFunctionBegin;
  PetscCall(rt_axis_fold(step->out[0]));
  PetscCall(apply(step, step->in[0]->constant, step->in[1]->constant, step->out[0]->folded));
  PetscFunctionReturn(0);
}

static PetscErrorCode forward(const RtStep *step, RtWork *work)
{
  PetscFunctionBegin;
  PetscCall(apply(step, rt_op_data(work, step->in[0]), rt_op_data(work, step->in[1]), rt_op_data(work, step->out[0])));
  PetscFunctionReturn(0);
}

static PetscErrorCode backward(const RtStep *step, RtWork *work)
{
  const Gather g = gather_of(step);
  const void *index = rt_op_data(work, step->in[1]);
  const float *dy = rt_op_dout(work, step->out[0]);
  float *dx = rt_op_din(work, step, 0);

  PetscFunctionBegin;
  memset(dx, 0, (size_t)step->in[0]->size * sizeof(float));
  for (int64_t o = 0; o < g.outer; o++)
    for (int64_t i = 0; i < g.count; i++, dy += g.inner) {
      int64_t number, k = row_of(&g, step->in[1], index, i, &number);
      float *to = dx + (o * g.length + k) * g.inner;

      for (int64_t j = 0; j < g.inner; j++) to[j] += dy[j];
    }
  PetscFunctionReturn(0);
}

const RtOp rt_op_gather = {.type = "Gather",
                           .inputs_min = 2,
                           .inputs_max = 2,
                           .opset_min = 1,
                           .trainable = 1,
                           .passes = 1,
                           .needs = RT_NEEDS_INPUT,
                           .attributes = RT_OP_ATTRIBUTES({.name = "axis", .kind = RT_ATTRIBUTE_INT}),
                           .shape = shape,
                           .fold = fold,
                           .forward = forward,
                           .backward = backward};
