/* Objectives. A loss returns sums and a count, never a mean, so that the parts of a batch can be added in any
   grouping; gradients are those of the mean over the global batch. To add one: a file in src/distill and a row in
   loss.c. Not collective. */
#ifndef RT_DISTILL_LOSS_H
#define RT_DISTILL_LOSS_H

#include <retort/types.h>

typedef struct {
  double temperature;     /* T */
  double alpha;           /* weight of the soft term; 1 - alpha weighs the hard one */
  double label_smoothing; /* of the hard cross-entropy */
} RtLossParams;

/* One lane's part of the batch. rows with sample[i] < 0 are padding: no loss, zero gradient. */
typedef struct {
  int64_t rows;
  int width;             /* classes, or numbers of a regression */
  const int64_t *sample; /* [rows] */
  const float *student;  /* [rows, width] logits or result */
  const float *teacher;  /* [rows, width] raw logits or result; NULL where alpha is 0 */
  const int32_t *label;  /* [rows], or NULL */
  const float *target;   /* [rows, width], or NULL */
  double scale;          /* 1 / samples in the global batch */
} RtLossBatch;

/* Sums over the samples of the part. */
typedef struct {
  double total, soft, hard; /* total = alpha soft + (1 - alpha) hard, before `scale` */
  double correct;           /* samples whose largest output is the label's (the first of equals); 0 for regression */
  double count;
} RtLossSums;

typedef struct {
  const char *name, *help;
  bool regression; /* for float targets, not for classes */
  /* dstudent: [rows, width] gradient of scale * total, overwritten. sums: added to. */
  PetscErrorCode (*evaluate)(const RtLossParams *params, const RtLossBatch *batch, float *dstudent, RtLossSums *sums);
} RtLoss;

extern const RtLoss rt_loss_kl, rt_loss_logits, rt_loss_mse;

/* By name: "kl" (soft targets), "logits" (logit regression), "mse" (regression). NULL if there is none. */
const RtLoss *rt_loss_find(const char *name);
/* Names joined by `|`, for the option table. */
const char *rt_loss_names(void);

#endif
