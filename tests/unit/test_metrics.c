/* Metrics against their formulas, written plainly; the same whoever adds which samples in which order. */
#include "support.h"

#include "eval/metrics.h"

#include <math.h>

enum { WIDTH = 6, COUNT = 500, BINS = 10, TARGETS = 3 };

static float logits[RT_MODELS][COUNT][WIDTH];
static int32_t label[COUNT];
static const RtMetricCase classes = {.classes = WIDTH, .width = WIDTH, .bins = BINS, .has = {true, true}};

/* A value by its row's name. */
static void get(const RtMetrics *metrics, const char *name, int model, const RtOutcomes *outcomes, void *value)
{
  const RtMetric *row;
  int i = 0;

  while ((row = rt_metrics_row(i)) && strcmp(row->name, name)) i++;
  RT_TEST_CHECK(row && rt_metrics_fits(&metrics->about, row, model), "no %s of model %d", name, model);
  if (row) rt_metrics_value(metrics, row, model, outcomes, value);
}

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
  double loss[RT_MODELS] = {0}, kl = 0, confidence[RT_MODELS][BINS] = {{0}}, ece, found[BINS];
  int64_t correct[RT_MODELS] = {0}, agree = 0;
  int64_t in_bin[RT_MODELS][BINS] = {{0}}, right[RT_MODELS][BINS] = {{0}}, number[BINS];
  RtMetrics metrics;

  RT_MUST(rt_metrics_create(&classes, &metrics));
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
      in_bin[m][bin]++;
      right[m][bin] += top == label[i];
      confidence[m][bin] += p[m][top];
    }
    agree += largest(p[0]) == largest(p[1]);
    for (int k = 0; k < WIDTH; k++) kl += p[RT_TEACHER][k] * log(p[RT_TEACHER][k] / p[RT_STUDENT][k]);
  }
  get(&metrics, "agreement", -1, NULL, found);
  RT_TEST_CHECK(metrics.count == COUNT && found[0] == (double)agree / COUNT, "agreement %g", found[0]);
  get(&metrics, "kl_divergence", -1, NULL, found);
  RT_TEST_CHECK(fabs(found[0] - kl / COUNT) < 1e-11, "KL %.12g, not %.12g", found[0], kl / COUNT);
  for (int m = 0; m < RT_MODELS; m++) {
    get(&metrics, "accuracy", m, NULL, found);
    RT_TEST_CHECK(found[0] == (double)correct[m] / COUNT, "model %d: accuracy %g", m, found[0]);
    get(&metrics, "cross_entropy", m, NULL, found);
    RT_TEST_CHECK(fabs(found[0] - loss[m] / COUNT) < 1e-11, "model %d: loss", m);
    get(&metrics, "bin_count", m, NULL, number);
    RT_TEST_CHECK(!memcmp(number, in_bin[m], sizeof(number)), "model %d: samples in bins", m);
    ece = 0;
    get(&metrics, "bin_accuracy", m, NULL, found);
    for (int b = 0; b < BINS; b++)
      if (in_bin[m][b])
        RT_TEST_CHECK(found[b] == (double)right[m][b] / (double)in_bin[m][b], "model %d, bin %d", m, b);
      else
        RT_TEST_CHECK(isnan(found[b]), "model %d, bin %d is empty: %g", m, b, found[b]);
    get(&metrics, "bin_confidence", m, NULL, found);
    for (int b = 0; b < BINS; b++) {
      if (!in_bin[m][b]) continue;
      RT_TEST_CHECK(fabs(found[b] - confidence[m][b] / (double)in_bin[m][b]) < 1e-11, "model %d, bin %d", m, b);
      ece += (double)in_bin[m][b] / COUNT *
             fabs((double)right[m][b] / (double)in_bin[m][b] - confidence[m][b] / (double)in_bin[m][b]);
    }
    get(&metrics, "ece", m, NULL, found);
    RT_TEST_CHECK(fabs(found[0] - ece) < 1e-9, "model %d: ECE %g, not %g", m, found[0], ece);
  }
  RT_MUST(rt_metrics_destroy(&metrics));
}

/* What is made from each sample's outcome: a matrix up to the bound, counts of each class above, and never more sums
   for more classes. */
static void test_classes(int count)
{
  enum { MOST = 40 };
  const bool matrix = count <= RT_METRIC_CONFUSION;
  RtMetricCase about = classes;
  int32_t meant[MOST], given[MOST];
  RtOutcomes outcomes = {.label = meant, .prediction = {given, given}};
  int64_t *value, wrong = 0, *support, *correct, *predicted;
  RtMetrics metrics, few;

  about.classes = about.width = count;
  RT_MUST(rt_metrics_create(&classes, &few));
  RT_MUST(rt_metrics_create(&about, &metrics));
  RT_TEST_CHECK(metrics.sums == few.sums, "%d sums for %d classes, %d for %d", metrics.sums, count, few.sums, WIDTH);
  for (int i = 0; i < MOST; i++) {
    meant[i] = rt_support_below(i % 2 ? 3 : count);
    given[i] = i % 4 ? meant[i] : rt_support_below(count);
  }
  metrics.count = MOST;
  RT_MUST(PetscCalloc4((size_t)count * (size_t)(matrix ? count : 1), &value, count, &support, count, &correct, count,
                       &predicted));
  for (int i = 0; i < MOST; i++) support[meant[i]]++, predicted[given[i]]++, correct[meant[i]] += meant[i] == given[i];
  if (matrix) {
    get(&metrics, "confusion", RT_STUDENT, &outcomes, value);
    for (int i = 0; i < MOST; i++) value[(int64_t)meant[i] * count + given[i]]--;
    for (int64_t i = 0; i < (int64_t)count * count; i++) wrong += value[i] != 0;
  } else {
    get(&metrics, "class_support", -1, &outcomes, value);
    for (int k = 0; k < count; k++) wrong += value[k] != support[k];
    get(&metrics, "class_correct", RT_STUDENT, &outcomes, value);
    for (int k = 0; k < count; k++) wrong += value[k] != correct[k];
    get(&metrics, "class_predicted", RT_TEACHER, &outcomes, value);
    for (int k = 0; k < count; k++) wrong += value[k] != predicted[k];
  }
  RT_TEST_CHECK(wrong == 0, "%d classes: %lld counts are wrong", count, (long long)wrong);
  for (int i = 0; rt_metrics_row(i); i++)
    for (int m = -1; m < RT_MODELS; m++)
      if (rt_metrics_fits(&about, rt_metrics_row(i), m)) {
        const char *name = rt_metrics_row(i)->name;

        RT_TEST_CHECK(strcmp(name, "confusion") || matrix, "a matrix of %d classes", count);
        RT_TEST_CHECK(strncmp(name, "class_", 6) || !matrix, "%s beside a matrix", name);
      }
  RT_MUST(PetscFree4(value, support, correct, predicted));
  RT_MUST(rt_metrics_destroy(&metrics));
  RT_MUST(rt_metrics_destroy(&few));
}

static bool equal(const RtMetrics *a, const RtMetrics *b)
{
  bool same = a->count == b->count && a->sums == b->sums;

  for (int i = 0; same && i < a->sums; i++)
    same = a->sum[i].sum == b->sum[i].sum && a->sum[i].invalid == b->sum[i].invalid;
  return same;
}

static void test_parts(void)
{
  RtMetrics whole, part[3];

  RT_MUST(rt_metrics_create(&classes, &whole));
  for (int t = 0; t < 3; t++) RT_MUST(rt_metrics_create(&classes, &part[t]));
  for (int i = 0; i < COUNT; i++) {
    add(&whole, i);
    add(&part[i % 3], COUNT - 1 - i);
  }
  RT_TEST_CHECK(!equal(&whole, &part[0]), "a third has the sums of all");
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
  const float target[TARGETS] = {1, 2, 3}, first[TARGETS] = {1, 2, 5}, second[TARGETS] = {0, 0, 0};
  const float *z[RT_MODELS] = {first, second};
  RtMetricCase about = classes;
  RtOutcome outcome;
  RtMetrics metrics;

  about.has[RT_TEACHER] = false;
  RT_MUST(rt_metrics_create(&about, &metrics));
  RT_TEST_CHECK(isnan(rt_metrics_number(&metrics, "ece", RT_STUDENT)), "ECE of nothing");
  z[RT_TEACHER] = NULL;
  z[RT_STUDENT] = logits[0][0];
  rt_metrics_add(&metrics, z, label[0], NULL, NULL);
  RT_TEST_CHECK(metrics.count == 1 && isnan(rt_metrics_number(&metrics, "agreement", -1)) &&
                    isnan(rt_metrics_number(&metrics, "accuracy", RT_TEACHER)) &&
                    !isnan(rt_metrics_number(&metrics, "accuracy", RT_STUDENT)),
                "no teacher");
  RT_MUST(rt_metrics_destroy(&metrics));
  about = (RtMetricCase){.width = WIDTH, .bins = BINS, .has = {true, true}};
  RT_MUST(rt_metrics_create(&about, &metrics));
  z[RT_TEACHER] = z[RT_STUDENT];
  rt_metrics_add(&metrics, z, -1, NULL, NULL);
  RT_TEST_CHECK(rt_metrics_number(&metrics, "agreement", -1) == 1 &&
                    rt_metrics_number(&metrics, "kl_divergence", -1) == 0 &&
                    isnan(rt_metrics_number(&metrics, "accuracy", RT_TEACHER)),
                "without labels");
  RT_MUST(rt_metrics_destroy(&metrics));
  about = (RtMetricCase){.targets = TARGETS, .width = TARGETS, .bins = BINS, .has = {true, true}};
  RT_MUST(rt_metrics_create(&about, &metrics));
  z[RT_TEACHER] = first;
  z[RT_STUDENT] = second;
  rt_metrics_add(&metrics, z, -1, target, &outcome);
  RT_TEST_CHECK(fabs(rt_metrics_number(&metrics, "rmse", RT_TEACHER) - sqrt(4.0 / 3)) < 1e-11, "teacher's error");
  RT_TEST_CHECK(fabs(rt_metrics_number(&metrics, "rmse", RT_STUDENT) - sqrt(14.0 / 3)) < 1e-11, "student's error");
  RT_TEST_CHECK(fabs(rt_metrics_number(&metrics, "difference", -1) - sqrt(30.0 / 3)) < 1e-11, "difference");
  RT_TEST_CHECK(outcome.gap == (float)sqrt(30.0 / 3) && outcome.certainty[RT_STUDENT] == (float)sqrt(14.0 / 3),
                "outcome of a regression");
  RT_TEST_CHECK(isnan(rt_metrics_number(&metrics, "kl_divergence", -1)), "KL of a regression");
  RT_MUST(rt_metrics_destroy(&metrics));
}

/* Logits far apart: probabilities of 0 and 1, and equal ones, of which the first counts. */
static void test_extremes(void)
{
  const float far[WIDTH] = {1e4f, -1e4f, 0, 0, 0, 0}, other[WIDTH] = {-1e4f, 1e4f, 0, 0, 0, 0}, flat[WIDTH] = {0};
  const float *z[RT_MODELS] = {far, other};
  int64_t number[BINS];
  RtMetrics metrics;

  RT_MUST(rt_metrics_create(&classes, &metrics));
  rt_metrics_add(&metrics, z, 0, NULL, NULL);
  RT_TEST_CHECK(rt_metrics_number(&metrics, "kl_divergence", -1) == 2e4 &&
                    rt_metrics_number(&metrics, "cross_entropy", RT_STUDENT) == 2e4,
                "KL %g", rt_metrics_number(&metrics, "kl_divergence", -1));
  get(&metrics, "bin_count", RT_TEACHER, NULL, number);
  RT_TEST_CHECK(number[BINS - 1] == 1, "a probability of 1 belongs into the last bin");
  z[0] = z[1] = flat;
  rt_metrics_add(&metrics, z, 0, NULL, NULL);
  RT_TEST_CHECK(rt_metrics_number(&metrics, "agreement", -1) == 0.5 &&
                    rt_metrics_number(&metrics, "accuracy", RT_TEACHER) == 1,
                "of equal logits the first counts");
  RT_MUST(rt_metrics_destroy(&metrics));
}

/* A broken model's logits may not be numbers: that must show, and not crash. */
static void test_not_finite(void)
{
  float bad[3][WIDTH] = {{NAN, NAN, NAN, NAN, NAN, NAN}, {1, INFINITY, 0, 0, 0, 0}, {1, 2, NAN, 0, 0, 0}};

  for (int i = 0; i < 3; i++) {
    const float *z[RT_MODELS] = {logits[0][0], bad[i]};
    RtMetrics metrics;

    RT_MUST(rt_metrics_create(&classes, &metrics));
    rt_metrics_add(&metrics, z, 1, NULL, NULL);
    RT_TEST_CHECK(isnan(rt_metrics_number(&metrics, "kl_divergence", -1)), "KL of case %d", i);
    RT_TEST_CHECK(isnan(rt_metrics_number(&metrics, "cross_entropy", RT_STUDENT)), "loss of case %d", i);
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
  test_classes(WIDTH);
  test_classes(RT_METRIC_CONFUSION);
  test_classes(RT_METRIC_CONFUSION + 1);
  test_classes(50000);
  test_parts();
  test_kinds();
  test_extremes();
  test_not_finite();
  return 0;
}

RT_TEST_MAIN(test)
