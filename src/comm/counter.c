#include "comm/counter.h"

#include "core/fault.h"

PetscErrorCode rt_counter_create(MPI_Comm comm, RtCounter *counter)
{
  int64_t *base;
  int rank;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_dup(comm, &counter->comm));
  PetscCallMPI(MPI_Comm_rank(counter->comm, &rank));
  PetscCallMPI(MPI_Win_allocate(rank == 0 ? sizeof(*base) : 0, sizeof(*base), MPI_INFO_NULL, counter->comm, &base,
                                &counter->window));
  PetscCallMPI(MPI_Win_lock_all(0, counter->window));
  if (rank == 0) {
    *base = 0;
    PetscCallMPI(MPI_Win_sync(counter->window));
  }
  PetscCallMPI(MPI_Barrier(counter->comm));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_counter_destroy(RtCounter *counter)
{
  PetscFunctionBegin;
  PetscCallMPI(MPI_Win_unlock_all(counter->window));
  PetscCallMPI(MPI_Win_free(&counter->window));
  PetscCallMPI(MPI_Comm_free(&counter->comm));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_counter_next(RtCounter *counter, int64_t *number)
{
  const int64_t one = 1;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_SEND));
  PetscCallMPI(MPI_Fetch_and_op(&one, number, MPI_INT64_T, 0, 0, MPI_SUM, counter->window));
  PetscCallMPI(MPI_Win_flush(0, counter->window));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_counter_peek(RtCounter *counter, int64_t *number)
{
  const int64_t none = 0;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Fetch_and_op(&none, number, MPI_INT64_T, 0, 0, MPI_NO_OP, counter->window));
  PetscCallMPI(MPI_Win_flush(0, counter->window));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_counter_close(RtCounter *counter)
{
  const int64_t closed = RT_COUNTER_CLOSED;
  int64_t before;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Fetch_and_op(&closed, &before, MPI_INT64_T, 0, 0, MPI_REPLACE, counter->window));
  PetscCallMPI(MPI_Win_flush(0, counter->window));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_counter_serve(RtCounter *counter)
{
  int any;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, counter->comm, &any, MPI_STATUS_IGNORE));
  PetscFunctionReturn(0);
}
