/* An operator with state, for tests: it keeps a running mean of its columns. */
#ifndef RT_CENTRE_H
#define RT_CENTRE_H

#include "graph/parts.h"

#include <retort/operator.h>

#include <string.h>

/* y = x - mean, in training the mean of the run's own rows; input 1 is the running mean. */
static PetscErrorCode rt_centre_shape(RtStep *step)
{
  PetscFunctionBegin;
  RtCheck(step->in[1]->size == step->in[0]->dim[1], "node '%s': its state does not fit", step->name);
  step->out[0]->type = RT_FLOAT;
  step->out[0]->ndim = 2;
  step->out[0]->dim[0] = step->in[0]->dim[0];
  step->out[0]->dim[1] = step->in[0]->dim[1];
  PetscFunctionReturn(0);
}

static PetscErrorCode rt_centre_forward(const RtStep *step, RtWork *work)
{
  const float *x = rt_op_data(work, step->in[0]), *running = rt_op_data(work, step->in[1]);
  float *y = rt_op_data(work, step->out[0]), *change = rt_op_change(work, step, 1);
  int64_t rows = step->in[0]->dim[0], width = step->in[0]->dim[1];

  PetscFunctionBegin;
  for (int64_t i = 0; i < width; i++) {
    float mean = running[i];

    if (change) {
      mean = 0;
      for (int64_t r = 0; r < rows; r++) mean += x[r * width + i] / (float)rows;
      change[i] = 0.25f * (mean - running[i]);
    }
    for (int64_t r = 0; r < rows; r++) y[r * width + i] = x[r * width + i] - mean;
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode rt_centre_backward(const RtStep *step, RtWork *work)
{
  PetscFunctionBegin;
  if (rt_op_din(work, step, 0))
    memcpy(rt_op_din(work, step, 0), rt_op_dout(work, step->out[0]), (size_t)step->out[0]->size * sizeof(float));
  PetscFunctionReturn(0);
}

static const RtOp rt_centre = {.type = "TestCentre",
                               .inputs_min = 2,
                               .inputs_max = 2,
                               .state = 1 << 1,
                               .shape = rt_centre_shape,
                               .forward = rt_centre_forward,
                               .backward = rt_centre_backward};

#endif
