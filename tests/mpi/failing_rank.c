/* A program one of whose ranks fails: failing_rank RANK WAY. The script tests/cli/failing_rank.sh runs it.

     agree     the rank fails and enters an agreement, as the others do
     alone     the rank fails and ends; the others end as well
     hang      the rank fails and ends; the others wait for ever in a barrier
     pair      the rank and the next one fail and end; the others wait for ever
     collect   the others wait in a broadcast from the rank that failed
     internal  an error of the library, not of the user
     usage     the rank finds that it is used wrongly
     none      no rank fails */
#include "core/message.h"

#include <retort/retort.h>
#include <stdlib.h>
#include <string.h>

static PetscErrorCode fail(int rank, const char *way)
{
  PetscFunctionBegin;
  if (!strcmp(way, "internal")) SETERRQ(PETSC_COMM_SELF, PETSC_ERR_PLIB, "rank %d is broken", rank);
  if (!strcmp(way, "usage")) RtUsage("rank %d was used wrongly", rank);
  RtFail("rank %d fails on purpose", rank);
}

static PetscErrorCode run(int who, const char *way)
{
  PetscErrorCode error = 0;
  int rank, size, number = 0;
  bool mine;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(PETSC_COMM_WORLD, &rank));
  PetscCallMPI(MPI_Comm_size(PETSC_COMM_WORLD, &size));
  mine = strcmp(way, "none") && (rank == who || (!strcmp(way, "pair") && rank == (who + 1) % size));
  if (mine) error = fail(rank, way);
  if (!strcmp(way, "agree") || !strcmp(way, "none")) RtAgree(PETSC_COMM_WORLD, error);
  PetscCall(error);
  if (!strcmp(way, "hang") || !strcmp(way, "pair")) PetscCallMPI(MPI_Barrier(PETSC_COMM_WORLD));
  if (!strcmp(way, "collect")) PetscCallMPI(MPI_Bcast(&number, 1, MPI_INT, who, PETSC_COMM_WORLD));
  PetscFunctionReturn(0);
}

int main(int argc, char **argv)
{
  PetscErrorCode error = rt_retort_initialize(&argc, &argv);

  if (error || argc < 3) return 99;
  error = run(atoi(argv[1]), argv[2]);
  return rt_retort_finalize(error);
}
