/* The optimizer step on the part of the parameters that a rank owns. */
#include "core/simd.h"
#include "train/trainer_state.h"
#include <retort/operator.h>

#include <string.h>

/* Whether all numbers are finite. */
RT_SIMD static bool all_finite(int64_t count, const float *number)
{
  const uint32_t *word = (const uint32_t *)(const void *)number, exponent = 0x7f800000;
  uint32_t bad = 0;

  for (int64_t i = 0; i < count; i++) bad |= (word[i] & exponent) == exponent;
  return !bad;
}

/* A parameter's share of one own part. at: where that part stands in gradient and moments. */
static void update_value(RtTrainer *t, const RtValue *value, int64_t first, int64_t end, int64_t at,
                         const RtUpdate *common)
{
  RtUpdate update = *common;

  update.count = end - first;
  update.weight_decay = value->ndim > 1 ? t->params->weight_decay : 0;
  update.parameter = t->parameter + first;
  update.gradient = common->gradient + at;
  for (int m = 0; m < t->params->optimizer->moments; m++) update.moment[m] = t->moment[m] + at;
  t->params->optimizer->update(&t->params->optimizer_params, &update);
}

void rt_update_own(RtTrainer *t, const float *gradient, double scale)
{
  const RtGraph *graph = t->graph;
  RtUpdate common = {.rate = rt_schedule_rate(&t->schedule, t->step),
                     .gradient_scale = scale,
                     .step = t->step + 1,
                     .gradient = gradient};
  int bad = -1;

#pragma omp parallel for schedule(dynamic) num_threads(t->params->threads) reduction(max : bad)
  for (int i = 0; i < graph->values; i++) {
    const RtValue *value = &graph->value[i];
    int64_t at = 0, own, count;

    if (value->kind != RT_VALUE_PARAMETER || !rt_plan_reaches(t->plan, i)) continue;
    for (int k = 0; k < rt_reduce_ranges(t->reduce); k++, at += count) {
      int64_t first, end;

      rt_reduce_own(t->reduce, k, &own, &count);
      first = PetscMax(value->offset, own);
      end = PetscMin(value->offset + value->size, own + count);
      if (first >= end) continue;
      update_value(t, value, first, end, at + first - own, &common);
      /* A Relu hides what is not a number from the loss, not from the weights. */
      if (!all_finite(end - first, t->parameter + first)) bad = i;
    }
  }
  t->bad_value = bad;
}

/* What the output layer's product computes: the logits, or what a bias or another shape makes them of. */
static int output_layer(const RtGraph *graph)
{
  int id = rt_tap_logits(graph);

  for (int i = graph->nodes - 1; i >= 0; i--) {
    const RtNode *node = &graph->node[i];
    bool bias = node->op->absorb == RT_ABSORB_BIAS, first = graph->value[node->input[0]].kind == RT_VALUE_RESULT;

    if (node->output[0] != id || node->op->matrix || (!bias && node->op->backward)) continue;
    id = node->input[bias && !first];
  }
  return id;
}

void rt_update_limit(RtTrainer *t)
{
  const RtGraph *graph = t->graph;
  int logits = output_layer(graph);

  if (t->params->max_norm <= 0) return;
#pragma omp parallel for schedule(dynamic) num_threads(t->params->threads) if (t->params->threads > 1)
  for (int i = 0; i < graph->nodes; i++) {
    const RtNode *node = &graph->node[i];
    const RtValue *weight = node->inputs > 1 ? &graph->value[node->input[1]] : NULL;

    if (!node->op->matrix || node->output[0] == logits || weight->kind != RT_VALUE_PARAMETER || weight->ndim != 2)
      continue;
    rt_optimizer_max_norm(t->parameter + weight->offset, weight->dim[0], weight->dim[1],
                          rt_graph_attribute_int(node, "transB", 0) != 0, t->params->max_norm);
  }
}
