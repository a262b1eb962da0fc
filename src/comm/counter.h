/* A counter that all ranks share, by one-sided MPI: each call takes the next number, so fast ranks take more. */
#ifndef RT_COMM_COUNTER_H
#define RT_COMM_COUNTER_H

#include <retort/types.h>

typedef struct {
  MPI_Comm comm;
  MPI_Win window;
} RtCounter;

/* Collective. Starts at 0. */
PetscErrorCode rt_counter_create(MPI_Comm comm, RtCounter *counter);
/* Collective. */
PetscErrorCode rt_counter_destroy(RtCounter *counter);
/* Not collective. */
PetscErrorCode rt_counter_next(RtCounter *counter, int64_t *number);

#endif
