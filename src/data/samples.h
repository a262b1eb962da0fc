/* Samples of a dataset in memory, and the filling of a model's inputs from them. Not collective.

   They are a range, or a list of some of them. What follows names a sample of a range by its number in the dataset, one
   of a list by its place in the list. */
#ifndef RT_DATA_SAMPLES_H
#define RT_DATA_SAMPLES_H

#include "data/augment.h"

typedef struct {
  const RtDatasetInfo *info; /* of the dataset, which must stay open */
  int64_t first, count;      /* first: 0 for a list */
  int64_t *number;           /* [count] of a list: numbers in the dataset; NULL for a range */
  void **field;              /* [info->fields] [count, elements] as stored; NULL where a field is not wanted */
} RtSamples;

/* want: [info->fields] which fields are; NULL: all. */

/* Read samples [first, first + count). Labels and numbers are checked. */
PetscErrorCode rt_samples_load(const RtDataset *dataset, const bool *want, int64_t first, int64_t count,
                               RtSamples *samples);
/* Room for a range of so many, which begins at 0 until the caller says where; for a list of so many, with their numbers
   (data/gather.h fills it). */
PetscErrorCode rt_samples_create(const RtDatasetInfo *info, const bool *want, int64_t count, RtSamples *samples);
PetscErrorCode rt_samples_reserve(const RtDatasetInfo *info, const bool *want, int64_t count, RtSamples *samples);
/* Read count samples of a range, from its place `at` on. */
PetscErrorCode rt_samples_read(const RtDataset *dataset, int64_t at, int64_t count, RtSamples *samples);
PetscErrorCode rt_samples_free(RtSamples *samples);
/* Bytes of one sample in memory. */
int64_t rt_samples_bytes(const RtDatasetInfo *info, const bool *want);

/* One field of `rows` samples: out, [rows, elements] of read.type; the field input as one of its views. sample[i] < 0:
   zeros. augment: NULL for the samples themselves. The field must be there, and fit (retort/field.h). */
void rt_samples_fill(const RtSamples *samples, RtFieldRead read, const RtAugment *augment, int64_t rows,
                     const int64_t *sample, int64_t view, void *out);
/* Labels and targets of the same rows; either may be NULL. Zero where sample[i] < 0. */
void rt_samples_answers(const RtSamples *samples, int64_t rows, const int64_t *sample, int32_t *label, float *target);

#endif
