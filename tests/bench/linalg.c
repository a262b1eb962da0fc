/* Ridge regression and principal components of random data, timed: linalg FEATURES SAMPLES. Prints one line of numbers
   on rank 0 for linalg.py: ranks, features, samples; seconds of the sums of products, of ridge with 10 answers, of
   principal components; billions of operations a second and rank of a plain product in double precision on all ranks at
   once; largest memory of a rank in MiB. */
#include "support.h"

#include "comm/agree.h"
#include "linalg/eigen.h"
#include "linalg/gram.h"
#include "linalg/ridge.h"

#include <sys/resource.h>

enum { ANSWERS = 10, BLOCK = 1024, PEAK = 1024 };

static int64_t features, samples;
static int rank, size;

/* Seconds since `start` on the rank that took longest. */
static double since(double start)
{
  double seconds = MPI_Wtime() - start;

  RT_MUST(rt_agree_largest(PETSC_COMM_WORLD, 1, &seconds));
  return seconds;
}

static double sum_products(RtGram **gram)
{
  int64_t columns = features + ANSWERS, blocks = samples / BLOCK;
  float *row;
  double seconds = 0;

  RT_MUST(rt_gram_create(columns, samples, 1, gram));
  RT_MUST(PetscMalloc1(BLOCK * columns + 4, &row));
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t b = rank; b < blocks; b += size) {
      uint32_t key[2] = {1, 2};
      double start;

      rt_random_normal(key, (uint64_t)b, BLOCK * columns, row);
      start = MPI_Wtime();
      RT_MUST(pass ? rt_gram_add(*gram, BLOCK, row) : rt_gram_measure(*gram, BLOCK, row));
      seconds += MPI_Wtime() - start;
    }
    MPI_Barrier(PETSC_COMM_WORLD);
    seconds -= MPI_Wtime();
    RT_MUST(pass ? rt_gram_sum(PETSC_COMM_WORLD, *gram) : rt_gram_scale(PETSC_COMM_WORLD, *gram));
    seconds += MPI_Wtime();
  }
  RT_MUST(PetscFree(row));
  RT_MUST(rt_agree_largest(PETSC_COMM_WORLD, 1, &seconds));
  return seconds;
}

static double solve_ridge(RtGrid *grid, const RtGram *gram)
{
  RtMatrix *moments, *right, *solution;
  double start = MPI_Wtime();

  RT_MUST(rt_matrix_create(grid, features, features, &moments));
  RT_MUST(rt_matrix_create(grid, features, ANSWERS, &right));
  RT_MUST(rt_matrix_create(grid, features, ANSWERS, &solution));
  RT_MUST(rt_gram_fill(gram, 0, 0, moments));
  RT_MUST(rt_gram_fill(gram, 0, features, right));
  RT_MUST(rt_ridge_solve(moments, right, 1e-3, "the penalty", solution, NULL));
  RT_MUST(rt_matrix_destroy(&moments));
  RT_MUST(rt_matrix_destroy(&right));
  RT_MUST(rt_matrix_destroy(&solution));
  return since(start);
}

static double solve_components(RtGrid *grid, const RtGram *gram)
{
  RtMatrix *moments, *vector;
  double *value, start = MPI_Wtime();

  RT_MUST(PetscMalloc1(features, &value));
  RT_MUST(rt_matrix_create(grid, features, features, &moments));
  RT_MUST(rt_matrix_create(grid, features, features, &vector));
  RT_MUST(rt_gram_fill(gram, 0, 0, moments));
  RT_MUST(rt_eigen_solve(moments, value, vector, NULL));
  RT_MUST(rt_matrix_destroy(&moments));
  RT_MUST(rt_matrix_destroy(&vector));
  RT_MUST(PetscFree(value));
  return since(start);
}

/* A product on each rank alone, all at the same time. */
static double peak(void)
{
  RtGrid *grid;
  RtMatrix *a, *b, *c;
  double start, seconds;

  RT_MUST(rt_grid_create(PETSC_COMM_SELF, 1, 1, &grid));
  RT_MUST(rt_matrix_create(grid, PEAK, PEAK, &a));
  RT_MUST(rt_matrix_create(grid, PEAK, PEAK, &b));
  RT_MUST(rt_matrix_create(grid, PEAK, PEAK, &c));
  RT_MUST(rt_matrix_multiply(1, (RtFactor){a, false}, (RtFactor){b, false}, 0, c));
  MPI_Barrier(PETSC_COMM_WORLD);
  start = MPI_Wtime();
  for (int i = 0; i < 8; i++) RT_MUST(rt_matrix_multiply(1, (RtFactor){a, false}, (RtFactor){b, false}, 0, c));
  seconds = since(start);
  RT_MUST(rt_matrix_destroy(&a));
  RT_MUST(rt_matrix_destroy(&b));
  RT_MUST(rt_matrix_destroy(&c));
  RT_MUST(rt_grid_destroy(&grid));
  return 8 * 2e-9 * PEAK * PEAK * PEAK / seconds;
}

static PetscErrorCode test(int argc, char **argv)
{
  RtGrid *grid;
  RtGram *gram;
  struct rusage usage;
  double second[3], rate, memory;

  if (argc != 3) {
    fprintf(stderr, "usage: linalg FEATURES SAMPLES\n");
    return RT_ERR_USAGE;
  }
  features = atoll(argv[1]);
  samples = atoll(argv[2]);
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  rt_grid_threads(1);
  rate = peak();
  second[0] = sum_products(&gram);
  RT_MUST(rt_grid_create(PETSC_COMM_WORLD, 0, 1, &grid));
  second[1] = solve_ridge(grid, gram);
  second[2] = solve_components(grid, gram);
  RT_MUST(rt_gram_destroy(&gram));
  RT_MUST(rt_grid_destroy(&grid));
  getrusage(RUSAGE_SELF, &usage);
  memory = (double)usage.ru_maxrss / 1024;
  RT_MUST(rt_agree_largest(PETSC_COMM_WORLD, 1, &memory));
  if (rank == 0)
    printf("%d %lld %lld %.4f %.4f %.4f %.2f %.0f\n", size, (long long)features, (long long)samples, second[0],
           second[1], second[2], rate, memory);
  return 0;
}

RT_TEST_MAIN(test)
