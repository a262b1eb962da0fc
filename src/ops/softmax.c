/* Softmax and LogSoftmax. Before opset 13 the input is taken as a matrix, split at `axis` (1 where absent); from 13 on
   one dimension is normalised, the last where `axis` is absent.
   Backward: dx = y (dy - sum(dy y)); for the logarithm dx = dy - exp(y) sum(dy). */
#include "ops/families.h"

#include <math.h>

typedef struct {
  int64_t outer, count, inner; /* normalised over count; neighbours are `inner` elements apart */
} Softmax;

static PetscErrorCode shape(RtStep *step)
{
  const RtTensor *x = step->in[0];
  int64_t axis = rt_graph_attribute_int(step->node, "axis", step->opset < 13 ? 1 : -1);

  PetscFunctionBegin;
  RtCheck(x->type == RT_FLOAT, "node '%s' (%s) needs a float input", step->name, step->op->type);
  RtCheck(axis >= -x->ndim && axis < x->ndim, "node '%s' (%s) has no axis %lld", step->name, step->op->type,
          (long long)axis);
  step->out[0]->type = RT_FLOAT;
  step->out[0]->ndim = x->ndim;
  for (int i = 0; i < x->ndim; i++) step->out[0]->dim[i] = x->dim[i];
  PetscFunctionReturn(0);
}

static PetscErrorCode setup(RtStep *step)
{
  const RtTensor *x = step->in[0];
  int64_t axis = rt_graph_attribute_int(step->node, "axis", step->opset < 13 ? 1 : -1);
  Softmax *s;

  PetscFunctionBegin;
  PetscCall(PetscNew(&s));
  if (axis < 0) axis += x->ndim;
  s->outer = s->count = s->inner = 1;
  for (int i = 0; i < x->ndim; i++) {
    if (i < axis)
      s->outer *= x->dim[i];
    else if (i == axis || step->opset < 13)
      s->count *= x->dim[i];
    else
      s->inner *= x->dim[i];
  }
  step->data = s;
  PetscFunctionReturn(0);
}

static PetscErrorCode destroy(RtStep *step)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(step->data));
  PetscFunctionReturn(0);
}

static void normalise(const Softmax *s, bool logarithm, const float *x, float *y)
{
  float top = -INFINITY;
  double sum = 0;

  for (int64_t i = 0; i < s->count; i++) top = fmaxf(top, x[i * s->inner]);
  for (int64_t i = 0; i < s->count; i++) {
    float e = expf(x[i * s->inner] - top);

    sum += e;
    if (!logarithm) y[i * s->inner] = e;
  }
  for (int64_t i = 0; i < s->count; i++) {
    if (logarithm)
      y[i * s->inner] = (float)(x[i * s->inner] - top - log(sum));
    else
      y[i * s->inner] = (float)(y[i * s->inner] / sum);
  }
}

static PetscErrorCode forward(const RtStep *step, RtWork *work)
{
  const Softmax *s = step->data;
  const float *x = rt_op_data(work, step->in[0]);
  float *y = rt_op_data(work, step->out[0]);
  bool logarithm = step->op == &rt_op_logsoftmax;

  PetscFunctionBegin;
  for (int64_t o = 0; o < s->outer; o++)
    for (int64_t i = 0; i < s->inner; i++) {
      int64_t at = o * s->count * s->inner + i;

      normalise(s, logarithm, x + at, y + at);
    }
  PetscFunctionReturn(0);
}

static void derive(const Softmax *s, bool logarithm, const float *y, const float *dy, float *dx)
{
  double sum = 0;

  for (int64_t i = 0; i < s->count; i++)
    sum += logarithm ? (double)dy[i * s->inner] : (double)dy[i * s->inner] * y[i * s->inner];
  for (int64_t i = 0; i < s->count; i++) {
    int64_t k = i * s->inner;

    dx[k] = (float)(logarithm ? dy[k] - exp(y[k]) * sum : y[k] * (dy[k] - sum));
  }
}

static PetscErrorCode backward(const RtStep *step, RtWork *work)
{
  const Softmax *s = step->data;
  const float *y = rt_op_data(work, step->out[0]), *dy = rt_op_dout(work, step->out[0]);
  float *dx = rt_op_din(work, step, 0);

  PetscFunctionBegin;
  for (int64_t o = 0; o < s->outer; o++)
    for (int64_t i = 0; i < s->inner; i++) {
      int64_t at = o * s->count * s->inner + i;

      derive(s, step->op == &rt_op_logsoftmax, y + at, dy + at, dx + at);
    }
  PetscFunctionReturn(0);
}

#define SOFTMAX(op)                                                                                                    \
  {                                                                                                                    \
    .type = op, .inputs_min = 1, .inputs_max = 1, .opset_min = 1, .needs = RT_NEEDS_OUTPUT, .softmax = true,           \
    .attributes = RT_OP_ATTRIBUTES({.name = "axis", .kind = RT_ATTRIBUTE_INT}), .shape = shape, .setup = setup,        \
    .forward = forward, .backward = backward, .destroy = destroy                                                       \
  }

const RtOp rt_op_softmax = SOFTMAX("Softmax");
const RtOp rt_op_logsoftmax = SOFTMAX("LogSoftmax");
