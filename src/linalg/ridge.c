#include "linalg/ridge.h"

#include "core/message.h"
#include "linalg/eigen.h"
#include "linalg/scalapack.h"

#include <math.h>
#include <stdio.h>

static const double tolerance = 1e-10;

/* Cholesky's factor into `factor`, then the solution. failed: order of the first minor that is not positive definite,
   0: none; on all ranks. */
static PetscErrorCode factorise(RtMatrix *factor, RtMatrix *solution, int *failed)
{
  int n = (int)factor->rows, columns = (int)solution->columns, one = 1, info = 0;

  PetscFunctionBegin;
  if (factor->grid->context >= 0) {
    pdpotrf_("L", &n, factor->data, &one, &one, factor->descriptor, &info, 1);
    if (!info)
      pdpotrs_("L", &n, &columns, factor->data, &one, &one, factor->descriptor, solution->data, &one, &one,
               solution->descriptor, &info, 1);
  }
  PetscCallMPI(MPI_Bcast(&info, 1, MPI_INT, 0, factor->grid->comm));
  PetscCheck(info >= 0, PETSC_COMM_SELF, PETSC_ERR_LIB, "pdpotrf or pdpotrs: argument %d", -info);
  *failed = info;
  PetscFunctionReturn(0);
}

/* Say by how much the matrix fails. factor is overwritten with moments + shift I. */
static PetscErrorCode explain(const RtMatrix *moments, double shift, const char *name, int failed, RtMatrix *factor)
{
  RtMatrix *vector = NULL;
  double *value, least, most;
  char text[3][32]; /* PETSc's own %g would write 1 as 1. */
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(moments->rows, &value));
  error = rt_matrix_create(moments->grid, moments->rows, moments->rows, &vector);
  if (!error) error = rt_matrix_copy(moments, factor);
  if (!error) error = rt_matrix_shift(factor, shift);
  if (!error) error = rt_eigen_solve(factor, value, vector, NULL);
  least = error ? 0 : value[0];
  most = error ? 0 : value[moments->rows - 1];
  PetscCall(rt_matrix_destroy(&vector));
  PetscCall(PetscFree(value));
  PetscCall(error);
  snprintf(text[0], sizeof(text[0]), "%.3g", shift);
  snprintf(text[1], sizeof(text[1]), "%.3g", least);
  snprintf(text[2], sizeof(text[2]), "%.1g", fmax(2 * (shift - least), 1e-14 * most));
  RtFail("a system of %lld unknowns is not positive definite: its leading minor %d fails, and with %s on the diagonal "
         "its smallest eigenvalue is %s; raise %s so that at least %s stands there",
         (long long)moments->rows, failed, text[0], text[1], name, text[2]);
}

/* solution holds X; factor becomes moments + shift I, rest becomes its product with X, minus right. */
static PetscErrorCode measure(const RtMatrix *moments, const RtMatrix *right, double shift, RtMatrix *factor,
                              const RtMatrix *solution, double *residual)
{
  RtMatrix *rest = NULL;
  double norm[4] = {0};
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_matrix_create(right->grid, right->rows, right->columns, &rest));
  error = rt_matrix_copy(right, rest);
  if (!error) error = rt_matrix_copy(moments, factor);
  if (!error) error = rt_matrix_shift(factor, shift);
  if (!error) error = rt_matrix_multiply(1, (RtFactor){factor, false}, (RtFactor){solution, false}, -1, rest);
  if (!error) error = rt_matrix_norm(rest, &norm[0]);
  if (!error) error = rt_matrix_norm(factor, &norm[1]);
  if (!error) error = rt_matrix_norm(solution, &norm[2]);
  if (!error) error = rt_matrix_norm(right, &norm[3]);
  PetscCall(rt_matrix_destroy(&rest));
  PetscCall(error);
  *residual = norm[0] > 0 ? norm[0] / (norm[1] * norm[2] + norm[3]) : norm[0];
  PetscFunctionReturn(0);
}

static PetscErrorCode solve(const RtMatrix *moments, const RtMatrix *right, double shift, const char *name,
                            RtMatrix *factor, RtMatrix *solution, double *residual)
{
  int failed = 0;

  PetscFunctionBegin;
  PetscCall(rt_matrix_copy(moments, factor));
  PetscCall(rt_matrix_shift(factor, shift));
  PetscCall(rt_matrix_copy(right, solution));
  PetscCall(factorise(factor, solution, &failed));
  if (failed) PetscCall(explain(moments, shift, name, failed, factor));
  PetscCall(measure(moments, right, shift, factor, solution, residual));
  RtCheck(*residual <= tolerance, "the solution of %lld unknowns is off by %.3e of its terms; raise %s",
          (long long)moments->rows, *residual, name);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_ridge_solve(const RtMatrix *moments, const RtMatrix *right, double shift, const char *name,
                              RtMatrix *solution, double *residual)
{
  RtMatrix *factor = NULL;
  double norm[2], off = 0;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCheck(moments->rows == moments->columns && right->rows == moments->rows, PETSC_COMM_SELF, PETSC_ERR_ARG_SIZ,
             "matrices that do not fit each other");
  PetscCall(rt_matrix_norm(moments, &norm[0]));
  PetscCall(rt_matrix_norm(right, &norm[1]));
  RtCheck(isfinite(norm[0]) && isfinite(norm[1]), "a system of %lld unknowns has numbers that are not finite",
          (long long)moments->rows);
  PetscCall(rt_matrix_create(moments->grid, moments->rows, moments->rows, &factor));
  error = solve(moments, right, shift, name, factor, solution, &off);
  PetscCall(rt_matrix_destroy(&factor));
  PetscCall(error);
  if (residual) *residual = off;
  PetscFunctionReturn(0);
}
