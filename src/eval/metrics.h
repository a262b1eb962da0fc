/* All metrics of an evaluation: the table of rows (eval/metric.h), and sums that do not depend on the order in which
   ranks and threads add samples. Their memory grows with the bins, not with the classes. */
#ifndef RT_EVAL_METRICS_H
#define RT_EVAL_METRICS_H

#include "eval/metric.h"

/* Row number `row` of the table, in the order of eval.nc; NULL behind the last. */
const RtMetric *rt_metrics_row(int row);
/* Whether a row says something of a model, or of the case as a whole: model -1. */
bool rt_metrics_fits(const RtMetricCase *about, const RtMetric *metric, int model);
/* Elements of a row's value. */
int64_t rt_metrics_length(const RtMetricCase *about, const RtMetric *metric);

typedef struct {
  RtMetricCase about;
  int64_t count; /* samples */
  int sums;
  RtExact *sum; /* [sums] of all rows and models, in the order of the table */
} RtMetrics;

PetscErrorCode rt_metrics_create(const RtMetricCase *about, RtMetrics *metrics);
PetscErrorCode rt_metrics_destroy(RtMetrics *metrics);
/* One sample. logits[m]: [width], read where the case has model m; target: [targets] or NULL; label < 0: none.
   outcome: what the models say to this sample; may be NULL. */
void rt_metrics_add(RtMetrics *metrics, const float *const logits[RT_MODELS], int32_t label, const float *target,
                    RtOutcome *outcome);
void rt_metrics_merge(RtMetrics *metrics, const RtMetrics *other);
/* Collective: sums over ranks, on all of them. */
PetscErrorCode rt_metrics_collect(MPI_Comm comm, RtMetrics *metrics);

/* A row's value for a model, or for the whole: model -1. outcomes: all columns; NULL will do for rows without the axis
   class. value: [rt_metrics_length] of double or, where the row counts, int64_t. */
void rt_metrics_value(const RtMetrics *metrics, const RtMetric *metric, int model, const RtOutcomes *outcomes,
                      void *value);
/* A number by its row's name; NaN where the case has none. */
double rt_metrics_number(const RtMetrics *metrics, const char *name, int model);

#endif
