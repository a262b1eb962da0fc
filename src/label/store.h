/* The label store of a job: what it must have been made from, in what state it is, and what it holds in memory. */
#ifndef RT_LABEL_STORE_H
#define RT_LABEL_STORE_H

#include "data/augment.h"
#include "job/job.h"

#include <retort/labelstore.h>

/* Fill info, with logits as the only field; dir: [PETSC_MAX_PATH_LEN] its folder. augment must be that of the job. */
PetscErrorCode rt_store_describe(const RtJob *job, const RtDatasetInfo *dataset, const char *teacher, int width,
                                 const RtAugment *augment, RtLabelstoreInfo *info, char *dir);

/* The outcome of a check. */
typedef struct {
  int64_t shards;
  int64_t count[RT_LABELSTORE_UNKNOWN + 1]; /* in each state; some unknown: the check was ended by a request to stop */
  RtLabelstoreState *state;                 /* [shards] */
  char lacks[128];                          /* "2 of 8 shards are missing and 1 damaged"; empty if none */
} RtStoreCheck;

/* Collective. Read all shards. Notes name damaged ones, at most `notes`.
   Errors: shards that were made from something else; also then, free the check. */
PetscErrorCode rt_store_check(const RtJob *job, const char *dir, const RtLabelstoreInfo *info, int64_t notes,
                              RtStoreCheck *check);
PetscErrorCode rt_store_free(RtStoreCheck *check);

/* Collective. All fields, [samples, views, width of all], those of a sample one after the other; allocated with
   rt_memory_create. The store has been checked.
   Errors: shards that are missing, damaged, or made from something else. */
PetscErrorCode rt_store_load(const RtJob *job, const char *dir, const RtLabelstoreInfo *info, float **data);

#endif
