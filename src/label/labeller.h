/* The stages that make and check the label store. Collective; done work is skipped. stopped: it ended on request. */
#ifndef RT_LABEL_LABELLER_H
#define RT_LABEL_LABELLER_H

#include "job/job.h"

#include <retort/labelstore.h>

/* The label store: the teacher's inference, shared over the ranks. */
PetscErrorCode rt_labeller_run(const RtJob *job, bool *stopped);
/* As distilling starts: a store of which shards are missing or damaged is made whole by the same work. dir and store:
   as rt_store_describe gives them. Errors: there is no store at all; those of labelling. */
PetscErrorCode rt_labeller_mend(const RtJob *job, const char *dir, const RtLabelstoreInfo *store, bool *stopped);

#endif
