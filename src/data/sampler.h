/* Which samples a step sees. A pure function of its parameters and of (epoch, position): data position in a checkpoint
   is one integer, and every rank computes the same. Not collective. */
#ifndef RT_DATA_SAMPLER_H
#define RT_DATA_SAMPLER_H

#include <retort/types.h>

typedef struct {
  uint64_t seed;         /* of the order in each epoch */
  uint64_t holdout_seed; /* of the choice of held-out samples, so that teacher and student of all seeds share it */
  int64_t holdout;       /* samples kept apart */
  int64_t limit;         /* use only so many of the rest, chosen at random by holdout_seed; 0: all */
  int omitted;           /* number of classes left out of training */
  const int *omit;       /* [omitted] */
} RtSamplerParams;

typedef struct {
  uint64_t seed;
  int64_t count, held;
  int64_t *pool;     /* [count] samples to train on, ascending */
  int64_t *held_out; /* [held] ascending; classes are not left out here */
} RtSampler;

/* label: [samples] classes, may be NULL where no class is left out.
   Errors: nothing is left to train on; a holdout as large as the dataset; a class to omit that does not exist. */
PetscErrorCode rt_sampler_create(const RtSamplerParams *params, int64_t samples, int classes, const int32_t *label,
                                 RtSampler *sampler);
PetscErrorCode rt_sampler_destroy(RtSampler *sampler);
/* Samples at positions [first, first + count) of the shuffled order of this epoch; -1 past the end of the pool. */
void rt_sampler_get(const RtSampler *sampler, int64_t epoch, int64_t first, int64_t count, int64_t *sample);

#endif
