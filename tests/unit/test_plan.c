/* Plans: running allocates nothing, several works at once give the same bits as one, training and inference agree,
   and what does not fit is refused by name. */
#include "support.h"

#include <malloc.h>
#include <math.h>
#include <omp.h>

enum { IN = 20, HIDDEN = 40, OUT = 10, BATCH = 16, RUNS = 50 };

static RtGraph *start(void)
{
  RtGraph *graph;

  RT_MUST(rt_graph_create(13, &graph));
  return graph;
}

static int dense(RtGraph *graph, int x, int64_t in, int64_t out)
{
  return NODE(graph, "Gemm", x, rt_support_constant(graph, SHAPE(in, out)), rt_support_constant(graph, SHAPE(out)));
}

/* Two hidden layers, a residual connection, a second output that the logits do not need. products: with them. */
static RtGraph *model(bool products)
{
  const float ratio = 0.25f;
  RtGraph *graph = start();
  int x = rt_support_input(graph, SHAPE(RT_BATCH, IN)), h = x, other, drop;

  if (products)
    h = NODE(graph, "Relu", dense(graph, h, IN, HIDDEN));
  else
    h = NODE(graph, "Add", h, rt_support_constant(graph, SHAPE(IN)));
  drop = rt_support_value(graph, RT_VALUE_CONSTANT, 0, NULL, &ratio);
  h = NODE(graph, "Dropout", h, drop);
  other = NODE(graph, "Softmax", h);
  if (products) h = NODE(graph, "Add", h, NODE(graph, "Relu", dense(graph, h, HIDDEN, HIDDEN)));
  h = NODE(graph, "Mul", NODE(graph, "LogSoftmax", h), other);
  if (products) h = dense(graph, h, HIDDEN, OUT);
  RT_MUST(rt_graph_add_output(graph, NODE(graph, "Softmax", h)));
  RT_MUST(rt_graph_add_output(graph, other));
  RT_MUST(rt_graph_finish(graph));
  return graph;
}

static int64_t sample[BATCH];

static void fill(RtWork *work, const float *input, int64_t epoch)
{
  memcpy(rt_work_input(work, 0), input, BATCH * IN * sizeof(float));
  rt_work_set_random(work, 5, epoch, sample);
}

/* --- allocation --------------------------------------------------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
/* Count what is allocated while `counting`. */
static volatile bool counting;
static size_t allocations, allocated;

extern void *__libc_malloc(size_t bytes);
extern void *__libc_memalign(size_t align, size_t bytes);

void *malloc(size_t bytes)
{
  if (counting) {
    allocations++;
    allocated += bytes;
  }
  return __libc_malloc(bytes);
}

int posix_memalign(void **pointer, size_t align, size_t bytes)
{
  if (counting) {
    allocations++;
    allocated += bytes;
  }
  *pointer = __libc_memalign(align, bytes);
  return 0;
}

/* Without matrix products nothing at all is allocated; with them oneDNN does a little bookkeeping of its own. */
static void test_allocation(bool products)
{
  RtGraph *graph = model(products);
  const RtPlanParams params = {.batch = BATCH, .training = true};
  float input[BATCH * IN], *gradient;
  RtPlan *plan;
  RtWork *work;

  rt_support_normal(BATCH * IN, input);
  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_work_create(plan, &work));
  RT_MUST(PetscCalloc1(graph->flat, &gradient));
  for (int run = 0; run < RUNS + 2; run++) {
    PetscErrorCode error;

    counting = run >= 2;
    error = rt_plan_set_parameters(plan, graph->parameter);
    fill(work, input, 1);
    if (!error) error = rt_plan_forward(plan, work);
    memset(rt_work_dtap(work, 0), 0, BATCH * OUT * sizeof(float));
    if (!error) error = rt_plan_backward(plan, work, gradient);
    counting = false;
    RT_MUST(error);
  }
  RT_TEST_CHECK(products || allocations == 0, "%zu allocations in %d runs", allocations, RUNS);
  RT_TEST_CHECK(allocated / RUNS < 16384, "%zu bytes in %zu allocations a run", allocated / RUNS, allocations / RUNS);
  allocations = allocated = 0;
  RT_MUST(PetscFree(gradient));
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}
#else
static void test_allocation(bool products)
{
  (void)products;
}
#endif

/* --- bits --------------------------------------------------------------------------------------------------------- */

enum { WORKS = 3, BATCHES = 24 };

typedef struct {
  float logits[BATCHES][BATCH * OUT];
  float *gradient; /* [BATCHES][flat] */
} Outcome;

/* Run all batches with so many threads, each with a work of its own. */
static void run_all(const RtGraph *graph, int threads, RtPrecision precision, const float *input, Outcome *out)
{
  const RtPlanParams params = {.batch = BATCH, .training = true, .threads = threads, .precision = precision};
  RtPlan *plan;
  RtWork *work[WORKS];

  RT_MUST(PetscCalloc1(BATCHES * graph->flat, &out->gradient));
  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_plan_set_parameters(plan, graph->parameter));
  for (int t = 0; t < threads; t++) RT_MUST(rt_work_create(plan, &work[t]));
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int b = 0; b < BATCHES; b++) {
    RtWork *mine = work[omp_get_thread_num()];
    float *dlogits;

    fill(mine, input, b);
    if (rt_plan_forward(plan, mine)) abort();
    memcpy(out->logits[b], rt_work_tap(mine, 0), sizeof(out->logits[b]));
    dlogits = rt_work_dtap(mine, 0);
    for (int i = 0; i < BATCH * OUT; i++) dlogits[i] = (float)(i % 5 - 2);
    if (rt_plan_backward(plan, mine, out->gradient + b * graph->flat)) abort();
  }
  for (int t = 0; t < threads; t++) RT_MUST(rt_work_destroy(&work[t]));
  RT_MUST(rt_plan_destroy(&plan));
}

static void test_threads(RtPrecision precision)
{
  static Outcome one, several;
  RtGraph *graph = model(true);
  float input[BATCH * IN];

  rt_support_normal(BATCH * IN, input);
  run_all(graph, 1, precision, input, &one);
  RT_TEST_CHECK(memcmp(one.logits[0], one.logits[1], sizeof(one.logits[0])), "two epochs have one dropout");
  for (int threads = 2; threads <= WORKS; threads++) {
    run_all(graph, threads, precision, input, &several);
    RT_TEST_CHECK(!memcmp(one.logits, several.logits, sizeof(one.logits)), "other logits with %d threads", threads);
    RT_TEST_CHECK(!memcmp(one.gradient, several.gradient, (size_t)(BATCHES * graph->flat) * sizeof(float)),
                  "other gradients with %d threads", threads);
    RT_MUST(PetscFree(several.gradient));
  }
  RT_MUST(PetscFree(one.gradient));
  RT_MUST(rt_graph_destroy(&graph));
}

static void run_once(const RtGraph *graph, const RtPlanParams *params, const float *input, int64_t rows, float *logits,
                     float *other)
{
  RtPlan *plan;
  RtWork *work;

  RT_MUST(rt_plan_create(graph, params, &plan));
  RT_MUST(rt_plan_set_parameters(plan, graph->parameter));
  RT_MUST(rt_work_create(plan, &work));
  memset(rt_work_input(work, 0), 0, (size_t)(params->batch * IN) * sizeof(float));
  memcpy(rt_work_input(work, 0), input, (size_t)(rows * IN) * sizeof(float));
  RT_MUST(rt_plan_forward(plan, work));
  memcpy(logits, rt_work_tap(work, 0), (size_t)(rows * OUT) * sizeof(float));
  if (other) memcpy(other, rt_work_tap(work, 1), (size_t)(rows * HIDDEN) * sizeof(float));
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
}

static double largest(const float *a, const float *b, int count)
{
  double most = 0;

  for (int i = 0; i < count; i++) most = fmax(most, fabs((double)a[i] - b[i]));
  return most;
}

/* Without dropout, training, inference, and inference of two taps compute the same. */
static void test_modes(void)
{
  RtGraph *graph = start();
  int x = rt_support_input(graph, SHAPE(RT_BATCH, IN)), h = NODE(graph, "Relu", dense(graph, x, IN, HIDDEN)), y;
  RtPlanParams params = {.batch = BATCH};
  RtTap tap[2] = {{0}};
  float input[BATCH * IN], logits[4][BATCH * OUT], other[BATCH * HIDDEN], sum = 0;

  y = dense(graph, NODE(graph, "Add", h, NODE(graph, "Softmax", h)), HIDDEN, OUT);
  RT_MUST(rt_graph_add_output(graph, NODE(graph, "Softmax", y)));
  RT_MUST(rt_graph_add_output(graph, NODE(graph, "Softmax", h)));
  RT_MUST(rt_graph_finish(graph));
  rt_support_normal(BATCH * IN, input);
  run_once(graph, &params, input, BATCH, logits[0], NULL);
  tap[0].value = rt_tap_logits(graph);
  tap[1].value = graph->output[1];
  params.taps = 2;
  params.tap = tap;
  run_once(graph, &params, input, BATCH, logits[1], other);
  params = (RtPlanParams){.batch = BATCH, .training = true};
  run_once(graph, &params, input, BATCH, logits[2], NULL);
  params = (RtPlanParams){.batch = 3 * BATCH + 1};
  run_once(graph, &params, input, BATCH, logits[3], NULL);
  RT_TEST_CHECK(!memcmp(logits[0], logits[1], sizeof(logits[0])), "all outputs: other logits");
  RT_TEST_CHECK(largest(logits[0], logits[2], BATCH * OUT) < 2e-6, "training: other logits");
  RT_TEST_CHECK(largest(logits[0], logits[3], BATCH * OUT) < 2e-6, "a larger batch: other logits");
  for (int i = 0; i < HIDDEN; i++) sum += other[i];
  RT_TEST_CHECK(fabsf(sum - 1) < 1e-5, "the second output sums to %g", (double)sum);
  RT_MUST(rt_graph_destroy(&graph));
}

/* A work may be run again and again: nothing is left over from a run of another batch with other parameters. */
static void test_again(void)
{
  RtGraph *graph = model(true);
  const RtPlanParams params = {.batch = BATCH, .training = true};
  float input[2][BATCH * IN], logits[3][BATCH * OUT], *gradient[3], *changed;
  size_t bytes = (size_t)graph->flat * sizeof(float);
  RtPlan *plan;
  RtWork *work;

  for (int i = 0; i < 2; i++) rt_support_normal(BATCH * IN, input[i]);
  for (int run = 0; run < 3; run++) RT_MUST(PetscCalloc1(graph->flat, &gradient[run]));
  RT_MUST(PetscCalloc1(graph->flat, &changed));
  for (int64_t i = 0; i < graph->flat; i++) changed[i] = -graph->parameter[i];
  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_work_create(plan, &work));
  for (int run = 0; run < 3; run++) {
    RT_MUST(rt_plan_set_parameters(plan, run == 1 ? changed : graph->parameter));
    fill(work, input[run == 1], 1);
    RT_MUST(rt_plan_forward(plan, work));
    memcpy(logits[run], rt_work_tap(work, 0), sizeof(logits[run]));
    for (int i = 0; i < BATCH * OUT; i++) rt_work_dtap(work, 0)[i] = (float)(i % 3 - 1);
    RT_MUST(rt_plan_backward(plan, work, gradient[run]));
  }
  RT_TEST_CHECK(!memcmp(logits[0], logits[2], sizeof(logits[0])), "other logits in a second run");
  RT_TEST_CHECK(!memcmp(gradient[0], gradient[2], bytes), "another gradient in a second run");
  RT_TEST_CHECK(memcmp(logits[0], logits[1], sizeof(logits[0])), "new parameters do not count");
  RT_TEST_CHECK(memcmp(gradient[0], gradient[1], bytes), "new parameters do not count in the gradient");
  for (int run = 0; run < 3; run++) RT_MUST(PetscFree(gradient[run]));
  RT_MUST(PetscFree(changed));
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}

/* --- mistakes ----------------------------------------------------------------------------------------------------- */

static void refuse(RtGraph *graph, int output, bool training, const char *words)
{
  const RtPlanParams params = {.batch = 4, .training = training};
  RtPlan *plan = NULL;

  RT_MUST(rt_graph_add_output(graph, output));
  RT_MUST(rt_graph_finish(graph));
  RT_TEST_SAYS(rt_plan_create(graph, &params, &plan), RT_ERR_FAILED, words);
  RT_TEST_CHECK(!plan, "a plan that was refused is there");
  RT_MUST(rt_graph_destroy(&graph));
}

static void test_errors(void)
{
  RtGraph *graph = start();
  int x = rt_support_input(graph, SHAPE(RT_BATCH, 5)), y;
  const RtPlanParams params = {.batch = 4, .threads = 2};
  RtWork *work[3] = {NULL, NULL, NULL};
  RtPlan *plan;
  PetscErrorCode error;

  refuse(graph, NODE(graph, "MatMul", x, rt_support_constant(graph, SHAPE(4, 3))), false, "MatMul-0|5|4");
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 5));
  refuse(graph, NODE(graph, "Gemm", x, rt_support_constant(graph, SHAPE(4, 3))), false, "Gemm-0|5|4");
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 5));
  y = NODE(graph, "Gemm", x, rt_support_constant(graph, SHAPE(5, 3)), rt_support_constant(graph, SHAPE(5)));
  refuse(graph, y, false, "Gemm-0|C");
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 5));
  refuse(graph, NODE(graph, "Sub", x, rt_support_constant(graph, SHAPE(3, 5))), false, "Sub-0|4|3");
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 5));
  refuse(graph, NODE(graph, "Reshape", x, rt_support_sizes(graph, 2, (int64_t[]){3, -1})), false, "Reshape-0");
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 5));
  y = NODE(graph, "Softmax", x);
  rt_support_set_int(graph, "axis", 2);
  refuse(graph, y, false, "Softmax-0|axis 2");
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 5));
  refuse(graph, NODE(graph, "Squeeze", x, rt_support_sizes(graph, 1, (int64_t[]){1})), false, "Squeeze-0|dimension 1");
  graph = start();
  x = rt_support_input(graph, SHAPE(INT64_MAX / 32, RT_BATCH));
  y = NODE(graph, "Relu", x);
  refuse(graph, y, false, "v0|too large");
  graph = start();
  x = rt_support_input(graph, SHAPE(1 << 30, 1));
  y = NODE(graph, "Add", x, NODE(graph, "Reshape", x, rt_support_sizes(graph, 2, (int64_t[]){1, -1})));
  refuse(graph, NODE(graph, "MatMul", y, y), false, "too large");
  /* what cannot be trained */
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 5));
  refuse(graph, NODE(graph, "Relu", x), true, "no parameters");
  /* more works than the plan has threads are a mistake of the program */
  graph = model(true);
  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_work_create(plan, &work[0]));
  RT_MUST(rt_work_create(plan, &work[1]));
  RT_TEST_SAYS(rt_work_create(plan, &work[2]), PETSC_ERR_ARG_OUTOFRANGE, "threads");
  for (int i = 0; i < 3; i++) RT_MUST(rt_work_destroy(&work[i]));
  error = rt_plan_destroy(&plan);
  RT_TEST_CHECK(!error && !plan, "destroy sets NULL");
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}

/* No elements at all: nothing to compute, and nothing that crashes. */
static void test_empty(void)
{
  const RtPlanParams params = {.batch = 4};
  RtGraph *graph = start();
  int x = rt_support_input(graph, SHAPE(RT_BATCH, 0)), y;
  RtPlan *plan = NULL;
  PetscErrorCode error;

  y = NODE(graph, "MatMul", NODE(graph, "Relu", x), rt_support_constant(graph, SHAPE(0, 3)));
  RT_MUST(rt_graph_add_output(graph, y));
  RT_MUST(rt_graph_finish(graph));
  RT_MUST(PetscPushErrorHandler(rt_support_keep, NULL));
  error = rt_plan_create(graph, &params, &plan);
  RT_MUST(PetscPopErrorHandler());
  RT_TEST_CHECK(error == 0 || error == RT_ERR_FAILED, "returned %d: %s", (int)error, rt_support_text);
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  for (int i = 0; i < BATCH; i++) sample[i] = 100 + i;
  test_allocation(false);
  test_allocation(true);
  test_threads(RT_PRECISION_FP32);
  test_threads(RT_PRECISION_BF16);
  test_modes();
  test_again();
  test_errors();
  test_empty();
  return 0;
}

RT_TEST_MAIN(test)
