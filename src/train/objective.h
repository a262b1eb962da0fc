/* The terms of an objective bound to a student's plan: which taps they read, and their values and gradients for the
   rows of a lane or a micro-batch. Not collective. */
#ifndef RT_TRAIN_OBJECTIVE_H
#define RT_TRAIN_OBJECTIVE_H

#include "train/teacher.h"

#include "graph/parts.h"

#include <retort/plan.h>

enum { RT_OBJECTIVE_TAPS = 2 * RT_TERMS + 1 };

/* Tap 0 is `logits`, by which accuracy is counted; further taps are those that terms name, each value once: of the
   student, and of the teacher too where the student teaches itself. */
typedef struct {
  const RtTerms *terms;
  int taps;
  RtTap tap[RT_OBJECTIVE_TAPS];
  int width[RT_OBJECTIVE_TAPS]; /* numbers in a row of each */
  int student[RT_TERMS];        /* tap of each term */
  int teachers;                 /* taps of the teacher */
  int teacher_width[RT_TERMS];
  int teacher[RT_TERMS]; /* that of each term; -1: none */
  bool self;             /* the student is the teacher */
  int own[RT_TERMS];     /* then, where in `tap` each tap of the teacher is */
} RtObjective;

/* terms must outlive the objective. rt_objective_bind completes it, once there is a plan with its taps.
   self: taps of the teacher are the student's own. width: [teachers] numbers in a row of the teacher's taps, unless
   they are. Errors: a tap that the student does not have, or that has
   no row for each sample, or another width than what it is compared with. */
PetscErrorCode rt_objective_create(const RtTerms *terms, const RtGraph *student, bool self, RtObjective *objective);
PetscErrorCode rt_objective_bind(const RtPlan *plan, int64_t batch, int teachers, const int *width,
                                 RtObjective *objective);

/* Where the student teaches itself: rows of the teacher's taps among those of the student's. */
void rt_objective_own(const RtObjective *objective, const float *const *tap, const float **teacher);

/* Some rows, and what is known of them. */
typedef struct {
  int64_t rows;
  const int64_t *sample;       /* [rows] -1: padding */
  const float *const *tap;     /* [taps][rows, width] */
  const float *const *teacher; /* [teachers][rows, width] */
  const int32_t *label;        /* [rows], or NULL */
  const float *target;         /* [rows, width of the logits], or NULL */
  int64_t step, total, epoch;  /* as rt_terms_now takes them */
} RtObjectiveRows;

/* What a meeting made of some rows: value: [terms][rows], gradient: [terms][rows, width]; those of terms whose loss
   couples rows. NULL where there was none: such terms are left out. */
typedef struct {
  double *value[RT_TERMS], *gradient[RT_TERMS];
} RtObjectiveMet;

/* Sums over rows. total: of the weighted values; term: of each term's values, without its weight. */
typedef struct {
  double total, term[RT_TERMS], correct, count;
} RtObjectiveSums;

/* Whether exact sums can hold them (comm/exact.h). */
bool rt_objective_finite(const RtObjective *objective, const RtObjectiveSums *sums);

/* What one thread works with, for up to so many rows. */
typedef struct {
  double *value;                       /* [terms][rows] */
  double *gradient[RT_OBJECTIVE_TAPS]; /* [rows, width] of each tap that a term reads; NULL for others */
} RtObjectiveWork;
PetscErrorCode rt_objective_work_create(const RtObjective *objective, int64_t rows, RtObjectiveWork *work);
PetscErrorCode rt_objective_work_destroy(RtObjectiveWork *work);

/* Values and gradients of all terms: work->gradient is overwritten, sums are added to. */
PetscErrorCode rt_objective_evaluate(const RtObjective *objective, const RtObjectiveRows *rows,
                                     const RtObjectiveMet *met, RtObjectiveWork *work, RtObjectiveSums *sums);
/* Put scale times the gradients where backward begins; those of taps that share a place are added. */
void rt_objective_put(const RtObjective *objective, const RtPlan *plan, RtWork *work, int64_t rows, double scale,
                      RtObjectiveWork *of);

#endif
