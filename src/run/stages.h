/* The stages of a run, one for each verb. All are collective; each skips what is done and still matches its inputs.
   stopped: true where it ended on request, with a checkpoint; the rest is as it was. */
#ifndef RT_RUN_STAGES_H
#define RT_RUN_STAGES_H

#include "run/job.h"

/* teacher.onnx and its history, from hard labels or targets. */
PetscErrorCode rt_teach_run(const RtJob *job, bool *stopped);
/* The label store: the teacher's inference, shared over the ranks. */
PetscErrorCode rt_labeller_run(const RtJob *job, bool *stopped);
/* Label some samples again and compare with the store. Errors: damaged shards, logits that differ. */
PetscErrorCode rt_verifier_run(const RtJob *job);
/* student.onnx and its history. */
PetscErrorCode rt_distiller_run(const RtJob *job, bool *stopped);
/* eval.nc: teacher and student on the test set. What a stop leaves undone begins anew. */
PetscErrorCode rt_evaluator_run(const RtJob *job, bool *stopped);
/* All of it, and a table at the end. */
PetscErrorCode rt_pipeline_run(const RtJob *job, bool *stopped);

#endif
