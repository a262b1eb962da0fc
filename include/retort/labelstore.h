/* The label store: a teacher's raw logits for a dataset, in shards, one NetCDF file for each fixed range of samples.
   A shard is complete or absent. Every shard names what it was made from; a store that does not match is refused. */
#ifndef RETORT_LABELSTORE_H
#define RETORT_LABELSTORE_H

#include <retort/types.h>

typedef struct {
  int64_t samples; /* of the dataset */
  int64_t shard;   /* samples in a shard; the last one may be shorter */
  int views;       /* 1: the plain sample; more: view 0 is plain, the others are augmented */
  int classes;     /* or numbers a sample, for regression */
  char teacher[RT_HASH_TEXT], dataset[RT_HASH_TEXT];
  char precision[8]; /* fp32 or bf16 */
  char augment[160]; /* canonical text of what makes the views; empty where views is 1 */
} RtLabelstoreInfo;

/* Shard arithmetic. */
static inline int64_t rt_labelstore_shards(const RtLabelstoreInfo *info)
{
  return (info->samples + info->shard - 1) / info->shard;
}
static inline int64_t rt_labelstore_count(const RtLabelstoreInfo *info, int64_t shard)
{
  int64_t rest = info->samples - shard * info->shard;

  return rest < info->shard ? rest : info->shard;
}

/* Which shards of the store in folder dir are absent. Collective on comm: ranks share the checking of the files.
   missing: [rt_labelstore_shards] set to true where the shard is absent, on all ranks.
   Errors: a shard that is damaged or was made from something else than info says: its name and the difference. */
PetscErrorCode rt_labelstore_check(MPI_Comm comm, const char *dir, const RtLabelstoreInfo *info, bool *missing);

/* Write one shard. Not collective. logits: [count, views, classes], raw. options: text for the attribute of that name.
   Errors: a folder that cannot be written, a full disk. */
PetscErrorCode rt_labelstore_write(const char *dir, const RtLabelstoreInfo *info, int64_t shard, const float *logits,
                                   const char *options);

/* Read one shard. Not collective. logits: [rt_labelstore_count, views, classes].
   Errors: absent, damaged, made from something else, logits that are not finite. */
PetscErrorCode rt_labelstore_read(const char *dir, const RtLabelstoreInfo *info, int64_t shard, float *logits);

/* Read what a store in folder dir says of itself, from its first shard. Not collective. found: false where there is
   no shard. */
PetscErrorCode rt_labelstore_describe(const char *dir, RtLabelstoreInfo *info, bool *found);

#endif
