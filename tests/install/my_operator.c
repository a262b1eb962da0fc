/* An operator of a user, for -extend: my.ops.Swish, y = x / (1 + exp(-beta x)). */
#include <math.h>
#include <retort/extend.h>

static PetscErrorCode shape(RtStep *step)
{
  const RtTensor *x = step->in[0];

  PetscFunctionBegin;
  RtCheck(x->type == RT_FLOAT, "node '%s' (Swish) needs a float input", step->name);
  step->out[0]->type = RT_FLOAT;
  step->out[0]->ndim = x->ndim;
  for (int i = 0; i < x->ndim; i++) step->out[0]->dim[i] = x->dim[i];
  PetscFunctionReturn(0);
}

static PetscErrorCode forward(const RtStep *step, RtWork *work)
{
  const float beta = rt_graph_attribute_float(step->node, "beta", 1), *x = rt_op_data(work, step->in[0]);
  float *y = rt_op_data(work, step->out[0]);

  PetscFunctionBegin;
  for (int64_t i = 0; i < step->out[0]->size; i++) y[i] = x[i] / (1 + expf(-beta * x[i]));
  PetscFunctionReturn(0);
}

static PetscErrorCode backward(const RtStep *step, RtWork *work)
{
  const float beta = rt_graph_attribute_float(step->node, "beta", 1), *x = rt_op_data(work, step->in[0]);
  const float *dy = rt_op_dout(work, step->out[0]);
  float *dx = rt_op_din(work, step, 0);

  PetscFunctionBegin;
  for (int64_t i = 0; i < step->out[0]->size; i++) {
    float s = 1 / (1 + expf(-beta * x[i]));

    dx[i] = dy[i] * s * (1 + beta * x[i] * (1 - s));
  }
  PetscFunctionReturn(0);
}

static const RtOp swish = {.type = "Swish",
                           .domain = "my.ops",
                           .inputs_min = 1,
                           .inputs_max = 1,
                           .needs = RT_NEEDS_INPUT,
                           .attributes = RT_OP_ATTRIBUTES({"beta", RT_ATTRIBUTE_FLOAT, 0, 0}),
                           .shape = shape,
                           .forward = forward,
                           .backward = backward};

PetscErrorCode rt_extend(void)
{
  const RtExtend mine = {.version = RT_EXTEND_VERSION, .operators = 1, .op = &swish};

  return rt_extend_add(&mine);
}
