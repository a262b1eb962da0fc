/* State: an operator made here keeps a running mean of its columns. What it is in a graph, how runs say what becomes of
   it, that steps take the mean over lanes, and that it is written and read. */
#include "support.h"

#include "graph/op.h"

#include <math.h>
#include <retort/onnx.h>
#include <retort/plan.h>

enum { WIDTH = 5, ROWS = 4, LANES = 7 };

/* y = x - mean, in training the mean of the run's own rows; input 1 is the running mean. */
static PetscErrorCode shape(RtStep *step)
{
  PetscFunctionBegin;
  RtCheck(step->in[1]->size == step->in[0]->dim[1], "node '%s': its state does not fit", step->name);
  step->out[0]->type = RT_FLOAT;
  step->out[0]->ndim = 2;
  step->out[0]->dim[0] = step->in[0]->dim[0];
  step->out[0]->dim[1] = step->in[0]->dim[1];
  PetscFunctionReturn(0);
}

static PetscErrorCode forward(const RtStep *step, RtWork *work)
{
  const float *x = rt_op_data(work, step->in[0]), *running = rt_op_data(work, step->in[1]);
  float *y = rt_op_data(work, step->out[0]), *change = rt_op_change(work, step, 1);
  int64_t rows = step->in[0]->dim[0], width = step->in[0]->dim[1];

  PetscFunctionBegin;
  for (int64_t i = 0; i < width; i++) {
    float mean = running[i];

    if (change) {
      mean = 0;
      for (int64_t r = 0; r < rows; r++) mean += x[r * width + i] / (float)rows;
      change[i] = 0.25f * (mean - running[i]);
    }
    for (int64_t r = 0; r < rows; r++) y[r * width + i] = x[r * width + i] - mean;
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode backward(const RtStep *step, RtWork *work)
{
  PetscFunctionBegin;
  if (rt_op_din(work, step, 0))
    memcpy(rt_op_din(work, step, 0), rt_op_dout(work, step->out[0]), (size_t)step->out[0]->size * sizeof(float));
  PetscFunctionReturn(0);
}

static const RtOp centre = {.type = "TestCentre",
                            .inputs_min = 2,
                            .inputs_max = 2,
                            .state = 1 << 1,
                            .shape = shape,
                            .forward = forward,
                            .backward = backward};

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
    rt_graph_change_state(graph, sum, LANES);
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
  RT_MUST(rt_registry_add(&centre));
  RT_TEST_SAYS(rt_registry_add(&centre), RT_ERR_FAILED, "TestCentre|already");
  RT_TEST_SAYS(rt_registry_add(&none), RT_ERR_FAILED, "without");
  test_kinds();
  test_steps();
  test_file();
  return 0;
}

RT_TEST_MAIN(test)
