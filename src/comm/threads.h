/* How many threads a rank may use. */
#ifndef RT_COMM_THREADS_H
#define RT_COMM_THREADS_H

#include <retort/types.h>

/* Collective. OMP_NUM_THREADS where it is set; otherwise the processors that the rank's affinity allows, divided among
   the ranks of the node that have the same affinity; at least 1.
   Errors: OMP_NUM_THREADS is not a positive number. */
PetscErrorCode rt_threads_count(MPI_Comm comm, int *threads);

#endif
