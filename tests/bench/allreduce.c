/* Time of the sum of gradients by the fixed tree against MPI_Allreduce, in turn in one run.

     mpirun -n RANKS allreduce [-lanes PER_RANK] [-rounds 5]

   Both sum one buffer of each lane. Ours: push, reduce-scatter, allgather, as a training step does it, but without the
   optimizer between; MPI's: MPI_Allreduce in place. Median of the rounds, each the mean of many repetitions. */
#include "test.h"

#include "comm/reduce.h"
#include "core/memory.h"

#include <stdlib.h>

static const int64_t sizes[] = {26 << 10, 1300000, 2395216, 25000000};
enum { SIZES = sizeof(sizes) / sizeof(*sizes), MOST = 99 };

static int compare(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;

  return (x > y) - (x < y);
}

/* Seconds of one sum by the tree; the gradients are there already, as after backward. */
static PetscErrorCode run_tree(MPI_Comm comm, RtReduce *reduce, int repeats, double *seconds)
{
  double start;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Barrier(comm));
  start = MPI_Wtime();
  for (int i = 0; i < repeats; i++) {
    const float *sum;
    int first, count;

    rt_reduce_lanes(reduce, 0, &first, &count);
    for (int lane = first; lane < first + count; lane++) {
      (void)rt_reduce_buffer(reduce, 0);
      rt_reduce_push(reduce, 0, lane);
    }
    PetscCall(rt_reduce_scatter(reduce, &sum));
    PetscCall(rt_reduce_gather(reduce));
  }
  *seconds = (MPI_Wtime() - start) / repeats;
  PetscFunctionReturn(0);
}

static PetscErrorCode run_mpi(MPI_Comm comm, int64_t n, float *buffer, int repeats, double *seconds)
{
  double start;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Barrier(comm));
  start = MPI_Wtime();
  for (int i = 0; i < repeats; i++) PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, buffer, (int)n, MPI_FLOAT, MPI_SUM, comm));
  *seconds = (MPI_Wtime() - start) / repeats;
  PetscFunctionReturn(0);
}

static PetscErrorCode measure(MPI_Comm comm, int64_t n, int lanes, int rounds)
{
  int rank, size, repeats = (int)PetscMax(5, 200000000 / n / 8);
  double tree[MOST], mpi[MOST], ratio[MOST];
  RtReduceParams params = {.threads = 1, .kind = RT_REDUCE_TREE};
  RtReduce *reduce;
  float *buffer;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  n = (n + 15) / 16 * 16;
  params.n = n;
  params.lanes = lanes * size;
  PetscCall(rt_reduce_create(comm, &params, &reduce));
  PetscCall(rt_memory_create((size_t)n * sizeof(float), &buffer));
  for (int r = -1; r < rounds; r++) {
    int at = PetscMax(r, 0); /* the first round warms up */

    PetscCall(run_tree(comm, reduce, repeats, &tree[at]));
    PetscCall(run_mpi(comm, n, buffer, repeats, &mpi[at]));
    ratio[at] = tree[at] / mpi[at];
  }
  PetscCall(rt_memory_destroy(&buffer));
  PetscCall(rt_reduce_destroy(&reduce));
  qsort(tree, (size_t)rounds, sizeof(*tree), compare);
  qsort(mpi, (size_t)rounds, sizeof(*mpi), compare);
  qsort(ratio, (size_t)rounds, sizeof(*ratio), compare);
  if (rank == 0)
    printf("%9lld floats, %d ranks: tree %8.4f ms, MPI_Allreduce %8.4f ms, ratio %.2f (%.2f to %.2f)\n", (long long)n,
           size, 1e3 * tree[rounds / 2], 1e3 * mpi[rounds / 2], ratio[rounds / 2], ratio[0], ratio[rounds - 1]);
  PetscFunctionReturn(0);
}

static PetscErrorCode bench(int argc, char **argv)
{
  PetscInt lanes = 1, rounds = 7;

  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-lanes", &lanes, NULL));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-rounds", &rounds, NULL));
  if (lanes < 1 || rounds < 1 || rounds > MOST) RtUsage("-lanes from 1 on, -rounds from 1 to %d", MOST);
  for (int s = 0; s < SIZES; s++) PetscCall(measure(PETSC_COMM_WORLD, sizes[s], (int)lanes, (int)rounds));
  PetscFunctionReturn(0);
}

RT_TEST_MAIN(bench)
