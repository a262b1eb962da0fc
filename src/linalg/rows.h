/* Rows of ranks into a block-cyclic matrix and back, in pieces, so that no rank ever holds the whole. Collective on the
   communicator of the matrix's grid. */
#ifndef RT_LINALG_ROWS_H
#define RT_LINALG_ROWS_H

#include "linalg/matrix.h"

/* Fill the matrix: this rank gives rows [first, first + count), row: [count, columns] row-major. Ranks in their order
   hold consecutive rows, and together all of them; some may hold none. */
PetscErrorCode rt_rows_put(RtMatrix *matrix, int64_t first, int64_t count, const double *row);
/* This rank gets rows [first, first + count), any that it wants. row: [count, columns] row-major. */
PetscErrorCode rt_rows_get(const RtMatrix *matrix, int64_t first, int64_t count, double *row);

#endif
