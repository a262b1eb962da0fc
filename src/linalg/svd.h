/* Singular value decomposition (ScaLAPACK's pdgesvd). Collective on the grid's communicator. */
#ifndef RT_LINALG_SVD_H
#define RT_LINALG_SVD_H

#include "linalg/eigen.h"

/* matrix [m, n] = left diag(value) right, k = min(m, n). left: [m, k]; value: [k] descending, on all ranks;
   right: [k, n]. quality: may be NULL. Errors: as rt_eigen_solve. */
PetscErrorCode rt_svd_solve(const RtMatrix *matrix, RtMatrix *left, double *value, RtMatrix *right, RtQuality *quality);

#endif
