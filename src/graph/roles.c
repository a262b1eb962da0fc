#include "graph/inside.h"
#include <retort/operator.h>

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

enum { ALIGN = 16 }; /* elements: a cache line of floats */

/* A look through a graph in running order. */
typedef struct {
  RtGraph *graph;
  int *producer;  /* [values] node; -1: none */
  bool *fixed;    /* [values] it is made of constants alone, by operators that hand on what is trained */
  bool *depends;  /* [values] on a parameter */
  bool *followed; /* [values] what it is made of is trained already */
  int *stack;     /* [values] */
} Roles;

static bool is_float_constant(const RtValue *value)
{
  return value->kind == RT_VALUE_CONSTANT && value->type == RT_FLOAT && value->size > 0;
}

/* Whether what is trained at the node's result may stand at its input k. */
static bool hands_on(const RtNode *node, int k)
{
  return rt_op_has(node->op->passes, k) && (!node->op->carries || node->op->carries(node));
}

/* Train the constants that a value is made of. */
static void train(Roles *r, int value)
{
  int depth = 0;

  r->stack[depth++] = value;
  r->followed[value] = true;
  while (depth > 0) {
    int id = r->stack[--depth];
    RtValue *v = &r->graph->value[id];
    const RtNode *node = r->producer[id] < 0 ? NULL : &r->graph->node[r->producer[id]];

    if (is_float_constant(v) && v->ndim > 0) v->kind = RT_VALUE_PARAMETER;
    r->depends[id] = r->depends[id] || v->kind == RT_VALUE_PARAMETER || v->kind == RT_VALUE_RESULT;
    for (int k = 0; node && k < node->inputs; k++) {
      int from = node->input[k];

      if (from < 0 || !hands_on(node, k) || r->followed[from] || !r->fixed[from]) continue;
      r->followed[from] = true;
      r->stack[depth++] = from;
    }
  }
}

/* Whether another input of a node depends on a parameter. */
static bool meets_trained(const Roles *r, const RtNode *node, int k)
{
  for (int i = 0; i < node->inputs; i++)
    if (i != k && node->input[i] >= 0 && r->depends[node->input[i]]) return true;
  return false;
}

static void assign_input(Roles *r, const RtNode *node, int k, bool fixed)
{
  const RtOp *op = node->op;
  int id = node->input[k];
  RtValue *value = &r->graph->value[id];
  bool factor = rt_op_has(op->factors, k), trained = rt_op_has(op->trainable, k);

  value->weight = value->weight || rt_op_has(op->trainable | op->factors | op->passes, k);
  if (rt_op_has(op->state, k)) {
    if (is_float_constant(value)) value->kind = RT_VALUE_STATE;
  } else if (trained && !factor && is_float_constant(value) && !fixed) {
    value->kind = RT_VALUE_PARAMETER; /* of any shape */
    r->depends[id] = true;
  } else if ((trained && !fixed) || (factor && meets_trained(r, node, k))) {
    train(r, id);
  }
}

/* A node all of whose inputs are fixed hands on what its result becomes. */
static bool is_fixed(const Roles *r, const RtNode *node)
{
  if (!node->op->passes) return false;
  for (int k = 0; k < node->inputs; k++)
    if (node->input[k] >= 0 && !r->fixed[node->input[k]]) return false;
  return true;
}

static void assign_node(Roles *r, int index)
{
  const RtNode *node = &r->graph->node[index];
  bool fixed = is_fixed(r, node), depends = false;

  for (int k = 0; k < node->inputs; k++) {
    int id = node->input[k];

    if (id < 0) continue;
    if (r->fixed[id] && r->graph->value[id].kind != RT_VALUE_STATE) assign_input(r, node, k, fixed);
    depends = depends || r->depends[id];
  }
  for (int k = 0; k < node->outputs; k++) {
    int id = node->output[k];

    if (id < 0) continue;
    r->producer[id] = index;
    r->fixed[id] = fixed;
    r->depends[id] = depends;
  }
}

/* --- the buffers -------------------------------------------------------------------------------------------------- */

/* One role's values in one buffer, in the order of values. */
static PetscErrorCode lay_out(RtGraph *graph, RtValueKind kind, int64_t *count, int64_t *flat, float **buffer)
{
  PetscFunctionBegin;
  *count = *flat = 0;
  for (int i = 0; i < graph->values; i++) {
    RtValue *value = &graph->value[i];
    int64_t room;

    if (value->kind != kind) continue;
    room = (value->size + ALIGN - 1) / ALIGN * ALIGN; /* a value's size is below INT64_MAX / 16 */
    value->offset = *flat;
    RtCheck(!__builtin_add_overflow(*flat, room, flat) && *flat < INT64_MAX / 16, "the model is too large");
    *count += value->size;
  }
  PetscCall(PetscCalloc1(*flat + ALIGN, buffer));
  for (int i = 0; i < graph->values; i++) {
    RtValue *value = &graph->value[i];

    if (value->kind != kind) continue;
    PetscCall(PetscArraycpy(*buffer + value->offset, (float *)value->data, value->size));
    PetscCall(PetscFree(value->data));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode lay_out_all(RtGraph *graph)
{
  int64_t states;

  PetscFunctionBegin;
  PetscCall(lay_out(graph, RT_VALUE_PARAMETER, &graph->parameters, &graph->flat, &graph->parameter));
  PetscCall(lay_out(graph, RT_VALUE_STATE, &states, &graph->state_flat, &graph->state));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_roles_assign(RtGraph *graph)
{
  Roles r = {.graph = graph};
  int n = graph->values + 1;

  PetscFunctionBegin;
  PetscCall(PetscMalloc2(n, &r.producer, n, &r.stack));
  PetscCall(PetscCalloc3(n, &r.fixed, n, &r.depends, n, &r.followed));
  for (int i = 0; i < graph->values; i++) {
    RtValueKind kind = graph->value[i].kind;

    r.producer[i] = -1;
    r.fixed[i] = kind == RT_VALUE_CONSTANT || kind == RT_VALUE_PARAMETER;
    r.depends[i] = kind == RT_VALUE_PARAMETER;
  }
  for (int i = 0; i < graph->nodes; i++) assign_node(&r, i);
  PetscCall(PetscFree2(r.producer, r.stack));
  PetscCall(PetscFree3(r.fixed, r.depends, r.followed));
  PetscCall(lay_out_all(graph));
  PetscFunctionReturn(0);
}

void rt_graph_change_state(RtGraph *graph, int64_t first, int64_t count, const float *sum, int lanes)
{
  for (int64_t i = 0; i < count; i++) graph->state[first + i] += (float)(sum[i] / (double)lanes);
}

/* --- what a job freezes ------------------------------------------------------------------------------------------- */

static PetscErrorCode take_pattern(const RtGraph *graph, const char *pattern, const char *option, bool *chosen)
{
  bool found = false;

  PetscFunctionBegin;
  for (int i = 0; i < graph->values; i++) {
    if (graph->value[i].kind != RT_VALUE_PARAMETER || fnmatch(pattern, graph->value[i].name, 0)) continue;
    chosen[i] = found = true;
  }
  if (!found) RtUsage("%s: the model has no parameter '%s'", option, pattern);
  PetscFunctionReturn(0);
}

static PetscErrorCode choose(const RtGraph *graph, const char *patterns, const char *option, bool *chosen)
{
  char *copy, *rest, *pattern;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(PetscStrallocpy(patterns, &copy));
  rest = copy;
  while (!error && (pattern = strsep(&rest, ", ")))
    if (pattern[0]) error = take_pattern(graph, pattern, option, chosen);
  PetscCall(PetscFree(copy));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* New buffers: values that are in one take their numbers back first, and those that are chosen become constants.
   chosen: [values], or NULL. */
static PetscErrorCode lay_out_again(RtGraph *graph, const bool *chosen)
{
  float *old = graph->parameter, *state = graph->state;

  PetscFunctionBegin;
  for (int i = 0; i < graph->values; i++) {
    RtValue *value = &graph->value[i];
    bool kept = value->kind == RT_VALUE_STATE;

    if ((!kept && value->kind != RT_VALUE_PARAMETER) || value->data) continue;
    PetscCall(PetscMalloc1(value->size + 1, (float **)&value->data));
    PetscCall(PetscArraycpy((float *)value->data, (kept ? state : old) + value->offset, value->size));
    if (!chosen || !chosen[i]) continue;
    value->kind = RT_VALUE_CONSTANT;
    value->weight = true;
  }
  PetscCall(lay_out_all(graph));
  PetscCall(PetscFree(old));
  PetscCall(PetscFree(state));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_freeze(RtGraph *graph, const char *patterns, const char *option)
{
  bool *chosen;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (!patterns[0]) PetscFunctionReturn(0);
  PetscCall(PetscCalloc1(graph->values + 1, &chosen));
  error = choose(graph, patterns, option, chosen);
  if (!error) error = lay_out_again(graph, chosen);
  PetscCall(PetscFree(chosen));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_graph_extend(RtGraph *graph)
{
  PetscFunctionBegin;
  PetscCall(lay_out_again(graph, NULL));
  PetscFunctionReturn(0);
}

int rt_graph_frozen(const RtGraph *graph, char *text, size_t length)
{
  enum { NAMED = 3 };
  size_t used = 0;
  int count = 0;

  text[0] = 0;
  for (int i = 0; i < graph->values; i++) {
    const RtValue *value = &graph->value[i];

    if (!value->weight || !is_float_constant(value)) continue;
    if (count++ < NAMED && used < length)
      used += (size_t)snprintf(text + used, length - used, "%s%.60s", count > 1 ? ", " : "", value->name);
  }
  if (count > NAMED && used < length) (void)snprintf(text + used, length - used, ", …");
  return count;
}
