/* Fully connected layers of a graph, and graphs with some of them made thin. */
#include "support.h"

#include "compress/thin.h"

#include <math.h>

enum { BATCH = 3, IN = 6, MIDDLE = 7, OUT = 5 };

/* Gemm, Gemm with a transposed weight, MatMul and Add, MatMul alone, with ReLU and Dropout between; the weight of the
   last product is used twice, and the one before has its factors the other way round. */
static RtGraph *make(void)
{
  RtGraph *g;
  int x, shared, a, b;

  RT_MUST(rt_graph_create(13, &g));
  x = rt_support_input(g, SHAPE(RT_BATCH, IN));
  a = NODE(g, "Gemm", x, rt_support_constant(g, SHAPE(IN, MIDDLE)), rt_support_constant(g, SHAPE(MIDDLE)));
  a = NODE(g, "Dropout", NODE(g, "Relu", a));
  a = NODE(g, "Gemm", a, rt_support_constant(g, SHAPE(OUT, MIDDLE)), rt_support_constant(g, SHAPE(1, OUT)));
  rt_support_set_int(g, "transB", 1);
  a = NODE(g, "Relu", a);
  a = NODE(g, "MatMul", a, rt_support_constant(g, SHAPE(OUT, MIDDLE)));
  a = NODE(g, "Add", rt_support_constant(g, SHAPE(MIDDLE)), a);
  a = NODE(g, "MatMul", NODE(g, "Relu", a), rt_support_constant(g, SHAPE(MIDDLE, OUT)));
  shared = rt_support_constant(g, SHAPE(OUT, OUT));
  a = NODE(g, "MatMul", a, shared);
  b = NODE(g, "MatMul", a, shared);
  a = NODE(g, "Gemm", NODE(g, "Sub", a, b), rt_support_constant(g, SHAPE(OUT, OUT)),
           rt_support_constant(g, SHAPE(OUT)));
  rt_support_set_float(g, "alpha", 0.5f);
  RT_MUST(rt_graph_add_output(g, a));
  RT_MUST(rt_graph_finish(g));
  return g;
}

static void run(const RtGraph *graph, float *out)
{
  RtPlanParams params = {.batch = BATCH};
  RtPlan *plan;
  RtWork *work;

  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_work_create(plan, &work));
  RT_MUST(rt_plan_set_parameters(plan, graph->parameter));
  for (int i = 0; i < BATCH * IN; i++) ((float *)rt_work_input(work, 0))[i] = sinf((float)(i + 1));
  RT_MUST(rt_plan_forward(plan, work));
  memcpy(out, rt_work_tap(work, 0), BATCH * OUT * sizeof(float));
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
}

static double far(const float *a, const float *b)
{
  double most = 0;

  for (int i = 0; i < BATCH * OUT; i++) most = fmax(most, fabs(a[i] - b[i]));
  return most;
}

static int count_nodes(const RtGraph *graph, const char *type)
{
  int count = 0;

  for (int i = 0; i < graph->nodes; i++) count += !strcmp(graph->node[i].op->type, type);
  return count;
}

static void test_find(RtGraph *graph)
{
  static const struct {
    int64_t in, out;
    bool transposed, bias, add;
  } want[4] = {{IN, MIDDLE, false, true, false},
               {MIDDLE, OUT, true, true, false},
               {OUT, MIDDLE, false, true, true},
               {MIDDLE, OUT, false, false, false}};
  RtDense *dense;
  int count;
  double weight[MIDDLE * MIDDLE], bias[MIDDLE], again[MIDDLE * MIDDLE];

  RT_MUST(rt_dense_find(graph, &count, &dense));
  RT_TEST_CHECK(count == 4, "%d layers", count);
  for (int i = 0; i < 4 && count == 4; i++) {
    const RtDense *d = &dense[i];

    RT_TEST_CHECK(d->in == want[i].in && d->out == want[i].out && d->transposed == want[i].transposed &&
                      (d->bias >= 0) == want[i].bias && (d->add >= 0) == want[i].add,
                  "layer %d", i);
    rt_dense_get(graph, d, weight, bias);
    for (int64_t k = 0; k < d->in * d->out; k++) {
      int64_t in = k / d->out, out = k % d->out;
      const float *stored = graph->parameter + graph->value[d->weight].offset;

      RT_TEST_CHECK(weight[k] == stored[d->transposed ? out * d->in + in : k] &&
                        weight[k] == rt_dense_weight(graph, d, in, out),
                    "layer %d: weight %d", i, (int)k);
      weight[k] = (double)k + 0.25;
    }
    RT_TEST_CHECK(d->bias >= 0 || bias[0] == 0, "a bias that is not there");
    for (int64_t o = 0; o < d->out; o++) bias[o] = -(double)o;
    RT_MUST(rt_dense_set(graph, d, weight, d->bias < 0 ? NULL : bias));
    if (d->bias < 0) RT_TEST_SAYS(rt_dense_set(graph, d, NULL, bias), PETSC_ERR_ARG_WRONG, "no bias");
    rt_dense_get(graph, d, again, NULL);
    RT_TEST_CHECK(!memcmp(weight, again, (size_t)(d->in * d->out) * sizeof(double)), "layer %d: set is not get", i);
  }
  RT_MUST(PetscFree(dense));
}

/* first = W, second = 1 makes the same function; with rank 2 and known factors it is known. */
static void test_thin(const RtGraph *graph)
{
  static float first[4][MIDDLE * MIDDLE], second[4][MIDDLE * MIDDLE], bias[4][MIDDLE];
  double weight[MIDDLE * MIDDLE], old_bias[MIDDLE];
  float want[BATCH * OUT], got[BATCH * OUT];
  RtThin thin[4];
  RtDense *dense;
  RtGraph *copy;
  int count;

  RT_MUST(rt_dense_find(graph, &count, &dense));
  for (int i = 0; i < count; i++) {
    const RtDense *d = &dense[i];

    rt_dense_get(graph, d, weight, old_bias);
    for (int64_t k = 0; k < d->in * d->out; k++) first[i][k] = (float)weight[k];
    for (int64_t o = 0; o < d->out; o++) {
      second[i][o * d->out + o] = 1;
      bias[i][o] = (float)old_bias[o];
    }
    thin[i] = (RtThin){.dense = d, .rank = d->out, .first = first[i], .second = second[i], .bias = bias[i]};
  }
  run(graph, want);
  for (int some = 0; some <= count; some++) {
    RT_MUST(rt_thin_build(graph, some, thin, some % 2 == 0, &copy));
    run(copy, got);
    RT_TEST_CHECK(far(want, got) < 1e-5, "%d thin layers give another function, off by %g", some, far(want, got));
    RT_TEST_CHECK(count_nodes(copy, "Dropout") == some % 2, "%d Dropout", count_nodes(copy, "Dropout"));
    RT_TEST_CHECK(copy->nodes == graph->nodes + some - (some % 2 == 0), "%d nodes", copy->nodes);
    RT_MUST(rt_graph_destroy(&copy));
  }
  bias[2][1] += 1; /* the bias in an Add */
  RT_MUST(rt_thin_build(graph, count, thin, false, &copy));
  run(copy, got);
  RT_TEST_CHECK(far(want, got) > 1e-3, "a bias was not taken over");
  RT_MUST(rt_graph_destroy(&copy));
  RT_MUST(PetscFree(dense));
}

static PetscErrorCode test(int argc, char **argv)
{
  RtGraph *graph = make();

  (void)argc;
  (void)argv;
  test_thin(graph);
  test_find(graph);
  RT_MUST(rt_graph_destroy(&graph));
  return 0;
}

RT_TEST_MAIN(test)
