/* How alike the layers of teacher and student are, by linear centred kernel alignment (Kornblith et al., arXiv
   1905.00414): ‖Cov(X, Y)‖² / (‖Cov(X, X)‖ ‖Cov(Y, Y)‖) in Frobenius norms, for the activations X and Y of two layers
   on the same samples; 1: equal up to rotation and scale, 0: nothing in common. */
#ifndef RT_EVAL_SIMILARITY_H
#define RT_EVAL_SIMILARITY_H

#include "job/job.h"

#include "graph/parts.h"
#include <retort/dataset.h>

/* A model and its file's hash. */
typedef struct {
  const char *role;
  const RtGraph *graph;
  const char *hash;
} RtSimilarityModel;

/* Collective. Write cka.nc: `cka(teacher_layer, student_layer)` over all samples of the dataset, the same bits on any
   number of ranks and threads; the layers are those of rt_tap_layers. Errors: layers too wide for a rank's memory. */
PetscErrorCode rt_similarity_write(const RtJob *job, const RtDataset *dataset, const RtSimilarityModel model[2],
                                   bool *stopped);

#endif
