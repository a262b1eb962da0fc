/* Stochastic gradient descent with momentum, as in PyTorch's SGD without dampening:
   g = gradient + decay w; v = momentum v + g; w = w - rate v, or w - rate (g + momentum v) with Nesterov. */
#include "core/simd.h"
#include "optim/optimizer.h"

typedef struct {
  float rate, decay, scale, momentum;
} Factors;

RT_SIMD static void plain(Factors f, int64_t count, float *restrict parameter, const float *restrict gradient)
{
  for (int64_t i = 0; i < count; i++) {
    float g = gradient[i] * f.scale + parameter[i] * f.decay;

    parameter[i] = parameter[i] - f.rate * g;
  }
}

RT_SIMD static void momentum(Factors f, int64_t count, float *restrict parameter, const float *restrict gradient,
                             float *restrict velocity)
{
  for (int64_t i = 0; i < count; i++) {
    float g = gradient[i] * f.scale + parameter[i] * f.decay, v = f.momentum * velocity[i] + g;

    velocity[i] = v;
    parameter[i] = parameter[i] - f.rate * v;
  }
}

RT_SIMD static void nesterov(Factors f, int64_t count, float *restrict parameter, const float *restrict gradient,
                             float *restrict velocity)
{
  for (int64_t i = 0; i < count; i++) {
    float g = gradient[i] * f.scale + parameter[i] * f.decay, v = f.momentum * velocity[i] + g;

    velocity[i] = v;
    parameter[i] = parameter[i] - f.rate * (g + f.momentum * v);
  }
}

static void update(const RtOptimizerParams *params, const RtUpdate *u)
{
  Factors f = {(float)u->rate, (float)u->weight_decay, (float)u->gradient_scale, (float)params->momentum};

  if (params->momentum == 0)
    plain(f, u->count, u->parameter, u->gradient);
  else if (params->nesterov)
    nesterov(f, u->count, u->parameter, u->gradient, u->moment[0]);
  else
    momentum(f, u->count, u->parameter, u->gradient, u->moment[0]);
}

const RtOptimizer rt_sgd_optimizer = {"sgd", "gradient descent with momentum", 1, update};
