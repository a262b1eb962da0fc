#include "compress/cut.h"

#include "compress/lowrank.h"
#include "core/message.h"
#include "label/moments.h"

#include <stdio.h>
#include <string.h>

static const double group_bytes = 0x1p30; /* bytes of the sums that a rank keeps at once, where more than one layer's */

/* Layers [first, last) together: the model runs twice for all of them. */
static PetscErrorCode decompose_group(const RtCut *cut, RtLowrank *l, int first, int last, RtMomentsLayer *layer,
                                      RtGram **gram, bool *stopped)
{
  RtMoments moments = {.job = cut->job,
                       .dataset = cut->dataset,
                       .sampler = cut->sampler,
                       .most = cut->most,
                       .layers = last - first,
                       .layer = layer};
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  for (int i = first; i < last; i++) {
    layer[i - first] = (RtMomentsLayer){cut->teacher, l->dense[i].input, l->dense[i].in};
    gram[i - first] = NULL;
  }
  if (cut->dataset) PetscCall(rt_moments_collect(&moments, gram, stopped));
  if (!*stopped) error = rt_lowrank_decompose(l, first, last, gram);
  for (int i = first; i < last; i++) PetscCall(rt_gram_destroy(&gram[i - first]));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* In groups whose sums fit in memory. */
static PetscErrorCode decompose(const RtCut *cut, RtLowrank *l, bool *stopped)
{
  RtMomentsLayer *layer;
  RtGram **gram;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(PetscMalloc2(l->layers, &layer, l->layers, &gram));
  for (int first = 0, last; first < l->layers && !error && !*stopped; first = last) {
    double bytes = 0;

    for (last = first; last < l->layers; last++) {
      bytes += rt_gram_bytes(l->dense[last].in);
      if (last > first && bytes > group_bytes) break;
    }
    error = decompose_group(cut, l, first, last, layer, gram, stopped);
  }
  PetscCall(PetscFree2(layer, gram));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Parameters that are no weights of these layers. */
static int64_t others(const RtLowrank *l)
{
  int64_t count = l->parameters;

  for (int i = 0; i < l->layers; i++) count -= l->rank[i].in * l->rank[i].out;
  return count;
}

static PetscErrorCode check(const RtCutDegree *degree, const RtLowrank *l, int64_t *rank)
{
  int64_t fewest = rt_rank_by_budget(l->layers, l->rank, 0, rank) + others(l);

  PetscFunctionBegin;
  if (degree->parameters && degree->energy > 0)
    RtUsage("%s: parameters and energy both say how far to cut: leave one out", degree->names);
  if (degree->parameters)
    RtCheck(fewest <= degree->parameters,
            "%s asks for %lld parameters; with all layers cut to one direction %lld are left", degree->names,
            (long long)degree->parameters, (long long)fewest);
  RtCheck(degree->parameters || degree->energy > 0 || degree->ranks <= l->layers,
          "%s: %d ranks are given, the teacher has %d layers", degree->names, degree->ranks, l->layers);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_cut_check(const RtCut *cut)
{
  RtLowrank *lowrank = NULL;
  int64_t *rank;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_lowrank_create(cut->job->comm, cut->teacher, cut->job->threads, &lowrank));
  PetscCall(PetscMalloc1(lowrank->layers, &rank));
  error = check(&cut->degree, lowrank, rank);
  PetscCall(PetscFree(rank));
  PetscCall(rt_lowrank_destroy(&lowrank));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static void choose(const RtCutDegree *degree, const RtLowrank *l, int64_t *rank)
{
  if (degree->parameters) (void)rt_rank_by_budget(l->layers, l->rank, degree->parameters - others(l), rank);
  for (int i = 0; i < l->layers && !degree->parameters; i++) {
    if (degree->energy > 0)
      rank[i] = rt_rank_by_energy(&l->rank[i], degree->energy);
    else
      rank[i] = i < degree->ranks ? PetscMin(degree->rank[i], l->rank[i].count) : l->rank[i].count;
  }
}

/* What a layer keeps: "784 x 1200 rank 218 (99.50 %)". */
static void describe(const RtRankLayer *layer, int64_t rank, char *text, size_t length)
{
  if (rank > rt_rank_thin(layer))
    snprintf(text, length, "%lld x %lld whole", (long long)layer->in, (long long)layer->out);
  else
    snprintf(text, length, "%lld x %lld rank %lld (%.2f %%)", (long long)layer->in, (long long)layer->out,
             (long long)rank, 100 * rt_rank_kept(layer, rank));
}

/* Ranks, and the part of the variance that each layer's output keeps: all of them in the model's metadata, the first
   for people. */
static PetscErrorCode report(const RtLowrank *l, const int64_t *rank, const char *what, RtGraph *graph)
{
  enum { SHOWN = 8, LENGTH = 96 };
  char *text, more[48] = "";
  size_t used = 0, shown = 0;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1((size_t)l->layers * LENGTH, &text));
  for (int i = 0; i < l->layers; i++) {
    if (i) used += (size_t)snprintf(text + used, LENGTH, ", ");
    describe(&l->rank[i], rank[i], text + used, LENGTH - 2);
    used += strlen(text + used);
    if (i < SHOWN) shown = used;
  }
  error = rt_graph_set_metadata(graph, "retort_low_rank", text);
  if (l->layers > SHOWN) snprintf(more, sizeof(more), ", and %d more", l->layers - SHOWN);
  rt_message_print("%s: %lld of the teacher's %lld parameters; layers and what they keep of their %s: %.*s%s", what,
                   (long long)rt_lowrank_parameters(l, rank), (long long)l->parameters,
                   l->weighted[0] ? "output's variance" : "weights' square", (int)shown, text, more);
  PetscCall(PetscFree(text));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_cut_make(const RtCut *cut, const char *what, RtGraph **graph, bool *stopped)
{
  RtLowrank *lowrank = NULL;
  int64_t *rank = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  *graph = NULL;
  *stopped = false;
  PetscCall(rt_lowrank_create(cut->job->comm, cut->teacher, cut->job->threads, &lowrank));
  PetscCall(PetscMalloc1(lowrank->layers, &rank));
  error = check(&cut->degree, lowrank, rank);
  if (!error) error = decompose(cut, lowrank, stopped);
  if (!error && !*stopped) choose(&cut->degree, lowrank, rank);
  if (!error && !*stopped) error = rt_lowrank_build(lowrank, rank, cut->plain, graph);
  if (!error && !*stopped) error = report(lowrank, rank, what, *graph);
  if (error) PetscCall(rt_graph_destroy(graph));
  PetscCall(PetscFree(rank));
  PetscCall(rt_lowrank_destroy(&lowrank));
  PetscCall(error);
  PetscFunctionReturn(0);
}
