/* What gradient tests share: each operator's tolerance, which is relative to the largest number in the result or
   gradient, and a comparison with the plain reference. */
#ifndef RT_GRADIENT_H
#define RT_GRADIENT_H

#include "reference.h"

static const struct {
  const char *op;
  double forward, backward;
} tolerance[] = {
    {"Gemm", 2e-6, 2e-6},       {"MatMul", 2e-6, 2e-6},   {"Add", 3e-7, 1e-6},     {"Sub", 3e-7, 1e-6},
    {"Mul", 3e-7, 1e-6},        {"Div", 3e-7, 2e-6},      {"Relu", 3e-7, 1e-6},    {"Softmax", 3e-7, 1e-6},
    {"LogSoftmax", 3e-7, 1e-6}, {"Flatten", 3e-7, 1e-6},  {"Reshape", 3e-7, 1e-6}, {"Squeeze", 3e-7, 1e-6},
    {"Unsqueeze", 3e-7, 1e-6},  {"Identity", 3e-7, 1e-6}, {"Cast", 3e-7, 1e-6},    {"Transpose", 3e-7, 1e-6},
    {"Gather", 3e-7, 1e-6},     {"Concat", 3e-7, 1e-6},   {"Split", 3e-7, 1e-6},   {"graph", 5e-6, 5e-6},
};

enum { ROWS = sizeof(tolerance) / sizeof(*tolerance) };

enum { OPSET = 13, BATCH = 6 };

static bool compared[ROWS];
__attribute__((unused)) static int64_t parameters; /* of the graph that was compared last */
static double worst[2]; /* part of the tolerance that was used, for a look at how tight it is */

static RtGraph *start(int64_t opset)
{
  RtGraph *graph;

  RT_MUST(rt_graph_create(opset, &graph));
  return graph;
}

/* ROWS where it is in none. */
static int row_of(const char *op)
{
  int row = 0;

  while (row < ROWS && strcmp(tolerance[row].op, op)) row++;
  return row;
}

/* Make `output` the logits, and compare. The graph is destroyed. */
static void compare(RtGraph *graph, int output, const char *op, const char *what)
{
  double forward, backward;
  int row = row_of(op);

  RT_MUST(rt_graph_add_output(graph, output));
  if (!graph->inputs) (void)rt_support_input(graph, SHAPE(RT_BATCH, 1)); /* a model has one */
  RT_MUST(rt_graph_finish(graph));
  parameters = graph->parameters;
  forward = rt_reference_compare(graph, BATCH, RT_PRECISION_FP32, &backward) / tolerance[row].forward;
  backward /= tolerance[row].backward;
  RT_TEST_CHECK(forward <= 1, "%s, %s: result is off by %.1f tolerances", op, what, forward);
  RT_TEST_CHECK(backward <= 1, "%s, %s: gradient is off by %.1f tolerances", op, what, backward);
  compared[row] = true;
  worst[0] = fmax(worst[0], forward);
  worst[1] = fmax(worst[1], backward);
}

/* Where an operand comes from. */
typedef enum {
  GIVEN,     /* an input: has no gradient */
  PARAMETER, /* its gradient goes into the flat buffer */
  COMPUTED,  /* the sum of two parameters: its gradient lies in the slab */
  SOURCES
} Source;

__attribute__((unused)) static const char *const source_name[] = {"given", "parameter", "computed"};

static int operand_of(RtGraph *graph, Source source, int ndim, const int64_t *dim, const float *data)
{
  if (source == GIVEN) return rt_support_input(graph, ndim, dim);
  if (source == PARAMETER) return rt_support_value(graph, RT_VALUE_PARAMETER, ndim, dim, data);
  return NODE(graph, "Add", rt_support_value(graph, RT_VALUE_PARAMETER, ndim, dim, data),
              rt_support_value(graph, RT_VALUE_PARAMETER, ndim, dim, data));
}

__attribute__((unused)) static int operand(RtGraph *graph, Source source, int ndim, const int64_t *dim)
{
  return operand_of(graph, source, ndim, dim, NULL);
}

#endif
