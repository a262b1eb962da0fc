/* Adam with decoupled weight decay, as in PyTorch's AdamW (Loshchilov and Hutter, arXiv 1711.05101):
   w = w (1 - rate decay); m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g²;
   w = w - rate / (1 - beta1^step) m / (√v / √(1 - beta2^step) + epsilon). */
#include "core/simd.h"
#include "optim/optimizer.h"

#include <math.h>

typedef struct {
  float scale, keep, beta1, rest1, beta2, rest2, rate, root, epsilon;
} Factors;

/* The build says -fno-math-errno: else the square root would be a call, and the loop would stay scalar. */
RT_SIMD static void adamw(Factors f, int64_t count, float *restrict parameter, const float *restrict gradient,
                          float *restrict first, float *restrict second)
{
  for (int64_t i = 0; i < count; i++) {
    float g = gradient[i] * f.scale, m = f.beta1 * first[i] + f.rest1 * g, v = f.beta2 * second[i] + f.rest2 * g * g;

    first[i] = m;
    second[i] = v;
    parameter[i] = parameter[i] * f.keep - f.rate * (m / (sqrtf(v) / f.root + f.epsilon));
  }
}

static void update(const RtOptimizerParams *params, const RtUpdate *u)
{
  const double correction1 = 1 - pow(params->beta1, (double)u->step);
  const double correction2 = 1 - pow(params->beta2, (double)u->step);
  Factors f = {.scale = (float)u->gradient_scale,
               .keep = (float)(1 - u->rate * u->weight_decay),
               .beta1 = (float)params->beta1,
               .rest1 = (float)(1 - params->beta1),
               .beta2 = (float)params->beta2,
               .rest2 = (float)(1 - params->beta2),
               .rate = (float)(u->rate / correction1),
               .root = (float)sqrt(correction2),
               .epsilon = (float)params->epsilon};

  adamw(f, u->count, u->parameter, u->gradient, u->moment[0], u->moment[1]);
}

const RtOptimizer rt_adamw_optimizer = {"adamw", "Adam with weight decay of its own", 2, update};
