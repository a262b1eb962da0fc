/* What the models say to each sample of the test set, gathered on rank 0, which writes it into eval.nc. */
#ifndef RT_EVAL_OUTCOME_H
#define RT_EVAL_OUTCOME_H

#include <retort/types.h>

enum { RT_TEACHER, RT_STUDENT, RT_MODELS };

/* One sample. */
typedef struct {
  int32_t prediction[RT_MODELS]; /* class; 0 for regression */
  float certainty[RT_MODELS];    /* largest probability; for regression: root of the mean squared error over targets */
  float gap;                     /* KL(teacher || student) at T = 1; for regression: root mean square of the outputs'
                                    difference. 0 where a model is missing */
} RtOutcome;

/* The columns stand on rank 0 only, [samples] each; those that the evaluation has no numbers for stay zero. */
typedef struct {
  MPI_Comm comm;
  int rank, size;
  int64_t batch;     /* of the predictors: their micro-batches are dealt out to the ranks */
  int64_t most;      /* samples in a block */
  RtOutcome *block;  /* [most] of the block at hand; the rows of this rank are filled */
  RtOutcome *packed; /* [most] the rows of one rank after the other */
  int *bytes, *at;   /* [size] of packed, on rank 0 */
  int32_t *label;
  int32_t *prediction[RT_MODELS];
  float *certainty[RT_MODELS];
  float *gap;
} RtOutcomes;

/* Collective. samples: of the test set; most: of those in a block. Errors: no memory. */
PetscErrorCode rt_outcome_create(MPI_Comm comm, int64_t samples, int64_t most, int64_t batch, RtOutcomes *outcomes);
PetscErrorCode rt_outcome_destroy(RtOutcomes *outcomes);

/* Collective. Bring the block's rows into the columns, from sample number `first` on. Micro-batch b of the block must
   have been filled by rank b mod size, as with first = rank and stride = size in an RtPredictorRange.
   count: samples in the block; label: [count] on rank 0, NULL where there is none. */
PetscErrorCode rt_outcome_collect(RtOutcomes *outcomes, int64_t first, int64_t count, const int32_t *label);

#endif
