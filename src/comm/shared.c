#include "comm/shared.h"

#include "comm/agree.h"

#include <string.h>
#include <sys/statvfs.h>

enum { LINE = 64 };

/* Open MPI takes the memory from /dev/shm and does not notice that it is full before it is touched. */
static bool has_room(int64_t bytes)
{
  struct statvfs status;

  if (statvfs("/dev/shm", &status)) return false;
  return (double)bytes * 1.1 < (double)status.f_bavail * (double)status.f_frsize;
}

static PetscErrorCode on_one_node(MPI_Comm comm, bool *one)
{
  MPI_Comm node;
  int all, here, apart;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node));
  PetscCallMPI(MPI_Comm_size(comm, &all));
  PetscCallMPI(MPI_Comm_size(node, &here));
  PetscCallMPI(MPI_Comm_free(&node));
  apart = here != all;
  PetscCall(rt_agree_max(comm, 1, &apart));
  *one = !apart;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_shared_create(MPI_Comm comm, size_t bytes, RtShared *shared, bool *made)
{
  int64_t total = (int64_t)bytes + LINE;
  char *own;
  int full, rank;

  PetscFunctionBegin;
  memset(shared, 0, sizeof(*shared));
  PetscCall(on_one_node(comm, made));
  if (!*made) PetscFunctionReturn(0);
  PetscCall(rt_agree_count(comm, 1, &total));
  full = !has_room(total);
  PetscCall(rt_agree_max(comm, 1, &full));
  *made = !full;
  if (full) PetscFunctionReturn(0);
  PetscCallMPI(MPI_Comm_dup(comm, &shared->comm));
  PetscCallMPI(MPI_Comm_size(comm, &shared->size));
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Win_allocate_shared((MPI_Aint)(bytes + LINE), 1, MPI_INFO_NULL, comm, &own, &shared->window));
  PetscCallMPI(MPI_Win_lock_all(MPI_MODE_NOCHECK, shared->window));
  PetscCall(PetscMalloc1(shared->size, &shared->base));
  for (int p = 0; p < shared->size; p++) {
    MPI_Aint length;
    int unit;
    char *start;

    PetscCallMPI(MPI_Win_shared_query(shared->window, p, &length, &unit, &start));
    shared->base[p] = (char *)(((uintptr_t)start + LINE - 1) & ~(uintptr_t)(LINE - 1));
  }
  memset(shared->base[rank], 0, bytes); /* the owner touches it first: it lies near the owner's processor */
  PetscCall(rt_shared_barrier(shared));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_shared_destroy(RtShared *shared)
{
  PetscFunctionBegin;
  if (!shared->base) PetscFunctionReturn(0);
  PetscCallMPI(MPI_Win_unlock_all(shared->window));
  PetscCallMPI(MPI_Win_free(&shared->window));
  PetscCallMPI(MPI_Comm_free(&shared->comm));
  PetscCall(PetscFree(shared->base));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_shared_barrier(RtShared *shared)
{
  PetscFunctionBegin;
  PetscCallMPI(MPI_Win_sync(shared->window));
  PetscCallMPI(MPI_Barrier(shared->comm));
  PetscCallMPI(MPI_Win_sync(shared->window));
  PetscFunctionReturn(0);
}
