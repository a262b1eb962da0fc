/* Losses: values against the formulas in long double, gradients against their finite differences, padding, parts of a
   batch, and logits so large that a careless sum overflows. PyTorch's values: tests/conformance/test_losses.py. */
#include "test.h"

#include "core/random.h"
#include "distill/loss.h"
#include "distill/softmax.h"

#include <math.h>
#include <string.h>

enum { ROWS = 7, MOST = 600 };

typedef struct {
  RtLossBatch batch;
  int64_t sample[ROWS];
  float student[ROWS * MOST], teacher[ROWS * MOST], target[ROWS * MOST], gradient[ROWS * MOST];
  int32_t label[ROWS];
} Data;

/* Rows 2 and 6 are padding. */
static void draw(Data *d, int width, float size)
{
  uint32_t key[2];

  rt_random_key(4, RT_RANDOM_INIT, key);
  rt_random_normal(key, 0, ROWS * width, d->student);
  rt_random_normal(key, 1, ROWS * width, d->teacher);
  rt_random_normal(key, 2, ROWS * width, d->target);
  for (int i = 0; i < ROWS * width; i++) {
    d->student[i] *= size;
    d->teacher[i] *= size;
    d->gradient[i] = NAN;
  }
  for (int r = 0; r < ROWS; r++) {
    d->sample[r] = r == 2 || r == 6 ? -1 : 100 + r;
    d->label[r] = (3 * r + 1) % width;
  }
  d->batch = (RtLossBatch){ROWS, width, d->sample, d->student, d->teacher, d->label, d->target, 0.125};
}

/* T log Σ exp(z / T): log p = (z - it) / T. */
static long double log_sum(const long double *z, int width, long double T)
{
  long double max = z[0], sum = 0;

  for (int i = 1; i < width; i++) max = z[i] > max ? z[i] : max;
  for (int i = 0; i < width; i++) sum += expl((z[i] - max) / T);
  return max + T * logl(sum);
}

/* Both terms of one row, in long double and as they stand in the papers. */
static void formula(const char *name, const RtLossParams *p, const Data *d, int r, const long double *z,
                    long double *soft, long double *hard)
{
  const int width = d->batch.width;
  const long double T = p->temperature;
  long double t[MOST] = {0}, t_sum, z_sum, plain_sum;

  *soft = *hard = 0;
  for (int j = 0; j < width; j++) t[j] = d->teacher[r * width + j];
  t_sum = log_sum(t, width, T);
  z_sum = log_sum(z, width, T);
  plain_sum = log_sum(z, width, 1);
  for (int j = 0; j < width; j++) {
    if (!strcmp(name, "mse")) {
      *soft += (z[j] - t[j]) * (z[j] - t[j]) / width;
      *hard += (z[j] - (long double)d->target[r * width + j]) * (z[j] - (long double)d->target[r * width + j]) / width;
      continue;
    }
    if (!strcmp(name, "kl")) {
      long double log_t = (t[j] - t_sum) / T;

      *soft += T * T * expl(log_t) * (log_t - (z[j] - z_sum) / T);
    } else {
      *soft += (z[j] - t[j]) * (z[j] - t[j]) / 2;
    }
    *hard -= ((1 - p->label_smoothing) * (d->label[r] == j) + p->label_smoothing / width) * (z[j] - plain_sum);
  }
  if (p->alpha == 0) *soft = 0;
  if (p->alpha == 1) *hard = 0;
}

static long double total(const char *name, const RtLossParams *p, const Data *d, int r, const long double *z)
{
  long double soft, hard;

  formula(name, p, d, r, z, &soft, &hard);
  return p->alpha * soft + (1 - p->alpha) * hard;
}

static bool near(long double value, long double expected, long double relative)
{
  return fabsl(value - expected) <= relative * fabsl(expected);
}

static PetscErrorCode test_values(const char *name, int width, RtLossParams p)
{
  static Data d;
  const RtLoss *loss = rt_loss_find(name);
  RtLossSums sums = {0};
  long double soft = 0, hard = 0, correct = 0, z[MOST];

  PetscFunctionBegin;
  draw(&d, width, 3);
  if (p.alpha == 0) d.batch.teacher = NULL;
  if (p.alpha == 1) d.batch.target = NULL;
  PetscCall(loss->evaluate(&p, &d.batch, d.gradient, &sums));
  for (int r = 0; r < ROWS; r++) {
    long double row_soft, row_hard;
    int best = 0;

    for (int j = 0; j < width; j++) {
      z[j] = d.student[r * width + j];
      if (d.student[r * width + j] > d.student[r * width + best]) best = j;
      if (d.sample[r] < 0) RT_TEST_CHECK(d.gradient[r * width + j] == 0, "%s: padding has a gradient", name);
    }
    if (d.sample[r] < 0) continue;
    formula(name, &p, &d, r, z, &row_soft, &row_hard);
    soft += row_soft;
    hard += row_hard;
    correct += !loss->regression && best == d.label[r];
    for (int j = 0; j < width; j += width / 5 + 1) {
      const long double was = z[j], h = 1e-5L, scale = d.batch.scale, is = d.gradient[r * width + j];
      long double up, down, slope;

      z[j] = was + h;
      up = total(name, &p, &d, r, z);
      z[j] = was - h;
      down = total(name, &p, &d, r, z);
      z[j] = was;
      slope = scale * (up - down) / (2 * h);
      RT_TEST_CHECK(fabsl(is - slope) <= 1e-7L * fabsl(slope) + 1e-10L, "%s T %g alpha %g [%d, %d]: %.9Lg, not %.9Lg",
                    name, p.temperature, p.alpha, r, j, is, slope);
    }
  }
  RT_TEST_CHECK(near(sums.soft, soft, 1e-12L), "%s T %g: soft %.17g, not %.17Lg", name, p.temperature, sums.soft, soft);
  RT_TEST_CHECK(near(sums.hard, hard, 1e-12L), "%s: hard %.17g, not %.17Lg", name, sums.hard, hard);
  RT_TEST_CHECK(near(sums.total, p.alpha * soft + (1 - p.alpha) * hard, 1e-12L), "%s: total %.17g", name, sums.total);
  RT_TEST_CHECK(sums.count == 5 && sums.correct == (double)correct, "%s: %g correct of %g", name, sums.correct,
                sums.count);
  PetscFunctionReturn(0);
}

/* A part of the rows after the other gives the same bits as all rows at once. */
static PetscErrorCode test_parts(const char *name, int width)
{
  static Data d;
  static float gradient[ROWS * MOST];
  const RtLossParams p = {2.5, 0.3, 0.1};
  RtLossSums whole = {0}, parts = {0};

  PetscFunctionBegin;
  draw(&d, width, 3);
  PetscCall(rt_loss_find(name)->evaluate(&p, &d.batch, d.gradient, &whole));
  for (int first = 0; first < ROWS; first += 4) {
    RtLossBatch part = d.batch;

    part.rows = ROWS - first < 4 ? ROWS - first : 4;
    part.sample += first;
    part.student += first * width;
    part.teacher += first * width;
    part.label += first;
    part.target += first * width;
    PetscCall(rt_loss_find(name)->evaluate(&p, &part, gradient + first * width, &parts));
  }
  RT_TEST_CHECK(!memcmp(&whole, &parts, sizeof(whole)), "%s: sums of parts differ", name);
  RT_TEST_CHECK(!memcmp(gradient, d.gradient, (size_t)(ROWS * width) * sizeof(float)), "%s: gradients differ", name);
  PetscFunctionReturn(0);
}

static bool all_finite(const Data *d, const RtLossSums *s)
{
  bool finite = isfinite(s->total) && isfinite(s->soft) && isfinite(s->hard);

  for (int i = 0; i < ROWS * d->batch.width; i++) finite = finite && isfinite(d->gradient[i]);
  return finite;
}

static PetscErrorCode test_large(void)
{
  static Data d;
  const RtLossParams p = {1, 0.5, 0.1};

  PetscFunctionBegin;
  for (int width = 3; width <= MOST; width += 297) {
    for (int kind = 0; kind < 2; kind++) {
      RtLossSums sums = {0};

      draw(&d, width, 1e4f);
      PetscCall(rt_loss_find(kind ? "kl" : "logits")->evaluate(&p, &d.batch, d.gradient, &sums));
      RT_TEST_CHECK(all_finite(&d, &sums) && sums.soft > 0 && sums.hard > 0, "width %d: %g", width, sums.total);
      d.student[1] = NAN;
      PetscCall(rt_loss_find(kind ? "kl" : "logits")->evaluate(&p, &d.batch, d.gradient, &sums));
      RT_TEST_CHECK(isnan(sums.total) && isnan(d.gradient[1]), "width %d: a NaN is lost", width);
    }
  }
  PetscFunctionReturn(0);
}

/* All labels are first of equals; without labels nothing is counted as correct. */
static PetscErrorCode test_labels(void)
{
  static Data d;
  const RtLossParams p = {2, 1, 0};
  RtLossSums sums = {0};

  PetscFunctionBegin;
  draw(&d, 4, 1);
  for (int i = 0; i < ROWS * 4; i++) d.student[i] = i % 4 == 0 ? 0.5f : 1;
  for (int r = 0; r < ROWS; r++) d.label[r] = 1;
  PetscCall(rt_loss_find("kl")->evaluate(&p, &d.batch, d.gradient, &sums));
  RT_TEST_CHECK(sums.correct == 5 && sums.hard == 0, "correct %g, hard %g", sums.correct, sums.hard);
  for (int r = 0; r < ROWS; r++) d.label[r] = 2;
  sums = (RtLossSums){0};
  PetscCall(rt_loss_find("kl")->evaluate(&p, &d.batch, d.gradient, &sums));
  RT_TEST_CHECK(sums.correct == 0, "the last of equals is taken");
  d.batch.label = NULL;
  sums = (RtLossSums){0};
  PetscCall(rt_loss_find("kl")->evaluate(&p, &d.batch, d.gradient, &sums));
  RT_TEST_CHECK(sums.correct == 0 && sums.count == 5 && sums.total > 0, "without labels");
  PetscFunctionReturn(0);
}

/* The exponential, at every place of the vectors. */
static void test_exponential(void)
{
  double x[1001];

  for (int count = 0; count <= 1001; count += 7) {
    for (int i = 0; i < count; i++) x[i] = -708 * pow(i / 1001.0, 4);
    rt_softmax_exp(x, count);
    for (int i = 0; i < count; i++) {
      RT_TEST_CHECK(near(x[i], expl(-708 * pow(i / 1001.0, 4)), 1e-15L), "exp of %d in %d: %.17g", i, count, x[i]);
    }
  }
}

static PetscErrorCode test(int argc, char **argv)
{
  const char *name[] = {"kl", "logits", "mse"};
  const double temperature[] = {1, 2.5, 4, 20}, alpha[] = {0, 0.3, 1};
  const int width[] = {1, 2, 10, 17, 256, MOST};

  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  test_exponential();
  for (int n = 0; n < 3; n++) {
    RT_TEST_CHECK(rt_loss_find(name[n])->regression == (n == 2), "%s", name[n]);
    for (int w = 0; w < 6; w++) {
      for (int k = 0; k < 12; k++) {
        PetscCall(test_values(name[n], width[w], (RtLossParams){temperature[k / 3], alpha[k % 3], k % 2 ? 0.1 : 0}));
      }
      PetscCall(test_parts(name[n], width[w]));
    }
  }
  PetscCall(test_large());
  PetscCall(test_labels());
  RT_TEST_CHECK(!rt_loss_find("") && !rt_loss_find("k") && !strcmp(rt_loss_names(), "kl|logits|mse"), "names");
  PetscFunctionReturn(0);
}
RT_TEST_MAIN(test)
