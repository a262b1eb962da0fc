#include "linalg/svd.h"

#include "core/message.h"
#include "linalg/scalapack.h"

#include <limits.h>
#include <math.h>

static const double tolerance = 1e-10;

/* pdgesvd keeps vectors of all rows and of all columns on each rank's share of a one-dimensional grid; its 32-bit
   numbers must hold that as well. */
static PetscErrorCode check_size(const RtMatrix *matrix)
{
  int64_t least = PetscMin(matrix->rows, matrix->columns);
  int64_t processes = matrix->grid->rows * matrix->grid->columns;
  int64_t vectors = matrix->rows / processes + matrix->columns / processes + 2;

  PetscFunctionBegin;
  RtCheck(least <= INT_MAX / 2 / vectors,
          "the singular vectors of %lld x %lld elements are more than ScaLAPACK's 32-bit numbers hold on %lld ranks; "
          "take more ranks",
          (long long)matrix->rows, (long long)matrix->columns, (long long)processes);
  PetscFunctionReturn(0);
}

/* The call itself, on ranks of the grid. matrix is destroyed. info: of pdgesvd. */
static PetscErrorCode call(RtMatrix *matrix, RtMatrix *left, double *value, RtMatrix *right, int *info)
{
  int m = (int)matrix->rows, n = (int)matrix->columns, one = 1, query = -1, size;
  double wanted = 0, *work;

  PetscFunctionBegin;
  pdgesvd_("V", "V", &m, &n, matrix->data, &one, &one, matrix->descriptor, value, left->data, &one, &one,
           left->descriptor, right->data, &one, &one, right->descriptor, &wanted, &query, info, 1, 1);
  PetscCheck(!*info && wanted > 0 && wanted <= INT_MAX, PETSC_COMM_SELF, PETSC_ERR_LIB,
             "pdgesvd: no size of workspace");
  size = (int)wanted;
  PetscCall(PetscMalloc1(size, &work));
  pdgesvd_("V", "V", &m, &n, matrix->data, &one, &one, matrix->descriptor, value, left->data, &one, &one,
           left->descriptor, right->data, &one, &one, right->descriptor, work, &size, info, 1, 1);
  PetscCall(PetscFree(work));
  PetscFunctionReturn(0);
}

/* scaled: a copy of left; rest: a copy of matrix. */
static PetscErrorCode measure(const RtMatrix *matrix, const RtMatrix *left, const double *value, const RtMatrix *right,
                              RtMatrix *scaled, RtMatrix *rest, RtQuality *quality)
{
  double norm, other;

  PetscFunctionBegin;
  PetscCall(rt_matrix_copy(left, scaled));
  PetscCall(rt_matrix_scale_columns(scaled, value));
  PetscCall(rt_matrix_copy(matrix, rest));
  PetscCall(rt_matrix_multiply(1, (RtFactor){scaled, false}, (RtFactor){right, false}, -1, rest));
  PetscCall(rt_matrix_norm(rest, &quality->residual));
  PetscCall(rt_matrix_norm(matrix, &norm));
  if (norm > 0) quality->residual /= norm;
  PetscCall(rt_eigen_orthogonality(left, false, &quality->orthogonality));
  PetscCall(rt_eigen_orthogonality(right, true, &other));
  quality->orthogonality = fmax(quality->orthogonality, other);
  RtCheck(quality->residual <= tolerance && quality->orthogonality <= tolerance,
          "the singular vectors of %lld x %lld elements are off by %.3e, and by %.3e from being orthogonal: ScaLAPACK "
          "or BLAS is at fault; try another number of ranks",
          (long long)matrix->rows, (long long)matrix->columns, quality->residual, quality->orthogonality);
  PetscFunctionReturn(0);
}

static PetscErrorCode solve(const RtMatrix *matrix, RtMatrix *work, RtMatrix *scaled, RtMatrix *left, double *value,
                            RtMatrix *right, RtQuality *quality)
{
  int values = (int)PetscMin(matrix->rows, matrix->columns), info = 0;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_matrix_copy(matrix, work));
  if (work->grid->context >= 0) error = call(work, left, value, right, &info);
  RtAgree(work->grid->comm, error);
  PetscCallMPI(MPI_Bcast(&info, 1, MPI_INT, 0, work->grid->comm));
  PetscCallMPI(MPI_Bcast(value, values, MPI_DOUBLE, 0, work->grid->comm));
  RtCheck(!info, "a singular value of %lld x %lld elements did not converge (pdgesvd says %d)", (long long)matrix->rows,
          (long long)matrix->columns, info);
  PetscCall(measure(matrix, left, value, right, scaled, work, quality));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_svd_solve(const RtMatrix *matrix, RtMatrix *left, double *value, RtMatrix *right, RtQuality *quality)
{
  RtQuality found;
  RtMatrix *work = NULL, *scaled = NULL;
  double norm;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCheck(left->rows == matrix->rows && right->columns == matrix->columns && left->columns == right->rows &&
                 right->rows == PetscMin(matrix->rows, matrix->columns),
             PETSC_COMM_SELF, PETSC_ERR_ARG_SIZ, "matrices that do not fit each other");
  PetscCall(check_size(matrix));
  PetscCall(rt_matrix_norm(matrix, &norm));
  RtCheck(isfinite(norm), "a matrix of %lld x %lld elements has numbers that are not finite: it has no singular values",
          (long long)matrix->rows, (long long)matrix->columns);
  error = rt_matrix_create(matrix->grid, matrix->rows, matrix->columns, &work);
  if (!error) error = rt_matrix_create(matrix->grid, left->rows, left->columns, &scaled);
  if (!error) error = solve(matrix, work, scaled, left, value, right, &found);
  PetscCall(rt_matrix_destroy(&work));
  PetscCall(rt_matrix_destroy(&scaled));
  PetscCall(error);
  if (quality) *quality = found;
  PetscFunctionReturn(0);
}
