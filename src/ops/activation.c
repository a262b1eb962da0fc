/* Relu where it does not ride on a matrix product. y = max(x, 0); dx = dy where y > 0. */
#include "ops/families.h"

static PetscErrorCode shape(RtStep *step)
{
  const RtTensor *x = step->in[0];

  PetscFunctionBegin;
  RtCheck(x->type == RT_FLOAT, "node '%s' (Relu) needs a float input", step->name);
  step->out[0]->type = RT_FLOAT;
  step->out[0]->ndim = x->ndim;
  for (int i = 0; i < x->ndim; i++) step->out[0]->dim[i] = x->dim[i];
  PetscFunctionReturn(0);
}

static PetscErrorCode forward(const RtStep *step, RtWork *work)
{
  const float *x = rt_op_data(work, step->in[0]);
  float *y = rt_op_data(work, step->out[0]);

  PetscFunctionBegin;
  for (int64_t i = 0; i < step->out[0]->size; i++) y[i] = x[i] > 0 ? x[i] : 0;
  PetscFunctionReturn(0);
}

static PetscErrorCode backward(const RtStep *step, RtWork *work)
{
  const float *y = rt_op_data(work, step->out[0]), *dy = rt_op_dout(work, step->out[0]);
  float *dx = rt_op_din(work, step, 0);

  PetscFunctionBegin;
  for (int64_t i = 0; i < step->out[0]->size; i++) dx[i] = y[i] > 0 ? dy[i] : 0;
  PetscFunctionReturn(0);
}

const RtOp rt_op_relu = {.type = "Relu",
                         .inputs_min = 1,
                         .inputs_max = 1,
                         .opset_min = 6,
                         .needs = RT_NEEDS_OUTPUT,
                         .absorb = RT_ABSORB_RELU,
                         .shape = shape,
                         .forward = forward,
                         .backward = backward};
