/* The label store of a job: what it must have been made from, and its logits in memory. */
#ifndef RT_RUN_STORE_H
#define RT_RUN_STORE_H

#include "data/augment.h"
#include "run/job.h"

#include <retort/labelstore.h>

/* Fill info; dir: [PETSC_MAX_PATH_LEN] its folder. augment must be that of the job. */
PetscErrorCode rt_store_describe(const RtJob *job, const RtDatasetInfo *dataset, const char *teacher, int width,
                                 const RtAugment *augment, RtLabelstoreInfo *info, char *dir);

/* Collective. All logits, [samples, views, width], allocated with rt_memory_create.
   Errors: shards that are missing, damaged, or made from something else. */
PetscErrorCode rt_store_load(const RtJob *job, const char *dir, const RtLabelstoreInfo *info, float **logits);

#endif
