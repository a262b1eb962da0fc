#include "run/cut.h"

#include "core/message.h"
#include "distill/lowrank.h"
#include "run/moments.h"

#include <stdio.h>

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
  for (int i = first; i < last && !error && !*stopped; i++) error = rt_lowrank_decompose(l, i, gram[i - first]);
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

static PetscErrorCode choose_by_budget(const RtCutDegree *degree, const RtLowrank *l, int64_t *rank)
{
  int64_t others = l->parameters, fewest;

  PetscFunctionBegin;
  for (int i = 0; i < l->layers; i++) others -= l->rank[i].in * l->rank[i].out;
  fewest = rt_rank_by_budget(l->layers, l->rank, degree->parameters - others, rank);
  RtCheck(fewest <= degree->parameters - others,
          "%s asks for %lld parameters; with all layers cut to one direction %lld are left", degree->names,
          (long long)degree->parameters, (long long)(fewest + others));
  PetscFunctionReturn(0);
}

static PetscErrorCode choose(const RtCutDegree *degree, const RtLowrank *l, int64_t *rank)
{
  PetscFunctionBegin;
  if (degree->parameters) {
    PetscCall(choose_by_budget(degree, l, rank));
    PetscFunctionReturn(0);
  }
  RtCheck(degree->energy > 0 || degree->ranks <= l->layers, "%s: %d ranks are given, the teacher has %d layers",
          degree->names, degree->ranks, l->layers);
  for (int i = 0; i < l->layers; i++) {
    if (degree->energy > 0)
      rank[i] = rt_rank_by_energy(&l->rank[i], degree->energy);
    else
      rank[i] = i < degree->ranks ? PetscMin(degree->rank[i], l->rank[i].count) : l->rank[i].count;
  }
  PetscFunctionReturn(0);
}

/* One line for people: ranks, and the part of the variance that each layer's output keeps. */
static void report(const RtLowrank *l, const int64_t *rank, const char *what)
{
  char text[256] = "";
  size_t used = 0;

  for (int i = 0; i < l->layers && used + 48 < sizeof(text); i++) {
    bool whole = rank[i] > rt_rank_thin(&l->rank[i]);

    used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%lld x %lld", i ? ", " : "", (long long)l->rank[i].in,
                             (long long)l->rank[i].out);
    if (whole)
      used += (size_t)snprintf(text + used, sizeof(text) - used, " whole");
    else
      used += (size_t)snprintf(text + used, sizeof(text) - used, " rank %lld (%.2f %%)", (long long)rank[i],
                               100 * rt_rank_kept(&l->rank[i], rank[i]));
  }
  rt_message_print("%s: %lld of the teacher's %lld parameters; layers and what they keep of their %s: %s", what,
                   (long long)rt_lowrank_parameters(l, rank), (long long)l->parameters,
                   l->weighted[0] ? "output's variance" : "weights' square", text);
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
  error = decompose(cut, lowrank, stopped);
  if (!error && !*stopped) error = choose(&cut->degree, lowrank, rank);
  if (!error && !*stopped) error = rt_lowrank_build(lowrank, rank, cut->plain, graph);
  if (!error && !*stopped) report(lowrank, rank, what);
  PetscCall(PetscFree(rank));
  PetscCall(rt_lowrank_destroy(&lowrank));
  PetscCall(error);
  PetscFunctionReturn(0);
}
