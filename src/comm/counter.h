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
/* The number that is next, without taking it. Not collective. */
PetscErrorCode rt_counter_peek(RtCounter *counter, int64_t *number);
/* Close it: from here on all ranks get RT_COUNTER_CLOSED or more. Tells those who come to look that one has to stop.
   Not collective. */
#define RT_COUNTER_CLOSED (INT64_MAX / 2)
PetscErrorCode rt_counter_close(RtCounter *counter);
/* Let MPI answer what other ranks ask of this one: on some networks it does so only when it is called. Cheap; call it
   often while computing. Not collective. */
PetscErrorCode rt_counter_serve(RtCounter *counter);

#endif
