/* Process grids for distributed dense matrices (BLACS), and the arithmetic of the block-cyclic distribution: rows go to
   the grid's rows of processes in blocks, in turn, and columns to its columns likewise. */
#ifndef RT_LINALG_GRID_H
#define RT_LINALG_GRID_H

#include <retort/types.h>

enum { RT_GRID_BLOCK = 64 /* rows and columns of a block: what ScaLAPACK's kernels like */ };

typedef struct {
  MPI_Comm comm;    /* a duplicate that only this grid uses; ranks in it beyond the grid own nothing */
  MPI_Comm meeting; /* and one for rt_grid_meet */
  int rank, size;
  int rows, columns; /* of processes */
  int row, column;   /* of this process; -1: it is beyond the grid */
  int block;
  int context; /* of BLACS; -1 beyond the grid */
} RtGrid;

/* Collective on comm, of any size. most: no more processes than this in the grid, 0: as many as fit; with 1 all stands
   on rank 0, and results depend neither on the number of ranks nor on that of threads: BLAS gets one thread, otherwise
   `threads`. */
PetscErrorCode rt_grid_create(MPI_Comm comm, int most, int threads, RtGrid **grid);
/* The same with another size of blocks than RT_GRID_BLOCK. */
PetscErrorCode rt_grid_create_blocks(MPI_Comm comm, int most, int threads, int block, RtGrid **grid);
/* Collective. Matrices on it must be destroyed before. Accepts NULL; sets *grid to NULL. */
PetscErrorCode rt_grid_destroy(RtGrid **grid);

/* Collective: the end of a piece of work on the grid, in which one rank may have failed while the others wait for it
   (rt_message_meet). Returns an error on all ranks where one has one. */
PetscErrorCode rt_grid_meet(RtGrid *grid, PetscErrorCode error);

/* How many processes a matrix of so many rows is worth: 1 up to 2048, 0 (all) beyond. Below, one rank is about as fast
   as several, and the result has the same bits on any number of ranks. */
int rt_grid_worth(int64_t rows);

/* Threads that BLAS may use on this rank, where it is OpenBLAS. Their number may change the last bits. */
void rt_grid_threads(int threads);

/* The largest grid of at most `processes` that is nearly square: rows <= columns. */
void rt_grid_shape(int processes, int *rows, int *columns);
/* Of the indices 0 … n - 1, how many lie on process `process` of `processes` in one direction. */
int64_t rt_grid_count(int64_t n, int block, int process, int processes);
/* The index that stands at place `local` on that process. */
static inline int64_t rt_grid_index(int64_t local, int block, int process, int processes)
{
  return (local / block * processes + process) * block + local % block;
}

#endif
