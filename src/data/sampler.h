/* Which samples are trained on, which are held out, and the order in which an epoch sees them where all are in memory
   (data/order.h: where they are not). A pure function of its parameters and of (epoch, position): data position in a
   checkpoint is one integer, and every rank computes the same. Not collective. */
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

/* The pool is what is trained on: a bit a sample, and the number of bits before each group of words. */
typedef struct {
  uint64_t seed;
  int64_t samples, count, held;
  uint64_t *bit;     /* [samples / 64, rounded up] 1: in the pool */
  int64_t *before;   /* [samples / RT_SAMPLER_GROUP, rounded up] pool samples before each group */
  int64_t *pool;     /* [count] the same as a list, ascending; NULL until rt_sampler_list */
  int64_t *held_out; /* [held] ascending; classes are not left out here */
} RtSampler;

enum { RT_SAMPLER_GROUP = 512 };

/* Gives the classes of samples [first, first + count). */
typedef PetscErrorCode (*RtSamplerLabels)(const void *context, int64_t first, int64_t count, int32_t *label);

/* labels: NULL where the dataset has none; called with context, in ascending pieces, only where classes are left out;
   so that the whole is as collective as labels is. Errors: nothing is left to train on; a holdout as large as the
   dataset; a class to omit that does not exist. */
PetscErrorCode rt_sampler_create(const RtSamplerParams *params, int64_t samples, int classes, RtSamplerLabels labels,
                                 const void *context, RtSampler *sampler);
PetscErrorCode rt_sampler_destroy(RtSampler *sampler);
/* Bytes that a sampler of so many samples takes, without the list. */
int64_t rt_sampler_bytes(int64_t samples, int64_t held);

/* Entries [first, first + count) of the pool in ascending order, which must exist. */
void rt_sampler_pool(const RtSampler *sampler, int64_t first, int64_t count, int64_t *sample);

/* Whether a sample is in the pool. */
static inline bool rt_sampler_has(const RtSampler *sampler, int64_t sample)
{
  return sampler->bit[sample / 64] >> (sample % 64) & 1;
}

/* Make the list, which rt_sampler_get reads. */
PetscErrorCode rt_sampler_list(RtSampler *sampler);
/* Samples at positions [first, first + count) of the shuffled order of this epoch; -1 past the end of the pool. */
void rt_sampler_get(const RtSampler *sampler, int64_t epoch, int64_t first, int64_t count, int64_t *sample);

#endif
