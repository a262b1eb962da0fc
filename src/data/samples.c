#include "data/samples.h"

#include "core/memory.h"
#include "core/size.h"

#include <string.h>

static PetscErrorCode allocate(const RtDatasetInfo *info, int64_t count, RtSamples *samples)
{
  PetscFunctionBegin;
  PetscCall(rt_memory_create((size_t)(count * info->size) * rt_types_size(info->type), &samples->input));
  if (info->classes) PetscCall(PetscMalloc1(count, &samples->label));
  if (info->targets) PetscCall(PetscMalloc1(count * info->targets, &samples->target));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_samples_load(const RtDataset *dataset, int64_t first, int64_t count, RtSamples *samples)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  *samples = (RtSamples){.info = rt_dataset_info(dataset), .first = first, .count = count};
  PetscCall(allocate(samples->info, count, samples));
  error = rt_dataset_read(dataset, first, count, samples->input, samples->label, samples->target);
  if (error) PetscCall(rt_samples_free(samples));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_samples_reserve(const RtDatasetInfo *info, int64_t count, RtSamples *samples)
{
  PetscFunctionBegin;
  *samples = (RtSamples){.info = info, .count = count};
  PetscCall(PetscMalloc1(count, &samples->number));
  PetscCall(allocate(info, count, samples));
  PetscFunctionReturn(0);
}

int64_t rt_samples_bytes(const RtDatasetInfo *info)
{
  return rt_size_plus(rt_size_times(info->size, (int64_t)rt_types_size(info->type)),
                      (info->classes > 0 ? 4 : 0) + 4 * (int64_t)info->targets);
}

PetscErrorCode rt_samples_free(RtSamples *samples)
{
  PetscFunctionBegin;
  PetscCall(rt_memory_destroy(&samples->input));
  PetscCall(PetscFree(samples->number));
  PetscCall(PetscFree(samples->label));
  PetscCall(PetscFree(samples->target));
  PetscFunctionReturn(0);
}

void rt_samples_fill(const RtSamples *samples, const RtAugment *augment, int64_t rows, const int64_t *sample,
                     int64_t view, float *out)
{
  const RtDatasetInfo *info = samples->info;
  size_t bytes = (size_t)info->size * rt_types_size(info->type);
  const RtAugment plain = {.planes = 1, .height = 1, .width = info->size};

  for (int64_t r = 0; r < rows; r++, out += info->size) {
    if (sample[r] < 0) {
      memset(out, 0, (size_t)info->size * sizeof(float));
      continue;
    }
    rt_augment_view(augment ? augment : &plain, info,
                    (const char *)samples->input + (size_t)(sample[r] - samples->first) * bytes,
                    samples->number ? samples->number[sample[r]] : sample[r], view, out);
  }
}

void rt_samples_answers(const RtSamples *samples, int64_t rows, const int64_t *sample, int32_t *label, float *target)
{
  int targets = samples->info->targets;

  for (int64_t r = 0; r < rows; r++) {
    int64_t i = sample[r] - samples->first;

    if (label) label[r] = sample[r] < 0 ? 0 : samples->label[i];
    for (int k = 0; target && k < targets; k++)
      target[r * targets + k] = sample[r] < 0 ? 0 : samples->target[i * targets + k];
  }
}
