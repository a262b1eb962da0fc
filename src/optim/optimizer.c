#include "optim/optimizer.h"
#include "core/simd.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const RtOptimizer *const optimizers[] = {&rt_sgd_optimizer, &rt_adamw_optimizer, &rt_tao_optimizer};

enum { OPTIMIZERS = sizeof(optimizers) / sizeof(*optimizers) };

const RtOptimizer *rt_optimizer_at(int i)
{
  return i < OPTIMIZERS ? optimizers[i] : NULL;
}

const RtOptimizer *rt_optimizer_find(const char *name)
{
  for (int i = 0; i < OPTIMIZERS; i++) {
    if (!strcmp(optimizers[i]->name, name)) return optimizers[i];
  }
  return NULL;
}

const char *rt_optimizer_names(void)
{
  static char names[256];
  size_t at = 0;

  for (int i = 0; i < OPTIMIZERS; i++)
    at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", i ? "|" : "", optimizers[i]->name);
  return names;
}

enum { LANES = 16, TILE = 256 };

/* Sum of squares in LANES sums, added in order: the same bits on every processor, and quick. */
RT_SIMD static double square_sum(const float *restrict vector, int64_t count)
{
  double lane[LANES] = {0}, sum = 0;
  int64_t i = 0;

  for (; i + LANES <= count; i += LANES) {
    for (int l = 0; l < LANES; l++) lane[l] += (double)vector[i + l] * (double)vector[i + l];
  }
  for (int l = 0; i < count; i++, l++) lane[l] += (double)vector[i] * (double)vector[i];
  for (int l = 0; l < LANES; l++) sum += lane[l];
  return sum;
}

/* 1 where the norm is within the limit. */
static float shrink(double square, double limit)
{
  double norm = sqrt(square);

  return norm > limit ? (float)(limit / norm) : 1.0f;
}

/* Columns [first, first + count), count at most TILE, row by row as they lie in memory. */
RT_SIMD static void limit_columns(float *restrict weight, int64_t rows, int64_t columns, int64_t first, int64_t count,
                                  double limit)
{
  double square[TILE] = {0};
  float factor[TILE];
  bool any = false;

  for (int64_t r = 0; r < rows; r++) {
    const float *row = weight + r * columns + first;

    for (int64_t c = 0; c < count; c++) square[c] += (double)row[c] * (double)row[c];
  }
  for (int64_t c = 0; c < count; c++) {
    factor[c] = shrink(square[c], limit);
    any = any || factor[c] != 1;
  }
  for (int64_t r = 0; any && r < rows; r++) {
    float *row = weight + r * columns + first;

    for (int64_t c = 0; c < count; c++) row[c] *= factor[c];
  }
}

void rt_optimizer_max_norm(float *weight, int64_t rows, int64_t columns, bool by_row, double limit)
{
  if (!by_row) {
    for (int64_t c = 0; c < columns; c += TILE) {
      limit_columns(weight, rows, columns, c, columns - c < TILE ? columns - c : TILE, limit);
    }
    return;
  }
  for (int64_t r = 0; r < rows; r++) {
    float *row = weight + r * columns, factor = shrink(square_sum(row, columns), limit);

    if (factor == 1) continue;
    for (int64_t c = 0; c < columns; c++) row[c] *= factor;
  }
}
