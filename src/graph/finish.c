/* Freezing a graph: running order, checks of every node, roles of its constants. */
#include "graph/inside.h"
#include <retort/operator.h>

#include <stdio.h>
#include <string.h>

/* Node that computes each value; -1 for inputs, parameters and constants. */
static PetscErrorCode find_producers(const RtGraph *graph, int *producer)
{
  PetscFunctionBegin;
  for (int i = 0; i < graph->values; i++) producer[i] = -1;
  for (int i = 0; i < graph->nodes; i++)
    for (int k = 0; k < graph->node[i].outputs; k++) {
      int id = graph->node[i].output[k];

      if (id < 0) continue;
      RtCheck(producer[id] < 0 && graph->value[id].kind == RT_VALUE_RESULT,
              "the value '%s' is computed twice in the model", graph->value[id].name);
      producer[id] = i;
    }
  PetscFunctionReturn(0);
}

/* Depth-first from the outputs: writes the needed nodes into `order` so that each stands after those it reads.
   mark: 0 not seen, 1 on the path, 2 done. seen: [nodes] how many of its inputs. The stack is explicit: a hostile file
   must not exhaust ours. */
static PetscErrorCode sort_nodes(const RtGraph *graph, const int *producer, int *mark, int *seen, int *stack,
                                 int *order, int *ordered)
{
  PetscFunctionBegin;
  for (int o = 0; o < graph->outputs; o++) {
    int depth = 0, root = producer[graph->output[o]];

    RtCheck(root >= 0, "the output '%s' of the model is not computed", graph->value[graph->output[o]].name);
    if (mark[root]) continue;
    stack[depth++] = root;
    while (depth > 0) {
      int n = stack[depth - 1], next = -1;

      mark[n] = 1;
      while (seen[n] < graph->node[n].inputs && next < 0) {
        int id = graph->node[n].input[seen[n]++], from = id < 0 ? -1 : producer[id];

        RtCheck(id < 0 || from >= 0 || graph->value[id].kind != RT_VALUE_RESULT,
                "nothing in the model computes the value '%s'", graph->value[id].name);
        if (from < 0 || mark[from] == 2) continue;
        RtCheck(mark[from] == 0, "the model has a cycle through the value '%s'", graph->value[id].name);
        next = from;
      }
      if (next >= 0) {
        stack[depth++] = next;
        continue;
      }
      mark[n] = 2;
      order[(*ordered)++] = n;
      depth--;
    }
  }
  PetscFunctionReturn(0);
}

/* Keep the nodes of `order`, in that order. Their array keeps its length: more may be added (rt_graph_extend). */
static PetscErrorCode reorder_nodes(RtGraph *graph, const int *order, int ordered, const int *mark)
{
  RtNode *node;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(graph->nodes + 1, &node));
  for (int i = 0; i < ordered; i++) node[i] = graph->node[order[i]];
  for (int i = 0; i < graph->nodes; i++)
    if (!mark[i]) PetscCall(rt_graph_free_node(&graph->node[i]));
  PetscCall(PetscArraycpy(graph->node, node, ordered));
  PetscCall(PetscFree(node));
  graph->nodes = ordered;
  PetscFunctionReturn(0);
}

/* What is wrong with a node's attributes; leaves `why` empty where nothing is. */
static void check_attributes(const RtGraph *graph, const RtNode *node, char *why, size_t length)
{
  static const char *const kinds[] = {"a whole number", "a float", "a text", "whole numbers", ""};

  for (int i = 0; i < node->attributes && !why[0]; i++) {
    const RtAttribute *attribute = &node->attribute[i];
    const RtOpAttribute *known = node->op->attributes;

    while (known && known->name && strcmp(known->name, attribute->name)) known++;
    if (!known || !known->name)
      snprintf(why, length, "the attribute '%.40s' is not known", attribute->name);
    else if (graph->opset < known->first || (known->last && graph->opset > known->last))
      snprintf(why, length, "opset %lld does not give it an attribute '%s'", (long long)graph->opset, known->name);
    else if (attribute->kind != known->kind)
      snprintf(why, length, "its attribute '%s' must be %s", known->name, kinds[known->kind]);
  }
}

static PetscErrorCode check_node(const RtGraph *graph, const RtNode *node, char *why, size_t length)
{
  const RtOp *op = node->op;

  PetscFunctionBegin;
  why[0] = 0;
  if (!op->shape)
    snprintf(why, length, "the operator is not supported");
  else if (graph->opset < op->opset_min)
    snprintf(why, length, "opset %d is too old", (int)graph->opset);
  else if (node->inputs < op->inputs_min || node->inputs > op->inputs_max)
    snprintf(why, length, "it has %d inputs", node->inputs);
  else if (node->outputs > PetscMax(1, op->outputs_max))
    snprintf(why, length, "it has %d outputs", node->outputs);
  else if (node->outputs < 1 || node->output[0] < 0)
    snprintf(why, length, "it has no output");
  for (int k = 0; !why[0] && k < op->inputs_min; k++)
    if (node->input[k] < 0) snprintf(why, length, "its input %d is missing", k);
  if (!why[0]) check_attributes(graph, node, why, length);
  if (!why[0] && op->check) PetscCall(op->check(graph, node, why, length));
  PetscFunctionReturn(0);
}

/* All that is not supported, in one message. */
static PetscErrorCode check_nodes(const RtGraph *graph)
{
  char all[1600] = "", why[256];
  size_t used = 0;
  int bad = 0;

  PetscFunctionBegin;
  for (int i = 0; i < graph->nodes; i++) {
    const RtNode *node = &graph->node[i];

    PetscCall(check_node(graph, node, why, sizeof(why)));
    if (!why[0]) continue;
    bad++;
    if (used < sizeof(all) - 200)
      used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s '%.60s': %.100s", used ? "; " : "", node->op->type,
                               rt_graph_node_name(graph, node), why);
  }
  RtCheck(bad == 0, "%d node%s of the model cannot be run: %s", bad, bad == 1 ? "" : "s", all);
  PetscFunctionReturn(0);
}

/* The constant behind a chain of nodes that only rename; -1: it is none. Chains end: none is longer than there are
   nodes. from: [values] what a value is another name of, -1: nothing; those that lead nowhere are forgotten. */
static int constant_behind(const RtGraph *graph, int *from, int id)
{
  int end = id, left = graph->nodes;

  while (from[end] >= 0 && left-- > 0) end = from[end];
  if (from[end] >= 0 || graph->value[end].kind != RT_VALUE_CONSTANT) end = -1;
  for (int next; from[id] >= 0 && id != end; id = next) {
    next = from[id];
    from[id] = end;
  }
  return end;
}

/* Identity only renames: what reads its result reads the constant itself. */
static PetscErrorCode look_through_names(RtGraph *graph)
{
  int *from;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(graph->values + 1, &from));
  for (int i = 0; i < graph->values; i++) from[i] = -1;
  for (int i = 0; i < graph->nodes; i++) {
    const RtNode *node = &graph->node[i];

    if (!node->op->same || node->inputs != 1 || node->outputs != 1 || node->input[0] < 0 || node->output[0] < 0)
      continue;
    if (graph->value[node->output[0]].kind == RT_VALUE_RESULT) from[node->output[0]] = node->input[0];
  }
  for (int i = 0; i < graph->nodes; i++)
    for (int k = 0; k < graph->node[i].inputs; k++) {
      int id = graph->node[i].input[k], end = id < 0 || from[id] < 0 ? -1 : constant_behind(graph, from, id);

      if (end >= 0) graph->node[i].input[k] = end;
    }
  PetscCall(PetscFree(from));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_finish(RtGraph *graph)
{
  int *producer, *mark, *seen, *stack, *order, ordered = 0;
  PetscErrorCode error;

  PetscFunctionBegin;
  RtCheck(graph->outputs > 0, "the model has no output");
  RtCheck(graph->inputs > 0, "the model has no input");
  PetscCall(PetscMalloc1(graph->values + 1, &producer));
  PetscCall(PetscCalloc4(graph->nodes + 1, &mark, graph->nodes + 1, &seen, graph->nodes + 1, &stack, graph->nodes + 1,
                         &order));
  PetscCall(look_through_names(graph));
  error = find_producers(graph, producer);
  if (!error) error = sort_nodes(graph, producer, mark, seen, stack, order, &ordered);
  if (!error) error = reorder_nodes(graph, order, ordered, mark);
  PetscCall(PetscFree(producer));
  PetscCall(PetscFree4(mark, seen, stack, order));
  PetscCall(error);
  PetscCall(check_nodes(graph));
  PetscCall(rt_roles_assign(graph));
  PetscFunctionReturn(0);
}
