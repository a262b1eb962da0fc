#include "linalg/gram.h"

#include "comm/agree.h"
#include "core/memory.h"
#include "core/simd.h"
#include "linalg/scalapack.h"

#include <float.h>
#include <limits.h>
#include <math.h>

enum {
  ROWS = 1024,    /* of a block: 2^10 */
  PANEL = 128,    /* columns of the sums that are computed at once */
  BITS = 21,      /* of a column's largest magnitude: ROWS products of them stay below 2^53 */
  SUM_BITS = 63,  /* a sum of all rows stays below 2 to this */
  PIECE = 1 << 22 /* elements in one sum over ranks */
};

/* Sums of products are kept for panels of PANEL columns, each from the row of its first column on: column-major, the
   lower triangle and a bit more. */
struct RtGram {
  int64_t columns, rows, added;
  int bits, threads;
  float *largest;   /* [columns] magnitudes */
  double *factor;   /* [columns] powers of two that make whole numbers; 0 for a column of zeros */
  int *exponent;    /* [columns] a whole number is value * 2^exponent */
  int64_t *sum;     /* [columns] of whole numbers */
  int64_t *product; /* panels */
  int64_t *start;   /* [panels + 1] */
  int64_t filled;   /* rows in the block */
  double *block;    /* [ROWS, columns] whole numbers */
  double *panel;    /* [PANEL, columns] */
};

static int64_t panels(const RtGram *g)
{
  return (g->columns + PANEL - 1) / PANEL;
}

static int64_t panel_columns(const RtGram *g, int64_t panel)
{
  return PetscMin(PANEL, g->columns - panel * PANEL);
}

double rt_gram_bytes(int64_t columns)
{
  double n = (double)columns;

  return 8 * (n * (n + PANEL) / 2 + (ROWS + PANEL) * n);
}

PetscErrorCode rt_gram_create(int64_t columns, int64_t rows, int threads, RtGram **gram)
{
  RtGram *g;
  PetscErrorCode error;

  PetscFunctionBegin;
  RtCheck(columns >= 1 && columns <= INT_MAX / ROWS, "products of %lld columns are more than BLAS can number",
          (long long)columns);
  PetscCall(PetscNew(&g));
  g->columns = columns;
  g->rows = PetscMax(1, rows);
  g->threads = threads;
  for (g->bits = BITS; g->bits > 1 && g->rows >= (int64_t)1 << (SUM_BITS - 2 * g->bits); g->bits--) continue;
  PetscCall(PetscCalloc5(columns, &g->largest, columns, &g->factor, columns, &g->exponent, columns, &g->sum,
                         panels(g) + 1, &g->start));
  for (int64_t p = 0; p < panels(g); p++) g->start[p + 1] = g->start[p] + panel_columns(g, p) * (columns - p * PANEL);
  error = rt_memory_create((size_t)g->start[panels(g)] * sizeof(int64_t), &g->product);
  if (!error) error = rt_memory_create((size_t)(ROWS * columns) * sizeof(double), &g->block);
  if (!error) error = rt_memory_create((size_t)(PANEL * columns) * sizeof(double), &g->panel);
  if (error) PetscCall(rt_gram_destroy(&g));
  PetscCall(error);
  *gram = g;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_gram_destroy(RtGram **gram)
{
  RtGram *g = *gram;

  PetscFunctionBegin;
  if (!g) PetscFunctionReturn(0);
  PetscCall(PetscFree5(g->largest, g->factor, g->exponent, g->sum, g->start));
  PetscCall(rt_memory_destroy(&g->product));
  PetscCall(rt_memory_destroy(&g->block));
  PetscCall(rt_memory_destroy(&g->panel));
  PetscCall(PetscFree(*gram));
  PetscFunctionReturn(0);
}

/* Whether all is finite. */
RT_SIMD static bool measure_row(int64_t columns, const float *restrict row, float *restrict largest)
{
  int bad = 0;

  for (int64_t j = 0; j < columns; j++) {
    float magnitude = fabsf(row[j]);

    largest[j] = magnitude > largest[j] ? magnitude : largest[j];
    bad |= !(magnitude <= FLT_MAX);
  }
  return !bad;
}

PetscErrorCode rt_gram_measure(RtGram *gram, int64_t rows, const float *row)
{
  PetscFunctionBegin;
  for (int64_t i = 0; i < rows; i++)
    RtCheck(measure_row(gram->columns, row + i * gram->columns, gram->largest),
            "a model's activations are not finite: look at its weights and at the data");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_gram_scale(MPI_Comm comm, RtGram *gram)
{
  double *largest;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(gram->columns, &largest));
  for (int64_t j = 0; j < gram->columns; j++) largest[j] = gram->largest[j];
  PetscCall(rt_agree_largest(comm, (int)gram->columns, largest));
  for (int64_t j = 0; j < gram->columns; j++) {
    int exponent = 0;

    (void)frexp(largest[j], &exponent);
    gram->exponent[j] = exponent - gram->bits;
    gram->factor[j] = largest[j] > 0 ? ldexp(1, -gram->exponent[j]) : 0;
  }
  PetscCall(PetscFree(largest));
  PetscFunctionReturn(0);
}

/* Whole numbers of one row, by adding and taking away 1.5 · 2^52, which leaves no room for a fraction. */
RT_SIMD static bool round_row(const RtGram *g, const float *restrict row, double *restrict whole, int64_t *restrict sum)
{
  const double shift = 0x1.8p52, limit = (double)(1 << g->bits);
  const double *restrict factor = g->factor;
  int over = 0;

  for (int64_t j = 0; j < g->columns; j++) {
    double value = (row[j] * factor[j] + shift) - shift;

    whole[j] = value;
    sum[j] += (int64_t)value;
    over |= fabs(value) > limit;
  }
  return !over;
}

RT_SIMD static void add_whole(int64_t count, const double *restrict value, int64_t *restrict sum)
{
  for (int64_t i = 0; i < count; i++) sum[i] += (int64_t)value[i];
}

/* Products of the block's rows, panel by panel. Row-major rows are columns to BLAS. */
static void flush(RtGram *g)
{
  const double zero = 0, unit = 1;
  int leading = (int)g->columns, inner = (int)g->filled;

  rt_grid_threads(g->threads);
  for (int64_t p = 0; p < panels(g) && g->filled; p++) {
    int rows = (int)(g->columns - p * PANEL), columns = (int)panel_columns(g, p);
    const double *from = g->block + p * PANEL;

    dgemm_("N", "T", &rows, &columns, &inner, &unit, from, &leading, from, &leading, &zero, g->panel, &rows, 1, 1);
    add_whole((int64_t)rows * columns, g->panel, g->product + g->start[p]);
  }
  g->filled = 0;
}

PetscErrorCode rt_gram_add(RtGram *gram, int64_t rows, const float *row)
{
  PetscFunctionBegin;
  gram->added += rows;
  PetscCheck(gram->added <= gram->rows, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE, "more rows than were announced");
  for (int64_t i = 0; i < rows; i++) {
    bool fits = round_row(gram, row + i * gram->columns, gram->block + gram->filled * gram->columns, gram->sum);

    PetscCheck(fits, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE, "a row that was not measured");
    if (++gram->filled == ROWS) flush(gram);
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_gram_sum(MPI_Comm comm, RtGram *gram)
{
  int64_t size = gram->start[panels(gram)];

  PetscFunctionBegin;
  flush(gram);
  PetscCall(rt_agree_count(comm, 1, &gram->added));
  PetscCall(rt_agree_count(comm, gram->columns, gram->sum));
  for (int64_t at = 0; at < size; at += PIECE)
    PetscCall(rt_agree_count(comm, PetscMin(PIECE, size - at), gram->product + at));
  PetscFunctionReturn(0);
}

double rt_gram_mean(const RtGram *gram, int64_t column)
{
  return ldexp((double)gram->sum[column] / (double)gram->added, gram->exponent[column]);
}

/* (n Σxy − Σx Σy) / n², the numerator without rounding. */
double rt_gram_covariance(const RtGram *gram, int64_t i, int64_t j)
{
  int64_t row = PetscMax(i, j), column = PetscMin(i, j), panel = column / PANEL, first = panel * PANEL;
  int64_t product = gram->product[gram->start[panel] + (column - first) * (gram->columns - first) + row - first];
  __int128 numerator = (__int128)gram->added * product - (__int128)gram->sum[i] * gram->sum[j];
  double rows = (double)gram->added;

  return ldexp((double)numerator / rows / rows, gram->exponent[i] + gram->exponent[j]);
}

PetscErrorCode rt_gram_fill(const RtGram *gram, int64_t row_first, int64_t column_first, RtMatrix *matrix)
{
  PetscFunctionBegin;
  PetscCheck(row_first + matrix->rows <= gram->columns && column_first + matrix->columns <= gram->columns,
             PETSC_COMM_SELF, PETSC_ERR_ARG_SIZ, "columns outside of the sums");
  for (int64_t j = 0; j < matrix->own_columns; j++)
    for (int64_t i = 0; i < matrix->own_rows; i++)
      matrix->data[j * matrix->own_rows + i] =
          rt_gram_covariance(gram, row_first + rt_matrix_row(matrix, i), column_first + rt_matrix_column(matrix, j));
  PetscFunctionReturn(0);
}
