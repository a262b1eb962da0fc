/* Log probabilities of one row of logits at a temperature, and the hard cross-entropy that losses share. In double, and
   with an exponential of our own: it becomes vectors, and its bits are the same with every C library. Not collective.
 */
#ifndef RT_DISTILL_SOFTMAX_H
#define RT_DISTILL_SOFTMAX_H

#include "distill/loss.h"

/* Columns that are worked on at once; rows may be longer. */
enum { RT_SOFTMAX_PIECE = 256 };

typedef struct {
  double max;     /* largest logit */
  double inverse; /* 1 / temperature */
  double sum;     /* Σ exp((logit - max) / temperature), from 1 to width */
  double log_sum; /* its logarithm */
  bool kept;      /* the row is one piece, and its exponentials are kept */
  double exponential[RT_SOFTMAX_PIECE];
} RtSoftmax;

/* exp(x) of x ≤ 0 in place, to 1e-15 of the value; 3e-308 below -708. Quickest where count is a multiple of 8. */
void rt_softmax_exp(double *x, int count);
/* Sum in an order that depends on count only. */
double rt_softmax_sum(const double *x, int count);

void rt_softmax_row(int width, const float *logit, double temperature, RtSoftmax *row);
/* A piece of the row. logit: [count], count up to RT_SOFTMAX_PIECE.
   log_probability, probability: [RT_SOFTMAX_PIECE], the first `count` are meant, others are overwritten too. */
void rt_softmax_get(const RtSoftmax *row, const float *logit, int count, double *restrict log_probability,
                    double *restrict probability);

/* The first of the largest. */
int rt_softmax_largest(int width, const float *logit);

/* Cross-entropy of columns [first, first + count) with the smoothed label (1 - s) [class = label] + s / width, as in
   PyTorch's cross_entropy: returns its part of the loss, and adds weight times its gradient to gradient: [count].
   student: the row at temperature 1; logit: the piece. */
double rt_softmax_cross_entropy(const RtLossParams *params, const RtLossBatch *batch, int32_t label,
                                const RtSoftmax *student, const float *logit, int first, int count, double weight,
                                double *gradient);

/* Walk over the rows of a classification: padding gets a zero gradient, the others are counted, as correct where there
   is a label, and given to `row`, which writes the row's gradient, [width], and adds to sums.
   Errors (internal): no teacher or label where one is needed, a label that is no class. */
PetscErrorCode rt_softmax_rows(const RtLossParams *params, const RtLossBatch *batch, float *dstudent, RtLossSums *sums,
                               void (*row)(const RtLossParams *params, const RtLossBatch *batch, int64_t r,
                                           float *gradient, RtLossSums *sums));

#endif
