#include "label/store.h"

#include "core/memory.h"
#include "core/message.h"
#include "core/stop.h"

#include <stdio.h>
#include <string.h>

PetscErrorCode rt_store_describe(const RtJob *job, const RtDatasetInfo *dataset, const char *teacher, int width,
                                 const RtAugment *augment, RtLabelstoreInfo *info, char *dir)
{
  PetscFunctionBegin;
  *info = (RtLabelstoreInfo){.samples = dataset->samples,
                             .shard = rt_options_int(job->options, "label", "shard"),
                             .views = (int)rt_options_int(job->options, "label", "views")};
  rt_labelstore_logits(info, width);
  PetscCall(PetscStrncpy(info->teacher, teacher, sizeof(info->teacher)));
  PetscCall(PetscStrncpy(info->dataset, dataset->hash, sizeof(info->dataset)));
  PetscCall(
      PetscStrncpy(info->precision, rt_options_text(job->options, "label", "precision"), sizeof(info->precision)));
  if (info->views > 1) {
    RtCheck(augment->active, "-label_views %d asks for augmented views, but no -augment_… option says how",
            info->views);
    rt_augment_text(augment, info->augment, sizeof(info->augment));
  }
  PetscCall(rt_job_path(job, RT_FILES_LABELS, NULL, dir));
  PetscFunctionReturn(0);
}

/* How people are told what is not there. */
static void describe_lack(RtStoreCheck *check)
{
  long long missing = check->count[RT_LABELSTORE_MISSING], damaged = check->count[RT_LABELSTORE_DAMAGED];
  long long shards = check->shards;

  if (missing && damaged)
    snprintf(check->lacks, sizeof(check->lacks), "%lld of %lld shards are missing and %lld damaged", missing, shards,
             damaged);
  else if (missing || damaged)
    snprintf(check->lacks, sizeof(check->lacks), "%lld of %lld shards are %s", missing + damaged, shards,
             missing ? "missing" : "damaged");
}

PetscErrorCode rt_store_check(const RtJob *job, const char *dir, const RtLabelstoreInfo *info, int64_t notes,
                              RtStoreCheck *check)
{
  PetscFunctionBegin;
  *check = (RtStoreCheck){.shards = rt_labelstore_shards(info)};
  PetscCall(PetscMalloc1(check->shards, &check->state));
  PetscCall(rt_labelstore_check(job->comm, dir, info, notes, rt_stop_asked, check->state));
  for (int64_t s = 0; s < check->shards; s++) check->count[check->state[s]]++;
  describe_lack(check);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_store_free(RtStoreCheck *check)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(check->state));
  PetscFunctionReturn(0);
}

/* A field of all shards, into its place in the rows. */
static PetscErrorCode read_field(const char *dir, const RtLabelstoreInfo *info, int field, int64_t at, float *data)
{
  const int64_t row = rt_labelstore_width(info), width = info->field[field].width;
  float *shard;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_memory_create((size_t)(rt_labelstore_count(info, 0) * info->views * width) * sizeof(float), &shard));
  for (int64_t s = 0; s < rt_labelstore_shards(info) && !error; s++) {
    float *to = data + s * info->shard * info->views * row + at;

    error = rt_labelstore_read(dir, info, s, field, shard);
    for (int64_t r = 0; r < rt_labelstore_count(info, s) * info->views && !error; r++)
      memcpy(to + r * row, shard + r * width, (size_t)width * sizeof(float));
  }
  PetscCall(rt_memory_destroy(&shard));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode read_all(const char *dir, const RtLabelstoreInfo *info, float *data)
{
  int64_t at = 0;

  PetscFunctionBegin;
  if (info->fields == 1) {
    for (int64_t s = 0; s < rt_labelstore_shards(info); s++)
      PetscCall(rt_labelstore_read(dir, info, s, 0, data + s * info->shard * info->views * info->field[0].width));
    PetscFunctionReturn(0);
  }
  for (int f = 0; f < info->fields; at += info->field[f++].width) PetscCall(read_field(dir, info, f, at, data));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_store_load(const RtJob *job, const char *dir, const RtLabelstoreInfo *info, float **data)
{
  int64_t size;
  PetscErrorCode error;

  PetscFunctionBegin;
  RtCheck(!__builtin_mul_overflow(info->samples, info->views * rt_labelstore_width(info), &size) &&
              size < INT64_MAX / 8,
          "%s: the store is too large", dir);
  PetscCall(rt_memory_create((size_t)size * sizeof(float), data));
  error = read_all(dir, info, *data);
  RtAgree(job->comm, error);
  PetscFunctionReturn(0);
}
