/* A metric is a row: what it is called in eval.nc, which models and answers it is for, and two functions. To add one: a
   file metric_*.c and a row in metrics.c; the rest of evaluation asks the rows. Not collective. */
#ifndef RT_EVAL_METRIC_H
#define RT_EVAL_METRIC_H

#include "comm/exact.h"
#include "eval/outcome.h"

/* What the models' outputs are compared with. */
enum {
  RT_METRIC_NOTHING = 1 << 0,
  RT_METRIC_LABELS = 1 << 1, /* classes */
  RT_METRIC_TARGETS = 1 << 2 /* numbers: a regression */
};

/* Up to so many classes a confusion matrix is kept; above, counts of each class. */
enum { RT_METRIC_CONFUSION = 1024 };

/* What is evaluated. */
typedef struct {
  int classes, targets; /* of the dataset; 0 where it has none */
  int width, bins;      /* numbers in a row of outputs; bins of the reliability diagram */
  bool has[RT_MODELS];
} RtMetricCase;

/* One sample. Arrays over models are set where the case has the model, pairs where it has both. */
typedef struct {
  const float *logits[RT_MODELS]; /* [width] */
  int32_t label;                  /* -1: none */
  const float *target;            /* [targets] or NULL */
  int32_t prediction[RT_MODELS];  /* class: the first of the largest logits */
  double confidence[RT_MODELS];   /* its probability */
  double loss[RT_MODELS];         /* cross-entropy, 0 without label; targets: mean squared error over them */
  double gap;                     /* KL(teacher || student) at T = 1; targets: mean squared difference of the outputs */
} RtMetricSample;

/* What a value is made from. */
typedef struct {
  const RtMetricCase *about;
  int64_t count;              /* samples */
  const RtExact *sum;         /* [sums + bin_sums * bins] of the row */
  const RtOutcomes *outcomes; /* of each sample */
} RtMetricResult;

typedef enum {
  RT_METRIC_MODEL, /* one of each model: eval.nc has ROLE_name */
  RT_METRIC_PAIR,  /* one of both models */
  RT_METRIC_SET    /* one of the test set */
} RtMetricScope;

typedef struct {
  const char *name, *units, *long_name; /* the latter of a model: a format for its role */
  const char *axis[2];                  /* "class", "prediction", "bin", up to the first NULL; none: a number */
  bool counts;                          /* value gives int64_t, else double */
  RtMetricScope scope;
  unsigned with;      /* bits of RT_METRIC_NOTHING and the others */
  int least, most;    /* classes of the dataset that it is for; most 0: any number */
  int sums, bin_sums; /* sums that it keeps, and those of each bin; the memory of a thread grows by them */
  /* Add a sample to the sums. NULL where there are none. model: 0 where the scope is not a model. */
  void (*add)(const RtMetricCase *about, const RtMetricSample *sample, int model, RtExact *sum);
  /* value: one, or [axis …] of double or int64_t, zero at first. NaN is a missing value. */
  void (*value)(const RtMetricResult *result, int model, void *value);
} RtMetric;

extern const RtMetric rt_metric_rmse, rt_metric_accuracy, rt_metric_cross_entropy, rt_metric_agreement, rt_metric_kl,
    rt_metric_difference;
extern const RtMetric rt_metric_ece, rt_metric_bin_confidence, rt_metric_bin_accuracy, rt_metric_bin_count;
extern const RtMetric rt_metric_confusion, rt_metric_class_support, rt_metric_class_correct, rt_metric_class_predicted;

#endif
