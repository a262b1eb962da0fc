/* A teacher that runs where its student is trained: it sees each view as the student does, and keeps nothing. It may be
   the student's own moving average (Tarvainen and Valpola: "Mean teachers are better role models", arXiv 1703.01780),
   whose parameters become, after step s from 0, a p' + (1 - a) p with a = min(1 - 1 / (s + 2), decay): p' those of
   before, p the student's. Dropout rests in it. Not collective. */
#ifndef RT_LABEL_HERE_H
#define RT_LABEL_HERE_H

#include "label/mixture.h"
#include "train/teacher.h"

#include "graph/parts.h"

#include <retort/plan.h>

typedef struct RtHere RtHere;

typedef struct {
  const RtMixture *teacher;  /* must outlive the teacher that is made of it */
  const char *role;          /* teacher, or student where it is its average: for messages */
  const RtDatasetInfo *info; /* that its inputs are bound to */
  const RtTerms *terms;      /* whose taps are computed */
  RtPrecision precision;
  double decay; /* of the moving average; 0: the parameters stay */
} RtHereParams;

/* Errors, also of its start: a tap that the teacher does not have, or that has no row of floats for each sample. */
PetscErrorCode rt_here_create(const RtHereParams *params, RtHere **here);
/* Accepts NULL. */
PetscErrorCode rt_here_destroy(RtHere **here);
const RtTeacher *rt_here_teacher(const RtHere *here);

#endif
