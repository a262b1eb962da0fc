/* Small agreements of all ranks. Collective. */
#ifndef RT_COMM_AGREE_H
#define RT_COMM_AGREE_H

#include <retort/types.h>

/* The largest of each of `count` numbers over the ranks, on all ranks. */
PetscErrorCode rt_agree_max(MPI_Comm comm, int count, int *value);
/* The sum of each of `count` numbers; its last bits depend on the ranks: for times, not for results. */
PetscErrorCode rt_agree_sum(MPI_Comm comm, int count, double *value);
/* The largest of each of `count` numbers. */
PetscErrorCode rt_agree_largest(MPI_Comm comm, int count, double *value);
/* Exact sums of whole numbers. */
PetscErrorCode rt_agree_count(MPI_Comm comm, int64_t count, int64_t *value);

#endif
