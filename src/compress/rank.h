/* How far to cut fully connected layers: a layer of rank r is two thin ones with r (in + out) weights instead of
   in · out. Pure arithmetic. */
#ifndef RT_COMPRESS_RANK_H
#define RT_COMPRESS_RANK_H

#include <retort/types.h>

/* count = min(in, out) stands for the whole layer; a rank that would save nothing counts as that. */
typedef struct {
  int64_t in, out, count;
  double *energy; /* [count] descending: variance of the layer's output along its directions */
  double total;   /* its sum, where rt_rank_by_budget has put it */
} RtRankLayer;

/* The largest rank that saves weights; 0: none does. */
int64_t rt_rank_thin(const RtRankLayer *layer);
/* Weights at this rank, the bias not counted. */
int64_t rt_rank_weights(const RtRankLayer *layer, int64_t rank);
/* Part of the energy that is kept, 1 where there is none. */
double rt_rank_kept(const RtRankLayer *layer, int64_t rank);

/* The smallest rank that keeps this part of the energy. */
int64_t rt_rank_by_energy(const RtRankLayer *layer, double part);
/* Ranks of all layers with at most `budget` weights together: directions are taken one by one, always that of the most
   energy for a weight, in parts of its layer's whole. rank: [layers]. Returns the fewest weights that are possible;
   where that is more than the budget, rank holds what has them. */
int64_t rt_rank_by_budget(int layers, RtRankLayer *layer, int64_t budget, int64_t *rank);

#endif
