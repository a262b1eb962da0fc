/* The training set of a job: opened, some samples chosen, and in memory or to be read in windows. */
#ifndef RT_DATA_TRAINSET_H
#define RT_DATA_TRAINSET_H

#include "data/feed.h"
#include "job/job.h"

#include "graph/parts.h"

/* It does not move while it is open. */
typedef struct {
  RtDataset *dataset;
  const RtDatasetInfo *info;
  RtAugment augment;
  RtSampler sampler;
  RtFeedSource source; /* what a trainer is fed from; window is 0 where all is kept in memory */
  RtSamples samples;   /* all of it, where it is kept */
  bool *want;          /* [info->fields] what is read of it */
} RtTrainset;

/* Collective. section: teacher or distill: whose samples are limited and omitted. */
PetscErrorCode rt_trainset_open(const RtJob *job, const char *section, RtTrainset *data);
PetscErrorCode rt_trainset_close(RtTrainset *data);

/* Collective. Fill source: what is read of a sample, whether all fits into -data_memory, or which windows do.
   views: as in RtFeedSource. store: whose fields are read, NULL: none; the caller adds their numbers. Errors: not even
   small windows fit; a model file that cannot be read. */
PetscErrorCode rt_trainset_plan(const RtJob *job, const char *section, int views, const RtLabelstoreInfo *store,
                                RtTrainset *data);
/* Collective. Read the samples, where they are kept. */
PetscErrorCode rt_trainset_load(const RtJob *job, RtTrainset *data);

/* What makes views of a dataset's samples. */
PetscErrorCode rt_trainset_augment(const RtJob *job, const RtDatasetInfo *info, RtAugment *augment);

/* Whether a model can be shown views: it must not read pictures that move as whole numbers. what: teacher or student.
 */
PetscErrorCode rt_trainset_check_views(const RtAugment *augment, const RtDatasetInfo *info, const RtGraph *graph,
                                       const char *what);

/* Collective. Make the model to train: the user's own file, or by recipe. width: numbers that it gives a sample, 0: as
   many as the dataset has classes or targets. */
PetscErrorCode rt_trainset_model(const RtJob *job, const char *role, const RtTrainset *data, int width,
                                 RtGraph **graph);

#endif
