/* Sums of products: the same bits however ranks share the rows, and as near to a long sum as the rounding of columns
   says. */
#include "support.h"

#include "linalg/gram.h"

#include <math.h>

enum { ROWS = 2600, COLUMNS = 150 };

static float table[ROWS][COLUMNS];

/* Columns of very different size, one of zeros, one that never changes, one with a large mean. */
static void prepare(void)
{
  rt_support_normal(ROWS * COLUMNS, table[0]);
  for (int i = 0; i < ROWS; i++) {
    for (int j = 0; j < COLUMNS; j++) table[i][j] *= ldexpf(1, j % 40 - 20);
    table[i][3] = 0;
    table[i][4] = 0.1f;
    table[i][5] = 1000 + table[i][5];
    table[i][6] = table[i][7] - table[i][47];
  }
}

/* Rows first, first + stride, …, in portions of so many. */
static RtGram *collect(MPI_Comm comm, int first, int stride, int portion, int threads)
{
  float *row;
  RtGram *gram;

  RT_MUST(PetscMalloc1(portion * COLUMNS, &row));
  RT_MUST(rt_gram_create(COLUMNS, ROWS, threads, &gram));
  for (int pass = 0; pass < 2; pass++) {
    int filled = 0;

    for (int i = first; i < ROWS; i += stride) {
      memcpy(row + filled++ * COLUMNS, table[i], sizeof(table[i]));
      if (filled < portion && i + stride < ROWS) continue;
      if (pass)
        RT_MUST(rt_gram_add(gram, filled, row));
      else
        RT_MUST(rt_gram_measure(gram, filled, row));
      filled = 0;
    }
    if (pass)
      RT_MUST(rt_gram_sum(comm, gram));
    else
      RT_MUST(rt_gram_scale(comm, gram));
  }
  RT_MUST(PetscFree(row));
  return gram;
}

static double largest(int column)
{
  double most = 0;

  for (int i = 0; i < ROWS; i++) most = fmax(most, fabsf(table[i][column]));
  return most;
}

/* Against long double, and against the definition of the rounding. */
static void test_values(const RtGram *gram)
{
  double worst = 0;

  for (int i = 0; i < COLUMNS; i += 3)
    for (int j = 0; j <= i; j++) {
      long double mean[2] = {0}, sum = 0;
      double scale = largest(i) * largest(j);

      for (int r = 0; r < ROWS; r++) {
        mean[0] += table[r][i];
        mean[1] += table[r][j];
      }
      for (int r = 0; r < ROWS; r++) sum += (table[r][i] - mean[0] / ROWS) * (table[r][j] - mean[1] / ROWS);
      if (scale > 0) worst = fmax(worst, fabs((double)(sum / ROWS) - rt_gram_covariance(gram, i, j)) / scale);
      RT_TEST_CHECK(rt_gram_covariance(gram, i, j) == rt_gram_covariance(gram, j, i), "not symmetric");
      RT_TEST_CHECK(fabs((double)(mean[0] / ROWS) - rt_gram_mean(gram, i)) <= 0x1p-22 * largest(i), "mean of %d", i);
    }
  RT_TEST_CHECK(worst > 0 && worst < 0x1p-21, "covariances are off by %g of the largest product", worst);
  RT_TEST_CHECK(rt_gram_covariance(gram, 3, 3) == 0 && rt_gram_mean(gram, 3) == 0, "a column of zeros");
  RT_TEST_CHECK(rt_gram_covariance(gram, 4, 4) == 0, "a column that never changes has variance %g",
                rt_gram_covariance(gram, 4, 4));
  RT_TEST_CHECK(fabs(rt_gram_mean(gram, 4) - 0.1) < 1e-7, "its mean is %g", rt_gram_mean(gram, 4));
}

static void test_same(const RtGram *a, const RtGram *b, const char *what)
{
  int off = 0;

  for (int i = 0; i < COLUMNS; i++) {
    off += rt_gram_mean(a, i) != rt_gram_mean(b, i);
    for (int j = 0; j < COLUMNS; j++) off += rt_gram_covariance(a, i, j) != rt_gram_covariance(b, i, j);
  }
  RT_TEST_CHECK(off == 0, "%s: %d sums have other bits", what, off);
}

static void test_fill(const RtGram *gram)
{
  RtGrid *grid;
  RtMatrix *matrix;
  double all[20][30];
  int off = 0;

  RT_MUST(rt_grid_create_blocks(PETSC_COMM_WORLD, 0, 1, 6, &grid));
  RT_MUST(rt_matrix_create(grid, 20, 30, &matrix));
  RT_MUST(rt_gram_fill(gram, 100, 120, matrix));
  RT_MUST(rt_matrix_gather(matrix, all[0]));
  for (int i = 0; i < 20; i++)
    for (int j = 0; j < 30; j++) off += all[i][j] != rt_gram_covariance(gram, 100 + i, 120 + j);
  RT_TEST_CHECK(off == 0, "%d covariances are off in the matrix", off);
  RT_TEST_SAYS(rt_gram_fill(gram, 140, 0, matrix), PETSC_ERR_ARG_SIZ, "outside");
  RT_MUST(rt_matrix_destroy(&matrix));
  RT_MUST(rt_grid_destroy(&grid));
}

static void test_refused(void)
{
  float row[2] = {1, NAN}, larger[2] = {5, 1};
  RtGram *gram = NULL;

  RT_TEST_SAYS(rt_gram_create((int64_t)1 << 40, 1, 1, &gram), RT_ERR_FAILED, "1099511627776 columns");
  RT_TEST_CHECK(!gram, "sums that were refused");
  RT_MUST(rt_gram_create(2, 2, 1, &gram));
  RT_TEST_SAYS(rt_gram_measure(gram, 1, row), RT_ERR_FAILED, "not finite");
  row[1] = 1;
  RT_MUST(rt_gram_measure(gram, 1, row));
  RT_MUST(rt_gram_scale(PETSC_COMM_SELF, gram));
  RT_TEST_SAYS(rt_gram_add(gram, 1, larger), PETSC_ERR_ARG_OUTOFRANGE, "not measured");
  RT_MUST(rt_gram_destroy(&gram));
  RT_MUST(rt_gram_create(2, 1, 1, &gram));
  RT_MUST(rt_gram_measure(gram, 1, row));
  RT_MUST(rt_gram_scale(PETSC_COMM_SELF, gram));
  RT_MUST(rt_gram_add(gram, 1, row));
  RT_TEST_SAYS(rt_gram_add(gram, 1, row), PETSC_ERR_ARG_OUTOFRANGE, "more rows");
  RT_MUST(rt_gram_destroy(&gram));
  RT_TEST_CHECK(!gram, "destroy sets NULL");
  RT_MUST(rt_gram_destroy(&gram));
}

/* Columns of the largest numbers that fit, so that sums are as large as they become; and many announced rows. */
static void test_limits(void)
{
  static float one[1024][2];
  RtGram *gram;

  for (int i = 0; i < 1024; i++) one[i][0] = one[i][1] = nextafterf(1, 0);
  for (int bits = 0; bits < 50; bits += 7) {
    RT_MUST(rt_gram_create(2, (int64_t)1 << bits | 2048, 1, &gram));
    for (int pass = 0; pass < 2; pass++) {
      for (int k = 0; k < 2; k++) RT_MUST(pass ? rt_gram_add(gram, 1024, one[0]) : rt_gram_measure(gram, 1024, one[0]));
      RT_MUST(pass ? rt_gram_sum(PETSC_COMM_SELF, gram) : rt_gram_scale(PETSC_COMM_SELF, gram));
    }
    RT_TEST_CHECK(rt_gram_covariance(gram, 0, 1) == 0, "2^%d rows: covariance %g", bits,
                  rt_gram_covariance(gram, 0, 1));
    RT_TEST_CHECK(fabs(rt_gram_mean(gram, 1) - 1) < 1e-3, "2^%d rows: mean %g", bits, rt_gram_mean(gram, 1));
    RT_MUST(rt_gram_destroy(&gram));
  }
}

static PetscErrorCode test(int argc, char **argv)
{
  RtGram *whole, *shared;
  int rank, size;

  (void)argc;
  (void)argv;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  prepare();
  whole = collect(PETSC_COMM_SELF, 0, 1, ROWS, 1);
  shared = collect(PETSC_COMM_WORLD, rank, size, 37, 1 + rank % 2);
  test_values(whole);
  test_same(whole, shared, "rows of all ranks");
  RT_MUST(rt_gram_destroy(&shared));
  shared = collect(PETSC_COMM_WORLD, rank == 0 ? 0 : ROWS, 1, 1000, 1); /* the others have none */
  test_same(whole, shared, "rows of one rank");
  test_fill(shared);
  RT_MUST(rt_gram_destroy(&shared));
  RT_MUST(rt_gram_destroy(&whole));
  test_refused();
  test_limits();
  return 0;
}

RT_TEST_MAIN(test)
