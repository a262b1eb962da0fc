#include "linalg/matrix.h"

#include "comm/agree.h"
#include "core/memory.h"
#include "core/message.h"
#include "linalg/scalapack.h"

#include <limits.h>
#include <math.h>
#include <string.h>

enum { PIECE = 1 << 22 /* elements in one sum over ranks */ };

/* Process (0, 0) owns most, so all ranks come to the same answer. A quarter of what 32 bits can count: pdsyevd wants
   twice as much in one workspace. */
static PetscErrorCode check_size(const RtGrid *grid, int64_t rows, int64_t columns)
{
  int64_t most_rows, most_columns, elements;

  PetscFunctionBegin;
  RtCheck(rows >= 1 && columns >= 1 && rows <= INT_MAX && columns <= INT_MAX,
          "a matrix of %lld x %lld elements is outside of what ScaLAPACK can number", (long long)rows,
          (long long)columns);
  most_rows = rt_grid_count(rows, grid->block, 0, grid->rows);
  most_columns = rt_grid_count(columns, grid->block, 0, grid->columns);
  RtCheck(!__builtin_mul_overflow(most_rows, most_columns, &elements) && elements <= INT_MAX / 4,
          "a matrix of %lld x %lld elements gives one rank of %d x %d more than ScaLAPACK's 32-bit numbers hold; take "
          "more ranks",
          (long long)rows, (long long)columns, grid->rows, grid->columns);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_matrix_create(RtGrid *grid, int64_t rows, int64_t columns, RtMatrix **matrix)
{
  RtMatrix *m;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(check_size(grid, rows, columns));
  PetscCall(PetscNew(&m));
  m->grid = grid;
  m->rows = rows;
  m->columns = columns;
  if (grid->context >= 0) {
    m->own_rows = rt_grid_count(rows, grid->block, grid->row, grid->rows);
    m->own_columns = rt_grid_count(columns, grid->block, grid->column, grid->columns);
  }
  m->descriptor[RT_DESCRIPTOR_TYPE] = 1;
  m->descriptor[RT_DESCRIPTOR_CONTEXT] = grid->context;
  m->descriptor[RT_DESCRIPTOR_ROWS] = (int)rows;
  m->descriptor[RT_DESCRIPTOR_COLUMNS] = (int)columns;
  m->descriptor[RT_DESCRIPTOR_ROW_BLOCK] = m->descriptor[RT_DESCRIPTOR_COLUMN_BLOCK] = grid->block;
  m->descriptor[RT_DESCRIPTOR_LEADING] = (int)PetscMax(1, m->own_rows);
  error = rt_memory_create((size_t)(m->own_rows * m->own_columns + 1) * sizeof(double), &m->data);
  error = rt_message_agree(grid->comm, error);
  if (error) PetscCall(rt_matrix_destroy(&m));
  PetscCall(error);
  *matrix = m;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_matrix_destroy(RtMatrix **matrix)
{
  PetscFunctionBegin;
  if (!*matrix) PetscFunctionReturn(0);
  PetscCall(rt_memory_destroy(&(*matrix)->data));
  PetscCall(PetscFree(*matrix));
  PetscFunctionReturn(0);
}

/* Each element has one owner, so the sum with everybody else's zeros is exact, but for the sign of a zero, which is
   made + before. */
PetscErrorCode rt_matrix_gather_columns(const RtMatrix *matrix, int64_t first, int64_t count, double *part)
{
  int64_t size = matrix->rows * count;

  PetscFunctionBegin;
  PetscCall(PetscArrayzero(part, size));
  for (int64_t j = 0; j < matrix->own_columns; j++) {
    int64_t column = rt_matrix_column(matrix, j) - first;

    if (column < 0 || column >= count) continue;
    for (int64_t i = 0; i < matrix->own_rows; i++)
      part[rt_matrix_row(matrix, i) * count + column] = matrix->data[j * matrix->own_rows + i] + 0.0;
  }
  for (int64_t at = 0; at < size; at += PIECE)
    PetscCall(rt_agree_sum(matrix->grid->comm, (int)PetscMin(PIECE, size - at), part + at));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_matrix_gather(const RtMatrix *matrix, double *all)
{
  PetscFunctionBegin;
  PetscCall(rt_matrix_gather_columns(matrix, 0, matrix->columns, all));
  PetscFunctionReturn(0);
}

void rt_matrix_take(RtMatrix *matrix, const double *all)
{
  for (int64_t j = 0; j < matrix->own_columns; j++)
    for (int64_t i = 0; i < matrix->own_rows; i++)
      matrix->data[j * matrix->own_rows + i] =
          all[rt_matrix_row(matrix, i) * matrix->columns + rt_matrix_column(matrix, j)];
}

PetscErrorCode rt_matrix_copy(const RtMatrix *from, RtMatrix *to)
{
  PetscFunctionBegin;
  PetscCheck(from->rows == to->rows && from->columns == to->columns && from->grid == to->grid, PETSC_COMM_SELF,
             PETSC_ERR_ARG_SIZ, "matrices of different shape");
  PetscCall(PetscArraycpy(to->data, from->data, from->own_rows * from->own_columns));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_matrix_norm(const RtMatrix *matrix, double *norm)
{
  double sum = 0;

  PetscFunctionBegin;
  for (int64_t i = 0; i < matrix->own_rows * matrix->own_columns; i++) sum += matrix->data[i] * matrix->data[i];
  PetscCall(rt_agree_sum(matrix->grid->comm, 1, &sum));
  *norm = sqrt(sum);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_matrix_scale_columns(RtMatrix *matrix, const double *factor)
{
  PetscFunctionBegin;
  for (int64_t j = 0; j < matrix->own_columns; j++) {
    double f = factor[rt_matrix_column(matrix, j)];

    for (int64_t i = 0; i < matrix->own_rows; i++) matrix->data[j * matrix->own_rows + i] *= f;
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_matrix_shift(RtMatrix *matrix, double shift)
{
  PetscFunctionBegin;
  for (int64_t j = 0; j < matrix->own_columns; j++)
    for (int64_t i = 0; i < matrix->own_rows; i++)
      if (rt_matrix_row(matrix, i) == rt_matrix_column(matrix, j)) matrix->data[j * matrix->own_rows + i] += shift;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_matrix_multiply(double alpha, RtFactor a, RtFactor b, double beta, RtMatrix *c)
{
  const char *ta = a.transposed ? "T" : "N", *tb = b.transposed ? "T" : "N";
  int64_t rows = a.transposed ? a.matrix->columns : a.matrix->rows;
  int64_t inner = a.transposed ? a.matrix->rows : a.matrix->columns;
  int64_t other = b.transposed ? b.matrix->columns : b.matrix->rows;
  int64_t columns = b.transposed ? b.matrix->rows : b.matrix->columns;
  int m = (int)rows, n = (int)columns, k = (int)inner, one = 1;

  PetscFunctionBegin;
  PetscCheck(rows == c->rows && columns == c->columns && inner == other, PETSC_COMM_SELF, PETSC_ERR_ARG_SIZ,
             "matrices that do not fit each other");
  if (c->grid->context >= 0)
    pdgemm_(ta, tb, &m, &n, &k, &alpha, a.matrix->data, &one, &one, a.matrix->descriptor, b.matrix->data, &one, &one,
            b.matrix->descriptor, &beta, c->data, &one, &one, c->descriptor);
  PetscFunctionReturn(0);
}
