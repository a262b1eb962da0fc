/* For tests of datasets that have input, label and target alone: their fields as three pointers. */
#ifndef RT_FIELDS_H
#define RT_FIELDS_H

#include <retort/dataset.h>

/* NULL where one is not wanted. */
__attribute__((unused)) static PetscErrorCode rt_fields_read(const RtDataset *dataset, int64_t first, int64_t count,
                                                             void *input, int32_t *label, float *target)
{
  const RtDatasetInfo *info = rt_dataset_info(dataset);
  void *field[3] = {NULL, NULL, NULL};

  if (info->input >= 0) field[info->input] = input;
  if (info->label >= 0) field[info->label] = label;
  if (info->target >= 0) field[info->target] = target;
  return rt_dataset_read(dataset, first, count, field);
}

/* NULL where the dataset has none. */
__attribute__((unused)) static PetscErrorCode
rt_fields_append(RtDatasetWriter *writer, int64_t count, const void *input, const int32_t *label, const float *target)
{
  const void *field[4] = {input};
  int fields = 1;

  if (label) field[fields++] = label;
  if (target) field[fields++] = target;
  return rt_dataset_append(writer, count, field);
}

/* The field that augmentation moves. */
__attribute__((unused)) static RtField rt_fields_input(const RtDatasetInfo *info)
{
  RtField field[3];
  RtDatasetInfo copy = *info;

  rt_field_derive(&copy, field);
  return field[0];
}

#endif
