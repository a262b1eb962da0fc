#include <retort/graph.h>

#include "graph/op.h"

#include <stdio.h>
#include <string.h>

enum { ALIGN = 16 }; /* elements: a cache line of floats */

PetscErrorCode rt_graph_create(int64_t opset, RtGraph **graph)
{
  RtGraph *g;

  PetscFunctionBegin;
  PetscCall(PetscNew(&g));
  g->opset = opset;
  *graph = g;
  PetscFunctionReturn(0);
}

static PetscErrorCode free_node(RtNode *node)
{
  PetscFunctionBegin;
  for (int i = 0; i < node->attributes; i++) {
    PetscCall(PetscFree(node->attribute[i].name));
    PetscCall(PetscFree(node->attribute[i].s));
    PetscCall(PetscFree(node->attribute[i].ints));
  }
  PetscCall(PetscFree(node->attribute));
  PetscCall(PetscFree(node->input));
  PetscCall(PetscFree(node->output));
  PetscCall(PetscFree(node->name));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_destroy(RtGraph **graph)
{
  RtGraph *g = *graph;

  PetscFunctionBegin;
  if (!g) PetscFunctionReturn(0);
  for (int i = 0; i < g->values; i++) {
    PetscCall(PetscFree(g->value[i].name));
    PetscCall(PetscFree(g->value[i].field));
    PetscCall(PetscFree(g->value[i].data));
  }
  for (int i = 0; i < g->nodes; i++) PetscCall(free_node(&g->node[i]));
  for (int i = 0; i < 2 * g->metadatas; i++) PetscCall(PetscFree(g->metadata[i]));
  PetscCall(PetscFree(g->value));
  PetscCall(PetscFree(g->node));
  PetscCall(PetscFree(g->input));
  PetscCall(PetscFree(g->output));
  PetscCall(PetscFree(g->metadata));
  PetscCall(PetscFree(g->parameter));
  PetscCall(rt_axes_destroy(g));
  PetscCall(PetscFree(*graph));
  PetscFunctionReturn(0);
}

/* Room for one more element: arrays grow by doubling. array: address of the pointer. */
static PetscErrorCode grow(void *array, int count, size_t bytes)
{
  void **place = array;

  PetscFunctionBegin;
  if (count == 0 || (count & (count - 1)) == 0) PetscCall(PetscRealloc(bytes * 2 * (size_t)PetscMax(count, 1), place));
  PetscFunctionReturn(0);
}

int rt_graph_find(const RtGraph *graph, const char *name)
{
  for (int i = 0; i < graph->values; i++)
    if (!strcmp(graph->value[i].name, name)) return i;
  return -1;
}

PetscErrorCode rt_graph_add_value(RtGraph *graph, const char *name, RtValueKind kind, RtType type, int ndim,
                                  const int64_t dim[], const void *data, int *id)
{
  RtValue value = {.kind = kind, .type = type, .ndim = ndim, .size = 1};

  PetscFunctionBegin;
  RtCheck(rt_graph_find(graph, name) < 0, "the value '%s' stands twice in the model", name);
  RtCheck(ndim <= RT_MAX_DIM, "the value '%s' has %d dimensions, more than %d", name, ndim, (int)RT_MAX_DIM);
  for (int i = 0; i < ndim; i++) {
    value.dim[i] = dim[i];
    if (kind == RT_VALUE_INPUT || kind == RT_VALUE_RESULT) continue;
    RtCheck(dim[i] >= 0 && !__builtin_mul_overflow(value.size, dim[i], &value.size) && value.size < INT64_MAX / 16,
            "the value '%s' has an impossible shape", name);
  }
  PetscCall(grow(&graph->value, graph->values, sizeof(RtValue)));
  PetscCall(PetscStrallocpy(name, &value.name));
  if (kind == RT_VALUE_PARAMETER || kind == RT_VALUE_CONSTANT) {
    size_t bytes = (size_t)value.size * rt_types_size(type);

    PetscCall(PetscCalloc1(bytes + 1, (char **)&value.data)); /* never a NULL pointer, also for no elements */
    if (data) memcpy(value.data, data, bytes);
  }
  graph->value[graph->values] = value;
  *id = graph->values++;
  if (kind == RT_VALUE_INPUT) {
    PetscCall(grow(&graph->input, graph->inputs, sizeof(int)));
    graph->input[graph->inputs++] = *id;
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_add_node(RtGraph *graph, const RtOp *op, const char *name, int inputs, const int input[],
                                 int outputs, const int output[], int *node)
{
  RtNode n = {.op = op, .inputs = inputs, .outputs = outputs};

  PetscFunctionBegin;
  PetscCall(grow(&graph->node, graph->nodes, sizeof(RtNode)));
  PetscCall(PetscStrallocpy(name, &n.name));
  PetscCall(PetscMalloc1(inputs + 1, &n.input));
  PetscCall(PetscMalloc1(outputs + 1, &n.output));
  PetscCall(PetscArraycpy(n.input, input, inputs));
  PetscCall(PetscArraycpy(n.output, output, outputs));
  graph->node[graph->nodes] = n;
  *node = graph->nodes++;
  PetscFunctionReturn(0);
}

static PetscErrorCode add_attribute(RtGraph *graph, int node, const char *name, RtAttributeKind kind,
                                    RtAttribute **attribute)
{
  RtNode *n = &graph->node[node];

  PetscFunctionBegin;
  PetscCall(grow(&n->attribute, n->attributes, sizeof(RtAttribute)));
  *attribute = &n->attribute[n->attributes++];
  **attribute = (RtAttribute){.kind = kind};
  PetscCall(PetscStrallocpy(name, &(*attribute)->name));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_set_int(RtGraph *graph, int node, const char *name, int64_t value)
{
  RtAttribute *attribute = NULL;

  PetscFunctionBegin;
  PetscCall(add_attribute(graph, node, name, RT_ATTRIBUTE_INT, &attribute));
  attribute->i = value;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_set_float(RtGraph *graph, int node, const char *name, float value)
{
  RtAttribute *attribute = NULL;

  PetscFunctionBegin;
  PetscCall(add_attribute(graph, node, name, RT_ATTRIBUTE_FLOAT, &attribute));
  attribute->f = value;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_set_string(RtGraph *graph, int node, const char *name, const char *value)
{
  RtAttribute *attribute = NULL;

  PetscFunctionBegin;
  PetscCall(add_attribute(graph, node, name, RT_ATTRIBUTE_STRING, &attribute));
  PetscCall(PetscStrallocpy(value, &attribute->s));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_set_ints(RtGraph *graph, int node, const char *name, int count, const int64_t value[])
{
  RtAttribute *attribute = NULL;

  PetscFunctionBegin;
  PetscCall(add_attribute(graph, node, name, RT_ATTRIBUTE_INTS, &attribute));
  PetscCall(PetscMalloc1(count + 1, &attribute->ints));
  PetscCall(PetscArraycpy(attribute->ints, value, count));
  attribute->count = count;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_add_output(RtGraph *graph, int id)
{
  PetscFunctionBegin;
  PetscCall(grow(&graph->output, graph->outputs, sizeof(int)));
  graph->output[graph->outputs++] = id;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_set_metadata(RtGraph *graph, const char *key, const char *text)
{
  PetscFunctionBegin;
  for (int i = 0; i < graph->metadatas; i++) {
    if (strcmp(graph->metadata[2 * i], key)) continue;
    PetscCall(PetscFree(graph->metadata[2 * i + 1]));
    PetscCall(PetscStrallocpy(text, &graph->metadata[2 * i + 1]));
    PetscFunctionReturn(0);
  }
  PetscCall(grow(&graph->metadata, graph->metadatas, 2 * sizeof(char *)));
  PetscCall(PetscStrallocpy(key, &graph->metadata[2 * graph->metadatas]));
  PetscCall(PetscStrallocpy(text, &graph->metadata[2 * graph->metadatas + 1]));
  graph->metadatas++;
  PetscFunctionReturn(0);
}

const char *rt_graph_get_metadata(const RtGraph *graph, const char *key)
{
  for (int i = 0; i < graph->metadatas; i++)
    if (!strcmp(graph->metadata[2 * i], key)) return graph->metadata[2 * i + 1];
  return NULL;
}

const RtAttribute *rt_graph_attribute(const RtNode *node, const char *name)
{
  for (int i = 0; i < node->attributes; i++)
    if (!strcmp(node->attribute[i].name, name)) return &node->attribute[i];
  return NULL;
}

int64_t rt_graph_attribute_int(const RtNode *node, const char *name, int64_t absent)
{
  const RtAttribute *attribute = rt_graph_attribute(node, name);

  return attribute && attribute->kind == RT_ATTRIBUTE_INT ? attribute->i : absent;
}

float rt_graph_attribute_float(const RtNode *node, const char *name, float absent)
{
  const RtAttribute *attribute = rt_graph_attribute(node, name);

  return attribute && attribute->kind == RT_ATTRIBUTE_FLOAT ? attribute->f : absent;
}

const char *rt_graph_node_name(const RtGraph *graph, const RtNode *node)
{
  if (node->name[0]) return node->name;
  return node->outputs > 0 && node->output[0] >= 0 ? graph->value[node->output[0]].name : "(no name)";
}

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
   mark: 0 not seen, 1 on the path, 2 done. The stack is explicit: a hostile file must not exhaust ours. */
static PetscErrorCode sort_nodes(const RtGraph *graph, const int *producer, int *mark, int *stack, int *order,
                                 int *ordered)
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
      for (int k = 0; k < graph->node[n].inputs && next < 0; k++) {
        int id = graph->node[n].input[k], from = id < 0 ? -1 : producer[id];

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

/* Keep the nodes of `order`, in that order. */
static PetscErrorCode reorder_nodes(RtGraph *graph, const int *order, int ordered, const int *mark)
{
  RtNode *node;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(graph->nodes + 1, &node));
  for (int i = 0; i < ordered; i++) node[i] = graph->node[order[i]];
  for (int i = 0; i < graph->nodes; i++)
    if (!mark[i]) PetscCall(free_node(&graph->node[i]));
  PetscCall(PetscFree(graph->node));
  graph->node = node;
  graph->nodes = ordered;
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
    const RtOp *op = node->op;

    why[0] = 0;
    if (!op->shape)
      snprintf(why, sizeof(why), "the operator is not supported");
    else if (graph->opset < op->opset_min)
      snprintf(why, sizeof(why), "opset %d is too old", (int)graph->opset);
    else if (node->inputs < op->inputs_min || node->inputs > op->inputs_max)
      snprintf(why, sizeof(why), "it has %d inputs", node->inputs);
    else if (node->outputs < 1 || node->output[0] < 0)
      snprintf(why, sizeof(why), "it has no output");
    for (int k = 0; !why[0] && k < op->inputs_min; k++)
      if (node->input[k] < 0) snprintf(why, sizeof(why), "its input %d is missing", k);
    if (!why[0] && op->check) PetscCall(op->check(graph, node, why, sizeof(why)));
    if (!why[0]) continue;
    bad++;
    if (used < sizeof(all) - 200)
      used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s '%.60s': %.100s", used ? "; " : "", op->type,
                               rt_graph_node_name(graph, node), why);
  }
  RtCheck(bad == 0, "%d node%s of the model cannot be run: %s", bad, bad == 1 ? "" : "s", all);
  PetscFunctionReturn(0);
}

/* Float constants that an operator trains become parameters, in the order of values, and get their place. */
static PetscErrorCode place_parameters(RtGraph *graph)
{
  PetscFunctionBegin;
  for (int i = 0; i < graph->nodes; i++)
    for (int k = 0; k < graph->node[i].inputs; k++) {
      int id = graph->node[i].input[k];
      RtValue *value = id < 0 ? NULL : &graph->value[id];

      if (!value || value->kind != RT_VALUE_CONSTANT || value->type != RT_FLOAT || !value->size) continue;
      if (graph->node[i].op->trainable >> k & 1) value->kind = RT_VALUE_PARAMETER;
    }
  graph->parameters = graph->flat = 0;
  for (int i = 0; i < graph->values; i++) {
    RtValue *value = &graph->value[i];

    if (value->kind != RT_VALUE_PARAMETER) continue;
    value->offset = graph->flat;
    graph->parameters += value->size;
    graph->flat += (value->size + ALIGN - 1) / ALIGN * ALIGN;
  }
  PetscCall(PetscCalloc1(graph->flat + ALIGN, &graph->parameter));
  for (int i = 0; i < graph->values; i++) {
    RtValue *value = &graph->value[i];

    if (value->kind != RT_VALUE_PARAMETER) continue;
    PetscCall(PetscArraycpy(graph->parameter + value->offset, (float *)value->data, value->size));
    PetscCall(PetscFree(value->data));
  }
  PetscFunctionReturn(0);
}

/* Identity only renames: what reads its output may as well train what it was given. Repeated for chains of them. */
static void look_through_identity(RtGraph *graph)
{
  bool changed = true;

  while (changed) {
    changed = false;
    for (int i = 0; i < graph->nodes; i++) {
      const RtNode *node = &graph->node[i];
      int from, to;

      if (strcmp(node->op->type, "Identity") || node->inputs != 1 || node->outputs != 1) continue;
      from = node->input[0];
      to = node->output[0];
      if (from < 0 || to < 0 || graph->value[from].kind != RT_VALUE_CONSTANT) continue;
      if (graph->value[to].kind != RT_VALUE_RESULT) continue; /* refused later; could go in a circle */
      for (int j = 0; j < graph->nodes; j++)
        for (int k = 0; k < graph->node[j].inputs; k++)
          if (graph->node[j].input[k] == to) {
            graph->node[j].input[k] = from;
            changed = true;
          }
    }
  }
}

PetscErrorCode rt_graph_finish(RtGraph *graph)
{
  int *producer, *mark, *stack, *order, ordered = 0;
  PetscErrorCode error;

  PetscFunctionBegin;
  RtCheck(graph->outputs > 0, "the model has no output");
  RtCheck(graph->inputs > 0, "the model has no input");
  PetscCall(PetscMalloc1(graph->values + 1, &producer));
  PetscCall(PetscCalloc3(graph->nodes + 1, &mark, graph->nodes + 1, &stack, graph->nodes + 1, &order));
  look_through_identity(graph);
  error = find_producers(graph, producer);
  if (!error) error = sort_nodes(graph, producer, mark, stack, order, &ordered);
  if (!error) error = reorder_nodes(graph, order, ordered, mark);
  PetscCall(PetscFree(producer));
  PetscCall(PetscFree3(mark, stack, order));
  PetscCall(error);
  PetscCall(check_nodes(graph));
  PetscCall(place_parameters(graph));
  PetscFunctionReturn(0);
}
