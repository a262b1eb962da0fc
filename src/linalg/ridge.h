/* Systems of equations with a symmetric positive definite matrix, by Cholesky's factors (ScaLAPACK's pdpotrf and
   pdpotrs). With the matrix of second moments of features and their products with answers, that is ridge regression:
   minimise mean over samples of ½ ‖x W − y‖² + ½ shift ‖W‖². Collective on the grid's communicator. */
#ifndef RT_LINALG_RIDGE_H
#define RT_LINALG_RIDGE_H

#include "linalg/matrix.h"

/* Solve (moments + shift I) solution = right. moments: [n, n], symmetric; right, solution: [n, k].
   residual, on all ranks, may be NULL: ‖(moments + shift I) solution − right‖ over
   ‖moments + shift I‖ ‖solution‖ + ‖right‖, in Frobenius norms; above 1e-10 is an error.
   name: of the option that sets the shift, for the message. Errors: numbers that are not finite; the matrix is not
   positive definite, with the smallest eigenvalue, which says how much is missing. */
PetscErrorCode rt_ridge_solve(const RtMatrix *moments, const RtMatrix *right, double shift, const char *name,
                              RtMatrix *solution, double *residual);

#endif
