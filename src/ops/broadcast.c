#include "ops/broadcast.h"

#include <string.h>

/* Dimension i of x when its shape is written under y's, aligned to the right. */
static int64_t under(const RtTensor *x, const RtTensor *y, int i)
{
  int k = i - (y->ndim - x->ndim);

  return k < 0 ? 1 : x->dim[k];
}

PetscErrorCode rt_broadcast_shape(const char *node, const RtTensor *a, const RtTensor *b, RtTensor *y)
{
  PetscFunctionBegin;
  y->ndim = PetscMax(a->ndim, b->ndim);
  for (int i = 0; i < y->ndim; i++) {
    int64_t p = under(a, y, i), q = under(b, y, i);

    RtCheck(p == q || p == 1 || q == 1,
            "node '%s': the shapes of its inputs do not fit: %lld meets %lld in dimension %d", node, (long long)p,
            (long long)q, i);
    y->dim[i] = p == 1 ? q : p;
  }
  PetscFunctionReturn(0);
}

bool rt_broadcast_fits(const RtTensor *x, const RtTensor *y)
{
  if (x->ndim > y->ndim) return false;
  for (int i = 0; i < y->ndim; i++)
    if (under(x, y, i) != 1 && under(x, y, i) != y->dim[i]) return false;
  return true;
}

void rt_broadcast_start(RtBroadcast *walk, const RtTensor *a, const RtTensor *b, const RtTensor *y)
{
  const RtTensor *x[2] = {a, b ? b : a};
  int64_t step[2] = {1, 1}, stride[2][RT_MAX_DIM];
  int n = 0;

  memset(walk, 0, sizeof(*walk));
  for (int i = y->ndim - 1; i >= 0; i--)
    for (int k = 0; k < 2; k++) {
      stride[k][i] = under(x[k], y, i) == 1 ? 0 : step[k];
      step[k] *= under(x[k], y, i);
    }
  /* join from the inside outwards; walk->dim[0] is the innermost */
  for (int i = y->ndim - 1; i >= 0; i--) {
    bool joins = n > 0;

    if (y->dim[i] == 1) continue;
    for (int k = 0; k < 2; k++) joins = joins && stride[k][i] == walk->stride[k][n - 1] * walk->dim[n - 1];
    if (joins) {
      walk->dim[n - 1] *= y->dim[i];
      continue;
    }
    walk->dim[n] = y->dim[i];
    for (int k = 0; k < 2; k++) walk->stride[k][n] = stride[k][i];
    n++;
  }
  if (n == 0) walk->dim[n++] = 1;
  walk->ndim = n;
  walk->run = walk->dim[0];
  walk->runs = y->size == 0 ? 0 : 1;
  for (int i = 1; i < n; i++) walk->runs *= walk->dim[i];
}

void rt_broadcast_next(RtBroadcast *walk)
{
  for (int i = 1; i < walk->ndim; i++) {
    for (int k = 0; k < 2; k++) walk->at[k] += walk->stride[k][i];
    if (++walk->index[i] < walk->dim[i]) return;
    for (int k = 0; k < 2; k++) walk->at[k] -= walk->stride[k][i] * walk->dim[i];
    walk->index[i] = 0;
  }
}

void rt_broadcast_add(float factor, const float *x, const RtTensor *x_shape, float *y, const RtTensor *y_shape)
{
  RtBroadcast walk;

  rt_broadcast_start(&walk, x_shape, NULL, y_shape);
  for (int64_t r = 0; r < walk.runs; r++, rt_broadcast_next(&walk)) {
    const float *from = x + walk.at[0];
    float *to = y + r * walk.run;

    if (walk.stride[0][0])
      for (int64_t i = 0; i < walk.run; i++) to[i] += factor * from[i];
    else
      for (int64_t i = 0; i < walk.run; i++) to[i] += factor * from[0];
  }
}

void rt_broadcast_reduce(float factor, const float *dy, const RtTensor *y_shape, float *dx, const RtTensor *x_shape)
{
  RtBroadcast walk;

  memset(dx, 0, (size_t)x_shape->size * sizeof(float));
  rt_broadcast_start(&walk, x_shape, NULL, y_shape);
  for (int64_t r = 0; r < walk.runs; r++, rt_broadcast_next(&walk)) {
    const float *restrict from = dy + r * walk.run;
    float *restrict to = dx + walk.at[0];

    if (walk.stride[0][0]) {
      for (int64_t i = 0; i < walk.run; i++) to[i] += from[i];
    } else {
      float sum = 0;

      for (int64_t i = 0; i < walk.run; i++) sum += from[i];
      to[0] += sum;
    }
  }
  if (factor != 1)
    for (int64_t i = 0; i < x_shape->size; i++) dx[i] *= factor;
}
