/* Dense matrices in double precision, block-cyclic on a process grid. No rank need hold the whole. All functions are
   collective on the grid's communicator; their sums depend on the shape of the grid in the last bits. */
#ifndef RT_LINALG_MATRIX_H
#define RT_LINALG_MATRIX_H

#include "linalg/grid.h"

typedef struct {
  RtGrid *grid;
  int64_t rows, columns;
  int64_t own_rows, own_columns; /* on this rank; 0 beyond the grid */
  int descriptor[9];
  double *data; /* [own_columns, own_rows]: column-major */
} RtMatrix;

/* A matrix of zeros. The grid must outlive it. Errors: dimensions beyond 2^31 - 1, or a part of one rank with so many
   elements that ScaLAPACK's 32-bit numbers and workspaces cannot hold them: more ranks are needed. */
PetscErrorCode rt_matrix_create(RtGrid *grid, int64_t rows, int64_t columns, RtMatrix **matrix);
/* Accepts NULL; sets *matrix to NULL. */
PetscErrorCode rt_matrix_destroy(RtMatrix **matrix);

/* Global row or column of a local one. */
static inline int64_t rt_matrix_row(const RtMatrix *matrix, int64_t local)
{
  return rt_grid_index(local, matrix->grid->block, matrix->grid->row, matrix->grid->rows);
}
static inline int64_t rt_matrix_column(const RtMatrix *matrix, int64_t local)
{
  return rt_grid_index(local, matrix->grid->block, matrix->grid->column, matrix->grid->columns);
}

/* All of it on all ranks, for small results. all: [rows, columns] row-major. */
PetscErrorCode rt_matrix_gather(const RtMatrix *matrix, double *all);
/* Columns [first, first + count) of it likewise. part: [rows, count] row-major. */
PetscErrorCode rt_matrix_gather_columns(const RtMatrix *matrix, int64_t first, int64_t count, double *part);

/* The opposite, not collective: the matrix from all of it, which every rank has. */
void rt_matrix_take(RtMatrix *matrix, const double *all);

/* Copy elements between matrices of equal shape on the same grid. */
PetscErrorCode rt_matrix_copy(const RtMatrix *from, RtMatrix *to);
/* Frobenius norm, on all ranks; NaN or infinite where an element is. */
PetscErrorCode rt_matrix_norm(const RtMatrix *matrix, double *norm);
/* Multiply column j by factor[j]; factor: [columns], equal on all ranks. */
PetscErrorCode rt_matrix_scale_columns(RtMatrix *matrix, const double *factor);
/* Add a number to the diagonal. */
PetscErrorCode rt_matrix_shift(RtMatrix *matrix, double shift);

/* A factor of a product. */
typedef struct {
  const RtMatrix *matrix;
  bool transposed;
} RtFactor;
/* c = alpha a b + beta c. All on one grid. */
PetscErrorCode rt_matrix_multiply(double alpha, RtFactor a, RtFactor b, double beta, RtMatrix *c);

#endif
