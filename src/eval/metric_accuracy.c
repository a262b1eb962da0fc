/* How often a model gives the label's class, and how often both give the same. */
#include "eval/metric.h"

static void add_correct(const RtMetricCase *about, const RtMetricSample *sample, int model, RtExact *sum)
{
  (void)about;
  rt_exact_add(sum, sample->prediction[model] == sample->label);
}

static void add_agreed(const RtMetricCase *about, const RtMetricSample *sample, int model, RtExact *sum)
{
  (void)about, (void)model;
  rt_exact_add(sum, sample->prediction[RT_TEACHER] == sample->prediction[RT_STUDENT]);
}

static void fraction(const RtMetricResult *result, int model, void *value)
{
  (void)model;
  *(double *)value = rt_exact_value(result->sum) / (double)result->count;
}

const RtMetric rt_metric_accuracy = {.name = "accuracy",
                                     .units = "1",
                                     .long_name = "fraction of samples that the %s gets right",
                                     .with = RT_METRIC_LABELS,
                                     .sums = 1,
                                     .add = add_correct,
                                     .value = fraction};

const RtMetric rt_metric_agreement = {.name = "agreement",
                                      .units = "1",
                                      .long_name = "fraction of samples to which both models give the same class",
                                      .scope = RT_METRIC_PAIR,
                                      .with = RT_METRIC_NOTHING | RT_METRIC_LABELS,
                                      .sums = 1,
                                      .add = add_agreed,
                                      .value = fraction};
