/* eval.nc: the outcome of an evaluation. */
#ifndef RT_EVAL_EVALUATION_H
#define RT_EVAL_EVALUATION_H

#include "eval/bias.h"
#include "eval/metrics.h"
#include "eval/outcome.h"
#include "job/job.h"

#include <retort/dataset.h>

typedef struct {
  const RtJob *job;
  const RtDatasetInfo *info; /* of the test set */
  const RtMetrics *metrics;  /* sums over all ranks */
  RtOutcomes outcomes;       /* of each sample, on rank 0 */
  int64_t parameters[RT_MODELS];
  int64_t bytes[RT_MODELS]; /* of all weights and constants of the model */
  char hash[RT_MODELS][RT_HASH_TEXT];
  bool corrected; /* the student's biases */
  RtBias bias;
} RtEvaluation;

/* Collective: rank 0 writes. */
PetscErrorCode rt_evaluation_write(const RtEvaluation *evaluation);
/* A few lines for people. */
void rt_evaluation_print(const RtEvaluation *evaluation);

#endif
