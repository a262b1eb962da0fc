/* Models whose fully connected layers are cut to low rank, by the truncated singular value decomposition weighted with
   the covariance C of what really enters the layer: of all W' of rank r, the one with the least ‖C^½ (W − W')‖, that is
   the least mean square change of the layer's output on the data, with the bias corrected for the mean. It is
   W U_r U_rᵀ with the leading eigenvectors U_r of WᵀCW, the covariance of the output, also where C is singular: a layer
   [in, r] and a layer [r, out]. Where a layer has no bias, C is the matrix of second moments; without data C = I, and
   U_r are singular vectors of the weights. Source: the linear case of Zhang et al., "Accelerating very deep
   convolutional networks", arXiv 1505.06798. Collective on the communicator. */
#ifndef RT_COMPRESS_LOWRANK_H
#define RT_COMPRESS_LOWRANK_H

#include "compress/rank.h"
#include "linalg/gram.h"
#include "model/dense.h"

typedef struct {
  MPI_Comm comm, meeting; /* duplicates; the second for rt_message_meet */
  int self, size;         /* this rank, and how many there are */
  const RtGraph *graph;
  int layers, threads;
  RtDense *dense;       /* [layers] in running order */
  RtRankLayer *rank;    /* [layers] energies, once decomposed */
  double **mean;        /* [layers][in] of what enters */
  int *owner;           /* [layers] the rank that decomposes a layer alone, in turn; -1: all do, as it is large */
  RtGrid **grid;        /* [layers] NULL for the layers of others */
  bool *weighted;       /* [layers] with data */
  RtMatrix **direction; /* [layers] U as columns: of ascending eigenvalues, or of descending singular values */
  int64_t parameters;   /* of the graph */
} RtLowrank;

/* Find the layers. The graph must outlive the result. threads: that BLAS may use. Errors: there are none. */
PetscErrorCode rt_lowrank_create(MPI_Comm comm, const RtGraph *graph, int threads, RtLowrank **lowrank);
/* Accepts NULL; sets *lowrank to NULL. */
PetscErrorCode rt_lowrank_destroy(RtLowrank **lowrank);

/* Layers [first, last). gram: [last - first] sums of what enters them; NULL: without data. */
PetscErrorCode rt_lowrank_decompose(RtLowrank *lowrank, int first, int last, RtGram *const *gram);

/* Parameters of the model with layers of these ranks. rank: [layers]. */
int64_t rt_lowrank_parameters(const RtLowrank *lowrank, const int64_t *rank);

/* The model with layers of these ranks, where all are decomposed. plain: without its Dropout nodes. The factors of a
   layer are of equal size, which is what gradient descent likes. */
PetscErrorCode rt_lowrank_build(const RtLowrank *lowrank, const int64_t *rank, bool plain, RtGraph **graph);

#endif
