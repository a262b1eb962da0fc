/* Cutting a teacher's layers to low rank: for a student's start and for `retort compress`. */
#ifndef RT_COMPRESS_CUT_H
#define RT_COMPRESS_CUT_H

#include "data/sampler.h"
#include "job/job.h"

#include "graph/parts.h"
#include <retort/dataset.h>

/* How far to cut: by the first of these that is given. */
typedef struct {
  int64_t parameters;  /* of the result, at most; 0: not given */
  double energy;       /* part of each layer's output variance to keep; 0: not given */
  int ranks;           /* else ranks of the layers in their order; those beyond stay whole */
  const int64_t *rank; /* [ranks] */
  const char *names;   /* of the options, for messages */
} RtCutDegree;

typedef struct {
  const RtJob *job;
  const RtDataset *dataset; /* NULL: cut without data */
  const RtSampler *sampler; /* whose pool to weigh with; NULL: all samples */
  int64_t most;             /* take so many of them, evenly spread; 0: all */
  const RtGraph *teacher;
  RtCutDegree degree;
  bool plain; /* leave Dropout nodes out */
} RtCut;

/* Collective. Whether the teacher can be cut so far; before any work. Errors: it cannot; more than one way to say how
   far is given. */
PetscErrorCode rt_cut_check(const RtCut *cut);

/* Collective. The cut model, and a line that says what it keeps; NULL where a request to stop ended it. Errors: no
   layer to cut; fewer parameters than there can be. */
PetscErrorCode rt_cut_make(const RtCut *cut, const char *what, RtGraph **graph, bool *stopped);

#endif
