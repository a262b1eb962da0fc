#include "cli/info_fields.h"

#include "core/message.h"
#include "data/samples.h"

#include <math.h>
#include <stdio.h>

enum { LOOK = 64 << 20 /* bytes of a field that are looked at for its range */ };

typedef struct {
  double least, most;
  int64_t samples; /* that were looked at */
} Range;

static double number_at(RtType type, const void *stored, int64_t i)
{
  if (type == RT_UINT8) return ((const uint8_t *)stored)[i];
  if (type == RT_INT32) return ((const int32_t *)stored)[i];
  if (type == RT_INT64) return (double)((const int64_t *)stored)[i];
  return (double)((const float *)stored)[i];
}

/* The least and the greatest number of a field, as stored, of as many samples as LOOK allows. */
static PetscErrorCode find_range(const RtDataset *dataset, int number, Range *range)
{
  const RtDatasetInfo *info = rt_dataset_info(dataset);
  const RtField *field = &info->field[number];
  RtSamples samples;
  bool *want;

  PetscFunctionBegin;
  *range = (Range){INFINITY, -INFINITY, PetscMax(1, PetscMin(info->samples, LOOK / rt_field_bytes(field)))};
  PetscCall(PetscCalloc1(info->fields, &want));
  want[number] = true;
  PetscCall(rt_samples_load(dataset, want, 0, range->samples, &samples));
  for (int64_t i = 0; i < range->samples * rt_field_size(field); i++) {
    double value = number_at(field->type, samples.field[number], i);

    range->least = fmin(range->least, value);
    range->most = fmax(range->most, value);
  }
  PetscCall(rt_samples_free(&samples));
  PetscCall(PetscFree(want));
  PetscFunctionReturn(0);
}

static PetscErrorCode print_field(const RtDataset *dataset, int number)
{
  const RtDatasetInfo *info = rt_dataset_info(dataset);
  const RtField *field = &info->field[number];
  char shape[400], scale[80] = "", part[64] = "";
  Range range;

  PetscFunctionBegin;
  PetscCall(find_range(dataset, number, &range));
  rt_field_shape(field, true, shape, sizeof(shape));
  if (!field->ndim) snprintf(shape, sizeof(shape), "one number");
  if (field->scale != 1 || field->offset != 0)
    snprintf(scale, sizeof(scale), " times %g plus %g", (double)field->scale, (double)field->offset);
  if (range.samples < info->samples)
    snprintf(part, sizeof(part), " in the first %lld samples", (long long)range.samples);
  rt_message_print("  field '%s': %s, %s, from %.10g to %.10g%s%s", field->name, rt_field_type_name(field->type), shape,
                   range.least, range.most, scale, part);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_info_fields_print(const RtDataset *dataset)
{
  PetscFunctionBegin;
  for (int f = 0; f < rt_dataset_info(dataset)->fields; f++) PetscCall(print_field(dataset, f));
  PetscFunctionReturn(0);
}
