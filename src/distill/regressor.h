/* Regressors: linear maps that losses attach to a student where its layer has another width than the teacher's. They
   are trained with the student and are no part of its model. Not collective. */
#ifndef RT_DISTILL_REGRESSOR_H
#define RT_DISTILL_REGRESSOR_H

#include "distill/terms.h"

#include "graph/parts.h"

#include <retort/tap.h>

/* Whether any term needs one. student, teacher: numbers in a row of its ends, [terms]. */
bool rt_regressor_needed(const RtTerms *terms, const int64_t *student, const int64_t *teacher);

/* Attach them to a copy of the student's graph, and let the terms read them: y = x W + b, W uniform in ± 1/√width of x,
   by seed and name, b zero. */
PetscErrorCode rt_regressor_attach(RtGraph *graph, uint64_t seed, const int64_t *student, const int64_t *teacher,
                                   RtTerms *terms);

/* Copy what was trained back into the student's own graph, by name. */
void rt_regressor_detach(const RtGraph *trained, RtGraph *student);

#endif
