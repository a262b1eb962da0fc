/* In each round every rank handles a few of its rows, so that what is under way stays small; who gets what follows from
   the ranges alone. */
#include "linalg/rows.h"

#include "core/message.h"

#include <limits.h>
#include <string.h>

enum { PIECE = 1 << 22 /* elements of all ranks in one round, where a row is not longer than that */ };

typedef struct {
  int64_t first, count; /* rows of a rank */
} Range;

typedef struct {
  const RtMatrix *matrix;
  Range *range;              /* [ranks] */
  int64_t step;              /* rows of a rank in a round */
  double *by_rows, *by_grid; /* what this rank handles as owner of rows, and as owner of elements */
  int *row_count, *row_start, *grid_count, *grid_start; /* [ranks] elements to and from each */
} Exchange;

/* Rows of a rank in a round: [from, to). */
static void rows_of(const Exchange *e, int rank, int64_t round, int64_t *from, int64_t *to)
{
  const Range *r = &e->range[rank];

  *from = r->first + PetscMin(round * e->step, r->count);
  *to = r->first + PetscMin((round + 1) * e->step, r->count);
}

/* Those of the rows [from, to) that a process row owns, as places in its part. */
static void places_of(const RtGrid *g, int process_row, int64_t from, int64_t to, int64_t *first, int64_t *last)
{
  *first = rt_grid_count(from, g->block, process_row, g->rows);
  *last = rt_grid_count(to, g->block, process_row, g->rows);
}

/* Copy between the rows of this rank and the buffer that goes to or comes from one process of the grid, and count. */
static int64_t copy_rows(const Exchange *e, int process, int64_t round, double *row, double *buffer, bool get)
{
  const RtGrid *g = e->matrix->grid;
  int process_row = process / g->columns, process_column = process % g->columns;
  int64_t from, to, first, last, used = 0;
  int64_t columns = rt_grid_count(e->matrix->columns, g->block, process_column, g->columns);

  rows_of(e, g->rank, round, &from, &to);
  places_of(g, process_row, from, to, &first, &last);
  for (int64_t l = first; l < last; l++) {
    int64_t i = rt_grid_index(l, g->block, process_row, g->rows) - e->range[g->rank].first;

    for (int64_t c = 0; c < columns; c += g->block) {
      double *mine = row + i * e->matrix->columns + rt_grid_index(c, g->block, process_column, g->columns);
      size_t bytes = (size_t)PetscMin(g->block, columns - c) * sizeof(double);

      memcpy(get ? mine : buffer + used + c, get ? buffer + used + c : mine, bytes);
    }
    used += columns;
  }
  return used;
}

/* The same between this process's part of the matrix and the buffer of one rank. */
static int64_t copy_elements(const Exchange *e, int rank, int64_t round, double *buffer, bool get)
{
  const RtMatrix *m = e->matrix;
  int64_t from, to, first, last, used = 0;

  if (m->grid->context < 0) return 0;
  rows_of(e, rank, round, &from, &to);
  places_of(m->grid, m->grid->row, from, to, &first, &last);
  for (int64_t l = first; l < last; l++)
    for (int64_t c = 0; c < m->own_columns; c++, used++) {
      if (get)
        buffer[used] = m->data[c * m->own_rows + l];
      else
        m->data[c * m->own_rows + l] = buffer[used];
    }
  return used;
}

/* How much goes between this rank and each other in a round. */
static void count_round(Exchange *e, int64_t round)
{
  const RtGrid *g = e->matrix->grid;
  int row_at = 0, grid_at = 0;

  for (int p = 0; p < g->size; p++) {
    int64_t from, to, first, last;

    e->row_count[p] = e->grid_count[p] = 0;
    rows_of(e, g->rank, round, &from, &to);
    if (p < g->rows * g->columns) {
      places_of(g, p / g->columns, from, to, &first, &last);
      e->row_count[p] = (int)((last - first) * rt_grid_count(e->matrix->columns, g->block, p % g->columns, g->columns));
    }
    rows_of(e, p, round, &from, &to);
    if (g->context >= 0) {
      places_of(g, g->row, from, to, &first, &last);
      e->grid_count[p] = (int)((last - first) * e->matrix->own_columns);
    }
    e->row_start[p] = row_at;
    e->grid_start[p] = grid_at;
    row_at += e->row_count[p];
    grid_at += e->grid_count[p];
  }
}

static PetscErrorCode run_round(Exchange *e, int64_t round, double *row, bool get)
{
  const RtGrid *g = e->matrix->grid;

  PetscFunctionBegin;
  count_round(e, round);
  if (get) {
    for (int p = 0; p < g->size; p++) (void)copy_elements(e, p, round, e->by_grid + e->grid_start[p], true);
    PetscCallMPI(MPI_Alltoallv(e->by_grid, e->grid_count, e->grid_start, MPI_DOUBLE, e->by_rows, e->row_count,
                               e->row_start, MPI_DOUBLE, g->comm));
  }
  for (int p = 0; p < g->rows * g->columns; p++) (void)copy_rows(e, p, round, row, e->by_rows + e->row_start[p], get);
  if (!get) {
    PetscCallMPI(MPI_Alltoallv(e->by_rows, e->row_count, e->row_start, MPI_DOUBLE, e->by_grid, e->grid_count,
                               e->grid_start, MPI_DOUBLE, g->comm));
    for (int p = 0; p < g->size; p++) (void)copy_elements(e, p, round, e->by_grid + e->grid_start[p], false);
  }
  PetscFunctionReturn(0);
}

/* Ranges must lie in the matrix; to fill it, they must follow each other and cover it. */
static PetscErrorCode check_ranges(const Exchange *e, bool get)
{
  int64_t next = 0;

  PetscFunctionBegin;
  for (int p = 0; p < e->matrix->grid->size; p++) {
    const Range *r = &e->range[p];

    PetscCheck(r->first >= 0 && r->count >= 0 && r->count <= e->matrix->rows - r->first, PETSC_COMM_SELF,
               PETSC_ERR_ARG_OUTOFRANGE, "rank %d: rows outside of the matrix", p);
    PetscCheck(get || !r->count || r->first == next, PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG,
               "rank %d: its rows do not follow those of the rank before", p);
    next += r->count;
  }
  PetscCheck(get || next == e->matrix->rows, PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG, "not all rows of the matrix");
  PetscFunctionReturn(0);
}

static PetscErrorCode run_rounds(Exchange *e, double *row, bool get)
{
  const RtMatrix *m = e->matrix;
  int size = m->grid->size;
  int64_t most = 0, on_grid;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(check_ranges(e, get));
  for (int p = 0; p < size; p++) most = PetscMax(most, e->range[p].count);
  e->step = PetscMin(PetscMax(1, PIECE / ((int64_t)size * m->columns)), PetscMax(1, most));
  RtCheck(m->columns <= INT_MAX / size, "rows of %lld elements on %d ranks are more than MPI can count",
          (long long)m->columns, size);
  on_grid = e->step * size * m->own_columns;
  error = PetscMalloc2(e->step * m->columns, &e->by_rows, on_grid, &e->by_grid);
  error = rt_message_agree(m->grid->comm, error);
  for (int64_t round = 0; !error && round * e->step < most; round++) error = run_round(e, round, row, get);
  PetscCall(PetscFree2(e->by_rows, e->by_grid));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode exchange(const RtMatrix *matrix, int64_t first, int64_t count, double *row, bool get)
{
  Exchange e = {.matrix = matrix};
  Range own = {first, count};
  int size = matrix->grid->size;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(
      PetscMalloc5(size, &e.range, size, &e.row_count, size, &e.row_start, size, &e.grid_count, size, &e.grid_start));
  PetscCallMPI(MPI_Allgather(&own, 2, MPI_INT64_T, e.range, 2, MPI_INT64_T, matrix->grid->comm));
  error = run_rounds(&e, row, get);
  PetscCall(PetscFree5(e.range, e.row_count, e.row_start, e.grid_count, e.grid_start));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_rows_put(RtMatrix *matrix, int64_t first, int64_t count, const double *row)
{
  PetscFunctionBegin;
  PetscCall(exchange(matrix, first, count, (double *)row, false)); /* only read */
  PetscFunctionReturn(0);
}

PetscErrorCode rt_rows_get(const RtMatrix *matrix, int64_t first, int64_t count, double *row)
{
  PetscFunctionBegin;
  PetscCall(exchange(matrix, first, count, row, true)); /* the matrix is only read */
  PetscFunctionReturn(0);
}
