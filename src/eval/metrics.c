#include "eval/metrics.h"

#include "comm/agree.h"
#include "distill/softmax.h"

#include <math.h>
#include <string.h>

static const RtMetric *const row[] = {&rt_metric_rmse,
                                      &rt_metric_accuracy,
                                      &rt_metric_cross_entropy,
                                      &rt_metric_ece,
                                      &rt_metric_bin_confidence,
                                      &rt_metric_bin_accuracy,
                                      &rt_metric_bin_count,
                                      &rt_metric_confusion,
                                      &rt_metric_class_correct,
                                      &rt_metric_class_predicted,
                                      &rt_metric_class_support,
                                      &rt_metric_agreement,
                                      &rt_metric_kl,
                                      &rt_metric_difference};

enum { ROWS = sizeof(row) / sizeof(*row) };

const RtMetric *rt_metrics_row(int number)
{
  return number < ROWS ? row[number] : NULL;
}

static unsigned kind_of(const RtMetricCase *about)
{
  return about->targets ? RT_METRIC_TARGETS : about->classes ? RT_METRIC_LABELS : RT_METRIC_NOTHING;
}

bool rt_metrics_fits(const RtMetricCase *about, const RtMetric *metric, int model)
{
  const bool both = about->has[RT_TEACHER] && about->has[RT_STUDENT];

  if (!(metric->with & kind_of(about)) || about->classes < metric->least) return false;
  if (metric->most && about->classes > metric->most) return false;
  if (metric->scope == RT_METRIC_MODEL) return model >= 0 && about->has[model];
  return model < 0 && (both || metric->scope == RT_METRIC_SET);
}

static int axis_of(const RtMetricCase *about, const char *axis)
{
  return strcmp(axis, "bin") ? about->classes : about->bins;
}

int64_t rt_metrics_length(const RtMetricCase *about, const RtMetric *metric)
{
  int64_t length = 1;

  for (int a = 0; a < 2 && metric->axis[a]; a++) length *= axis_of(about, metric->axis[a]);
  return length;
}

static int sums_of(const RtMetricCase *about, const RtMetric *metric)
{
  return metric->sums + metric->bin_sums * about->bins;
}

/* Where the sums of a row and model begin; those behind the last row: all. */
static int find_sums(const RtMetricCase *about, const RtMetric *metric, int model)
{
  int at = 0;

  for (int i = 0; i < ROWS; i++)
    for (int m = -1; m < RT_MODELS; m++) {
      if (row[i] == metric && m == model) return at;
      if (rt_metrics_fits(about, row[i], m)) at += sums_of(about, row[i]);
    }
  return at;
}

PetscErrorCode rt_metrics_create(const RtMetricCase *about, RtMetrics *metrics)
{
  PetscFunctionBegin;
  *metrics = (RtMetrics){.about = *about, .sums = find_sums(about, NULL, 0)};
  PetscCall(PetscCalloc1(metrics->sums + 1, &metrics->sum));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_metrics_destroy(RtMetrics *metrics)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(metrics->sum));
  PetscFunctionReturn(0);
}

/* Mean squared difference. */
static double mean_square(const float *a, const float *b, int n)
{
  double sum = 0;

  for (int k = 0; k < n; k++) sum += ((double)a[k] - b[k]) * ((double)a[k] - b[k]);
  return sum / n;
}

/* Logarithm of the sum of exp(x), with the exponential of the C library: evaluation's own witness of what training
   computes with that of distill/softmax.h. */
static double log_sum_exp(const float *x, int n, float top)
{
  double sum = 0;

  for (int i = 0; i < n; i++) sum += exp((double)x[i] - top);
  return top + log(sum);
}

static void look_at_classes(const RtMetricCase *about, RtMetricSample *s)
{
  const float *const *z = s->logits;
  double normaliser[RT_MODELS] = {0};

  for (int m = 0; m < RT_MODELS; m++) {
    float top;

    if (!about->has[m]) continue;
    s->prediction[m] = rt_softmax_largest(about->width, z[m]);
    top = z[m][s->prediction[m]];
    normaliser[m] = log_sum_exp(z[m], about->width, top);
    s->confidence[m] = exp(top - normaliser[m]);
    if (s->label >= 0) s->loss[m] = normaliser[m] - z[m][s->label];
  }
  if (!about->has[RT_TEACHER] || !about->has[RT_STUDENT]) return;
  for (int k = 0; k < about->width; k++) {
    double t = z[RT_TEACHER][k] - normaliser[RT_TEACHER], u = z[RT_STUDENT][k] - normaliser[RT_STUDENT];

    s->gap += exp(t) * (t - u);
  }
}

static void look_at_targets(const RtMetricCase *about, RtMetricSample *s)
{
  for (int m = 0; m < RT_MODELS; m++)
    if (about->has[m]) s->loss[m] = mean_square(s->logits[m], s->target, about->targets);
  if (about->has[RT_TEACHER] && about->has[RT_STUDENT])
    s->gap = mean_square(s->logits[RT_TEACHER], s->logits[RT_STUDENT], about->targets);
}

static RtOutcome outcome_of(const RtMetricCase *about, const RtMetricSample *s)
{
  RtOutcome outcome = {.gap = (float)(about->targets ? sqrt(s->gap) : s->gap)};

  for (int m = 0; m < RT_MODELS; m++) {
    outcome.prediction[m] = s->prediction[m];
    outcome.certainty[m] = (float)(about->targets ? sqrt(s->loss[m]) : s->confidence[m]);
  }
  return outcome;
}

void rt_metrics_add(RtMetrics *metrics, const float *const logits[RT_MODELS], int32_t label, const float *target,
                    RtOutcome *outcome)
{
  const RtMetricCase *about = &metrics->about;
  const unsigned kind = about->targets ? RT_METRIC_TARGETS : label >= 0 ? RT_METRIC_LABELS : RT_METRIC_NOTHING;
  RtMetricSample sample = {.logits = {logits[RT_TEACHER], logits[RT_STUDENT]}, .label = label, .target = target};
  RtExact *sum = metrics->sum;

  metrics->count++;
  if (about->targets)
    look_at_targets(about, &sample);
  else
    look_at_classes(about, &sample);
  for (int i = 0; i < ROWS; i++)
    for (int m = -1; m < RT_MODELS; m++) {
      if (!rt_metrics_fits(about, row[i], m)) continue;
      if (row[i]->add && row[i]->with & kind) row[i]->add(about, &sample, PetscMax(m, 0), sum);
      sum += sums_of(about, row[i]);
    }
  if (outcome) *outcome = outcome_of(about, &sample);
}

void rt_metrics_merge(RtMetrics *metrics, const RtMetrics *other)
{
  metrics->count += other->count;
  for (int i = 0; i < metrics->sums; i++) rt_exact_merge(&metrics->sum[i], &other->sum[i]);
}

PetscErrorCode rt_metrics_collect(MPI_Comm comm, RtMetrics *metrics)
{
  PetscFunctionBegin;
  PetscCall(rt_agree_count(comm, 1, &metrics->count));
  PetscCall(rt_exact_allreduce(comm, metrics->sums, metrics->sum));
  PetscFunctionReturn(0);
}

void rt_metrics_value(const RtMetrics *metrics, const RtMetric *metric, int model, const RtOutcomes *outcomes,
                      void *value)
{
  const RtMetricResult result = {.about = &metrics->about,
                                 .count = metrics->count,
                                 .sum = metrics->sum + find_sums(&metrics->about, metric, model),
                                 .outcomes = outcomes};

  memset(value, 0, (size_t)rt_metrics_length(&metrics->about, metric) * sizeof(double)); /* or of int64_t */
  metric->value(&result, PetscMax(model, 0), value);
}

double rt_metrics_number(const RtMetrics *metrics, const char *name, int model)
{
  double value = NAN;

  for (int i = 0; i < ROWS; i++)
    if (!strcmp(row[i]->name, name) && !row[i]->axis[0] && rt_metrics_fits(&metrics->about, row[i], model))
      rt_metrics_value(metrics, row[i], model, NULL, &value);
  return value;
}
