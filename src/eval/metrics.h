/* What teacher and student get right, how sure they are, and how far they agree. Sums that do not depend on the order
   in which ranks and threads add samples. */
#ifndef RT_EVAL_METRICS_H
#define RT_EVAL_METRICS_H

#include "comm/exact.h"

enum { RT_TEACHER, RT_STUDENT, RT_MODELS };

/* One sample. */
typedef struct {
  int32_t prediction[RT_MODELS]; /* class; 0 for regression */
  float certainty[RT_MODELS];    /* largest probability; for regression: root of the mean squared error over targets */
  float gap;                     /* KL(teacher || student) at T = 1; for regression: root mean square of the outputs'
                                    difference. 0 where a model is missing */
} RtOutcome;

typedef struct {
  int classes, targets, bins; /* classes: of the dataset; 0 without labels. targets: 0 for classes */
  int width;
  bool has[RT_MODELS];
  int64_t count;
  int64_t correct[RT_MODELS], agree;
  RtExact kl;                         /* KL(teacher || student) at T = 1 */
  RtExact difference;                 /* regression: squared difference of the outputs (mean over targets) */
  RtExact loss[RT_MODELS];            /* cross-entropy, or squared error (mean over targets) */
  int64_t *confusion[RT_MODELS];      /* [classes, classes] label, prediction */
  int64_t *bin_count[RT_MODELS];      /* [bins] by the largest probability */
  int64_t *bin_correct[RT_MODELS];    /* [bins] */
  RtExact *bin_confidence[RT_MODELS]; /* [bins] sums of the largest probability */
} RtMetrics;

PetscErrorCode rt_metrics_create(int classes, int targets, int width, int bins, const bool has[RT_MODELS],
                                 RtMetrics *metrics);
PetscErrorCode rt_metrics_destroy(RtMetrics *metrics);
/* One sample. logits[m]: [width], read where the metrics have model m; target: [targets] or NULL; label < 0: none.
   outcome: what the models say to this sample; may be NULL. */
void rt_metrics_add(RtMetrics *metrics, const float *const logits[RT_MODELS], int32_t label, const float *target,
                    RtOutcome *outcome);
/* Collective: sums over ranks, on all of them. */
PetscErrorCode rt_metrics_collect(MPI_Comm comm, RtMetrics *metrics);
void rt_metrics_merge(RtMetrics *metrics, const RtMetrics *other);

/* Expected calibration error (Guo et al., arXiv 1706.04599): mean over samples of |accuracy - confidence| of their
   bin. */
double rt_metrics_ece(const RtMetrics *metrics, int model);

#endif
