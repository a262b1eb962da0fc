/* What holds for every operator, walked through by the table of them: attributes of another kind and unknown ones are
   refused by name. And Cast, number by number. */
#include "support.h"

#include <retort/operator.h>

#include <math.h>
#include <retort/plan.h>

/* --- attributes --------------------------------------------------------------------------------------------------- */

static void set(RtGraph *graph, RtAttributeKind kind, const char *name)
{
  int node = graph->nodes - 1;

  if (kind == RT_ATTRIBUTE_INT) RT_MUST(rt_graph_set_int(graph, node, name, 2));
  if (kind == RT_ATTRIBUTE_FLOAT) RT_MUST(rt_graph_set_float(graph, node, name, 2));
  if (kind == RT_ATTRIBUTE_STRING) RT_MUST(rt_graph_set_string(graph, node, name, "2"));
  if (kind == RT_ATTRIBUTE_INTS) RT_MUST(rt_graph_set_ints(graph, node, name, 1, (int64_t[]){2}));
  if (kind == RT_ATTRIBUTE_OTHER) RT_MUST(rt_graph_set_other(graph, node, name));
}

static void refuse(const RtOp *op, int64_t opset, RtAttributeKind kind, const char *name, const char *why)
{
  int input[8], x;
  RtGraph *graph;
  char words[200];

  RT_MUST(rt_graph_create(opset, &graph));
  x = rt_support_input(graph, SHAPE(RT_BATCH, 4));
  for (int i = 0; i < 8; i++) input[i] = x;
  x = rt_support_node(graph, op->type, op->inputs_max < 8 ? op->inputs_max : 8, input);
  set(graph, kind, name);
  RT_MUST(rt_graph_add_output(graph, x));
  snprintf(words, sizeof(words), "1 node|%s '%s-0'|'%s'|%s", op->type, op->type, name, why);
  RT_TEST_SAYS(rt_graph_finish(graph), RT_ERR_FAILED, words);
  RT_MUST(rt_graph_destroy(&graph));
}

static void test_attributes(void)
{
  const RtOp *op;
  int count = 0;

  for (int i = 0; (op = rt_registry_at(i)); i++) {
    RT_TEST_CHECK(rt_registry_find(op->type) == op, "%s is not found", op->type);
    for (const RtOpAttribute *a = op->attributes; a && a->name; a++, count++) {
      int64_t opset = a->first ? a->first : a->last ? a->last : 13;

      for (RtAttributeKind kind = 0; kind <= RT_ATTRIBUTE_OTHER; kind++)
        if (kind != a->kind) refuse(op, opset, kind, a->name, "must be");
      if (a->last) refuse(op, a->last + 1, a->kind, a->name, "opset");
      if (a->first > 7) refuse(op, a->first - 1, a->kind, a->name, "opset");
    }
    refuse(op, 13, RT_ATTRIBUTE_INT, "odd", "not known");
  }
  RT_TEST_CHECK(count >= 10, "%d attributes", count);
}

/* --- Cast --------------------------------------------------------------------------------------------------------- */

enum { COUNT = 10 };

/* Both as a run and, where `folded`, when the plan is made. */
static void cast(bool folded, int64_t to, const double *want)
{
  static const float from[COUNT] = {0, -0.0f, 0.5f, -0.5f, 1, 3.7f, -3.7f, 300, NAN, INFINITY};
  RtPlanParams params = {.batch = 1};
  RtGraph *graph;
  RtPlan *plan;
  RtWork *work;
  const void *y;
  int x, id;

  RT_MUST(rt_graph_create(13, &graph));
  x = rt_support_input(graph, SHAPE(RT_BATCH, COUNT));
  id = folded ? rt_support_value(graph, RT_VALUE_CONSTANT, SHAPE(1, COUNT), from) : x;
  id = NODE(graph, "Cast", id);
  rt_support_set_int(graph, "to", to);
  RT_MUST(rt_graph_add_output(graph, id));
  RT_MUST(rt_graph_finish(graph));
  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_work_create(plan, &work));
  memcpy(rt_work_input(work, 0), from, sizeof(from));
  RT_MUST(rt_plan_forward(plan, work));
  y = rt_work_tap(work, 0);
  RT_TEST_CHECK(rt_plan_truth(plan, id) == (to == 9), "truth");
  for (int i = 0; i < COUNT; i++) {
    double got = to == 6   ? ((const int32_t *)y)[i]
                 : to == 7 ? (double)((const int64_t *)y)[i]
                           : (double)((const uint8_t *)y)[i];

    RT_TEST_CHECK(got == want[i], "%g to type %d is %g, not %g", (double)from[i], (int)to, got, want[i]);
  }
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}

/* Bytes become truth values, also where they are bytes already. */
static void test_truth(void)
{
  const uint8_t from[] = {0, 1, 2, 255}, want[] = {0, 1, 1, 1};
  RtTap tap[2] = {{0}};
  RtPlanParams params = {.batch = 4, .taps = 2, .tap = tap};
  RtGraph *graph;
  RtPlan *plan;
  RtWork *work;
  int x, y;

  RT_MUST(rt_graph_create(13, &graph));
  RT_MUST(rt_graph_add_value(graph, "x", RT_VALUE_INPUT, RT_UINT8, SHAPE(RT_BATCH), NULL, &x));
  for (int i = 0; i < 2; i++, x = y) {
    y = NODE(graph, "Cast", x);
    rt_support_set_int(graph, "to", 9);
    RT_MUST(rt_graph_add_output(graph, y));
    tap[i].value = y;
  }
  RT_MUST(rt_graph_finish(graph));
  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_work_create(plan, &work));
  memcpy(rt_work_input(work, 0), from, sizeof(from));
  RT_MUST(rt_plan_forward(plan, work));
  for (int i = 0; i < 2; i++) RT_TEST_CHECK(!memcmp(rt_work_tap(work, i), want, sizeof(want)), "cast %d", i);
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}

/* --- Gather ------------------------------------------------------------------------------------------------------- */

/* Numbers of a run that are no rows: the message names the node, the value and the number. */
static void test_gather(void)
{
  static const int64_t number[][3] = {{0, 6, -7}, {0, 7, 1}, {3, 2, -8}, {INT64_MIN, 0, 0}, {0, 0, INT64_MAX}};
  RtPlanParams params = {.batch = 3};
  RtGraph *graph;
  RtPlan *plan;
  RtWork *work;
  int x, y;

  RT_MUST(rt_graph_create(13, &graph));
  RT_MUST(rt_graph_add_value(graph, "token", RT_VALUE_INPUT, RT_INT64, SHAPE(RT_BATCH), NULL, &x));
  y = NODE(graph, "Gather", rt_support_constant(graph, SHAPE(7, 2)), x);
  RT_MUST(rt_graph_add_output(graph, y));
  RT_MUST(rt_graph_finish(graph));
  RT_TEST_CHECK(graph->parameters == 14, "a table is trained");
  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_plan_set_parameters(plan, graph->parameter));
  RT_MUST(rt_work_create(plan, &work));
  for (int i = 0; i < 5; i++) {
    const float *row;

    memcpy(rt_work_input(work, 0), number[i], sizeof(number[i]));
    if (i) {
      RT_TEST_SAYS(rt_plan_forward(plan, work), RT_ERR_FAILED, "node 'Gather-0'|'token' holds|7 rows");
      continue;
    }
    RT_MUST(rt_plan_forward(plan, work));
    row = rt_work_tap(work, 0);
    RT_TEST_CHECK(row[0] == graph->parameter[0] && row[3] == graph->parameter[13] && row[5] == row[1], "rows");
  }
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}

/* --- several outputs ---------------------------------------------------------------------------------------------- */

static PetscErrorCode count_shown(void *context, const char *node, int value, int64_t size, const float *data)
{
  double *sum = context;

  PetscFunctionBegin;
  (void)value;
  if (strncmp(node, "Split", 5)) PetscFunctionReturn(0);
  sum[0]++;
  for (int64_t i = 0; i < size; i++) sum[1] += data[i];
  PetscFunctionReturn(0);
}

/* All outputs of a Split are shown, also those that nothing reads; those of one on constants are folded. */
static void test_outputs(void)
{
  RtPlanParams params = {.batch = 2};
  double shown[2] = {0, 0};
  RtGraph *graph;
  RtPlan *plan;
  RtWork *work;
  int64_t dim[RT_MAX_DIM];
  int x, y, sizes;

  RT_MUST(rt_graph_create(13, &graph));
  x = rt_support_input(graph, SHAPE(RT_BATCH, 6));
  y = rt_support_nodes(graph, "Split", 1, &x, 3);
  rt_support_set_int(graph, "axis", 1);
  sizes = NODE(graph, "Shape", x);
  sizes = rt_support_nodes(graph, "Split", 1, &sizes, 2);
  sizes = NODE(graph, "Concat", sizes + 1, sizes);
  rt_support_set_int(graph, "axis", 0);
  y = NODE(graph, "Concat", y + 1, y + 1, y + 1);
  rt_support_set_int(graph, "axis", 1);
  y = NODE(graph, "Relu", NODE(graph, "Reshape", y, sizes));
  RT_MUST(rt_graph_add_output(graph, y));
  RT_MUST(rt_graph_finish(graph));
  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_TEST_CHECK(rt_plan_shape(plan, y, dim) == 2 && dim[0] == 6 && dim[1] == 2, "%lld x %lld", (long long)dim[0],
                (long long)dim[1]);
  RT_MUST(rt_work_create(plan, &work));
  for (int i = 0; i < 12; i++) ((float *)rt_work_input(work, 0))[i] = (float)i;
  RT_MUST(rt_plan_forward_watched(plan, work, count_shown, shown));
  RT_TEST_CHECK(shown[0] == 3 && shown[1] == 66, "%g outputs, sum %g", shown[0], shown[1]);
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}

static PetscErrorCode test(int argc, char **argv)
{
  static const double truth[COUNT] = {0, 0, 1, 1, 1, 1, 1, 1, 1, 1}, byte[COUNT] = {0, 0, 0, 0, 1, 3, 0, 255, 0, 255};
  static const double whole[COUNT] = {0, 0, 0, 0, 1, 3, -3, 300, 0, INT32_MAX};

  (void)argc, (void)argv;
  test_attributes();
  for (int folded = 0; folded < 2; folded++) {
    cast(folded, 9, truth);
    cast(folded, 2, byte);
    cast(folded, 6, whole);
  }
  test_truth();
  test_gather();
  test_outputs();
  return 0;
}

RT_TEST_MAIN(test)
