#include "cli/info_fields.h"

#include "core/message.h"
#include "data/samples.h"

#include <math.h>
#include <stdio.h>

enum { LOOK = 64 << 20 /* bytes of a field that are looked at for its range */ };

static double number_at(RtType type, const void *stored, int64_t i)
{
  if (type == RT_UINT8) return ((const uint8_t *)stored)[i];
  if (type == RT_INT32) return ((const int32_t *)stored)[i];
  if (type == RT_INT64) return (double)((const int64_t *)stored)[i];
  return (double)((const float *)stored)[i];
}

/* The least and the greatest number of one field. */
static PetscErrorCode find_range(const RtDataset *dataset, int number, RtInfoRange *range)
{
  const RtDatasetInfo *info = rt_dataset_info(dataset);
  const RtField *field = &info->field[number];
  RtSamples samples;
  PetscErrorCode error;
  bool *want;

  PetscFunctionBegin;
  *range = (RtInfoRange){INFINITY, -INFINITY, PetscMax(1, PetscMin(info->samples, LOOK / rt_field_bytes(field)))};
  PetscCall(PetscCalloc1(info->fields, &want));
  want[number] = true;
  error = rt_samples_load(dataset, want, 0, range->samples, &samples);
  PetscCall(PetscFree(want));
  PetscCall(error);
  for (int64_t i = 0; i < range->samples * rt_field_size(field); i++) {
    double value = number_at(field->type, samples.field[number], i);

    range->least = fmin(range->least, value);
    range->most = fmax(range->most, value);
  }
  PetscCall(rt_samples_free(&samples));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_info_fields_look(const RtDataset *dataset, RtInfoRange range[])
{
  const RtDatasetInfo *info = rt_dataset_info(dataset);

  PetscFunctionBegin;
  for (int f = 0; f < info->fields; f++) {
    PetscErrorCode error;

    if (rt_field_known(info->field[f].name)) {
      PetscCall(find_range(dataset, f, &range[f]));
      continue;
    }
    PetscCall(PetscPushErrorHandler(PetscIgnoreErrorHandler, NULL));
    error = find_range(dataset, f, &range[f]);
    PetscCall(PetscPopErrorHandler());
    if (error) range[f].samples = 0;
  }
  PetscFunctionReturn(0);
}

void rt_info_fields_print(const RtDataset *dataset, const RtInfoRange range[])
{
  const RtDatasetInfo *info = rt_dataset_info(dataset);

  for (int f = 0; f < info->fields; f++) {
    const RtField *field = &info->field[f];
    char shape[400], numbers[200] = "some numbers are missing or not finite", scale[80] = "", part[64] = "";

    rt_field_shape(field, true, shape, sizeof(shape));
    if (!field->ndim) snprintf(shape, sizeof(shape), "one number");
    if (field->scale != 1 || field->offset != 0)
      snprintf(scale, sizeof(scale), " times %g plus %g", (double)field->scale, (double)field->offset);
    if (range[f].samples < info->samples)
      snprintf(part, sizeof(part), " in the first %lld samples", (long long)range[f].samples);
    if (range[f].samples)
      snprintf(numbers, sizeof(numbers), "from %.10g to %.10g%s%s", range[f].least, range[f].most, scale, part);
    rt_message_print("  field '%s': %s, %s, %s", field->name, rt_field_type_name(field->type), shape, numbers);
  }
}
