#include "compress/thin.h"

#include "ops/registry.h"

#include <stdio.h>
#include <string.h>

typedef struct {
  const RtGraph *from;
  RtGraph *to;
  int count;
  const RtThin *thin;
  bool plain;
  int *map; /* [from->values] ids in the copy, -1: not there */
} Copy;

/* The thin layers that replace the one with this weight, NULL: none do. */
static const RtThin *thin_of(const Copy *c, int weight)
{
  for (int i = 0; i < c->count; i++)
    if (c->thin[i].dense->weight == weight) return &c->thin[i];
  return NULL;
}

/* The value's place in the copy, where it comes when it is first needed. */
static PetscErrorCode place(Copy *c, int value, int *to)
{
  const RtValue *v = value < 0 ? NULL : &c->from->value[value];
  const void *data;

  PetscFunctionBegin;
  *to = v ? c->map[value] : -1;
  if (!v || *to >= 0) PetscFunctionReturn(0);
  data = v->kind == RT_VALUE_PARAMETER ? c->from->parameter + v->offset
         : v->kind == RT_VALUE_STATE   ? c->from->state + v->offset
                                       : v->data;
  for (int t = 0; t < c->count; t++)
    if (c->thin[t].dense->bias == value) data = c->thin[t].bias;
  PetscCall(rt_graph_add_value(c->to, v->name, v->kind, v->type, v->ndim, v->dim, data, to));
  if (v->field) PetscCall(PetscStrallocpy(v->field, &c->to->value[*to].field));
  c->map[value] = *to;
  PetscFunctionReturn(0);
}

static PetscErrorCode copy_attributes(Copy *c, const RtNode *node, int made)
{
  PetscFunctionBegin;
  for (int i = 0; i < node->attributes; i++) {
    const RtAttribute *a = &node->attribute[i];

    if (a->kind == RT_ATTRIBUTE_INT) PetscCall(rt_graph_set_int(c->to, made, a->name, a->i));
    if (a->kind == RT_ATTRIBUTE_FLOAT) PetscCall(rt_graph_set_float(c->to, made, a->name, a->f));
    if (a->kind == RT_ATTRIBUTE_STRING) PetscCall(rt_graph_set_string(c->to, made, a->name, a->s));
    if (a->kind == RT_ATTRIBUTE_INTS) PetscCall(rt_graph_set_ints(c->to, made, a->name, a->count, a->ints));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode copy_node(Copy *c, const RtNode *node)
{
  int *input, *output, made;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(PetscMalloc2(node->inputs + 1, &input, node->outputs + 1, &output));
  for (int k = 0; k < node->inputs && !error; k++) error = place(c, node->input[k], &input[k]);
  for (int k = 0; k < node->outputs && !error; k++) error = place(c, node->output[k], &output[k]);
  if (!error) error = rt_graph_add_node(c->to, node->op, node->name, node->inputs, input, node->outputs, output, &made);
  if (!error) error = copy_attributes(c, node, made);
  PetscCall(PetscFree2(input, output));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* WEIGHT.SUFFIX, or with a number where that stands already. */
static void name_new(const Copy *c, const char *weight, const char *suffix, char name[256])
{
  snprintf(name, 256, "%.200s.%s", weight, suffix);
  for (int i = 2; rt_graph_find(c->from, name) >= 0 || rt_graph_find(c->to, name) >= 0; i++)
    snprintf(name, 256, "%.200s.%s%d", weight, suffix, i);
}

/* x W becomes (x first) second: a MatMul, then what the layer was. */
static PetscErrorCode add_thin(Copy *c, const RtNode *node, const RtThin *thin)
{
  const RtDense *d = thin->dense;
  const char *weight = c->from->value[d->weight].name;
  int64_t first_dim[2] = {d->in, thin->rank}, second_dim[2] = {thin->rank, d->out};
  int input[3], between, output, made, inputs = 2;
  char name[256];

  PetscFunctionBegin;
  PetscCall(place(c, d->input, &input[0]));
  name_new(c, weight, "first", name);
  PetscCall(rt_graph_add_value(c->to, name, RT_VALUE_PARAMETER, RT_FLOAT, 2, first_dim, thin->first, &input[1]));
  name_new(c, weight, "between", name);
  PetscCall(rt_graph_add_value(c->to, name, RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &between));
  PetscCall(rt_graph_add_node(c->to, rt_registry_find("MatMul"), name, 2, input, 1, &between, &made));
  name_new(c, weight, "second", name);
  input[0] = between;
  PetscCall(rt_graph_add_value(c->to, name, RT_VALUE_PARAMETER, RT_FLOAT, 2, second_dim, thin->second, &input[1]));
  if (d->bias >= 0 && d->add < 0) PetscCall(place(c, d->bias, &input[inputs++]));
  PetscCall(place(c, node->output[0], &output));
  PetscCall(rt_graph_add_node(c->to, node->op, node->name, inputs, input, 1, &output, &made));
  PetscFunctionReturn(0);
}

static bool is_read(const RtGraph *graph, int value)
{
  for (int i = 0; i < graph->nodes; i++)
    for (int k = 0; k < graph->node[i].inputs; k++)
      if (graph->node[i].input[k] == value) return true;
  return false;
}

static PetscErrorCode copy_nodes(Copy *c)
{
  PetscFunctionBegin;
  for (int i = 0; i < c->from->nodes; i++) {
    const RtNode *node = &c->from->node[i];
    const RtThin *thin = node->op->matrix ? thin_of(c, node->input[1]) : NULL;
    bool mask = node->outputs > 1 && node->output[1] >= 0 && is_read(c->from, node->output[1]);

    if (thin)
      PetscCall(add_thin(c, node, thin));
    else if (c->plain && node->op->random && !mask)
      PetscCall(place(c, node->input[0], &c->map[node->output[0]]));
    else
      PetscCall(copy_node(c, node));
  }
  for (int o = 0; o < c->from->outputs; o++) PetscCall(rt_graph_add_output(c->to, c->map[c->from->output[o]]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_thin_build(const RtGraph *graph, int count, const RtThin *thin, bool plain, RtGraph **copy)
{
  Copy c = {.from = graph, .count = count, .thin = thin, .plain = plain};
  int id;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_graph_create(graph->opset, &c.to));
  PetscCall(PetscMalloc1(graph->values + 1, &c.map));
  for (int i = 0; i < graph->values; i++) c.map[i] = -1;
  error = rt_axes_copy(graph, c.to);
  for (int i = 0; i < graph->inputs && !error; i++) error = place(&c, graph->input[i], &id);
  if (!error) error = copy_nodes(&c);
  if (!error) error = rt_graph_finish(c.to);
  PetscCall(PetscFree(c.map));
  if (error) PetscCall(rt_graph_destroy(&c.to));
  PetscCall(error);
  *copy = c.to;
  PetscFunctionReturn(0);
}
