/* Distributed dense matrices: what goes in comes out, and every solve agrees with LAPACK, on grids that
   do not divide the matrix, with ranks that own nothing, for matrices of one element, wide, tall, and of low rank. */
#include "support.h"

#include "linalg/ridge.h"
#include "linalg/svd.h"

#include <math.h>

/* The witness, on one rank. */
void dposv_(const char *uplo, const int *n, const int *nrhs, double *a, const int *lda, double *b, const int *ldb,
            int *info, size_t uplo_length);
void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
            const int *lwork, int *info, size_t jobz_length, size_t uplo_length);
void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *lda, double *s,
             double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork, int *info,
             size_t jobu_length, size_t jobvt_length);

static RtGrid *grid;
static char what[96]; /* the case, for messages */

static double *array(int64_t size)
{
  double *data;

  RT_MUST(PetscCalloc1(size + 1, &data));
  return data;
}

/* The same on all ranks. */
static double *normal(int64_t size)
{
  double *data = array(size);
  float *number;

  RT_MUST(PetscMalloc1(size + 4, &number));
  rt_support_normal(size, number);
  for (int64_t i = 0; i < size; i++) data[i] = number[i];
  RT_MUST(PetscFree(number));
  return data;
}

/* all: [rows, columns] row-major. */
static RtMatrix *spread(int64_t rows, int64_t columns, const double *all)
{
  RtMatrix *matrix;

  RT_MUST(rt_matrix_create(grid, rows, columns, &matrix));
  if (all) rt_matrix_take(matrix, all);
  return matrix;
}

static double far(int64_t size, const double *a, const double *b)
{
  double most = 0;

  for (int64_t i = 0; i < size; i++) most = fmax(most, isfinite(a[i]) ? fabs(a[i] - b[i]) : INFINITY);
  return most;
}

static void test_arithmetic(void)
{
  int rows, columns;

  for (int p = 1; p <= 40; p++) {
    rt_grid_shape(p, &rows, &columns);
    RT_TEST_CHECK(rows >= 1 && rows <= columns && rows * columns <= p && (rows + 1) * (rows + 1) > p,
                  "%d processes: %d x %d", p, rows, columns);
    RT_TEST_CHECK(p - rows * columns < rows, "%d processes: a grid of %d x %d leaves too many out", p, rows, columns);
  }
  for (int64_t n = 0; n < 30; n++)
    for (int block = 1; block < 6; block++)
      for (int p = 1; p < 5; p++)
        for (int process = 0; process < p; process++) {
          int64_t own = 0;

          for (int64_t i = 0; i < n; i++)
            if (i / block % p == process) {
              int64_t index = rt_grid_index(own++, block, process, p);

              RT_TEST_CHECK(index == i, "place %lld is %lld", (long long)i, (long long)index);
            }
          RT_TEST_CHECK(rt_grid_count(n, block, process, p) == own, "count of %lld", (long long)n);
        }
}

static void test_elements(int64_t rows, int64_t columns)
{
  double *all = normal(rows * columns), *back = array(rows * columns);
  RtMatrix *matrix = spread(rows, columns, all);

  RT_MUST(rt_matrix_gather(matrix, back));
  RT_TEST_CHECK(far(rows * columns, all, back) == 0, "%s: gathered elements are off", what);
  PetscArrayzero(matrix->data, matrix->own_rows * matrix->own_columns);
  rt_matrix_take(matrix, back);
  RT_MUST(rt_matrix_gather_columns(matrix, columns / 3, columns - columns / 3, back));
  for (int64_t i = 0; i < rows; i++)
    RT_TEST_CHECK(far(columns - columns / 3, back + i * (columns - columns / 3), all + i * columns + columns / 3) == 0,
                  "%s: columns of row %lld are off", what, (long long)i);
  for (int64_t e = 0; e < matrix->own_rows * matrix->own_columns; e++) matrix->data[e] = -0.0;
  RT_MUST(rt_matrix_gather(matrix, back));
  for (int64_t e = 0; e < rows * columns; e++)
    RT_TEST_CHECK(!signbit(back[e]), "%s: the sign of a zero depends on the number of ranks", what);
  RT_MUST(rt_matrix_destroy(&matrix));
  RT_TEST_CHECK(!matrix, "destroy sets NULL");
  RT_MUST(PetscFree(all));
  RT_MUST(PetscFree(back));
}

static void test_multiply(int64_t m, int64_t n, int64_t k)
{
  double *a = normal(m * k), *b = normal(n * k), *c = normal(m * n), *got = array(m * n);
  RtMatrix *da = spread(m, k, a), *db = spread(n, k, b), *dc = spread(m, n, c);

  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;

      for (int64_t l = 0; l < k; l++) sum += a[i * k + l] * b[j * k + l];
      c[i * n + j] = 2 * sum - 3 * c[i * n + j];
    }
  RT_MUST(rt_matrix_multiply(2, (RtFactor){da, false}, (RtFactor){db, true}, -3, dc));
  RT_MUST(rt_matrix_gather(dc, got));
  RT_TEST_CHECK(far(m * n, c, got) < 1e-12 * (double)k, "%s: a product is off by %g", what, far(m * n, c, got));
  RT_MUST(rt_matrix_destroy(&da));
  RT_MUST(rt_matrix_destroy(&db));
  RT_MUST(rt_matrix_destroy(&dc));
  RT_MUST(PetscFree(a));
  RT_MUST(PetscFree(b));
  RT_MUST(PetscFree(c));
  RT_MUST(PetscFree(got));
}

/* XᵀX of a random X of so many rows: of that rank at most. */
static double *moments(int64_t n, int64_t rows)
{
  double *x = normal(rows * n), *m = array(n * n);

  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      for (int64_t r = 0; r < rows; r++) m[i * n + j] += x[r * n + i] * x[r * n + j];
  RT_MUST(PetscFree(x));
  return m;
}

static void test_ridge(int64_t n, int64_t columns)
{
  double *a = moments(n, 2 * n + 3), *b = normal(n * columns), *x = array(n * columns), *got = array(n * columns);
  const double shift = 0.25;
  int size = (int)n, right = (int)columns, info = 0;
  RtMatrix *da = spread(n, n, a), *db = spread(n, columns, b), *dx = spread(n, columns, NULL);
  double residual = -1;

  RT_MUST(rt_ridge_solve(da, db, shift, "-shift", dx, &residual));
  RT_MUST(rt_matrix_gather(dx, got));
  for (int64_t i = 0; i < n; i++) a[i * n + i] += shift;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < columns; j++) x[j * n + i] = b[i * columns + j];
  dposv_("L", &size, &right, a, &size, x, &size, &info, 1);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < columns; j++) b[i * columns + j] = x[j * n + i];
  RT_TEST_CHECK(info == 0 && far(n * columns, b, got) < 1e-9, "%s: ridge is off by %g", what, far(n * columns, b, got));
  RT_TEST_CHECK(residual >= 0 && residual < 1e-14, "%s: ridge says a residual of %g", what, residual);
  /* Without a shift a matrix of low rank cannot be solved, and the message says what is missing. */
  if (n > 4) {
    double *low = moments(n, n - 2);

    low[0] -= 1000;
    RT_MUST(rt_matrix_destroy(&da));
    da = spread(n, n, low);
    RT_TEST_SAYS(rt_ridge_solve(da, db, 0, "-shift", dx, NULL), RT_ERR_FAILED,
                 "not positive definite|leading minor|smallest eigenvalue is -|raise -shift");
    RT_MUST(PetscFree(low));
  }
  RT_MUST(rt_matrix_destroy(&da));
  RT_MUST(rt_matrix_destroy(&db));
  RT_MUST(rt_matrix_destroy(&dx));
  RT_MUST(PetscFree(a));
  RT_MUST(PetscFree(b));
  RT_MUST(PetscFree(x));
  RT_MUST(PetscFree(got));
}

static void test_eigen(int64_t n, int64_t rank)
{
  double *a = moments(n, rank), *v = array(n * n), *value = array(n), *want = array(n), *work = array(40 * n), most = 0;
  int size = (int)n, work_size = 40 * size, info = 0;
  RtMatrix *da = spread(n, n, a), *dv = spread(n, n, NULL);
  RtQuality quality = {-1, -1};

  RT_MUST(rt_eigen_solve(da, value, dv, &quality));
  RT_MUST(rt_matrix_gather(dv, v));
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = -value[j] * v[i * n + j];

      for (int64_t k = 0; k < n; k++) sum += a[i * n + k] * v[k * n + j];
      most = fmax(most, fabs(sum));
    }
  dsyev_("N", "L", &size, a, &size, want, work, &work_size, &info, 1, 1);
  RT_TEST_CHECK(info == 0 && far(n, want, value) < 1e-13 * (1 + want[n - 1]) * (double)n,
                "%s: eigenvalues are off by %g", what, far(n, want, value));
  RT_TEST_CHECK(most < 1e-12 * (1 + want[n - 1]) * (double)n, "%s: eigenvectors are off by %g", what, most);
  RT_TEST_CHECK(quality.residual >= 0 && quality.residual < 1e-13 && quality.orthogonality >= 0 &&
                    quality.orthogonality < 1e-12,
                "%s: eigen says %g, %g", what, quality.residual, quality.orthogonality);
  RT_MUST(rt_matrix_destroy(&da));
  RT_MUST(rt_matrix_destroy(&dv));
  RT_MUST(PetscFree(a));
  RT_MUST(PetscFree(v));
  RT_MUST(PetscFree(value));
  RT_MUST(PetscFree(want));
  RT_MUST(PetscFree(work));
}

/* A random matrix of this rank. */
static void test_svd(int64_t m, int64_t n, int64_t rank)
{
  int64_t k = PetscMin(m, n);
  double *x = normal(m * rank), *y = normal(n * rank), *a = array(m * n), *u = array(m * k), *vt = array(n * k);
  double *value = array(k), *want = array(k), *work = array(10 * (m + n)), most = 0, nothing = 0;
  int columns = (int)m, rows = (int)n, work_size = 10 * (int)(m + n), one = 1, info = 0;
  RtMatrix *da, *du = spread(m, k, NULL), *dv = spread(k, n, NULL);
  RtQuality quality = {-1, -1};

  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++)
      for (int64_t r = 0; r < rank; r++) a[i * n + j] += x[i * rank + r] * y[j * rank + r];
  da = spread(m, n, a);
  RT_MUST(rt_svd_solve(da, du, value, dv, &quality));
  RT_MUST(rt_matrix_gather(du, u));
  RT_MUST(rt_matrix_gather(dv, vt));
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = -a[i * n + j];

      for (int64_t r = 0; r < k; r++) sum += u[i * k + r] * value[r] * vt[r * n + j];
      most = fmax(most, fabs(sum));
    }
  /* row-major a is its transpose to LAPACK, with the same singular values */
  dgesvd_("N", "N", &rows, &columns, a, &rows, want, &nothing, &one, &nothing, &one, work, &work_size, &info, 1, 1);
  RT_TEST_CHECK(info == 0 && far(k, want, value) < 1e-13 * (1 + want[0]) * (double)k,
                "%s: singular values are off by %g", what, far(k, want, value));
  RT_TEST_CHECK(most < 1e-13 * (1 + want[0]) * (double)k, "%s: singular vectors are off by %g", what, most);
  RT_TEST_CHECK(quality.residual >= 0 && quality.residual < 1e-13 && quality.orthogonality < 1e-12,
                "%s: svd says %g, %g", what, quality.residual, quality.orthogonality);
  RT_MUST(rt_matrix_destroy(&da));
  RT_MUST(rt_matrix_destroy(&du));
  RT_MUST(rt_matrix_destroy(&dv));
  for (int i = 0; i < 8; i++) RT_MUST(PetscFree(((double *[]){x, y, a, u, vt, value, want, work})[i]));
}

static void test_refused(void)
{
  double *a = normal(25), value[5];
  RtMatrix *matrix = NULL, *vector = spread(5, 5, NULL), *nan;

  RT_TEST_SAYS(rt_matrix_create(grid, (int64_t)1 << 22, (int64_t)1 << 22, &matrix), RT_ERR_FAILED,
               "4194304 x 4194304|32-bit numbers|more ranks");
  RT_TEST_SAYS(rt_matrix_create(grid, (int64_t)1 << 33, 2, &matrix), RT_ERR_FAILED, "8589934592 x 2");
  RT_TEST_SAYS(rt_matrix_create(grid, 0, 2, &matrix), RT_ERR_FAILED, "0 x 2");
  RT_TEST_CHECK(!matrix, "a matrix that was refused");
  a[7] = NAN;
  nan = spread(5, 5, a);
  RT_TEST_SAYS(rt_eigen_solve(nan, value, vector, NULL), RT_ERR_FAILED, "5 rows|not finite");
  RT_TEST_SAYS(rt_svd_solve(nan, vector, value, vector, NULL), RT_ERR_FAILED, "5 x 5|not finite");
  RT_TEST_SAYS(rt_ridge_solve(nan, nan, 1, "-shift", vector, NULL), RT_ERR_FAILED, "5 unknowns|not finite");
  RT_MUST(rt_matrix_destroy(&nan));
  RT_MUST(rt_matrix_destroy(&vector));
  RT_MUST(rt_matrix_destroy(&vector));
  RT_MUST(PetscFree(a));
}

/* most: processes in the grid, 0: all. */
static void test_grid(int most, int block)
{
  RT_MUST(rt_grid_create_blocks(PETSC_COMM_WORLD, most, 1, block, &grid));
  snprintf(what, sizeof(what), "grid %d x %d, block %d", grid->rows, grid->columns, grid->block);
  RT_TEST_CHECK((grid->context >= 0) == (grid->rank < grid->rows * grid->columns), "%s: rank %d in it", what,
                grid->rank);
  test_elements(1, 1);
  test_elements(19, 7);
  test_elements(7, 50);
  test_multiply(1, 1, 1);
  test_multiply(13, 9, 31);
  test_ridge(1, 1);
  test_ridge(23, 3);
  test_ridge(6, 40);
  test_eigen(1, 1);
  test_eigen(2, 2);
  test_eigen(29, 40);
  test_eigen(29, 5);
  test_svd(1, 1, 1);
  test_svd(21, 21, 21);
  test_svd(33, 8, 8);
  test_svd(8, 33, 8);
  test_svd(1, 17, 1);
  test_svd(17, 1, 1);
  test_svd(26, 18, 4);
  test_refused();
  RT_MUST(rt_grid_destroy(&grid));
  RT_TEST_CHECK(!grid, "destroy sets NULL");
  RT_MUST(rt_grid_destroy(&grid));
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_arithmetic();
  test_grid(0, 4);
  test_grid(0, 7);
  test_grid(0, RT_GRID_BLOCK);
  test_grid(1, 5);
  test_grid(2, 3);
  RT_MUST(rt_grid_create(PETSC_COMM_WORLD, 0, 1, &grid));
  snprintf(what, sizeof(what), "several rounds");
  test_elements(1700, 2600);
  snprintf(what, sizeof(what), "blocks of the usual size");
  test_eigen(150, 150);
  test_svd(140, 90, 90);
  RT_MUST(rt_grid_destroy(&grid));
  return 0;
}

RT_TEST_MAIN(test)
