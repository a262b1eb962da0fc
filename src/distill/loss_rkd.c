/* Relations (Park et al.: "Relational knowledge distillation", arXiv 1904.05068): Huber's distance, with slope 1 beyond
   1, between teacher and student of the distances of all pairs of rows, divided by their mean over the pairs of two
   rows, the cosines at each row a of the angles that two others b, c make, as means over all B² pairs and all B³
   triples of the global batch of B rows. Where a distance is 0 its derivative is taken as 0. Batches of fewer than 2
   rows have no distances, of fewer than 3 no angles.

   A rank evaluates its own rows. Of a pair it needs the distances of its own rows only, and two sums of each row of
   all; of the triples those in which an own row is the vertex a or one of the two others. */
#include "core/simd.h"
#include "distill/loss.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { DISTANCE, ANGLE };

/* One side: the teacher or the student. Rows are taken relative to the batch's mean, which changes no distance and
   keeps digits. */
typedef struct {
  int64_t rows, width;
  double *x;       /* [rows, width] */
  double *product; /* [rows, rows] ⟨x_a, x_b⟩ */
  double *inverse; /* [rows, rows] 1 / |x_a - x_b|; 0 where they are equal */
  double mean;     /* of the distances of two different rows */
} Side;

static int64_t room_of_side(int64_t rows, int width)
{
  return rows * width + 2 * rows * rows;
}

/* Takes its part of the room. */
static void start_side(int64_t rows, int width, const float *from, double **room, Side *side)
{
  *side = (Side){.rows = rows, .width = width, .x = *room};
  side->product = side->x + rows * width;
  side->inverse = side->product + rows * rows;
  *room += room_of_side(rows, width);
  for (int64_t k = 0; k < width; k++) {
    double mean = 0;

    for (int64_t r = 0; r < rows; r++) mean += from[r * width + k];
    mean /= (double)rows;
    for (int64_t r = 0; r < rows; r++) side->x[r * width + k] = from[r * width + k] - mean;
  }
}

static int64_t room(const RtLossBatch *most)
{
  return room_of_side(most->rows, most->width) + room_of_side(most->rows, most->teacher_width) +
         (2 * most->own + 1 + 3 * most->threads) * most->rows;
}

RT_SIMD static double squared_distance(int64_t width, const double *a, const double *b)
{
  enum { LANES = 8 };
  double lane[LANES] = {0}, sum = 0;
  int64_t i = 0;

  for (; i + LANES <= width; i += LANES)
    for (int l = 0; l < LANES; l++) lane[l] += (a[i + l] - b[i + l]) * (a[i + l] - b[i + l]);
  for (int l = 0; i < width; i++, l++) lane[l] += (a[i] - b[i]) * (a[i] - b[i]);
  for (int l = 0; l < LANES; l++) sum += lane[l];
  return sum;
}

/* Row a of distances: that of a row to itself is 0, of two equal ones 1e-6. One that is not a number stays so. */
static void distances(const Side *s, int64_t a, double *out)
{
  for (int64_t b = 0; b < s->rows; b++) {
    const double square = squared_distance(s->width, s->x + a * s->width, s->x + b * s->width);

    out[b] = b == a ? 0 : square <= 1e-12 ? 1e-6 : sqrt(square);
  }
}

static double huber(double x)
{
  return fabs(x) < 1 ? 0.5 * x * x : fabs(x) - 0.5;
}

static double slope(double x)
{
  return x < -1 ? -1 : x > 1 ? 1 : x;
}

static double sum_of(int64_t count, const double *x)
{
  double sum = 0;

  for (int64_t i = 0; i < count; i++) sum += x[i];
  return sum;
}

/* Collective. The mean of what each row has, over pairs of two rows. own: [rows] of which own rows are given. */
static PetscErrorCode mean_of_pairs(const RtLossBatch *batch, double *own, double *mean)
{
  PetscFunctionBegin;
  PetscCall(batch->share(batch->context, 1, own));
  *mean = sum_of(batch->rows, own) / ((double)batch->rows * (double)(batch->rows - 1));
  PetscFunctionReturn(0);
}

/* Adds factor · Σ_b pull[b] (x_a - x_b). */
RT_SIMD static void add_pulls(const Side *s, int64_t a, double factor, const double *pull, double *gradient)
{
  const double *own = s->x + a * s->width;

  for (int64_t b = 0; b < s->rows; b++) {
    const double *other = s->x + b * s->width, weight = factor * pull[b];

    if (weight != 0)
      for (int64_t k = 0; k < s->width; k++) gradient[k] += weight * (own[k] - other[k]);
  }
}

/* scratch: [2 own + 1][rows] */
static PetscErrorCode add_distances(const RtLossBatch *batch, Side *s, Side *t, double *scratch, double *value,
                                    double *gradient)
{
  const int64_t B = batch->rows;
  const double weight = batch->option[DISTANCE];
  double *d = scratch, *dt = d + batch->own * B, *sum = dt + batch->own * B, c; /* of own rows: student, teacher */

  PetscFunctionBegin;
#pragma omp parallel for num_threads(batch->threads) if (batch->threads > 1)
  for (int64_t i = 0; i < batch->own; i++) {
    distances(s, batch->first + i, d + i * B);
    distances(t, batch->first + i, dt + i * B);
  }
  for (int64_t i = 0; i < batch->own; i++) sum[batch->first + i] = sum_of(B, d + i * B);
  PetscCall(mean_of_pairs(batch, sum, &s->mean));
  for (int64_t i = 0; i < batch->own; i++) sum[batch->first + i] = sum_of(B, dt + i * B);
  PetscCall(mean_of_pairs(batch, sum, &t->mean));
  for (int64_t i = 0; i < batch->own; i++) {
    double part = 0;

    for (int64_t j = 0; j < B; j++) part += slope(d[i * B + j] / s->mean - dt[i * B + j] / t->mean) * d[i * B + j];
    sum[batch->first + i] = part / s->mean;
  }
  PetscCall(mean_of_pairs(batch, sum, &c));
#pragma omp parallel for num_threads(batch->threads) if (batch->threads > 1)
  for (int64_t i = 0; i < batch->own; i++) {
    double *own = d + i * B, part = 0;

    for (int64_t j = 0; j < B; j++) {
      const double apart = own[j], difference = apart / s->mean - dt[i * B + j] / t->mean;

      part += huber(difference);
      own[j] = apart <= 1e-6 ? 0 : (slope(difference) - c) / apart; /* from here on the pull of j */
    }
    value[i] += weight * part / (double)B;
    add_pulls(s, batch->first + i, 2 * weight * batch->weight / ((double)B * s->mean), own,
              gradient + i * batch->width);
  }
  PetscFunctionReturn(0);
}

RT_SIMD static double dot(int64_t width, const double *a, const double *b)
{
  enum { LANES = 8 };
  double lane[LANES] = {0}, sum = 0;
  int64_t i = 0;

  for (; i + LANES <= width; i += LANES)
    for (int l = 0; l < LANES; l++) lane[l] += a[i + l] * b[i + l];
  for (int l = 0; i < width; i++, l++) lane[l] += a[i] * b[i];
  for (int l = 0; l < LANES; l++) sum += lane[l];
  return sum;
}

/* Products and inverse distances of all pairs. */
static void fill_side(Side *s, int threads)
{
  const int64_t B = s->rows;

#pragma omp parallel for num_threads(threads) schedule(dynamic, 8) if (threads > 1)
  for (int64_t a = 0; a < B; a++)
    for (int64_t b = a; b < B; b++) {
      const double *x = s->x + a * s->width, *y = s->x + b * s->width;
      const double apart = squared_distance(s->width, x, y);

      s->product[a * B + b] = s->product[b * B + a] = dot(s->width, x, y);
      s->inverse[a * B + b] = s->inverse[b * B + a] = apart == 0 ? 0 : 1 / sqrt(apart);
    }
}

/* Cosines at vertex a between row b and all rows c. */
RT_SIMD_INLINE void cosines(const Side *s, int64_t a, int64_t b, double *restrict out)
{
  const int64_t B = s->rows;
  const double *restrict at_a = s->product + a * B, *restrict at_b = s->product + b * B;
  const double *restrict inverse = s->inverse + a * B;
  const double rest = at_a[a] - at_a[b], scale = inverse[b];

  for (int64_t c = 0; c < B; c++) out[c] = (at_b[c] - at_a[c] + rest) * scale * inverse[c];
}

/* Of the triples with vertex a and b: Σ_c huber, Σ_c g/(r_ab r_ac), and Σ_c g cos; g is the slope. */
RT_SIMD static void triples(const Side *s, const Side *t, int64_t a, int64_t b, double *restrict cs,
                            double *restrict ct, double sum[3])
{
  enum { LANES = 8 };
  const double *restrict inverse = s->inverse + a * s->rows, scale = inverse[b];
  double value[LANES] = {0}, pull[LANES] = {0}, turn[LANES] = {0};

  cosines(s, a, b, cs);
  cosines(t, a, b, ct);
  for (int64_t first = 0; first < s->rows; first += LANES) {
    const int count = (int)(s->rows - first < LANES ? s->rows - first : LANES);

    for (int l = 0; l < count; l++) {
      const double x = cs[first + l] - ct[first + l], g = x < -1 ? -1 : x > 1 ? 1 : x;

      value[l] += g * (x - 0.5 * g); /* x²/2 within 1, |x| - 1/2 beyond */
      pull[l] += g * inverse[first + l];
      turn[l] += g * cs[first + l];
    }
  }
  memset(sum, 0, 3 * sizeof(*sum));
  for (int l = 0; l < LANES; l++) {
    sum[0] += value[l];
    sum[1] += pull[l] * scale;
    sum[2] += turn[l];
  }
}

/* Σ_a g_abc / (r_ab r_ac): the triples in which b and c are the others. */
RT_SIMD static double across(const Side *s, const Side *t, int64_t b, int64_t c)
{
  enum { LANES = 8 };
  const int64_t B = s->rows;
  const double *restrict sb = s->product + b * B, *restrict sc = s->product + c * B;
  const double *restrict tb = t->product + b * B, *restrict tc = t->product + c * B;
  const double *restrict isb = s->inverse + b * B, *restrict isc = s->inverse + c * B;
  const double *restrict itb = t->inverse + b * B, *restrict itc = t->inverse + c * B;
  double lane[LANES] = {0}, sum = 0;

  for (int64_t first = 0; first < B; first += LANES) {
    const int count = (int)(B - first < LANES ? B - first : LANES);

    for (int l = 0; l < count; l++) {
      const int64_t a = first + l;
      const double scale = isb[a] * isc[a];
      const double cs = (sb[c] - sb[a] - sc[a] + s->product[a * B + a]) * scale;
      const double ct = (tb[c] - tb[a] - tc[a] + t->product[a * B + a]) * itb[a] * itc[a];
      const double x = cs - ct, g = x < -1 ? -1 : x > 1 ? 1 : x;

      lane[l] += g * scale;
    }
  }
  for (int l = 0; l < LANES; l++) sum += lane[l];
  return sum;
}

/* Angles of own row i: its share as a vertex, and its gradient as a vertex and as one of the others. */
static void add_angles(const RtLossBatch *batch, const Side *s, const Side *t, int64_t i, double *scratch,
                       double *value, double *gradient)
{
  const int64_t B = batch->rows, own = batch->first + i;
  const double weight = batch->option[ANGLE];
  double *pull = scratch, *cs = scratch + B, *ct = scratch + 2 * B, total = 0;

  for (int64_t j = 0; j < B; j++) {
    double mine[3], theirs[3], inverse = s->inverse[own * B + j];

    triples(s, t, own, j, cs, ct, mine);
    total += mine[0];
    pull[j] = 0;
    if (inverse == 0) continue;
    triples(s, t, j, own, cs, ct, theirs);
    pull[j] = mine[1] + theirs[1] - (mine[2] + theirs[2]) * inverse * inverse - across(s, t, own, j);
  }
  value[i] += weight * total / ((double)B * (double)B);
  add_pulls(s, own, 2 * weight * batch->weight / ((double)B * (double)B), pull, gradient + i * batch->width);
}

/* scratch: [threads][3][rows] */
static void add_all_angles(const RtLossBatch *batch, Side *s, Side *t, double *scratch, double *value, double *gradient)
{
  fill_side(s, batch->threads);
  fill_side(t, batch->threads);
#pragma omp parallel for num_threads(batch->threads) schedule(dynamic) if (batch->threads > 1)
  for (int64_t i = 0; i < batch->own; i++)
    add_angles(batch, s, t, i, scratch + 3 * batch->rows * omp_get_thread_num(), value, gradient);
}

static PetscErrorCode meet(const RtLossBatch *batch, double *value, double *gradient)
{
  const int64_t B = batch->rows;
  double *scratch = batch->room;
  Side s, t;

  PetscFunctionBegin;
  PetscCall(PetscArrayzero(value, batch->own));
  PetscCall(PetscArrayzero(gradient, batch->own * batch->width));
  if (B < 2) PetscFunctionReturn(0);
  start_side(B, batch->width, batch->student, &scratch, &s);
  start_side(B, batch->teacher_width, batch->teacher, &scratch, &t);
  if (batch->option[DISTANCE] > 0) PetscCall(add_distances(batch, &s, &t, scratch, value, gradient));
  scratch += (2 * batch->own + 1) * B;
  if (batch->option[ANGLE] > 0 && B > 2) add_all_angles(batch, &s, &t, scratch, value, gradient);
  PetscFunctionReturn(0);
}

const RtLoss rt_loss_rkd = {.name = "rkd",
                            .help = "distances and angles between the rows of the batch (relational distillation)",
                            .traits = RT_LOSS_TEACHER | RT_LOSS_WIDTHS,
                            .option = {{"distance", 25, 0, 1e9, "weight of the distances of pairs"},
                                       {"angle", 50, 0, 1e9, "weight of the angles of triples"}},
                            .meet = meet,
                            .room = room};
