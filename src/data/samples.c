#include "data/samples.h"

#include "core/memory.h"
#include "core/size.h"

#include <string.h>

PetscErrorCode rt_samples_create(const RtDatasetInfo *info, const bool *want, int64_t count, RtSamples *samples)
{
  PetscFunctionBegin;
  *samples = (RtSamples){.info = info, .count = count};
  PetscCall(PetscCalloc1(info->fields, &samples->field));
  for (int f = 0; f < info->fields; f++)
    if (!want || want[f])
      PetscCall(rt_memory_create((size_t)(count * rt_field_bytes(&info->field[f])), &samples->field[f]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_samples_reserve(const RtDatasetInfo *info, const bool *want, int64_t count, RtSamples *samples)
{
  PetscFunctionBegin;
  PetscCall(rt_samples_create(info, want, count, samples));
  PetscCall(PetscMalloc1(count, &samples->number));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_samples_read(const RtDataset *dataset, int64_t at, int64_t count, RtSamples *samples)
{
  const RtDatasetInfo *info = samples->info;
  void **field;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(info->fields, &field));
  for (int f = 0; f < info->fields; f++)
    field[f] = samples->field[f] ? (char *)samples->field[f] + at * rt_field_bytes(&info->field[f]) : NULL;
  error = rt_dataset_read(dataset, samples->first + at, count, field);
  PetscCall(PetscFree(field));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_samples_load(const RtDataset *dataset, const bool *want, int64_t first, int64_t count,
                               RtSamples *samples)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_samples_create(rt_dataset_info(dataset), want, count, samples));
  samples->first = first;
  error = rt_samples_read(dataset, 0, count, samples);
  if (error) PetscCall(rt_samples_free(samples));
  PetscCall(error);
  PetscFunctionReturn(0);
}

int64_t rt_samples_bytes(const RtDatasetInfo *info, const bool *want)
{
  int64_t bytes = 0;

  for (int f = 0; f < info->fields; f++)
    if (!want || want[f]) bytes = rt_size_plus(bytes, rt_field_bytes(&info->field[f]));
  return bytes;
}

PetscErrorCode rt_samples_free(RtSamples *samples)
{
  PetscFunctionBegin;
  for (int f = 0; samples->field && f < samples->info->fields; f++) PetscCall(rt_memory_destroy(&samples->field[f]));
  PetscCall(PetscFree(samples->field));
  PetscCall(PetscFree(samples->number));
  PetscFunctionReturn(0);
}

/* Floats in physical units. */
static void fill_floats(const RtField *field, const void *stored, int64_t size, float *out)
{
  if (field->type == RT_FLOAT && field->scale == 1 && field->offset == 0) {
    memcpy(out, stored, (size_t)size * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < size; i++) {
    float value = field->type == RT_FLOAT   ? ((const float *)stored)[i]
                  : field->type == RT_UINT8 ? (float)((const uint8_t *)stored)[i]
                  : field->type == RT_INT32 ? (float)((const int32_t *)stored)[i]
                                            : (float)((const int64_t *)stored)[i];

    out[i] = value * field->scale + field->offset;
  }
}

/* Whole numbers, in a type that is as wide or wider. */
static void fill_whole(const RtField *field, RtType type, const void *stored, int64_t size, void *out)
{
  if (type == field->type) {
    memcpy(out, stored, (size_t)size * rt_types_size(type));
    return;
  }
  for (int64_t i = 0; i < size; i++) {
    int32_t value = field->type == RT_UINT8 ? ((const uint8_t *)stored)[i] : ((const int32_t *)stored)[i];

    if (type == RT_INT32)
      ((int32_t *)out)[i] = value;
    else
      ((int64_t *)out)[i] = value;
  }
}

void rt_samples_fill(const RtSamples *samples, RtFieldRead read, const RtAugment *augment, int64_t rows,
                     const int64_t *sample, int64_t view, void *out)
{
  const RtField *field = &samples->info->field[read.field];
  const int64_t size = rt_field_size(field), bytes = rt_field_bytes(field);
  const size_t row = (size_t)size * rt_types_size(read.type);
  const bool picture = read.field == samples->info->input;
  const RtAugment plain = {.planes = 1, .height = 1, .width = size};
  char *to = out;

  for (int64_t r = 0; r < rows; r++, to += row) {
    const void *stored = (const char *)samples->field[read.field] + (sample[r] - samples->first) * bytes;

    if (sample[r] < 0)
      memset(to, 0, row);
    else if (read.type != RT_FLOAT)
      fill_whole(field, read.type, stored, size, to);
    else if (picture)
      rt_augment_view(augment ? augment : &plain, field, stored,
                      samples->number ? samples->number[sample[r]] : sample[r], view, (float *)(void *)to);
    else
      fill_floats(field, stored, size, (float *)(void *)to);
  }
}

void rt_samples_answers(const RtSamples *samples, int64_t rows, const int64_t *sample, int32_t *label, float *target)
{
  if (label) rt_samples_fill(samples, (RtFieldRead){samples->info->label, RT_INT32}, NULL, rows, sample, 0, label);
  if (target) rt_samples_fill(samples, (RtFieldRead){samples->info->target, RT_FLOAT}, NULL, rows, sample, 0, target);
}
