#include "compress/rank.h"

int64_t rt_rank_thin(const RtRankLayer *layer)
{
  return (layer->in * layer->out - 1) / (layer->in + layer->out);
}

int64_t rt_rank_weights(const RtRankLayer *layer, int64_t rank)
{
  return rank > rt_rank_thin(layer) ? layer->in * layer->out : rank * (layer->in + layer->out);
}

static double sum(const RtRankLayer *layer, int64_t first, int64_t last)
{
  double total = 0;

  for (int64_t i = first; i < last; i++) total += layer->energy[i];
  return total;
}

double rt_rank_kept(const RtRankLayer *layer, int64_t rank)
{
  double total = sum(layer, 0, layer->count);

  return rank > rt_rank_thin(layer) || total <= 0 ? 1 : sum(layer, 0, rank) / total;
}

/* A rank that saves nothing is the whole layer. */
static int64_t settle(const RtRankLayer *layer, int64_t rank)
{
  return rank > rt_rank_thin(layer) ? layer->count : rank;
}

int64_t rt_rank_by_energy(const RtRankLayer *layer, double part)
{
  double total = sum(layer, 0, layer->count), kept = 0;
  int64_t rank = 0;

  while (rank < layer->count && (rank == 0 || kept < part * total)) kept += layer->energy[rank++];
  return settle(layer, rank);
}

int64_t rt_rank_by_budget(int layers, RtRankLayer *layer, int64_t budget, int64_t *rank)
{
  int64_t used = 0, fewest;

  for (int l = 0; l < layers; l++) {
    rank[l] = settle(&layer[l], 1);
    layer[l].total = sum(&layer[l], 0, layer[l].count);
    used += rt_rank_weights(&layer[l], rank[l]);
  }
  fewest = used;
  for (;;) {
    double best = -1;
    int64_t best_cost = 0;
    int best_layer = -1;

    for (int l = 0; l < layers; l++) {
      int64_t next = settle(&layer[l], rank[l] + 1);
      int64_t cost = rt_rank_weights(&layer[l], next) - rt_rank_weights(&layer[l], rank[l]);
      double gain;

      if (rank[l] == layer[l].count || cost > budget - used) continue;
      gain = layer[l].total > 0 ? sum(&layer[l], rank[l], next) / layer[l].total / (double)cost : 0;
      if (gain <= best) continue;
      best = gain;
      best_cost = cost;
      best_layer = l;
    }
    if (best_layer < 0) return fewest;
    used += best_cost;
    rank[best_layer] = settle(&layer[best_layer], rank[best_layer] + 1);
  }
}
