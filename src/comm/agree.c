#include "comm/agree.h"

#include "core/fault.h"

enum { PIECE = 1 << 28 };

PetscErrorCode rt_agree_max(MPI_Comm comm, int count, int *value)
{
  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_SEND));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, value, count, MPI_INT, MPI_MAX, comm));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_agree_sum(MPI_Comm comm, int count, double *value)
{
  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_SEND));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, value, count, MPI_DOUBLE, MPI_SUM, comm));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_agree_count(MPI_Comm comm, int64_t count, int64_t *value)
{
  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_SEND));
  for (int64_t at = 0; at < count; at += PIECE)
    PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, value + at, (int)PetscMin(PIECE, count - at), MPI_INT64_T, MPI_SUM, comm));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_agree_largest(MPI_Comm comm, int count, double *value)
{
  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_SEND));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, value, count, MPI_DOUBLE, MPI_MAX, comm));
  PetscFunctionReturn(0);
}
