/* A teacher that runs where its student is trained: it sees each view as the student does, and keeps nothing. Not
   collective. */
#ifndef RT_LABEL_HERE_H
#define RT_LABEL_HERE_H

#include "train/teacher.h"

#include <retort/plan.h>

typedef struct RtHere RtHere;

typedef struct {
  const RtGraph *graph;      /* must outlive the teacher */
  const RtDatasetInfo *info; /* that its inputs are bound to */
  const RtTerms *terms;      /* whose taps are computed */
  RtPrecision precision;
} RtHereParams;

/* Errors, also of its start: a tap that the teacher does not have, or that has no row of floats for each sample. */
PetscErrorCode rt_here_create(const RtHereParams *params, RtHere **here);
/* Accepts NULL. */
PetscErrorCode rt_here_destroy(RtHere **here);
const RtTeacher *rt_here_teacher(const RtHere *here);

#endif
