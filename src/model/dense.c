#include "model/dense.h"

#include <retort/operator.h>

/* How many inputs of nodes, and outputs of the graph, a value is. node: the last that reads it. */
static int count_readers(const RtGraph *graph, int value, int *node)
{
  int readers = 0;

  for (int i = 0; i < graph->nodes; i++)
    for (int k = 0; k < graph->node[i].inputs; k++)
      if (graph->node[i].input[k] == value) {
        readers++;
        *node = i;
      }
  for (int o = 0; o < graph->outputs; o++) readers += graph->output[o] == value;
  return readers;
}

static bool is_own_parameter(const RtGraph *graph, int value)
{
  int node;

  return value >= 0 && graph->value[value].kind == RT_VALUE_PARAMETER && count_readers(graph, value, &node) == 1;
}

static bool is_bias(const RtGraph *graph, int value, int64_t out)
{
  const RtValue *v = value < 0 ? NULL : &graph->value[value];

  return v && is_own_parameter(graph, value) && v->ndim >= 1 && v->size == out && v->dim[v->ndim - 1] == out;
}

/* The bias that comes in an Add after a product. */
static void find_add(const RtGraph *graph, RtDense *dense)
{
  int node = -1;

  for (int k = 0; count_readers(graph, dense->output, &node) == 1 && node >= 0 && k < 2; k++) {
    const RtNode *add = &graph->node[node];

    if (add->op->absorb != RT_ABSORB_BIAS || add->input[k] == dense->output ||
        !is_bias(graph, add->input[k], dense->out))
      continue;
    dense->bias = add->input[k];
    dense->add = node;
    dense->output = add->output[0];
    return;
  }
}

static bool is_dense(const RtGraph *graph, int index, RtDense *dense)
{
  const RtNode *node = &graph->node[index];
  const RtValue *weight;

  if (!node->op->matrix) return false;
  weight = &graph->value[node->input[1]];
  if (!is_own_parameter(graph, node->input[1]) || weight->ndim != 2) return false;
  if (graph->value[node->input[0]].kind != RT_VALUE_RESULT && graph->value[node->input[0]].kind != RT_VALUE_INPUT)
    return false;
  *dense = (RtDense){.node = index,
                     .add = -1,
                     .input = node->input[0],
                     .weight = node->input[1],
                     .bias = -1,
                     .output = node->output[0]};
  dense->transposed = rt_graph_attribute_int(node, "transB", 0);
  dense->in = weight->dim[dense->transposed];
  dense->out = weight->dim[!dense->transposed];
  if (rt_graph_attribute_int(node, "transA", 0) || rt_graph_attribute_float(node, "alpha", 1) != 1) return false;
  if (node->inputs < 3 || node->input[2] < 0) {
    find_add(graph, dense);
    return true;
  }
  dense->bias = node->input[2];
  return rt_graph_attribute_float(node, "beta", 1) == 1 && is_bias(graph, dense->bias, dense->out);
}

PetscErrorCode rt_dense_find(const RtGraph *graph, int *count, RtDense **dense)
{
  PetscFunctionBegin;
  *count = 0;
  PetscCall(PetscMalloc1(graph->nodes + 1, dense));
  for (int i = 0; i < graph->nodes; i++)
    if (is_dense(graph, i, &(*dense)[*count])) ++*count;
  PetscFunctionReturn(0);
}

/* Whether a node is x W with W of the model itself, whatever else uses W. */
static bool is_product(const RtGraph *graph, const RtNode *node)
{
  const RtValue *weight;

  if (!node->op->matrix) return false;
  weight = &graph->value[node->input[1]];
  return weight->ndim == 2 && (weight->kind == RT_VALUE_PARAMETER || weight->kind == RT_VALUE_CONSTANT);
}

int rt_dense_first(const RtGraph *graph)
{
  for (int i = 0; i < graph->nodes; i++)
    if (is_product(graph, &graph->node[i])) return i;
  return -1;
}

void rt_dense_get(const RtGraph *graph, const RtDense *dense, double *weight, double *bias)
{
  for (int64_t i = 0; weight && i < dense->in; i++)
    for (int64_t o = 0; o < dense->out; o++) weight[i * dense->out + o] = rt_dense_weight(graph, dense, i, o);
  for (int64_t o = 0; bias && o < dense->out; o++)
    bias[o] = dense->bias < 0 ? 0 : graph->parameter[graph->value[dense->bias].offset + o];
}

PetscErrorCode rt_dense_set(RtGraph *graph, const RtDense *dense, const double *weight, const double *bias)
{
  float *to = graph->parameter + graph->value[dense->weight].offset;

  PetscFunctionBegin;
  PetscCheck(!bias || dense->bias >= 0, PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG, "the layer has no bias");
  for (int64_t i = 0; weight && i < dense->in; i++)
    for (int64_t o = 0; o < dense->out; o++)
      to[dense->transposed ? o * dense->in + i : i * dense->out + o] = (float)weight[i * dense->out + o];
  for (int64_t o = 0; bias && o < dense->out; o++)
    graph->parameter[graph->value[dense->bias].offset + o] = (float)bias[o];
  PetscFunctionReturn(0);
}
