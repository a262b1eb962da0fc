#include "eval/metrics.h"

#include "comm/agree.h"

#include <math.h>

PetscErrorCode rt_metrics_create(int classes, int targets, int width, int bins, const bool has[RT_MODELS],
                                 RtMetrics *metrics)
{
  PetscFunctionBegin;
  *metrics = (RtMetrics){.classes = classes, .targets = targets, .width = width, .bins = bins};
  for (int m = 0; m < RT_MODELS; m++) {
    metrics->has[m] = has[m];
    PetscCall(PetscCalloc4((size_t)classes * (size_t)classes + 1, &metrics->confusion[m], bins, &metrics->bin_count[m],
                           bins, &metrics->bin_correct[m], bins, &metrics->bin_confidence[m]));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_metrics_destroy(RtMetrics *metrics)
{
  PetscFunctionBegin;
  for (int m = 0; m < RT_MODELS; m++)
    PetscCall(
        PetscFree4(metrics->confusion[m], metrics->bin_count[m], metrics->bin_correct[m], metrics->bin_confidence[m]));
  PetscFunctionReturn(0);
}

/* The first of the largest. */
static int argmax(const float *x, int n)
{
  int best = 0;

  for (int i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  return best;
}

static double log_sum_exp(const float *x, int n, float top)
{
  double sum = 0;

  for (int i = 0; i < n; i++) sum += exp((double)x[i] - top);
  return top + log(sum);
}

static void add_model(RtMetrics *s, int m, const float *z, double normaliser, const RtOutcome *o, double confidence,
                      int32_t label)
{
  int bin = confidence >= 0 ? PetscMin((int)(confidence * s->bins), s->bins - 1) : 0; /* NaN of a broken model */
  int prediction = o->prediction[m];

  rt_exact_add(&s->loss[m], normaliser - z[label]);
  s->correct[m] += prediction == label;
  s->confusion[m][(int64_t)label * s->classes + prediction]++;
  s->bin_count[m][bin]++;
  s->bin_correct[m][bin] += prediction == label;
  rt_exact_add(&s->bin_confidence[m][bin], confidence);
}

/* Mean squared difference. */
static double mean_square(const float *a, const float *b, int n)
{
  double sum = 0;

  for (int k = 0; k < n; k++) sum += ((double)a[k] - b[k]) * ((double)a[k] - b[k]);
  return sum / n;
}

static void add_regression(RtMetrics *s, const float *const logits[RT_MODELS], const float *target, RtOutcome *o)
{
  double square;

  for (int m = 0; m < RT_MODELS; m++) {
    if (!s->has[m]) continue;
    square = mean_square(logits[m], target, s->targets);
    rt_exact_add(&s->loss[m], square);
    o->certainty[m] = (float)sqrt(square);
  }
  if (!s->has[RT_TEACHER] || !s->has[RT_STUDENT]) return;
  square = mean_square(logits[RT_TEACHER], logits[RT_STUDENT], s->targets);
  rt_exact_add(&s->difference, square);
  o->gap = (float)sqrt(square);
}

static void add_classes(RtMetrics *s, const float *const logits[RT_MODELS], int32_t label, RtOutcome *o)
{
  double normaliser[RT_MODELS] = {0}, kl = 0;

  for (int m = 0; m < RT_MODELS; m++) {
    double confidence;
    int top;

    if (!s->has[m]) continue;
    top = o->prediction[m] = argmax(logits[m], s->width);
    normaliser[m] = log_sum_exp(logits[m], s->width, logits[m][top]);
    confidence = exp(logits[m][top] - normaliser[m]);
    o->certainty[m] = (float)confidence;
    if (label >= 0) add_model(s, m, logits[m], normaliser[m], o, confidence, label);
  }
  if (!s->has[RT_TEACHER] || !s->has[RT_STUDENT]) return;
  s->agree += o->prediction[RT_TEACHER] == o->prediction[RT_STUDENT];
  for (int k = 0; k < s->width; k++) {
    double t = logits[RT_TEACHER][k] - normaliser[RT_TEACHER], u = logits[RT_STUDENT][k] - normaliser[RT_STUDENT];

    kl += exp(t) * (t - u);
  }
  rt_exact_add(&s->kl, kl);
  o->gap = (float)kl;
}

void rt_metrics_add(RtMetrics *metrics, const float *const logits[RT_MODELS], int32_t label, const float *target,
                    RtOutcome *outcome)
{
  RtOutcome own = {0};

  metrics->count++;
  if (metrics->targets)
    add_regression(metrics, logits, target, &own);
  else
    add_classes(metrics, logits, label, &own);
  if (outcome) *outcome = own;
}

void rt_metrics_merge(RtMetrics *metrics, const RtMetrics *other)
{
  metrics->count += other->count;
  metrics->agree += other->agree;
  rt_exact_merge(&metrics->kl, &other->kl);
  rt_exact_merge(&metrics->difference, &other->difference);
  for (int m = 0; m < RT_MODELS; m++) {
    metrics->correct[m] += other->correct[m];
    rt_exact_merge(&metrics->loss[m], &other->loss[m]);
    for (int64_t i = 0; i < (int64_t)metrics->classes * metrics->classes; i++)
      metrics->confusion[m][i] += other->confusion[m][i];
    for (int b = 0; b < metrics->bins; b++) {
      metrics->bin_count[m][b] += other->bin_count[m][b];
      metrics->bin_correct[m][b] += other->bin_correct[m][b];
      rt_exact_merge(&metrics->bin_confidence[m][b], &other->bin_confidence[m][b]);
    }
  }
}

PetscErrorCode rt_metrics_collect(MPI_Comm comm, RtMetrics *metrics)
{
  int64_t number[2 + RT_MODELS] = {metrics->count, metrics->agree, metrics->correct[0], metrics->correct[1]};

  PetscFunctionBegin;
  PetscCall(rt_agree_count(comm, 2 + RT_MODELS, number));
  metrics->count = number[0];
  metrics->agree = number[1];
  PetscCall(rt_exact_allreduce(comm, 1, &metrics->kl));
  PetscCall(rt_exact_allreduce(comm, 1, &metrics->difference));
  PetscCall(rt_exact_allreduce(comm, RT_MODELS, metrics->loss));
  for (int m = 0; m < RT_MODELS; m++) {
    metrics->correct[m] = number[2 + m];
    PetscCall(rt_agree_count(comm, (int64_t)metrics->classes * metrics->classes, metrics->confusion[m]));
    PetscCall(rt_agree_count(comm, metrics->bins, metrics->bin_count[m]));
    PetscCall(rt_agree_count(comm, metrics->bins, metrics->bin_correct[m]));
    PetscCall(rt_exact_allreduce(comm, metrics->bins, metrics->bin_confidence[m]));
  }
  PetscFunctionReturn(0);
}

double rt_metrics_ece(const RtMetrics *metrics, int model)
{
  double sum = 0;

  for (int b = 0; b < metrics->bins; b++)
    sum += fabs((double)metrics->bin_correct[model][b] - rt_exact_value(&metrics->bin_confidence[model][b]));
  return metrics->count ? sum / (double)metrics->count : NAN;
}
