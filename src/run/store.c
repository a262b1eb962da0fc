#include "run/store.h"

#include "core/memory.h"
#include "core/message.h"

PetscErrorCode rt_store_describe(const RtJob *job, const RtDatasetInfo *dataset, const char *teacher, int width,
                                 const RtAugment *augment, RtLabelstoreInfo *info, char *dir)
{
  PetscFunctionBegin;
  *info = (RtLabelstoreInfo){.samples = dataset->samples,
                             .shard = rt_options_int(job->options, "label", "shard"),
                             .views = (int)rt_options_int(job->options, "label", "views"),
                             .classes = width};
  PetscCall(PetscStrncpy(info->teacher, teacher, sizeof(info->teacher)));
  PetscCall(PetscStrncpy(info->dataset, dataset->hash, sizeof(info->dataset)));
  PetscCall(
      PetscStrncpy(info->precision, rt_options_text(job->options, "label", "precision"), sizeof(info->precision)));
  if (info->views > 1) {
    RtCheck(augment->active, "-label_views %d asks for augmented views, but no -augment_… option says how",
            info->views);
    rt_augment_text(augment, info->augment, sizeof(info->augment));
  }
  PetscCall(rt_job_path(job, "labels", dir));
  PetscFunctionReturn(0);
}

static PetscErrorCode read_all(const char *dir, const RtLabelstoreInfo *info, float *logits)
{
  PetscFunctionBegin;
  for (int64_t s = 0; s < rt_labelstore_shards(info); s++)
    PetscCall(rt_labelstore_read(dir, info, s, logits + s * info->shard * info->views * info->classes));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_store_load(const RtJob *job, const char *dir, const RtLabelstoreInfo *info, float **logits)
{
  int64_t shards = rt_labelstore_shards(info), absent = 0, size;
  bool *missing;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(shards, &missing));
  error = rt_labelstore_check(job->comm, dir, info, missing);
  for (int64_t s = 0; s < shards && !error; s++) absent += missing[s];
  PetscCall(PetscFree(missing));
  PetscCall(error);
  RtCheck(absent == 0, "%s: %lld of %lld shards are missing; run `retort label` first", dir, (long long)absent,
          (long long)shards);
  RtCheck(!__builtin_mul_overflow(info->samples, (int64_t)info->views * info->classes, &size) && size < INT64_MAX / 8,
          "%s: the store is too large", dir);
  PetscCall(rt_memory_create((size_t)size * sizeof(float), logits));
  error = read_all(dir, info, *logits);
  RtAgree(job->comm, error);
  PetscFunctionReturn(0);
}
