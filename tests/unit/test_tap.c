/* Taps: what their names stand for; values and gradients of several at once. */
#include "../support.h"

#include <math.h>
#include <retort/plan.h>

enum { BATCH = 5, IN = 6, HIDDEN = 7, OUT = 3, OTHER = 2 };

static int dense(RtGraph *graph, int x, int64_t in, int64_t out)
{
  return NODE(graph, "Gemm", x, rt_support_constant(graph, SHAPE(in, out)), rt_support_constant(graph, SHAPE(out)));
}

/* Two heads on one hidden layer: logits behind Softmax and Identity, and plain numbers. value: hidden layer before and
   after Relu, logits, second output. */
static RtGraph *two_heads(int value[4])
{
  RtGraph *graph = NULL;
  int x;

  RT_MUST(rt_graph_create(13, &graph));
  x = rt_support_input(graph, SHAPE(RT_BATCH, IN));
  value[0] = dense(graph, x, IN, HIDDEN);
  value[1] = NODE(graph, "Relu", value[0]);
  value[2] = dense(graph, value[1], HIDDEN, OUT);
  value[3] = dense(graph, value[1], HIDDEN, OTHER);
  RT_MUST(rt_graph_add_output(graph, NODE(graph, "Identity", NODE(graph, "Softmax", value[2]))));
  RT_MUST(rt_graph_add_output(graph, value[3]));
  RT_MUST(rt_graph_finish(graph));
  return graph;
}

static void test_names(void)
{
  int value[4], *layer, count, found;
  RtGraph *graph = two_heads(value);
  const struct {
    const char *name;
    int value;
  } cases[] = {{"logits", value[2]},   {"hidden:1", value[1]}, {"output:1", graph->output[0]},
               {"output:2", value[3]}, {"Relu-1", value[1]},   {graph->value[value[0]].name, value[0]}};

  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    RT_MUST(rt_tap_find(graph, cases[i].name, "student", &found));
    RT_TEST_CHECK(found == cases[i].value, "%s is value %d, not %d", cases[i].name, found, cases[i].value);
  }
  for (int i = 0; i < 4; i++) {
    static const char *const bad[] = {"hidden:2", "output:3", "hidden:", "nothing"};

    RT_TEST_SAYS(rt_tap_find(graph, bad[i], "student", &found), RT_ERR_FAILED, "student|1 hidden layer|2 outputs");
  }
  RT_MUST(rt_tap_layers(graph, &count, &layer));
  RT_TEST_CHECK(count == 2 && layer[0] == value[1] && layer[1] == value[2], "layers");
  RT_MUST(PetscFree(layer));
  RT_MUST(rt_graph_destroy(&graph));
}

/* One forward and backward. Gradients of all taps are `weight`; out: their values, one after the other. Returns the
   weighted sum of all values. */
static double run_once(const RtGraph *graph, int taps, const RtTap *tap, const float *parameter, const float *input,
                       const float *weight, float *out, float *gradient)
{
  RtPlanParams params = {.batch = BATCH, .training = true, .taps = taps, .tap = tap};
  RtPlan *plan;
  RtWork *work;
  double sum = 0;
  int at = 0;

  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_plan_set_parameters(plan, parameter));
  RT_MUST(rt_work_create(plan, &work));
  memcpy(rt_work_input(work, 0), input, BATCH * IN * sizeof(float));
  RT_MUST(rt_plan_forward(plan, work));
  for (int i = 0; i < taps; i++) {
    int64_t dim[RT_MAX_DIM];
    int count = BATCH * (rt_plan_shape(plan, tap[i].value, dim), (int)dim[1]);
    const float *value = rt_work_tap(work, i);

    for (int k = 0; k < count; k++) {
      out[at + k] = value[k];
      if (tap[i].gradient) sum += (double)value[k] * weight[at + k];
    }
    at += count;
  }
  at = 0;
  for (int i = 0; i < taps; i++) {
    int64_t dim[RT_MAX_DIM];
    int count = BATCH * (rt_plan_shape(plan, tap[i].value, dim), (int)dim[1]);

    if (tap[i].gradient) memcpy(rt_work_dtap(work, i), weight + at, (size_t)count * sizeof(float));
    at += count;
  }
  RT_MUST(rt_plan_backward(plan, work, gradient));
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  return sum;
}

/* Gradients that begin at several places, one of them within the network and before a Relu that rides on its product
   elsewhere, against finite differences. */
static void test_gradients(void)
{
  int value[4];
  RtGraph *graph = two_heads(value);
  const RtTap tap[3] = {{value[2], true}, {value[0], true}, {value[3], true}};
  float input[BATCH * IN], weight[BATCH * (OUT + HIDDEN + OTHER)], out[BATCH * (OUT + HIDDEN + OTHER)];
  float *gradient, *unused, *moved;

  rt_support_normal(BATCH * IN, input);
  rt_support_normal(BATCH * (OUT + HIDDEN + OTHER), weight);
  RT_MUST(PetscMalloc3(graph->flat, &gradient, graph->flat, &unused, graph->flat, &moved));
  run_once(graph, 3, tap, graph->parameter, input, weight, out, gradient);
  for (int v = 0; v < graph->values; v++) {
    const RtValue *p = &graph->value[v];

    for (int64_t i = p->offset; p->kind == RT_VALUE_PARAMETER && i < p->offset + p->size; i++) {
      double change[2], wanted;

      for (int side = 0; side < 2; side++) {
        RT_MUST(PetscArraycpy(moved, graph->parameter, graph->flat));
        moved[i] += side ? 1e-3f : -1e-3f;
        change[side] = run_once(graph, 3, tap, moved, input, weight, out, unused);
      }
      wanted = (change[1] - change[0]) / 2e-3;
      RT_TEST_CHECK(fabs(gradient[i] - wanted) < 0.02 * (1 + fabs(wanted)), "'%s'[%lld]: %g, not %g", p->name,
                    (long long)(i - p->offset), (double)gradient[i], wanted);
    }
  }
  RT_MUST(PetscFree3(gradient, unused, moved));
  RT_MUST(rt_graph_destroy(&graph));
}

/* A head that no tap reaches gets a gradient of zeros, whatever stood there. */
static void test_unreached(void)
{
  int value[4];
  RtGraph *graph = two_heads(value);
  const RtTap tap[2] = {{value[2], true}, {value[3], false}};
  float input[BATCH * IN], weight[BATCH * (OUT + OTHER)], out[BATCH * (OUT + OTHER)], *gradient;
  const RtValue *head = NULL;
  double sum = 0, other = 0;

  rt_support_normal(BATCH * IN, input);
  rt_support_normal(BATCH * (OUT + OTHER), weight);
  RT_MUST(PetscMalloc1(graph->flat, &gradient));
  for (int64_t i = 0; i < graph->flat; i++) gradient[i] = 7;
  run_once(graph, 2, tap, graph->parameter, input, weight, out, gradient);
  for (int v = 0; v < graph->values; v++)
    if (graph->value[v].kind == RT_VALUE_PARAMETER && graph->value[v].dim[graph->value[v].ndim - 1] == OTHER)
      head = &graph->value[v];
  for (int64_t i = 0; i < head->size; i++) sum += fabsf(gradient[head->offset + i]);
  for (int i = 0; i < BATCH * OTHER; i++) other += fabsf(out[BATCH * OUT + i]);
  RT_TEST_CHECK(sum == 0, "the gradient of the other head is %g", sum);
  RT_TEST_CHECK(other > 0, "its values are not computed");
  RT_MUST(PetscFree(gradient));
  RT_MUST(rt_graph_destroy(&graph));
}

static void test_refused(void)
{
  int value[4];
  RtGraph *graph = two_heads(value);
  const RtTap tap = {graph->input[0], true};
  const RtPlanParams params = {.batch = BATCH, .training = true, .taps = 1, .tap = &tap};
  RtPlan *plan = NULL;

  RT_TEST_SAYS(rt_plan_create(graph, &params, &plan), RT_ERR_FAILED, "depend on a parameter");
  RT_TEST_CHECK(!plan, "a plan that was refused is there");
  RT_MUST(rt_graph_destroy(&graph));
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_names();
  test_gradients();
  test_unreached();
  test_refused();
  return 0;
}

RT_TEST_MAIN(test)
