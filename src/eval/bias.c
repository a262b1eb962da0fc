#include "eval/bias.h"

#include <math.h>
#include <stdlib.h>

/* The winners inside and outside the named classes decide: adding b changes only which of the two is larger. */
void rt_bias_add(RtBias *bias, const float *logits, int32_t label)
{
  int winner[2] = {-1, -1};

  for (int k = 0; k < bias->width; k++) {
    int *w = &winner[bias->named[k]];

    if (*w < 0 || logits[k] > logits[*w]) *w = k;
  }
  bias->count++;
  for (int s = -1; s < RT_BIAS_STEPS; s++) {
    double b = s < 0 ? bias->fixed : rt_bias_value(s);
    bool inside = winner[1] >= 0 && (winner[0] < 0 || logits[winner[1]] + b > logits[winner[0]]);
    int prediction = winner[inside];

    if (s >= 0) {
      bias->correct_at[s] += prediction == label;
      continue;
    }
    bias->correct += prediction == label;
    if (!bias->confusion) continue;
#pragma omp atomic
    bias->confusion[(int64_t)label * bias->width + prediction]++;
  }
}

int rt_bias_best(const RtBias *bias)
{
  int best = RT_BIAS_STEPS / 2;

  for (int distance = 1; distance <= RT_BIAS_STEPS / 2; distance++)
    for (int sign = -1; sign <= 1; sign += 2) {
      int s = RT_BIAS_STEPS / 2 + sign * distance;

      if (bias->correct_at[s] > bias->correct_at[best]) best = s;
    }
  return best;
}
