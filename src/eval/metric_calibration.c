/* Calibration (Guo et al., arXiv 1706.04599): samples in bins of the largest probability; in each, how often the model
   is right against how sure it is. */
#include "eval/metric.h"

#include <math.h>

static int bin_of(const RtMetricCase *about, double confidence)
{
  return confidence >= 0 ? PetscMin((int)(confidence * about->bins), about->bins - 1) : 0; /* NaN of a broken model */
}

static void add_count(const RtMetricCase *about, const RtMetricSample *sample, int model, RtExact *sum)
{
  rt_exact_add(&sum[bin_of(about, sample->confidence[model])], 1);
}

/* [bins, 2] samples that are right, and confidence. */
static void add_both(const RtMetricCase *about, const RtMetricSample *sample, int model, RtExact *sum)
{
  RtExact *bin = sum + 2 * bin_of(about, sample->confidence[model]);

  rt_exact_add(&bin[0], sample->prediction[model] == sample->label);
  rt_exact_add(&bin[1], sample->confidence[model]);
}

/* [bins, 2] samples, and those that are right. */
static void add_correct(const RtMetricCase *about, const RtMetricSample *sample, int model, RtExact *sum)
{
  RtExact *bin = sum + 2 * bin_of(about, sample->confidence[model]);

  rt_exact_add(&bin[0], 1);
  rt_exact_add(&bin[1], sample->prediction[model] == sample->label);
}

/* [bins, 2] samples, and confidence. */
static void add_confidence(const RtMetricCase *about, const RtMetricSample *sample, int model, RtExact *sum)
{
  RtExact *bin = sum + 2 * bin_of(about, sample->confidence[model]);

  rt_exact_add(&bin[0], 1);
  rt_exact_add(&bin[1], sample->confidence[model]);
}

static void error(const RtMetricResult *result, int model, void *value)
{
  double sum = 0;

  (void)model;
  for (int b = 0; b < result->about->bins; b++)
    sum += fabs(rt_exact_value(&result->sum[2 * b]) - rt_exact_value(&result->sum[2 * b + 1]));
  *(double *)value = result->count ? sum / (double)result->count : NAN;
}

static void means(const RtMetricResult *result, int model, void *value)
{
  double *mean = value;

  (void)model;
  for (int b = 0; b < result->about->bins; b++) {
    double count = rt_exact_value(&result->sum[2 * b]);

    mean[b] = count > 0 ? rt_exact_value(&result->sum[2 * b + 1]) / count : NAN;
  }
}

static void counts(const RtMetricResult *result, int model, void *value)
{
  int64_t *count = value;

  (void)model;
  for (int b = 0; b < result->about->bins; b++) count[b] = (int64_t)rt_exact_value(&result->sum[b]);
}

const RtMetric rt_metric_ece = {.name = "ece",
                                .units = "1",
                                .long_name = "expected calibration error of the %s",
                                .with = RT_METRIC_LABELS,
                                .bin_sums = 2,
                                .add = add_both,
                                .value = error};

const RtMetric rt_metric_bin_confidence = {.name = "bin_confidence",
                                           .units = "1",
                                           .long_name = "mean of the %s's largest probability in the bin",
                                           .axis = {"bin"},
                                           .with = RT_METRIC_LABELS,
                                           .bin_sums = 2,
                                           .add = add_confidence,
                                           .value = means};

const RtMetric rt_metric_bin_accuracy = {.name = "bin_accuracy",
                                         .units = "1",
                                         .long_name = "fraction of the bin's samples that the %s gets right",
                                         .axis = {"bin"},
                                         .with = RT_METRIC_LABELS,
                                         .bin_sums = 2,
                                         .add = add_correct,
                                         .value = means};

const RtMetric rt_metric_bin_count = {.name = "bin_count",
                                      .units = "1",
                                      .long_name = "samples in the bin, by the %s's largest probability",
                                      .axis = {"bin"},
                                      .counts = true,
                                      .with = RT_METRIC_LABELS,
                                      .bin_sums = 1,
                                      .add = add_count,
                                      .value = counts};
