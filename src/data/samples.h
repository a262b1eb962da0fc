/* Samples of a dataset in memory, and the filling of a model's input from them. Not collective.

   They are a range, or a list of some of them. What follows names a sample of a range by its number in the dataset, one
   of a list by its place in the list. */
#ifndef RT_DATA_SAMPLES_H
#define RT_DATA_SAMPLES_H

#include "data/augment.h"

typedef struct {
  const RtDatasetInfo *info; /* of the dataset, which must stay open */
  int64_t first, count;      /* first: 0 for a list */
  int64_t *number;           /* [count] of a list: numbers in the dataset; NULL for a range */
  void *input;               /* [count, info->size] as stored */
  int32_t *label;            /* [count], NULL where there is none */
  float *target;             /* [count, info->targets], NULL where there is none */
} RtSamples;

/* Read samples [first, first + count). Labels and numbers are checked. */
PetscErrorCode rt_samples_load(const RtDataset *dataset, int64_t first, int64_t count, RtSamples *samples);
/* Room for a list of so many; data/gather.h fills it. */
PetscErrorCode rt_samples_reserve(const RtDatasetInfo *info, int64_t count, RtSamples *samples);
PetscErrorCode rt_samples_free(RtSamples *samples);
/* Bytes of one sample in memory: its input, label and target. */
int64_t rt_samples_bytes(const RtDatasetInfo *info);

/* Inputs in physical units of one view of each of `rows` samples: out [rows, info->size]. sample[i] < 0: zeros.
   augment: NULL for the samples themselves. */
void rt_samples_fill(const RtSamples *samples, const RtAugment *augment, int64_t rows, const int64_t *sample,
                     int64_t view, float *out);
/* Labels and targets of the same rows; either may be NULL. Zero where sample[i] < 0. */
void rt_samples_answers(const RtSamples *samples, int64_t rows, const int64_t *sample, int32_t *label, float *target);

#endif
