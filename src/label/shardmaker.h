/* Makes shards of a label store: ranks take them from a shared counter, several jobs agree by claims, and reading the
   samples of the next shard, the teacher's inference, and writing the last shard overlap. */
#ifndef RT_LABEL_SHARDMAKER_H
#define RT_LABEL_SHARDMAKER_H

#include "label/inference.h"

typedef struct {
  int64_t made;   /* shards that this job wrote */
  int64_t others; /* those that other jobs wrote meanwhile */
  /* Seconds, summed over the ranks: the teacher's inference, waiting for samples and claims, waiting for shards to be
     written. */
  double compute, input, output;
  double waited; /* seconds in which a rank had nothing to do but to wait for other jobs: the most of any rank */
} RtShardmakerResult;

/* Collective. Make the shards whose state is missing or damaged, until all are there: those that living other jobs have
   in hand are waited for, and made if those jobs die. state: [shards].
   A request to stop on any rank ends it on all: a shard in hand is finished where that takes less than a second, else
   dropped; then fewer than all are made by us and others together. What was written stays.
   Errors: those of one rank end all within seconds. */
PetscErrorCode rt_shardmaker_run(const RtInference *teacher, const RtLabelstoreState *state,
                                 RtShardmakerResult *result);

#endif
