/* The stage that compresses a model. */
#ifndef RT_COMPRESS_COMPRESSOR_H
#define RT_COMPRESS_COMPRESSOR_H

#include "job/job.h"

/* Collective. -o: the teacher with its layers cut to low rank. stopped: it ended on request; what that leaves undone
   begins anew. */
PetscErrorCode rt_compressor_run(const RtJob *job, bool *stopped);

#endif
