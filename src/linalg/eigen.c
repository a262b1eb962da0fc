#include "linalg/eigen.h"

#include "core/message.h"
#include "linalg/scalapack.h"

#include <limits.h>
#include <math.h>

static const double tolerance = 1e-10;

/* Workspace, in numbers: what pdsyevd says, which for small matrices is less than its own call of pdormtr wants. */
static int64_t workspace(const RtMatrix *matrix, double said)
{
  int64_t block = matrix->grid->block, own = matrix->own_rows + matrix->own_columns;
  int64_t back = PetscMax(block * (block - 1) / 2, own * block) + block * block;

  return PetscMax((int64_t)said, 2 * matrix->rows + back);
}

/* The call itself, on ranks of the grid. matrix is destroyed. info: of pdsyevd. */
static PetscErrorCode call(RtMatrix *matrix, double *value, RtMatrix *vector, int *info)
{
  int n = (int)matrix->rows, one = 1, query = -1, whole = 0, size, *whole_work;
  double said = 0, *work;

  PetscFunctionBegin;
  pdsyevd_("V", "L", &n, matrix->data, &one, &one, matrix->descriptor, value, vector->data, &one, &one,
           vector->descriptor, &said, &query, &whole, &query, info, 1, 1);
  PetscCheck(!*info && said > 0 && workspace(matrix, said) <= INT_MAX && whole > 0, PETSC_COMM_SELF, PETSC_ERR_LIB,
             "pdsyevd: no size of workspace");
  size = (int)workspace(matrix, said);
  PetscCall(PetscMalloc2(size, &work, whole, &whole_work));
  pdsyevd_("V", "L", &n, matrix->data, &one, &one, matrix->descriptor, value, vector->data, &one, &one,
           vector->descriptor, work, &size, whole_work, &whole, info, 1, 1);
  PetscCall(PetscFree2(work, whole_work));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_eigen_orthogonality(const RtMatrix *matrix, bool transposed, double *value)
{
  int64_t n = transposed ? matrix->rows : matrix->columns;
  RtMatrix *product = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_matrix_create(matrix->grid, n, n, &product));
  error = rt_matrix_multiply(1, (RtFactor){matrix, !transposed}, (RtFactor){matrix, transposed}, 0, product);
  if (!error) error = rt_matrix_shift(product, -1);
  if (!error) error = rt_matrix_norm(product, value);
  PetscCall(rt_matrix_destroy(&product));
  PetscCall(error);
  *value /= sqrt((double)n);
  PetscFunctionReturn(0);
}

/* rest: gets A V − V diag(value). */
static PetscErrorCode measure(const RtMatrix *symmetric, const double *value, const RtMatrix *vector, RtMatrix *rest,
                              RtQuality *quality)
{
  double norm;

  PetscFunctionBegin;
  PetscCall(rt_matrix_copy(vector, rest));
  PetscCall(rt_matrix_scale_columns(rest, value));
  PetscCall(rt_matrix_multiply(1, (RtFactor){symmetric, false}, (RtFactor){vector, false}, -1, rest));
  PetscCall(rt_matrix_norm(rest, &quality->residual));
  PetscCall(rt_matrix_norm(symmetric, &norm));
  if (norm > 0) quality->residual /= norm;
  PetscCall(rt_eigen_orthogonality(vector, false, &quality->orthogonality));
  RtCheck(quality->residual <= tolerance && quality->orthogonality <= tolerance,
          "the eigenvectors of a matrix of %lld rows are off by %.3e, and by %.3e from being orthogonal: ScaLAPACK or "
          "BLAS is at fault; try another number of ranks",
          (long long)symmetric->rows, quality->residual, quality->orthogonality);
  PetscFunctionReturn(0);
}

static PetscErrorCode solve(const RtMatrix *symmetric, RtMatrix *work, double *value, RtMatrix *vector,
                            RtQuality *quality)
{
  int n = (int)symmetric->rows, info = 0;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_matrix_copy(symmetric, work));
  if (work->grid->context >= 0) error = call(work, value, vector, &info);
  RtAgree(work->grid->comm, error);
  PetscCallMPI(MPI_Bcast(&info, 1, MPI_INT, 0, work->grid->comm));
  PetscCallMPI(MPI_Bcast(value, n, MPI_DOUBLE, 0, work->grid->comm));
  RtCheck(!info, "an eigenvalue of a matrix of %d rows did not converge (pdsyevd says %d)", n, info);
  PetscCall(measure(symmetric, value, vector, work, quality));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_eigen_solve(const RtMatrix *symmetric, double *value, RtMatrix *vector, RtQuality *quality)
{
  RtQuality found;
  RtMatrix *work = NULL;
  double norm;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCheck(symmetric->rows == symmetric->columns, PETSC_COMM_SELF, PETSC_ERR_ARG_SIZ, "the matrix is not square");
  PetscCall(rt_matrix_norm(symmetric, &norm));
  RtCheck(isfinite(norm), "a matrix of %lld rows has numbers that are not finite: it has no eigenvalues",
          (long long)symmetric->rows);
  PetscCall(rt_matrix_create(symmetric->grid, symmetric->rows, symmetric->rows, &work));
  error = solve(symmetric, work, value, vector, &found);
  PetscCall(rt_matrix_destroy(&work));
  PetscCall(error);
  if (quality) *quality = found;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_eigen_leading(const RtMatrix *vector, int64_t count, double *out)
{
  int64_t n = vector->rows;

  PetscFunctionBegin;
  PetscCall(rt_matrix_gather_columns(vector, n - count, count, out));
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < count / 2; k++) { /* ascending to descending */
      double other = out[i * count + k];

      out[i * count + k] = out[i * count + count - 1 - k];
      out[i * count + count - 1 - k] = other;
    }
  for (int64_t k = 0; k < count; k++) {
    double largest = 0;

    for (int64_t i = 0; i < n; i++)
      if (fabs(out[i * count + k]) > fabs(largest)) largest = out[i * count + k];
    for (int64_t i = 0; largest < 0 && i < n; i++) out[i * count + k] = -out[i * count + k];
  }
  PetscFunctionReturn(0);
}
