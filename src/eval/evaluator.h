/* The stage that evaluates. Collective; done work is skipped. */
#ifndef RT_EVAL_EVALUATOR_H
#define RT_EVAL_EVALUATOR_H

#include "job/job.h"

#include "graph/parts.h"
#include <retort/dataset.h>

/* What evaluation would refuse: a test set that does not fit the teacher, or whose axes come in another order than
   those of the training set, to which the teacher is bound; classes that are not there. Afterwards the teacher is bound
   to the test set, whose free axes may have other lengths. */
PetscErrorCode rt_evaluator_check(const RtJob *job, const RtDatasetInfo *train, RtGraph *teacher);
/* eval.nc: teacher and student on the test set. stopped: it ended on request; what that leaves undone begins anew. */
PetscErrorCode rt_evaluator_run(const RtJob *job, bool *stopped);

#endif
