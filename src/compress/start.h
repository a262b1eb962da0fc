/* The student as a start in closed form made it, kept in checkpoint/student-start.onnx while a run is not done: a job
   that is requeued again and again solves for it once. */
#ifndef RT_COMPRESS_START_H
#define RT_COMPRESS_START_H

#include "job/job.h"

#include "graph/parts.h"

/* Collective. The student that is kept, if it was made from just this record; otherwise *graph is NULL. */
PetscErrorCode rt_start_read(const RtJob *job, const char *record, RtGraph **graph);
/* Collective. Keep it. */
PetscErrorCode rt_start_write(const RtJob *job, const char *record, RtGraph *graph);
/* Collective. Remove it, if it is there. */
PetscErrorCode rt_start_remove(const RtJob *job);

#endif
