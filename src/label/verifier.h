/* The stage that verifies a label store. */
#ifndef RT_LABEL_VERIFIER_H
#define RT_LABEL_VERIFIER_H

#include "job/job.h"

/* Collective. Read the whole store, label some samples again and compare. stopped: it ended on request. Errors: shards
   that are missing or damaged, which notes name, and logits that differ. */
PetscErrorCode rt_verifier_run(const RtJob *job, bool *stopped);

#endif
