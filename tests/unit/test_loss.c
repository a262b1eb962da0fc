/* Losses of rows: values against the formulas in long double, gradients against their finite differences, padding,
   parts of a batch, and numbers so large that a careless sum overflows. Losses of batches: test_loss_batch.c. PyTorch's
   values: tests/conformance/test_losses.py. */
#include "test.h"

#include "core/random.h"
#include "distill/loss.h"
#include "distill/softmax.h"

#include <math.h>
#include <string.h>

enum { ROWS = 7, MOST = 600 };

typedef struct {
  const RtLoss *loss;
  RtLossRows rows;
  int64_t sample[ROWS];
  float student[ROWS * MOST], teacher[ROWS * MOST];
  int32_t label[ROWS];
  double option[RT_LOSS_OPTIONS], value[ROWS], gradient[ROWS * MOST];
} Data;

/* Rows 2 and 6 are padding, of which nothing may be read. Ends that the loss does not read are not there. */
static void draw(Data *d, const char *name, int width, float size)
{
  uint32_t key[2];

  *d = (Data){.loss = rt_loss_find(name)};
  rt_random_key(4, RT_RANDOM_INIT, key);
  rt_random_normal(key, 0, ROWS * width, d->student);
  rt_random_normal(key, 1, ROWS * width, d->teacher);
  for (int r = 0; r < ROWS; r++) {
    const bool padding = r == 2 || r == 6;

    d->sample[r] = padding ? -1 : 100 + r;
    d->label[r] = padding ? -5 : (3 * r + 1) % width;
    for (int j = r * width; j < (r + 1) * width; j++) {
      d->student[j] *= padding ? NAN : size;
      d->teacher[j] *= padding ? NAN : size;
    }
  }
  for (int i = 0; d->loss->option[i].name; i++) d->option[i] = d->loss->option[i].initial;
  d->rows = (RtLossRows){.rows = ROWS,
                         .width = width,
                         .sample = d->sample,
                         .student = d->student,
                         .teacher = d->loss->traits & RT_LOSS_TEACHER ? d->teacher : NULL,
                         .label = d->loss->traits & RT_LOSS_LABEL ? d->label : NULL,
                         .weight = 0.7,
                         .temperature = 1,
                         .option = d->option};
}

/* T log Σ exp(z / T): log p = (z - it) / T. */
static long double log_sum(const long double *z, int width, long double T)
{
  long double max = z[0], sum = 0;

  for (int i = 1; i < width; i++) max = z[i] > max ? z[i] : max;
  for (int i = 0; i < width; i++) sum += expl((z[i] - max) / T);
  return max + T * logl(sum);
}

/* One row's value as it stands in the papers; NaN where there is no such loss. */
static long double formula(const Data *d, int r, const long double *z)
{
  const char *name = d->loss->name;
  const int width = d->rows.width;
  const long double T = d->rows.temperature;
  long double t[MOST] = {0}, squares = 0, kl = 0, ce = 0, product = 0, z_square = 0, t_square = 0, t_sum, z_sum,
              plain_sum;

  for (int j = 0; j < width; j++) t[j] = d->teacher[r * width + j];
  t_sum = log_sum(t, width, T);
  z_sum = log_sum(z, width, T);
  plain_sum = log_sum(z, width, 1);
  for (int j = 0; j < width; j++) {
    const long double log_t = (t[j] - t_sum) / T, smoothing = d->option[0];

    squares += (z[j] - t[j]) * (z[j] - t[j]);
    product += z[j] * t[j];
    z_square += z[j] * z[j];
    t_square += t[j] * t[j];
    kl += T * T * expl(log_t) * (log_t - (z[j] - z_sum) / T);
    ce -= ((1 - smoothing) * (d->label[r] == j) + smoothing / width) * (z[j] - plain_sum);
  }
  if (!strcmp(name, "kl")) return kl;
  if (!strcmp(name, "ce")) return ce;
  if (!strcmp(name, "logits") || !strcmp(name, "hint")) return squares / 2;
  if (!strcmp(name, "mse")) return squares / width;
  if (!strcmp(name, "cosine")) return 1 - product / (sqrtl(z_square) * sqrtl(t_square));
  return NAN;
}

static bool near(long double value, long double expected, long double relative)
{
  return fabsl(value - expected) <= relative * fabsl(expected);
}

static void check_row(const Data *d, int r)
{
  const int width = d->rows.width;
  const char *name = d->loss->name;
  long double z[MOST], expected;

  for (int j = 0; j < width; j++) z[j] = d->student[r * width + j];
  expected = formula(d, r, z);
  RT_TEST_CHECK(near(d->value[r], expected, 1e-12L), "%s T %g [%d]: %.17g, not %.17Lg", name, d->rows.temperature, r,
                d->value[r], expected);
  for (int j = 0; j < width; j += width / 5 + 1) {
    const long double was = z[j], h = 1e-5L, is = d->gradient[r * width + j];
    long double up, down, slope;

    z[j] = was + h;
    up = formula(d, r, z);
    z[j] = was - h;
    down = formula(d, r, z);
    z[j] = was;
    slope = d->rows.weight * (up - down) / (2 * h);
    RT_TEST_CHECK(fabsl(is - slope) <= 1e-8L * fabsl(slope) + 1e-10L, "%s T %g option %g [%d, %d]: %.12Lg, not %.12Lg",
                  name, d->rows.temperature, d->option[0], r, j, is, slope);
  }
}

/* Values of padding are 0, and its gradient is left alone; a second call adds to the gradient. */
static PetscErrorCode test_values(const char *name, int width, double temperature, double weight, double option)
{
  static Data d;
  static double once[ROWS * MOST];

  PetscFunctionBegin;
  draw(&d, name, width, 3);
  d.rows.temperature = temperature;
  d.rows.weight = weight;
  if (d.loss->option[0].name) d.option[0] = option;
  for (int r = 0; r < ROWS; r++) d.value[r] = NAN;
  PetscCall(d.loss->evaluate(&d.rows, d.value, d.gradient));
  for (int r = 0; r < ROWS; r++) {
    if (d.sample[r] >= 0) check_row(&d, r);
    if (d.sample[r] >= 0) continue;
    RT_TEST_CHECK(d.value[r] == 0, "%s: padding has the value %g", name, d.value[r]);
    for (int j = 0; j < width; j++) RT_TEST_CHECK(d.gradient[r * width + j] == 0, "%s: padding has a gradient", name);
  }
  memcpy(once, d.gradient, sizeof(once));
  PetscCall(d.loss->evaluate(&d.rows, d.value, d.gradient));
  for (int i = 0; i < ROWS * width; i++)
    RT_TEST_CHECK(fabs(d.gradient[i] - 2 * once[i]) <= 1e-14 * (1 + fabs(once[i])), "%s: %g is not twice %g", name,
                  d.gradient[i], once[i]);
  PetscFunctionReturn(0);
}

/* A part of the rows after the other gives the same bits as all rows at once. */
static PetscErrorCode test_parts(const char *name, int width)
{
  static Data d;
  static double value[ROWS], gradient[ROWS * MOST];

  PetscFunctionBegin;
  draw(&d, name, width, 3);
  d.rows.temperature = 2.5;
  memset(gradient, 0, sizeof(gradient));
  PetscCall(d.loss->evaluate(&d.rows, d.value, d.gradient));
  for (int first = 0; first < ROWS; first += 4) {
    RtLossRows part = d.rows;

    part.rows = ROWS - first < 4 ? ROWS - first : 4;
    part.sample += first;
    part.student += first * width;
    if (part.teacher) part.teacher += first * width;
    if (part.label) part.label += first;
    PetscCall(d.loss->evaluate(&part, value + first, gradient + first * width));
  }
  RT_TEST_CHECK(!memcmp(value, d.value, sizeof(value)), "%s: values differ", name);
  RT_TEST_CHECK(!memcmp(gradient, d.gradient, sizeof(gradient)), "%s: gradients differ", name);
  PetscFunctionReturn(0);
}

static PetscErrorCode test_large(const char *name)
{
  static Data d;

  PetscFunctionBegin;
  for (int width = 3; width <= MOST; width += 297) {
    double sum = 0;

    draw(&d, name, width, 1e4f);
    PetscCall(d.loss->evaluate(&d.rows, d.value, d.gradient));
    for (int r = 0; r < ROWS; r++) {
      RT_TEST_CHECK(isfinite(d.value[r]) && d.value[r] > -1e-300, "%s [%d]: %g", name, r, d.value[r]);
      sum += d.value[r];
    }
    for (int i = 0; i < ROWS * width; i++) RT_TEST_CHECK(isfinite(d.gradient[i]), "%s: gradient %d", name, i);
    RT_TEST_CHECK(sum > 0, "%s, width %d: %g", name, width, sum);
    d.student[1] = NAN;
    PetscCall(d.loss->evaluate(&d.rows, d.value, d.gradient));
    RT_TEST_CHECK(isnan(d.value[0]) && isnan(d.gradient[1]), "%s, width %d: a NaN is lost", name, width);
  }
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

/* Of the table: names, short names, and that each row is one thing. */
static void test_table(void)
{
  const RtLoss *loss;

  for (int i = 0; (loss = rt_loss_at(i)); i++) {
    RT_TEST_CHECK(rt_loss_find(loss->name) == loss && loss->help[0], "%s", loss->name);
    RT_TEST_CHECK(!loss->evaluate != !loss->meet, "%s is for rows or for batches", loss->name);
    for (int k = 0; loss->option[k].name; k++) {
      const RtLossOption *o = &loss->option[k];

      RT_TEST_CHECK(o->least <= o->initial && o->initial <= o->most && o->help[0], "%s %s", loss->name, o->name);
    }
  }
  RT_TEST_CHECK(!rt_loss_find("") && !rt_loss_find("k"), "a loss that there is not");
  RT_TEST_CHECK(!strcmp(rt_loss_names(), "kl|ce|logits|mse|hint|cosine|rkd"), "%s", rt_loss_names());
  RT_TEST_CHECK(!strcmp(rt_loss_short_names(), "kl|logits|mse"), "%s", rt_loss_short_names());
}

static PetscErrorCode test(int argc, char **argv)
{
  const double temperature[] = {1, 2.5, 20}, weight[] = {1, 0.3}, option[] = {0, 0.1, 1};
  const int width[] = {1, 2, 10, 17, 256, MOST};
  const RtLoss *loss;

  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  test_exponential();
  test_table();
  for (int i = 0; (loss = rt_loss_at(i)); i++) {
    if (!loss->evaluate) continue;
    for (int w = 0; w < 6; w++) {
      for (int k = 0; k < 18; k++)
        PetscCall(test_values(loss->name, width[w], temperature[k % 3], weight[k / 3 % 2], option[k / 6]));
      PetscCall(test_parts(loss->name, width[w]));
    }
    PetscCall(test_large(loss->name));
  }
  RT_TEST_CHECK(rt_softmax_largest(5, (float[]){0.5f, 1, -2, 1, 0}) == 1, "not the first of equals");
  PetscFunctionReturn(0);
}
RT_TEST_MAIN(test)
