/* Metrics against their formulas, written plainly; the same whoever adds which samples in which order. */
#include "support.h"

#include "eval/metrics.h"

#include <math.h>

enum { WIDTH = 6, COUNT = 500, BINS = 10, TARGETS = 3 };

static float logits[RT_MODELS][COUNT][WIDTH];
static int32_t label[COUNT];
static const bool both[RT_MODELS] = {true, true};

static void add(RtMetrics *metrics, int i)
{
  const float *z[RT_MODELS] = {logits[0][i], logits[1][i]};

  rt_metrics_add(metrics, z, label[i], NULL, NULL);
}

static int largest(const double *p)
{
  int best = 0;

  for (int k = 1; k < WIDTH; k++) best = p[k] > p[best] ? k : best;
  return best;
}

static void softmax(const float *z, double *p)
{
  double sum = 0;

  for (int k = 0; k < WIDTH; k++) sum += p[k] = exp((double)z[k]);
  for (int k = 0; k < WIDTH; k++) p[k] /= sum;
}

static void test_formulas(void)
{
  double loss[RT_MODELS] = {0}, kl = 0, confidence[RT_MODELS][BINS] = {{0}}, ece;
  int64_t correct[RT_MODELS] = {0}, agree = 0, confusion[RT_MODELS][WIDTH * WIDTH] = {{0}};
  int64_t in_bin[RT_MODELS][BINS] = {{0}}, right[RT_MODELS][BINS] = {{0}};
  RtMetrics metrics;

  RT_MUST(rt_metrics_create(WIDTH, 0, WIDTH, BINS, both, &metrics));
  for (int i = 0; i < COUNT; i++) {
    double p[RT_MODELS][WIDTH];

    add(&metrics, i);
    for (int m = 0; m < RT_MODELS; m++) {
      int top, bin;

      softmax(logits[m][i], p[m]);
      top = largest(p[m]);
      bin = (int)PetscMin(BINS - 1, floor(p[m][top] * BINS));
      loss[m] -= log(p[m][label[i]]);
      correct[m] += top == label[i];
      confusion[m][label[i] * WIDTH + top]++;
      in_bin[m][bin]++;
      right[m][bin] += top == label[i];
      confidence[m][bin] += p[m][top];
    }
    agree += largest(p[0]) == largest(p[1]);
    for (int k = 0; k < WIDTH; k++) kl += p[RT_TEACHER][k] * log(p[RT_TEACHER][k] / p[RT_STUDENT][k]);
  }
  RT_TEST_CHECK(metrics.count == COUNT && metrics.agree == agree, "%lld agree, not %lld", (long long)metrics.agree,
                (long long)agree);
  RT_TEST_CHECK(fabs(rt_exact_value(&metrics.kl) - kl) < 1e-8, "KL %.12g, not %.12g", rt_exact_value(&metrics.kl), kl);
  for (int m = 0; m < RT_MODELS; m++) {
    RT_TEST_CHECK(metrics.correct[m] == correct[m], "model %d: %lld right", m, (long long)metrics.correct[m]);
    RT_TEST_CHECK(fabs(rt_exact_value(&metrics.loss[m]) - loss[m]) < 1e-8, "model %d: loss", m);
    RT_TEST_CHECK(!memcmp(metrics.confusion[m], confusion[m], sizeof(confusion[m])), "model %d: confusion", m);
    ece = 0;
    for (int b = 0; b < BINS; b++) {
      RT_TEST_CHECK(metrics.bin_count[m][b] == in_bin[m][b] && metrics.bin_correct[m][b] == right[m][b],
                    "model %d, bin %d: %lld of %lld", m, b, (long long)metrics.bin_correct[m][b],
                    (long long)metrics.bin_count[m][b]);
      if (in_bin[m][b])
        ece += (double)in_bin[m][b] / COUNT *
               fabs((double)right[m][b] / (double)in_bin[m][b] - confidence[m][b] / (double)in_bin[m][b]);
    }
    RT_TEST_CHECK(fabs(rt_metrics_ece(&metrics, m) - ece) < 1e-9, "model %d: ECE %g, not %g", m,
                  rt_metrics_ece(&metrics, m), ece);
  }
  RT_MUST(rt_metrics_destroy(&metrics));
}

static bool equal(const RtMetrics *a, const RtMetrics *b)
{
  bool same = a->count == b->count && a->agree == b->agree && a->kl.sum == b->kl.sum;

  for (int m = 0; m < RT_MODELS; m++) {
    same = same && a->correct[m] == b->correct[m] && a->loss[m].sum == b->loss[m].sum;
    same = same && !memcmp(a->confusion[m], b->confusion[m], (size_t)(a->classes * a->classes) * sizeof(int64_t));
    same = same && !memcmp(a->bin_count[m], b->bin_count[m], BINS * sizeof(int64_t));
    for (int k = 0; k < BINS; k++) same = same && a->bin_confidence[m][k].sum == b->bin_confidence[m][k].sum;
  }
  return same;
}

static void test_parts(void)
{
  RtMetrics whole, part[3];

  RT_MUST(rt_metrics_create(WIDTH, 0, WIDTH, BINS, both, &whole));
  for (int t = 0; t < 3; t++) RT_MUST(rt_metrics_create(WIDTH, 0, WIDTH, BINS, both, &part[t]));
  for (int i = 0; i < COUNT; i++) {
    add(&whole, i);
    add(&part[i % 3], COUNT - 1 - i);
  }
  rt_metrics_merge(&part[0], &part[2]);
  rt_metrics_merge(&part[0], &part[1]);
  RT_MUST(rt_metrics_collect(PETSC_COMM_SELF, &part[0]));
  RT_TEST_CHECK(equal(&whole, &part[0]), "parts give other sums");
  for (int t = 0; t < 3; t++) RT_MUST(rt_metrics_destroy(&part[t]));
  RT_MUST(rt_metrics_destroy(&whole));
}

/* A student alone, samples without labels, regression, and nothing at all. */
static void test_kinds(void)
{
  const bool student[RT_MODELS] = {false, true};
  const float target[TARGETS] = {1, 2, 3}, first[TARGETS] = {1, 2, 5}, second[TARGETS] = {0, 0, 0};
  const float *z[RT_MODELS] = {first, second};
  RtMetrics metrics;

  RT_MUST(rt_metrics_create(WIDTH, 0, WIDTH, BINS, student, &metrics));
  RT_TEST_CHECK(isnan(rt_metrics_ece(&metrics, RT_STUDENT)), "ECE of nothing");
  z[RT_TEACHER] = NULL;
  z[RT_STUDENT] = logits[0][0];
  rt_metrics_add(&metrics, z, label[0], NULL, NULL);
  rt_metrics_add(&metrics, z, -1, NULL, NULL);
  RT_TEST_CHECK(metrics.count == 2 && metrics.agree == 0 && metrics.bin_count[RT_TEACHER][BINS - 1] == 0, "no teacher");
  RT_MUST(rt_metrics_destroy(&metrics));
  RT_MUST(rt_metrics_create(0, TARGETS, TARGETS, BINS, both, &metrics));
  z[RT_TEACHER] = first;
  z[RT_STUDENT] = second;
  rt_metrics_add(&metrics, z, -1, target, NULL);
  RT_TEST_CHECK(fabs(rt_exact_value(&metrics.loss[RT_TEACHER]) - 4.0 / 3) < 1e-11, "teacher's squared error");
  RT_TEST_CHECK(fabs(rt_exact_value(&metrics.loss[RT_STUDENT]) - 14.0 / 3) < 1e-11, "student's squared error");
  RT_MUST(rt_metrics_destroy(&metrics));
}

/* Logits far apart: probabilities of 0 and 1, and equal ones, of which the first counts. */
static void test_extremes(void)
{
  const float far[WIDTH] = {1e4f, -1e4f, 0, 0, 0, 0}, other[WIDTH] = {-1e4f, 1e4f, 0, 0, 0, 0}, flat[WIDTH] = {0};
  const float *z[RT_MODELS] = {far, other};
  RtMetrics metrics;

  RT_MUST(rt_metrics_create(WIDTH, 0, WIDTH, BINS, both, &metrics));
  rt_metrics_add(&metrics, z, 0, NULL, NULL);
  RT_TEST_CHECK(rt_exact_value(&metrics.kl) == 2e4 && rt_exact_value(&metrics.loss[RT_STUDENT]) == 2e4,
                "KL %g, loss %g", rt_exact_value(&metrics.kl), rt_exact_value(&metrics.loss[RT_STUDENT]));
  RT_TEST_CHECK(metrics.bin_count[RT_TEACHER][BINS - 1] == 1, "a probability of 1 belongs into the last bin");
  z[0] = z[1] = flat;
  rt_metrics_add(&metrics, z, 0, NULL, NULL);
  RT_TEST_CHECK(metrics.agree == 1 && metrics.correct[RT_TEACHER] == 2, "of equal logits the first counts");
  RT_MUST(rt_metrics_destroy(&metrics));
}

/* A broken model's logits may not be numbers: that must show, and not crash. */
static void test_not_finite(void)
{
  float bad[3][WIDTH] = {{NAN, NAN, NAN, NAN, NAN, NAN}, {1, INFINITY, 0, 0, 0, 0}, {1, 2, NAN, 0, 0, 0}};

  for (int i = 0; i < 3; i++) {
    const float *z[RT_MODELS] = {logits[0][0], bad[i]};
    RtMetrics metrics;

    RT_MUST(rt_metrics_create(WIDTH, 0, WIDTH, BINS, both, &metrics));
    rt_metrics_add(&metrics, z, 1, NULL, NULL);
    RT_TEST_CHECK(isnan(rt_exact_value(&metrics.kl)), "KL of case %d is %g", i, rt_exact_value(&metrics.kl));
    RT_TEST_CHECK(isnan(rt_exact_value(&metrics.loss[RT_STUDENT])), "loss of case %d", i);
    RT_MUST(rt_metrics_destroy(&metrics));
  }
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  for (int i = 0; i < COUNT; i++) {
    label[i] = rt_support_below(WIDTH);
    rt_support_normal(WIDTH, logits[0][i]);
    rt_support_normal(WIDTH, logits[1][i]);
    logits[0][i][label[i]] += 2;
    for (int k = 0; k < WIDTH; k++) logits[1][i][k] += logits[0][i][k];
  }
  test_formulas();
  test_parts();
  test_kinds();
  test_extremes();
  test_not_finite();
  return 0;
}

RT_TEST_MAIN(test)
