/* Optimizers: the bits do not depend on how the buffer is cut nor on the processor's vectors; the first steps are those
   of the formula; maximum norms. Whole runs are compared with PyTorch in tests/conformance/test_optimizers.py. */
#include "test.h"

#include "core/random.h"
#include "optim/optimizer.h"

#include <math.h>
#include <string.h>

enum { COUNT = 1003, STEPS = 7 };

typedef struct {
  float parameter[COUNT], gradient[COUNT], first[COUNT], second[COUNT];
} Buffers;

static void draw(Buffers *b, uint64_t stream)
{
  uint32_t key[2];

  rt_random_key(1, RT_RANDOM_INIT, key);
  rt_random_normal(key, stream, COUNT, b->gradient);
  if (stream) return;
  rt_random_normal(key, 1000, COUNT, b->parameter);
  memset(b->first, 0, sizeof(b->first));
  memset(b->second, 0, sizeof(b->second));
}

static void step(const RtOptimizer *optimizer, const RtOptimizerParams *params, Buffers *b, int64_t number, int piece)
{
  for (int from = 0; from < COUNT; from += piece) {
    RtUpdate u = {.count = COUNT - from < piece ? COUNT - from : piece,
                  .rate = 0.05,
                  .weight_decay = 0.01,
                  .gradient_scale = 0.75,
                  .step = number,
                  .parameter = b->parameter + from,
                  .gradient = b->gradient + from,
                  .moment = {b->first + from, b->second + from}};

    optimizer->update(params, &u);
  }
}

/* One step, element by element, as plain as it can be written. */
static void plain_step(bool adam, const RtOptimizerParams *p, Buffers *b, int64_t number)
{
  const float rate = (float)(0.05 / (1 - pow(p->beta1, (double)number)));
  const float root = (float)sqrt(1 - pow(p->beta2, (double)number));

  for (int i = 0; i < COUNT; i++) {
    float *w = &b->parameter[i], *m = &b->first[i], *v = &b->second[i], g = b->gradient[i] * 0.75f;

    if (adam) {
      *m = (float)p->beta1 * *m + (float)(1 - p->beta1) * g;
      *v = (float)p->beta2 * *v + (float)(1 - p->beta2) * g * g;
      *w = *w * (float)(1 - 0.05 * 0.01) - rate * (*m / (sqrtf(*v) / root + (float)p->epsilon));
    } else {
      g = g + *w * 0.01f;
      if (p->momentum != 0) *m = (float)p->momentum * *m + g;
      if (p->momentum != 0) g = p->nesterov ? g + (float)p->momentum * *m : *m;
      *w = *w - 0.05f * g;
    }
  }
}

static void test_bits(const char *name, double momentum, bool nesterov)
{
  const RtOptimizer *optimizer = rt_optimizer_find(name);
  const RtOptimizerParams params = {momentum, nesterov, 0.9, 0.999, 1e-8};
  const int piece[] = {COUNT, 1, 3, 16, 17, 501};
  static Buffers plain, cut;

  RT_TEST_CHECK(optimizer && !strcmp(optimizer->name, name), "%s is not found", name);
  if (!optimizer) return;
  RT_TEST_CHECK(optimizer->moments == (strcmp(name, "sgd") ? 2 : 1), "%d moments", optimizer->moments);
  draw(&plain, 0);
  for (int64_t s = 1; s <= STEPS; s++) {
    draw(&plain, (uint64_t)s);
    plain_step(!strcmp(name, "adamw"), &params, &plain, s);
  }
  for (size_t k = 0; k < sizeof(piece) / sizeof(*piece); k++) {
    draw(&cut, 0);
    for (int64_t s = 1; s <= STEPS; s++) {
      draw(&cut, (uint64_t)s);
      step(optimizer, &params, &cut, s, piece[k]);
    }
    RT_TEST_CHECK(!memcmp(&cut, &plain, sizeof(plain)), "%s, momentum %g, in pieces of %d", name, momentum, piece[k]);
  }
}

/* Steps worked out by hand. */
static void test_formula(void)
{
  float w = 1, g = 0.5f, m = 0, v = 0;
  RtOptimizerParams params = {0.9, false, 0.9, 0.999, 1e-8};
  RtUpdate u = {1, 0.1, 0.2, 1, 1, &w, &g, {&m, &v}};

  rt_optimizer_find("sgd")->update(&params, &u);
  RT_TEST_CHECK(fabsf(w - 0.93f) < 1e-7f && fabsf(m - 0.7f) < 1e-7f, "w %.9g, m %.9g", w, m);
  rt_optimizer_find("sgd")->update(&params, &u); /* g = 0.5 + 0.2 · 0.93, m = 0.9 · 0.7 + g */
  RT_TEST_CHECK(fabsf(w - 0.7984f) < 1e-6f && fabsf(m - 1.316f) < 1e-6f, "w %.9g, m %.9g", w, m);
  w = 1;
  m = 0;
  rt_optimizer_find("adamw")->update(&params, &u); /* The first step of Adam has the length of the rate. */
  RT_TEST_CHECK(fabsf(w - (0.98f - 0.1f)) < 1e-6f && fabsf(m - 0.05f) < 1e-7f, "w %.9g, m %.9g", w, m);
}

static double norm(const float *weight, int64_t count, int64_t stride)
{
  double sum = 0;

  for (int64_t i = 0; i < count; i++) sum += (double)weight[i * stride] * weight[i * stride];
  return sqrt(sum);
}

static PetscErrorCode test_max_norm(int64_t rows, int64_t columns, bool by_row)
{
  const int64_t units = by_row ? rows : columns, inputs = by_row ? columns : rows, size = rows * columns;
  const int64_t next = by_row ? columns : 1, stride = by_row ? 1 : columns;
  const double limit = 0.98 * sqrt((double)inputs);
  int shrunk = 0;
  float *before, *after;
  uint32_t key[2];

  PetscFunctionBegin;
  PetscCall(PetscMalloc2(size, &before, size, &after));
  rt_random_key(2, RT_RANDOM_INIT, key);
  rt_random_normal(key, 0, size, before);
  memcpy(after, before, (size_t)size * sizeof(*before));
  rt_optimizer_max_norm(after, rows, columns, by_row, limit);
  for (int64_t u = 0; u < units; u++) {
    double old = norm(before + u * next, inputs, stride), new = norm(after + u * next, inputs, stride);
    double expected = old > limit ? limit : old;

    RT_TEST_CHECK(fabs(new - expected) < 1e-6 * limit, "unit %d: norm %.9g, not %.9g", (int)u, new, expected);
    for (int64_t i = 0; i < inputs; i++) {
      double was = before[u * next + i * stride], is = after[u * next + i * stride];

      RT_TEST_CHECK(old > limit ? fabs(is * old - was * limit) <= 1e-6 * fabs(was * limit) : is == was,
                    "unit %d, input %d: %.9g became %.9g", (int)u, (int)i, was, is);
    }
    shrunk += old > limit;
  }
  RT_TEST_CHECK(shrunk > 0 && (shrunk < units || units < 5), "%d of %d shrunk", shrunk, (int)units);
  PetscCall(PetscFree2(before, after));
  PetscFunctionReturn(0);
}

static PetscErrorCode test(int argc, char **argv)
{
  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  test_bits("sgd", 0, false);
  test_bits("sgd", 0.9, false);
  test_bits("sgd", 0.9, true);
  test_bits("adamw", 0, false);
  test_formula();
  RT_TEST_CHECK(!rt_optimizer_find("sg") && !rt_optimizer_find("sgd|adamw"), "a name that is none is found");
  RT_TEST_CHECK(!strcmp(rt_optimizer_names(), "sgd|adamw|tao"), "%s", rt_optimizer_names());
  for (int by_row = 0; by_row < 2; by_row++) {
    PetscCall(test_max_norm(37, 53, by_row));
    PetscCall(test_max_norm(531, 700, by_row));
    PetscCall(test_max_norm(1, 19, by_row));
    PetscCall(test_max_norm(40, 1, by_row));
  }
  PetscFunctionReturn(0);
}
RT_TEST_MAIN(test)
