/* How far a model is from the answers, and the student from its teacher: cross-entropy and KL divergence of classes,
   root mean squares of regressions. */
#include "eval/metric.h"

#include <math.h>

static void add_loss(const RtMetricCase *about, const RtMetricSample *sample, int model, RtExact *sum)
{
  (void)about;
  rt_exact_add(sum, sample->loss[model]);
}

static void add_gap(const RtMetricCase *about, const RtMetricSample *sample, int model, RtExact *sum)
{
  (void)about, (void)model;
  rt_exact_add(sum, sample->gap);
}

static void mean(const RtMetricResult *result, int model, void *value)
{
  (void)model;
  *(double *)value = rt_exact_value(result->sum) / (double)result->count;
}

static void root(const RtMetricResult *result, int model, void *value)
{
  mean(result, model, value);
  *(double *)value = sqrt(*(double *)value);
}

const RtMetric rt_metric_rmse = {.name = "rmse",
                                 .units = "1",
                                 .long_name = "root of the mean squared error of the %s",
                                 .with = RT_METRIC_TARGETS,
                                 .sums = 1,
                                 .add = add_loss,
                                 .value = root};

const RtMetric rt_metric_cross_entropy = {.name = "cross_entropy",
                                          .units = "1",
                                          .long_name = "mean cross-entropy of the %s, in nats",
                                          .with = RT_METRIC_LABELS,
                                          .sums = 1,
                                          .add = add_loss,
                                          .value = mean};

const RtMetric rt_metric_kl = {.name = "kl_divergence",
                               .units = "1",
                               .long_name = "mean KL(teacher || student) at temperature 1, in nats",
                               .scope = RT_METRIC_PAIR,
                               .with = RT_METRIC_NOTHING | RT_METRIC_LABELS,
                               .sums = 1,
                               .add = add_gap,
                               .value = mean};

const RtMetric rt_metric_difference = {.name = "difference",
                                       .units = "1",
                                       .long_name = "root of the mean squared difference of the models' outputs",
                                       .scope = RT_METRIC_PAIR,
                                       .with = RT_METRIC_TARGETS,
                                       .sums = 1,
                                       .add = add_gap,
                                       .value = root};
