/* Log probabilities of one row of logits at a temperature. In double, and
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

/* Walk over the rows of a loss: padding gets the value 0, the others are given to `row`, which adds to the row's
   gradient, [width], and returns its value. */
PetscErrorCode rt_softmax_rows(const RtLossRows *rows, double *value, double *gradient,
                               double (*row)(const RtLossRows *rows, int64_t r, double *gradient));

#endif
