/* State: an operator made here keeps a running mean of its columns. What it is in a graph, how runs say what becomes of
   it, that steps take the mean over lanes, and that it is written and read. */
#include "centre.h"
#include "support.h"

#include <math.h>
#include <retort/onnx.h>
#include <retort/plan.h>

enum { WIDTH = 5, ROWS = 4, LANES = 7 };

/* Two of them, the first behind a product; a state that nothing which is trained reads stands between. */
static RtGraph *make(int state[2])
{
  RtGraph *graph;
  int x, y;

  RT_MUST(rt_graph_create(13, &graph));
  x = rt_support_input(graph, SHAPE(RT_BATCH, WIDTH));
  state[0] = rt_support_constant(graph, SHAPE(WIDTH));
  state[1] = rt_support_constant(graph, SHAPE(WIDTH));
  y = NODE(graph, "TestCentre", NODE(graph, "MatMul", x, rt_support_constant(graph, SHAPE(WIDTH, WIDTH))), state[0]);
  RT_MUST(rt_graph_add_output(graph, NODE(graph, "Relu", y)));
  RT_MUST(rt_graph_add_output(graph, NODE(graph, "TestCentre", x, state[1])));
  RT_MUST(rt_graph_finish(graph));
  return graph;
}

static void test_kinds(void)
{
  int state[2];
  RtGraph *graph = make(state);
  char text[100];

  for (int i = 0; i < 2; i++)
    RT_TEST_CHECK(graph->value[state[i]].kind == RT_VALUE_STATE && graph->value[state[i]].offset == 16 * i, "state %d",
                  i);
  RT_TEST_CHECK(graph->parameters == WIDTH * WIDTH && graph->state_flat == 32, "%lld parameters, %lld",
                (long long)graph->parameters, (long long)graph->state_flat);
  RT_TEST_CHECK(rt_graph_frozen(graph, text, sizeof(text)) == 0, "state is no frozen weight: %s", text);
  RT_MUST(rt_graph_freeze(graph, "*", "-x"));
  RT_TEST_CHECK(graph->value[state[1]].kind == RT_VALUE_STATE && graph->state[16] != 0, "freezing leaves state alone");
  RT_MUST(rt_graph_destroy(&graph));
}

/* The sum over lanes of what one step says; also what the running means are to be, in double. */
static void step(RtGraph *graph, RtPlan *plan, RtWork *work, const float *x, float *sum, double *want)
{
  const float *w = graph->parameter;

  memset(sum, 0, 32 * sizeof(float));
  for (int i = 0; i < WIDTH; i++) want[i] = 0.75 * graph->state[i];
  for (int lane = 0; lane < LANES; lane++, x += ROWS * WIDTH) {
    memcpy(rt_work_input(work, 0), x, ROWS * WIDTH * sizeof(float));
    RT_MUST(rt_plan_forward(plan, work));
    for (int i = 0; i < 32; i++) sum[i] += rt_work_change(work)[i];
    for (int r = 0; r < ROWS; r++)
      for (int i = 0; i < WIDTH; i++)
        for (int k = 0; k < WIDTH; k++) want[i] += 0.25 * x[r * WIDTH + k] * w[k * WIDTH + i] / (ROWS * LANES);
  }
}

/* Training of the first output: the second state must not move. */
static void test_steps(void)
{
  RtPlanParams params = {.batch = ROWS, .training = true};
  int state[2];
  RtGraph *graph = make(state);
  RtPlan *plan;
  RtWork *work;
  float x[LANES * ROWS * WIDTH], sum[32], other[WIDTH];
  double want[WIDTH];

  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_plan_set_parameters(plan, graph->parameter));
  RT_MUST(rt_work_create(plan, &work));
  memcpy(other, graph->state + 16, sizeof(other));
  for (int i = 0; i < 3; i++) {
    rt_support_normal(LANES * ROWS * WIDTH, x);
    step(graph, plan, work, x, sum, want);
    rt_graph_change_state(graph, 0, graph->state_flat, sum, LANES);
    for (int k = 0; k < WIDTH; k++)
      RT_TEST_CHECK(fabs(graph->state[k] - want[k]) < 1e-6, "step %d: %g, not %g", i, (double)graph->state[k], want[k]);
    RT_TEST_CHECK(!memcmp(other, graph->state + 16, sizeof(other)), "a state that no step reads has moved");
  }
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}

/* Out of training the running mean is used, and there is nothing to change. Written and read, it is the same. */
static void test_file(void)
{
  RtPlanParams params = {.batch = 1};
  int state[2], found;
  RtGraph *graph = make(state), *read;
  RtPlan *plan;
  RtWork *work;
  float x[WIDTH] = {0};

  RT_MUST(rt_onnx_write(graph, "state.onnx", NULL));
  RT_MUST(rt_onnx_read("state.onnx", &read, NULL));
  RT_TEST_CHECK(read->state_flat == graph->state_flat && !memcmp(read->state, graph->state, 32 * sizeof(float)),
                "state changed in a file");
  found = rt_graph_find(read, graph->value[state[1]].name);
  RT_TEST_CHECK(found >= 0 && read->value[found].kind == RT_VALUE_STATE, "a state has become something else");
  RT_MUST(rt_plan_create(read, &params, &plan));
  RT_MUST(rt_plan_set_parameters(plan, read->parameter));
  RT_MUST(rt_work_create(plan, &work));
  memcpy(rt_work_input(work, 0), x, sizeof(x));
  RT_MUST(rt_plan_forward(plan, work));
  RT_TEST_CHECK(!rt_work_change(work), "there is no change out of training");
  for (int i = 0; i < WIDTH; i++) {
    float want = fmaxf(0, -graph->state[i]), got = ((const float *)rt_work_tap(work, 0))[i];

    RT_TEST_CHECK(got == want, "column %d: %g, not %g", i, (double)got, (double)want);
  }
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&read));
  RT_MUST(rt_graph_destroy(&graph));
}

static PetscErrorCode test(int argc, char **argv)
{
  static const RtOp none = {.type = "TestNone"};

  (void)argc, (void)argv;
  RT_MUST(rt_registry_add(&rt_centre, ""));
  RT_TEST_SAYS(rt_registry_add(&rt_centre, ""), RT_ERR_FAILED, "TestCentre|already");
  RT_TEST_SAYS(rt_registry_add(&none, ""), RT_ERR_FAILED, "without");
  test_kinds();
  test_steps();
  test_file();
  return 0;
}

RT_TEST_MAIN(test)
