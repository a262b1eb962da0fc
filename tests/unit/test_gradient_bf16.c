/* Matrix products in bf16: near the plain reference within what rounding of the factors to 8 bits allows, not nearer;
   and as exact as fp32 where the factors are bf16 numbers. */
#include "reference.h"

enum { BATCH = 6 };

/* Rounding two factors changes a product by at most 2^-8 of it, which counts more where products nearly cancel. */
static const double tolerance = 0x1p-6, exact = 2e-6;

typedef struct {
  bool ta, tb, relu, computed; /* computed: A has a gradient */
  int bias;                    /* 0: none; 1: C of Gemm; 2: an Add that follows */
  float alpha;
} Case;

/* data: where numbers come from; NULL: normal ones. */
static RtGraph *make(const Case *q, int64_t k, int64_t n, const float *data)
{
  RtGraph *graph;
  int x, w, c = -1, y;

  RT_MUST(rt_graph_create(13, &graph));
  x = rt_support_value(graph, RT_VALUE_INPUT, SHAPE(q->ta ? k : BATCH, q->ta ? BATCH : k), data);
  if (q->computed)
    x = NODE(graph, "Add", x, rt_support_value(graph, RT_VALUE_PARAMETER, SHAPE(q->ta ? BATCH : k), data));
  w = rt_support_value(graph, RT_VALUE_PARAMETER, SHAPE(q->tb ? n : k, q->tb ? k : n), data);
  if (q->bias) c = rt_support_value(graph, RT_VALUE_PARAMETER, SHAPE(n), data);
  y = q->bias == 1 ? NODE(graph, "Gemm", x, w, c) : NODE(graph, "Gemm", x, w);
  rt_support_set_int(graph, "transA", q->ta);
  rt_support_set_int(graph, "transB", q->tb);
  rt_support_set_float(graph, "alpha", q->alpha);
  if (q->bias == 2) y = NODE(graph, "Add", y, c);
  if (q->relu) y = NODE(graph, "Relu", y);
  RT_MUST(rt_graph_add_output(graph, y));
  RT_MUST(rt_graph_finish(graph));
  return graph;
}

static void test_near(void)
{
  static const int64_t shape[][2] = {{64, 33}, {5, 1}, {100, 7}};

  /* without Relu: rounding may move a number across its kink */
  for (int i = 0; i < 72; i++) {
    const int64_t *s = shape[i / 24];
    Case q = {i & 1, i & 2, false, i & 4, i / 8 % 3, i % 5 ? 1 : 0.5f};
    double backward, forward = rt_reference_compare(make(&q, s[0], s[1], NULL), BATCH, RT_PRECISION_BF16, &backward);

    RT_TEST_CHECK(forward < tolerance, "case %d: result is off by %g", i, forward);
    RT_TEST_CHECK(backward < tolerance, "case %d: gradient is off by %g", i, backward);
    RT_TEST_CHECK(s[0] < 64 || (forward > 1e-5 && backward > 1e-5), "case %d: %g and %g: this is not bf16", i, forward,
                  backward);
  }
}

/* All numbers are eighths below 2: bf16 holds them, and fp32 their products and sums. */
static void eighths(int64_t count, float *out)
{
  for (int64_t i = 0; i < count; i++) out[i] = (float)(rt_support_below(31) - 15) / 8;
}

static void test_exact(void)
{
  enum { K = 40, N = 24 };
  const RtPlanParams params = {.batch = BATCH, .training = true, .precision = RT_PRECISION_BF16};

  for (int i = 0; i < 8; i++) {
    Case q = {i & 1, i & 2, i & 4, false, 1, 1};
    float w[K * N], x[BATCH * K], c[BATCH * N], dy[BATCH * N], gradient[K * N + 32];
    RtGraph *graph;
    RtPlan *plan;
    RtWork *work;
    double worst = 0;

    eighths(K * N, w);
    eighths(BATCH * K, x);
    eighths(BATCH * N, c);
    memcpy(dy, c, sizeof(c));
    graph = make(&q, K, N, w);
    RT_MUST(rt_plan_create(graph, &params, &plan));
    RT_MUST(rt_plan_set_parameters(plan, graph->parameter));
    RT_MUST(rt_work_create(plan, &work));
    memcpy(rt_work_input(work, 0), x, sizeof(x));
    RT_MUST(rt_plan_forward(plan, work));
    for (int r = 0; r < BATCH; r++)
      for (int j = 0; j < N; j++) {
        double sum = w[j]; /* C begins like the weights */

        for (int k = 0; k < K; k++)
          sum += (double)x[q.ta ? k * BATCH + r : r * K + k] * w[q.tb ? j * K + k : k * N + j];
        if (q.relu && sum <= 0) sum = c[r * N + j] = 0;
        worst = fmax(worst, fabs(((const float *)rt_work_tap(work, 0))[r * N + j] - sum));
      }
    RT_TEST_CHECK(worst < exact, "case %d: result is off by %g", i, worst);
    memcpy(rt_work_dtap(work, 0), dy, sizeof(dy));
    RT_MUST(rt_plan_backward(plan, work, gradient));
    worst = 0;
    for (int k = 0; k < K; k++)
      for (int j = 0; j < N; j++) {
        double sum = 0;

        for (int r = 0; r < BATCH; r++) sum += (double)x[q.ta ? k * BATCH + r : r * K + k] * c[r * N + j];
        worst = fmax(worst, fabs(gradient[q.tb ? j * K + k : k * N + j] - sum));
      }
    RT_TEST_CHECK(worst < exact, "case %d: gradient is off by %g", i, worst);
    RT_MUST(rt_work_destroy(&work));
    RT_MUST(rt_plan_destroy(&plan));
    RT_MUST(rt_graph_destroy(&graph));
  }
}

/* A product of a sequence with a matrix, and what bf16 must leave alone: products of two computed matrices. */
static void test_other(void)
{
  RtGraph *graph;
  double forward, backward;

  for (int computed = 0; computed < 2; computed++) {
    int x, w;

    RT_MUST(rt_graph_create(13, &graph));
    x = rt_support_input(graph, SHAPE(3, BATCH, 40));
    w = rt_support_parameter(graph, SHAPE(40, 10));
    if (computed) w = NODE(graph, "Relu", w);
    x = NODE(graph, "Add", NODE(graph, "MatMul", x, w), rt_support_parameter(graph, SHAPE(10)));
    RT_MUST(rt_graph_add_output(graph, NODE(graph, "Relu", x)));
    RT_MUST(rt_graph_finish(graph));
    forward = rt_reference_compare(graph, BATCH, RT_PRECISION_BF16, &backward);
    RT_TEST_CHECK(forward < (computed ? exact : tolerance), "computed %d: result is off by %g", computed, forward);
    RT_TEST_CHECK(backward < (computed ? exact : tolerance), "computed %d: gradient is off by %g", computed, backward);
    RT_TEST_CHECK(computed || forward > 1e-5, "a sequence is not run in bf16");
  }
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_near();
  test_exact();
  test_other();
  return 0;
}

RT_TEST_MAIN(test)
