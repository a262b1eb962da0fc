/* The stages of a run, one for each verb. All are collective; each skips what is done and still matches its inputs.
   stopped: true where it ended on request, with a checkpoint; the rest is as it was. */
#ifndef RT_RUN_STAGES_H
#define RT_RUN_STAGES_H

#include "run/job.h"

#include <retort/dataset.h>
#include <retort/graph.h>
#include <retort/labelstore.h>

/* teacher.onnx and its history, from hard labels or targets. */
PetscErrorCode rt_teach_run(const RtJob *job, bool *stopped);
/* The label store: the teacher's inference, shared over the ranks. */
PetscErrorCode rt_labeller_run(const RtJob *job, bool *stopped);
/* As distilling starts: a store of which shards are missing or damaged is made whole by the same work. dir and store:
   as rt_store_describe gives them. Errors: there is no store at all; those of labelling. */
PetscErrorCode rt_labeller_mend(const RtJob *job, const char *dir, const RtLabelstoreInfo *store, bool *stopped);
/* Read the whole store, label some samples again and compare. Errors: shards that are missing or damaged, which notes
   name, and logits that differ. */
PetscErrorCode rt_verifier_run(const RtJob *job, bool *stopped);
/* What distilling would refuse, without a look at samples. teacher: of which the shapes matter; NULL where there is
   none. Errors: those of rt_distiller_run, and of a student that cannot be read. */
PetscErrorCode rt_distiller_check(const RtJob *job, const RtDatasetInfo *info, const RtGraph *teacher);
/* student.onnx and its history. */
PetscErrorCode rt_distiller_run(const RtJob *job, bool *stopped);
/* -o: the teacher with its layers cut to low rank. What a stop leaves undone begins anew. */
PetscErrorCode rt_compressor_run(const RtJob *job, bool *stopped);
/* What evaluation would refuse: a test set that does not fit the teacher, classes that are not there. */
PetscErrorCode rt_evaluator_check(const RtJob *job, const RtGraph *teacher);
/* eval.nc: teacher and student on the test set. What a stop leaves undone begins anew. */
PetscErrorCode rt_evaluator_run(const RtJob *job, bool *stopped);
/* All of it, and a table at the end. */
PetscErrorCode rt_pipeline_run(const RtJob *job, bool *stopped);

#endif
