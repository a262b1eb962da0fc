/* The stages of a run, one for each verb. All are collective; each skips what is done and still matches its inputs.
   stopped: true where it ended on request, with a checkpoint; the rest is as it was. */
#ifndef RT_RUN_STAGES_H
#define RT_RUN_STAGES_H

#include "compress/compressor.h"
#include "eval/evaluator.h"
#include "label/labeller.h"
#include "label/verifier.h"

#include <retort/dataset.h>

/* teacher.onnx and its history, from hard labels or targets. */
PetscErrorCode rt_teach_run(const RtJob *job, bool *stopped);
/* What distilling would refuse, without a look at samples. teacher: of which the shapes matter; NULL where there is
   none. Errors: those of rt_distiller_run, and of a student that cannot be read. */
PetscErrorCode rt_distiller_check(const RtJob *job, const RtDatasetInfo *info, const RtGraph *teacher);
/* student.onnx and its history. */
PetscErrorCode rt_distiller_run(const RtJob *job, bool *stopped);
/* Names of the stages that a job needs, in their order, with blanks between. Not collective. */
const char *rt_pipeline_stages(const RtOptions *options, char text[64]);
/* All of them, and a table at the end. */
PetscErrorCode rt_pipeline_run(const RtJob *job, bool *stopped);

#endif
