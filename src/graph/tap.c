#include "graph/parts.h"

#include <retort/tap.h>

#include <retort/operator.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The node that computes a value, NULL for what no node computes. */
static const RtNode *producer(const RtGraph *graph, int value)
{
  for (int i = graph->nodes - 1; i >= 0; i--)
    for (int k = 0; k < graph->node[i].outputs; k++)
      if (graph->node[i].output[k] == value) return &graph->node[i];
  return NULL;
}

int rt_tap_logits(const RtGraph *graph)
{
  int id = graph->output[0];
  const RtNode *node = producer(graph, id);

  while (node && node->op->renames && (!node->op->carries || node->op->carries(node)) && node->output[0] == id) {
    id = node->input[0];
    node = producer(graph, id);
  }
  return node && node->op->softmax ? node->input[0] : graph->output[0];
}

/* Whether a node is x W with W of the model itself. */
static bool is_product(const RtGraph *graph, const RtNode *node)
{
  const RtValue *weight;

  if (!node->op->matrix) return false;
  weight = &graph->value[node->input[1]];
  return weight->ndim == 2 && (weight->kind == RT_VALUE_PARAMETER || weight->kind == RT_VALUE_CONSTANT);
}

PetscErrorCode rt_tap_layers(const RtGraph *graph, int *count, int **value)
{
  const int logits = rt_tap_logits(graph);
  bool *deep, *listed; /* it comes from a product; it is in the list */

  PetscFunctionBegin;
  *count = 0;
  PetscCall(PetscCalloc2(graph->values, &deep, graph->values, &listed));
  PetscCall(PetscMalloc1(graph->nodes + 1, value));
  listed[logits] = true;
  for (int i = 0; i < graph->nodes; i++) {
    const RtNode *node = &graph->node[i];
    bool product = is_product(graph, node), below = product;

    if (product && deep[node->input[0]] && !listed[node->input[0]]) {
      listed[node->input[0]] = true;
      (*value)[(*count)++] = node->input[0];
    }
    for (int k = 0; k < node->inputs; k++) below = below || (node->input[k] >= 0 && deep[node->input[k]]);
    for (int k = 0; k < node->outputs; k++)
      if (node->output[k] >= 0) deep[node->output[k]] = below;
  }
  (*value)[(*count)++] = logits;
  PetscCall(PetscFree2(deep, listed));
  PetscFunctionReturn(0);
}

/* N of `prefix`N, 0 where the name is not of that form. */
static long number_after(const char *name, const char *prefix)
{
  size_t length = strlen(prefix);
  char *end;
  long number;

  if (strncmp(name, prefix, length) || !name[length]) return 0;
  number = strtol(name + length, &end, 10);
  return *end || number < 0 ? 0 : number;
}

static PetscErrorCode find_hidden(const RtGraph *graph, long number, int *value, int *hidden)
{
  int *layer, count;

  PetscFunctionBegin;
  PetscCall(rt_tap_layers(graph, &count, &layer));
  *hidden = count - 1;
  if (number >= 1 && number < count) *value = layer[number - 1];
  PetscCall(PetscFree(layer));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_tap_find(const RtGraph *graph, const char *name, const char *what, int *value)
{
  long hidden = number_after(name, "hidden:"), output = number_after(name, "output:");
  int layers = 0, found = -1;

  PetscFunctionBegin;
  if (!strcmp(name, "logits")) found = rt_tap_logits(graph);
  PetscCall(find_hidden(graph, hidden, &found, &layers));
  if (output >= 1 && output <= graph->outputs) found = graph->output[output - 1];
  if (found < 0) found = rt_graph_find(graph, name); /* older exporters name values by numbers */
  for (int i = 0; i < graph->nodes && found < 0; i++)
    if (!strcmp(graph->node[i].name, name)) found = graph->node[i].output[0];
  RtCheck(found >= 0,
          "the %s has no tap '%s': it has %d hidden layer%s (hidden:1 …), %d output%s (output:1 …), and no node or "
          "value of that name",
          what, name, layers, layers == 1 ? "" : "s", graph->outputs, graph->outputs == 1 ? "" : "s");
  *value = found;
  PetscFunctionReturn(0);
}
