/* Sums over samples of the products of all pairs of columns, and of the columns themselves: what ridge regression and
   principal components need of a table of any number of rows, which pass by once to be measured and once to be added.

   The sums are exact, so they do not depend on how ranks share the rows, nor on threads, grids, or BLAS: each column is
   rounded to whole multiples of 2^-21 of its largest magnitude (rounded up to a power of two), the products of a block
   of rows are then whole numbers below 2^53, which the floating-point products of BLAS add without error, and blocks
   are added in 64-bit whole numbers. Beyond two million rows the columns are rounded to one bit less for each factor of
   four. That is three bits less than single precision has next to the largest: a column whose mean is more than about
   10^5 times its deviation loses variance.

   Memory of a rank: 4 columns² bytes, and 1152 rows of 8 bytes a column. */
#ifndef RT_LINALG_GRAM_H
#define RT_LINALG_GRAM_H

#include "linalg/matrix.h"

typedef struct RtGram RtGram;

/* What it takes. */
double rt_gram_bytes(int64_t columns);
/* Not collective. rows: no more than so many of all ranks will be added. threads: that BLAS may use.
   Errors: columns beyond what 32 bits can number. */
PetscErrorCode rt_gram_create(int64_t columns, int64_t rows, int threads, RtGram **gram);
/* Accepts NULL; sets *gram to NULL. */
PetscErrorCode rt_gram_destroy(RtGram **gram);

/* First pass, not collective: see `rows` rows, row: [rows, columns]. Errors: a number that is not finite. */
PetscErrorCode rt_gram_measure(RtGram *gram, int64_t rows, const float *row);
/* Collective: between the passes. */
PetscErrorCode rt_gram_scale(MPI_Comm comm, RtGram *gram);
/* Second pass, not collective: the same rows, by whatever rank, in any order. */
PetscErrorCode rt_gram_add(RtGram *gram, int64_t rows, const float *row);
/* Collective: sum over ranks, on all of them. */
PetscErrorCode rt_gram_sum(MPI_Comm comm, RtGram *gram);

/* Of the sums: mean of a column; covariance of two (divided by rows). */
double rt_gram_mean(const RtGram *gram, int64_t column);
double rt_gram_covariance(const RtGram *gram, int64_t i, int64_t j);

/* matrix [r, c] gets the covariances of columns row_first … row_first + r - 1 with column_first … + c - 1. */
PetscErrorCode rt_gram_fill(const RtGram *gram, int64_t row_first, int64_t column_first, RtMatrix *matrix);

#endif
