#include "distill/softmax.h"
#include "core/simd.h"

#include <math.h>
#include <string.h>

enum { LANES = 8 };

static inline int round_up(int count)
{
  return (count + LANES - 1) / LANES * LANES;
}

/* exp(x) = 2^k exp(r) with |r| ≤ log(2) / 2, and the Taylor series of exp(r) to r^13: the next term is below 1e-17.
   A number that is not finite stays one that is not a number. */
RT_SIMD_INLINE double exponential(double x)
{
  const double log2e = 1.4426950408889634, high = 0.693147180369123816490, low = 1.90821492927058770002e-10;
  const double shifter = 0x1.8p52 + 1023; /* after adding it, the low bits are the exponent 1023 + k */
  double power, shifted, k, r, r2, r4, r8, low4, mid4, high6;
  uint64_t bits;

  x = x < -708 ? -708 : x; /* There is no branch to break the vectors, and no denormal number. */
  shifted = x * log2e + shifter;
  k = shifted - shifter;
  r = (x - k * high) - k * low;
  memcpy(&bits, &shifted, sizeof(bits));
  bits <<= 52;
  memcpy(&power, &bits, sizeof(power));
  /* Estrin's order: short chains, so that a row of few classes does not wait for them. */
  r2 = r * r;
  r4 = r2 * r2;
  r8 = r4 * r4;
  low4 = (1.0 + r) + (0.5 + r * (1.0 / 6)) * r2;
  mid4 = (1.0 / 24 + r * (1.0 / 120)) + (1.0 / 720 + r * (1.0 / 5040)) * r2;
  high6 = (1.0 / 40320 + r * (1.0 / 362880)) + (1.0 / 3628800 + r * (1.0 / 39916800)) * r2 +
          (1.0 / 479001600 + r * (1.0 / 6227020800)) * r4;
  return (low4 + mid4 * r4 + high6 * r8) * power;
}

RT_SIMD void rt_softmax_exp(double *x, int count)
{
  for (int i = 0; i < count; i++) x[i] = exponential(x[i]);
}

RT_SIMD double rt_softmax_sum(const double *x, int count)
{
  double lane[LANES] = {0}, sum = 0;
  int i = 0;

  for (; i + LANES <= count; i += LANES) {
    for (int l = 0; l < LANES; l++) lane[l] += x[i + l];
  }
  for (int l = 0; i < count; i++, l++) lane[l] += x[i];
  for (int l = 0; l < LANES; l++) sum += lane[l];
  return sum;
}

RT_SIMD static double largest(int width, const float *logit)
{
  float lane[LANES], max;
  int i = 0;

  for (int l = 0; l < LANES; l++) lane[l] = logit[0];
  for (; i + LANES <= width; i += LANES) {
    for (int l = 0; l < LANES; l++) lane[l] = logit[i + l] > lane[l] ? logit[i + l] : lane[l];
  }
  for (int l = 0; i < width; i++, l++) lane[l] = logit[i] > lane[l] ? logit[i] : lane[l];
  max = lane[0];
  for (int l = 1; l < LANES; l++) max = lane[l] > max ? lane[l] : max;
  return max;
}

RT_SIMD void rt_softmax_row(int width, const float *logit, double temperature, RtSoftmax *row)
{
  double *value = row->exponential;

  row->max = largest(width, logit);
  row->inverse = 1 / temperature;
  row->sum = 0;
  row->kept = width <= RT_SOFTMAX_PIECE;
  for (int first = 0; first < width; first += RT_SOFTMAX_PIECE) {
    int count = width - first < RT_SOFTMAX_PIECE ? width - first : RT_SOFTMAX_PIECE;

    for (int i = 0; i < count; i++) value[i] = ((double)logit[first + i] - row->max) * row->inverse;
    for (int i = count; i < round_up(count); i++) value[i] = 0;
    rt_softmax_exp(value, round_up(count));
    row->sum += rt_softmax_sum(value, count);
  }
  row->log_sum = log(row->sum);
}

RT_SIMD void rt_softmax_get(const RtSoftmax *row, const float *logit, int count, double *restrict log_probability,
                            double *restrict probability)
{
  for (int i = 0; i < count; i++) {
    log_probability[i] = ((double)logit[i] - row->max) * row->inverse - row->log_sum;
  }
  if (row->kept) {
    for (int i = 0; i < count; i++) probability[i] = row->exponential[i] / row->sum;
    return;
  }
  for (int i = 0; i < count; i++) probability[i] = log_probability[i];
  for (int i = count; i < round_up(count); i++) probability[i] = 0;
  rt_softmax_exp(probability, round_up(count));
}

int rt_softmax_largest(int width, const float *logit)
{
  int best = 0;

  for (int i = 1; i < width; i++) {
    if (logit[i] > logit[best]) best = i;
  }
  return best;
}

PetscErrorCode rt_softmax_rows(const RtLossRows *rows, double *value, double *gradient,
                               double (*row)(const RtLossRows *rows, int64_t r, double *gradient))
{
  PetscFunctionBegin;
  for (int64_t r = 0; r < rows->rows; r++)
    value[r] = rows->sample[r] < 0 ? 0 : row(rows, r, gradient + r * rows->width);
  PetscFunctionReturn(0);
}
