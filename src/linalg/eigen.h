/* Eigenvalues and eigenvectors of a symmetric matrix (ScaLAPACK's pdsyevd). Collective on the grid's communicator. */
#ifndef RT_LINALG_EIGEN_H
#define RT_LINALG_EIGEN_H

#include "linalg/matrix.h"

/* How well a decomposition holds, on all ranks. Above 1e-10 is an error. */
typedef struct {
  double residual;      /* ‖A − what the factors give‖ / ‖A‖ */
  double orthogonality; /* ‖QᵀQ − I‖ / √columns, the larger where there are two */
} RtQuality;

/* symmetric: [n, n]. value: [n] ascending, on all ranks; vector: [n, n], the
   eigenvectors as columns, in the order of values; their signs are as they come. quality: may be NULL.
   Errors: numbers that are not finite, no convergence, a bad quality. */
PetscErrorCode rt_eigen_solve(const RtMatrix *symmetric, double *value, RtMatrix *vector, RtQuality *quality);

/* The vectors of the `count` largest eigenvalues, the largest first, on all ranks; vector: those of rt_eigen_solve,
   out: [n, count] row-major. Their sign is such that the element of largest magnitude is positive. */
PetscErrorCode rt_eigen_leading(const RtMatrix *vector, int64_t count, double *out);

/* ‖QᵀQ − I‖ / √columns of a matrix with orthonormal columns, or rows where `transposed`. */
PetscErrorCode rt_eigen_orthogonality(const RtMatrix *matrix, bool transposed, double *value);

#endif
