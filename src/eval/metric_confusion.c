/* Which classes are taken for which. Made at the end from what the models say to each sample, so that no rank or thread
   keeps a matrix; where the classes are too many for one, how often each is meant, given, and given rightly. */
#include "eval/metric.h"

static void confusion(const RtMetricResult *result, int model, void *value)
{
  const RtOutcomes *o = result->outcomes;
  int64_t *count = value;

  for (int64_t i = 0; i < result->count; i++)
    count[(int64_t)o->label[i] * result->about->classes + o->prediction[model][i]]++;
}

static void support(const RtMetricResult *result, int model, void *value)
{
  int64_t *count = value;

  (void)model;
  for (int64_t i = 0; i < result->count; i++) count[result->outcomes->label[i]]++;
}

static void correct(const RtMetricResult *result, int model, void *value)
{
  const RtOutcomes *o = result->outcomes;
  int64_t *count = value;

  for (int64_t i = 0; i < result->count; i++) count[o->label[i]] += o->prediction[model][i] == o->label[i];
}

static void predicted(const RtMetricResult *result, int model, void *value)
{
  int64_t *count = value;

  for (int64_t i = 0; i < result->count; i++) count[result->outcomes->prediction[model][i]]++;
}

const RtMetric rt_metric_confusion = {.name = "confusion",
                                      .units = "1",
                                      .long_name = "samples by label and prediction",
                                      .axis = {"class", "prediction"},
                                      .counts = true,
                                      .with = RT_METRIC_LABELS,
                                      .most = RT_METRIC_CONFUSION,
                                      .value = confusion};

const RtMetric rt_metric_class_support = {.name = "class_support",
                                          .units = "1",
                                          .long_name = "samples of each class",
                                          .axis = {"class"},
                                          .counts = true,
                                          .scope = RT_METRIC_SET,
                                          .with = RT_METRIC_LABELS,
                                          .least = RT_METRIC_CONFUSION + 1,
                                          .value = support};

const RtMetric rt_metric_class_correct = {.name = "class_correct",
                                          .units = "1",
                                          .long_name = "samples of each class that the %s gets right",
                                          .axis = {"class"},
                                          .counts = true,
                                          .with = RT_METRIC_LABELS,
                                          .least = RT_METRIC_CONFUSION + 1,
                                          .value = correct};

const RtMetric rt_metric_class_predicted = {.name = "class_predicted",
                                            .units = "1",
                                            .long_name = "samples to which the %s gives each class",
                                            .axis = {"class"},
                                            .counts = true,
                                            .with = RT_METRIC_LABELS,
                                            .least = RT_METRIC_CONFUSION + 1,
                                            .value = predicted};
