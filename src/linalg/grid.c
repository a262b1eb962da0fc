#include "linalg/grid.h"

#include "core/message.h"
#include "linalg/scalapack.h"

#include <math.h>

void rt_grid_shape(int processes, int *rows, int *columns)
{
  *rows = (int)sqrt((double)processes);
  *columns = processes / *rows;
}

int64_t rt_grid_count(int64_t n, int block, int process, int processes)
{
  int64_t whole = n / block, own = whole / processes * block;
  int after = (int)(whole % processes); /* the process that would get the next block */

  if (process < after) return own + block;
  return process == after ? own + n % block : own;
}

int rt_grid_worth(int64_t rows)
{
  return rows <= 2048 ? 1 : 0;
}

void rt_grid_threads(int threads)
{
  if (openblas_set_num_threads) openblas_set_num_threads(threads);
}

/* On ranks of the grid. Cblacs_exit is never called: it would end grids of others as well, PETSc's among them. */
static void join(RtGrid *g, MPI_Comm comm)
{
  int handle = Csys2blacs_handle(comm), rows, columns, repeatable = 1;

  g->context = handle;
  Cblacs_gridinit(&g->context, "Row", g->rows, g->columns);
  Cfree_blacs_system_handle(handle);
  Cblacs_gridinfo(g->context, &rows, &columns, &g->row, &g->column);
  Cblacs_set(g->context, RT_BLACS_REPEATABLE, &repeatable);
}

/* Ranks beyond the grid do not meet BLACS, which would leak on them. */
PetscErrorCode rt_grid_create_blocks(MPI_Comm comm, int most, int threads, int block, RtGrid **grid)
{
  MPI_Comm within;
  RtGrid *g;

  PetscFunctionBegin;
  PetscCall(PetscNew(&g));
  PetscCallMPI(MPI_Comm_dup(comm, &g->comm));
  PetscCallMPI(MPI_Comm_dup(comm, &g->meeting));
  PetscCallMPI(MPI_Comm_rank(g->comm, &g->rank));
  PetscCallMPI(MPI_Comm_size(g->comm, &g->size));
  rt_grid_shape(most > 0 ? PetscMin(most, g->size) : g->size, &g->rows, &g->columns);
  g->block = block;
  g->row = g->column = g->context = -1;
  PetscCallMPI(MPI_Comm_split(g->comm, g->rank < g->rows * g->columns ? 0 : MPI_UNDEFINED, g->rank, &within));
  if (within != MPI_COMM_NULL) {
    join(g, within);
    PetscCallMPI(MPI_Comm_free(&within));
  }
  rt_grid_threads(g->rows * g->columns == 1 ? 1 : threads);
  *grid = g;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_grid_create(MPI_Comm comm, int most, int threads, RtGrid **grid)
{
  PetscFunctionBegin;
  PetscCall(rt_grid_create_blocks(comm, most, threads, RT_GRID_BLOCK, grid));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_grid_destroy(RtGrid **grid)
{
  PetscFunctionBegin;
  if (!*grid) PetscFunctionReturn(0);
  if ((*grid)->context >= 0) Cblacs_gridexit((*grid)->context);
  PetscCallMPI(MPI_Comm_free(&(*grid)->comm));
  PetscCallMPI(MPI_Comm_free(&(*grid)->meeting));
  PetscCall(PetscFree(*grid));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_grid_meet(RtGrid *grid, PetscErrorCode error)
{
  return rt_message_meet(grid->meeting, error);
}
