#include "graph/parts.h"

#include "graph/inside.h"
#include "graph/names.h"
#include <retort/operator.h>

#include <string.h>

PetscErrorCode rt_graph_create(int64_t opset, RtGraph **graph)
{
  RtGraph *g;

  PetscFunctionBegin;
  PetscCall(PetscNew(&g));
  g->opset = opset;
  PetscCall(rt_names_create(&g->names));
  PetscCall(rt_names_create(&g->keys));
  *graph = g;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_free_node(RtNode *node)
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
  for (int i = 0; i < g->nodes; i++) PetscCall(rt_graph_free_node(&g->node[i]));
  for (int i = 0; i < 2 * g->metadatas; i++) PetscCall(PetscFree(g->metadata[i]));
  PetscCall(PetscFree(g->value));
  PetscCall(PetscFree(g->node));
  PetscCall(PetscFree(g->input));
  PetscCall(PetscFree(g->output));
  PetscCall(PetscFree(g->metadata));
  PetscCall(PetscFree(g->parameter));
  PetscCall(rt_axes_destroy(g));
  PetscCall(PetscFree(g->state));
  PetscCall(rt_names_destroy(&g->names));
  PetscCall(rt_names_destroy(&g->keys));
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
  return rt_names_find(graph->names, name);
}

PetscErrorCode rt_graph_add_value(RtGraph *graph, const char *name, RtValueKind kind, RtType type, int ndim,
                                  const int64_t dim[], const void *data, int *id)
{
  RtValue value = {.kind = kind, .type = type, .ndim = ndim, .size = 1};
  bool empty = false; /* also then no product of lengths may overflow */

  PetscFunctionBegin;
  RtCheck(rt_graph_find(graph, name) < 0, "the value '%s' stands twice in the model", name);
  RtCheck(ndim <= RT_MAX_DIM, "the value '%s' has %d dimensions, more than %d", name, ndim, (int)RT_MAX_DIM);
  for (int i = 0; i < ndim; i++) {
    value.dim[i] = dim[i];
    if (kind == RT_VALUE_INPUT || kind == RT_VALUE_RESULT) continue;
    empty = empty || dim[i] == 0;
    RtCheck(dim[i] >= 0 && !__builtin_mul_overflow(value.size, PetscMax(1, dim[i]), &value.size) &&
                value.size < INT64_MAX / 16,
            "the value '%s' has an impossible shape", name);
  }
  if (empty) value.size = 0;
  PetscCall(grow(&graph->value, graph->values, sizeof(RtValue)));
  PetscCall(PetscStrallocpy(name, &value.name));
  if (kind != RT_VALUE_INPUT && kind != RT_VALUE_RESULT) {
    size_t bytes = (size_t)value.size * rt_types_size(type);

    PetscCall(PetscCalloc1(bytes + 1, (char **)&value.data)); /* never a NULL pointer, also for no elements */
    if (data) memcpy(value.data, data, bytes);
  }
  graph->value[graph->values] = value;
  PetscCall(rt_names_add(graph->names, value.name, graph->values));
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

PetscErrorCode rt_graph_set_other(RtGraph *graph, int node, const char *name)
{
  RtAttribute *attribute = NULL;

  PetscFunctionBegin;
  PetscCall(add_attribute(graph, node, name, RT_ATTRIBUTE_OTHER, &attribute));
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
  int at = rt_names_find(graph->keys, key);

  PetscFunctionBegin;
  if (at >= 0) {
    PetscCall(PetscFree(graph->metadata[2 * at + 1]));
  } else {
    at = graph->metadatas;
    PetscCall(grow(&graph->metadata, at, 2 * sizeof(char *)));
    PetscCall(PetscStrallocpy(key, &graph->metadata[2 * at]));
    graph->metadata[2 * at + 1] = NULL;
    graph->metadatas++;
    PetscCall(rt_names_add(graph->keys, graph->metadata[2 * at], at));
  }
  PetscCall(PetscStrallocpy(text, &graph->metadata[2 * at + 1]));
  PetscFunctionReturn(0);
}

const char *rt_graph_get_metadata(const RtGraph *graph, const char *key)
{
  int at = rt_names_find(graph->keys, key);

  return at < 0 ? NULL : graph->metadata[2 * at + 1];
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

int rt_graph_inputs(const RtGraph *graph, const int **id)
{
  if (id) *id = graph->input;
  return graph->inputs;
}

int rt_graph_outputs(const RtGraph *graph, const int **id)
{
  if (id) *id = graph->output;
  return graph->outputs;
}

const char *rt_graph_name(const RtGraph *graph, int value)
{
  return graph->value[value].name;
}

float *rt_graph_parameter(const RtGraph *graph)
{
  return graph->parameter;
}

int64_t rt_graph_flat(const RtGraph *graph)
{
  return graph->flat;
}

int64_t rt_graph_parameters(const RtGraph *graph)
{
  return graph->parameters;
}

int64_t rt_graph_state_flat(const RtGraph *graph)
{
  return graph->state_flat;
}

int rt_graph_axes(const RtGraph *graph)
{
  return graph->axes;
}
