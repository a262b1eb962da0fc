/* What this room calls of BLACS, ScaLAPACK and BLAS, whose libraries come without headers for C. Whole numbers are 32
   bits; matrices are column-major; names of Fortran end in an underscore, and each of its text arguments has its length
   at the end of the list. PBLAS is C and takes none. */
#ifndef RT_LINALG_SCALAPACK_H
#define RT_LINALG_SCALAPACK_H

#include <mpi.h>
#include <stddef.h>

/* Elements of a matrix's descriptor. */
enum {
  RT_DESCRIPTOR_TYPE, /* 1: dense, block-cyclic */
  RT_DESCRIPTOR_CONTEXT,
  RT_DESCRIPTOR_ROWS,
  RT_DESCRIPTOR_COLUMNS,
  RT_DESCRIPTOR_ROW_BLOCK,
  RT_DESCRIPTOR_COLUMN_BLOCK,
  RT_DESCRIPTOR_FIRST_ROW, /* process row that owns the first row */
  RT_DESCRIPTOR_FIRST_COLUMN,
  RT_DESCRIPTOR_LEADING, /* local leading dimension */
  RT_DESCRIPTOR_LENGTH
};

enum { RT_BLACS_REPEATABLE = 15 /* what of Cblacs_set: sums of equal grids have equal bits */ };

int Csys2blacs_handle(MPI_Comm comm);
void Cfree_blacs_system_handle(int handle);
void Cblacs_gridinit(int *context, const char *order, int rows, int columns);
void Cblacs_gridinfo(int context, int *rows, int *columns, int *row, int *column);
void Cblacs_gridexit(int context);
void Cblacs_set(int context, int what, int *value);

void pdgemm_(const char *ta, const char *tb, const int *m, const int *n, const int *k, const double *alpha,
             const double *a, const int *ia, const int *ja, const int *da, const double *b, const int *ib,
             const int *jb, const int *db, const double *beta, double *c, const int *ic, const int *jc, const int *dc);
void pdpotrf_(const char *uplo, const int *n, double *a, const int *ia, const int *ja, const int *da, int *info,
              size_t uplo_length);
void pdpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a, const int *ia, const int *ja,
              const int *da, double *b, const int *ib, const int *jb, const int *db, int *info, size_t uplo_length);
void pdsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *ia, const int *ja, const int *da,
              double *w, double *z, const int *iz, const int *jz, const int *dz, double *work, const int *lwork,
              int *iwork, const int *liwork, int *info, size_t jobz_length, size_t uplo_length);
void pdgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *ia, const int *ja,
              const int *da, double *s, double *u, const int *iu, const int *ju, const int *du, double *vt,
              const int *ivt, const int *jvt, const int *dvt, double *work, const int *lwork, int *info,
              size_t jobu_length, size_t jobvt_length);
void dgemm_(const char *ta, const char *tb, const int *m, const int *n, const int *k, const double *alpha,
            const double *a, const int *lda, const double *b, const int *ldb, const double *beta, double *c,
            const int *ldc, size_t ta_length, size_t tb_length);

/* There where BLAS is OpenBLAS. */
void openblas_set_num_threads(int threads) __attribute__((weak));

#endif
