/* The checkpoints in a run directory: checkpoint/ROLE-STEP.nc, of which the last few and the best are kept. Not
   collective: rank 0 alone touches them. */
#ifndef RT_TRAIN_GENERATIONS_H
#define RT_TRAIN_GENERATIONS_H

#include <retort/types.h>

/* path: [PETSC_MAX_PATH_LEN]. Errors: too long. */
PetscErrorCode rt_generations_path(const char *dir, const char *role, int64_t step, char *path);
/* The step in a file's name without its folder, -1 where it is not that of a checkpoint of this role. */
int64_t rt_generations_step(const char *name, const char *role);
/* Steps of the files that are there, whole or not, ascending; *step is allocated with PetscMalloc. No folder: none.
   Errors: the folder cannot be read. */
PetscErrorCode rt_generations_list(const char *dir, const char *role, int *count, int64_t **step);
/* After the one of step `newest` is complete: keep the last `keep` up to it, and the one of step `best`; remove all
   others. Those of later steps are damaged, or this run would have gone on from them. */
PetscErrorCode rt_generations_prune(const char *dir, const char *role, int64_t newest, int64_t keep, int64_t best);
/* Remove all. */
PetscErrorCode rt_generations_remove(const char *dir, const char *role);

#endif
