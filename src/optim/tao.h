/* Minimizers that need values and gradients only, by way of PETSc's TAO: L-BFGS (lmvm, the default), nonlinear
   conjugate gradients and others that -tao_type names. All other options of TAO (-tao_gatol, -tao_ls_type,
   -tao_lmvm_mat_lmvm_hist_size …) work as PETSc documents them.

   The unknowns are doubles, shared out over the ranks in any way. TAO's dot products are sums over ranks in MPI's
   order: their last bits depend on the number of ranks, and so does the way that a minimizer takes. */
#ifndef RT_OPTIM_TAO_H
#define RT_OPTIM_TAO_H

#include <retort/types.h>

/* A point that the minimizer has taken. */
typedef struct {
  int64_t iteration; /* from 1, over all starts */
  double value, gradient_norm;
  double step;     /* length of the step, as a part of the search direction */
  const double *x; /* [count] own part */
} RtTaoPoint;

typedef struct {
  MPI_Comm comm;
  int64_t count; /* unknowns of this rank, may be 0 */
  int restarts;  /* most new starts after failed line searches */
  void *context;
  /* Collective. Value and gradient at x; gradient: [count]. value: the same bits on all ranks; where it is not finite
     the line search turns back, and the gradient does not matter. stop: set it on all ranks to end the minimization;
     then value and gradient do not matter. Errors end the minimization; at the first point a value that is not finite
     is one. */
  PetscErrorCode (*evaluate)(void *context, const double *x, double *gradient, double *value, bool *stop);
  /* Collective. A new point was taken. stop: as above. */
  PetscErrorCode (*accept)(void *context, const RtTaoPoint *point, bool *stop);
} RtTaoParams;

typedef struct {
  bool stopped; /* as evaluate or accept asked for */
  int64_t iterations, evaluations;
  int restarts;
  double value;     /* at the point taken last */
  char reason[160]; /* why it ended, in words */
} RtTaoResult;

typedef struct RtTao RtTao;

/* Names of the types that need gradients only and reach the least of a quadratic, joined by `|`: bqnktr and bqnktl of
   PETSc 3.18 come to a halt before. */
const char *rt_tao_types(void);

/* Not collective. Whether TAO understands its options, by minimizing something small. Errors (usage): -tao_type is none
   of the above; an option that the type does not read; a value that PETSc refuses. */
PetscErrorCode rt_tao_check(void);

/* Collective. Errors (usage): -tao_type is none of these. Errors (failed): more unknowns than PETSc can count. */
PetscErrorCode rt_tao_create(const RtTaoParams *params, RtTao **tao);
/* Collective. Accepts NULL. */
PetscErrorCode rt_tao_destroy(RtTao **tao);
/* Collective. Minimize from x, [count], by at most so many iterations over all starts; -tao_max_it can make it less;
   afterwards x is the point taken last, the lowest but for rounding. Where a line search fails, all that TAO knows is
   thrown away and it starts again from there: its own second try inside overwrites the gradient (PETSc 3.18,
   TaoSolve_LMVM). A start that takes no point is the last. */
PetscErrorCode rt_tao_solve(RtTao *tao, double *x, int64_t iterations, RtTaoResult *result);

/* The options of TAO that the user gave and that change its way, a line `name=value` each, sorted; without -tao_type,
   and without those that only print. *text is allocated with PetscMalloc. Not collective. */
PetscErrorCode rt_tao_record(char **text);

#endif
