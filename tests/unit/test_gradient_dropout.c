/* Dropout in training: the mask of the forward run is that of the backward run, keeps the mean, and is a function of
   seed, node, epoch, sample and position alone. */
#include "support.h"

#include <math.h>

enum { BATCH = 48, UNITS = 1003 /* more than one block of draws, and odd */ };

typedef struct {
  RtGraph *graph;
  RtPlan *plan;
  RtWork *work;
  int64_t batch;
} Model;

/* logits = dropout(input + parameter), the parameter being 1; twice: one dropout after the other. */
static void create(double ratio, int64_t opset, bool training, int64_t batch, bool twice, Model *m)
{
  RtPlanParams params = {.batch = batch, .training = training};
  const float number = (float)ratio;
  float *ones;
  int y;

  m->batch = batch;
  RT_MUST(PetscMalloc1(UNITS, &ones));
  for (int i = 0; i < UNITS; i++) ones[i] = 1;
  RT_MUST(rt_graph_create(opset, &m->graph));
  y = rt_support_input(m->graph, SHAPE(RT_BATCH, UNITS));
  y = NODE(m->graph, "Add", y, rt_support_value(m->graph, RT_VALUE_PARAMETER, SHAPE(UNITS), ones));
  for (int i = 0; i < 1 + twice; i++)
    if (opset < 12) {
      y = NODE(m->graph, "Dropout", y);
      if (ratio != 0.5) rt_support_set_float(m->graph, "ratio", number);
    } else if (ratio == 0.5) {
      y = NODE(m->graph, "Dropout", y); /* absent: one half */
    } else {
      y = NODE(m->graph, "Dropout", y, rt_support_value(m->graph, RT_VALUE_CONSTANT, 0, NULL, &number));
    }
  RT_MUST(rt_graph_add_output(m->graph, y));
  RT_MUST(rt_graph_finish(m->graph));
  RT_MUST(rt_plan_create(m->graph, &params, &m->plan));
  RT_MUST(rt_plan_set_parameters(m->plan, m->graph->parameter));
  RT_MUST(rt_work_create(m->plan, &m->work));
  RT_MUST(PetscFree(ones));
}

static void destroy(Model *m)
{
  RT_MUST(rt_work_destroy(&m->work));
  RT_MUST(rt_plan_destroy(&m->plan));
  RT_MUST(rt_graph_destroy(&m->graph));
}

/* Run on zeros: the logits are the scaled mask. out: [batch, UNITS] */
static void run(Model *m, uint64_t seed, int64_t epoch, const int64_t *sample, float *out)
{
  memset(rt_work_input(m->work, 0), 0, (size_t)m->batch * UNITS * sizeof(float));
  rt_work_set_random(m->work, seed, epoch, sample);
  RT_MUST(rt_plan_forward(m->plan, m->work));
  memcpy(out, rt_work_tap(m->work, 0), (size_t)m->batch * UNITS * sizeof(float));
}

static float mask[2][BATCH * UNITS];
static int64_t sample[BATCH];

static void test_mask(double ratio, int64_t opset)
{
  const double count = BATCH * UNITS, deviation = sqrt(ratio * (1 - ratio) / count);
  float gradient[UNITS + 16], *c;
  double kept = 0, pairs = 0, worst = 0;
  Model m;

  create(ratio, opset, true, BATCH, false, &m);
  run(&m, 7, 3, sample, mask[0]);
  for (int i = 0; i < BATCH * UNITS; i++) {
    bool zero = mask[0][i] == 0, scaled = fabs(mask[0][i] * (1 - ratio) - 1) < 1e-6;

    RT_TEST_CHECK(zero || scaled, "ratio %g: element %d is %g", ratio, i, (double)mask[0][i]);
    if (!zero && !scaled) break;
    kept += !zero;
    pairs += i && !zero && mask[0][i - 1] != 0;
  }
  RT_TEST_CHECK(fabs(kept / count - (1 - ratio)) < 4 * deviation + 0x1p-16, "ratio %g: %g are kept", ratio,
                kept / count);
  RT_TEST_CHECK(fabs(pairs / count - (1 - ratio) * (1 - ratio)) < 8 * deviation + 0x1p-15,
                "ratio %g: neighbours depend on each other: %g", ratio, pairs / count);
  c = rt_work_dtap(m.work, 0);
  for (int i = 0; i < BATCH * UNITS; i++) c[i] = (float)(i % 7 - 3) / 4;
  memcpy(mask[1], c, sizeof(mask[1]));
  RT_MUST(rt_plan_backward(m.plan, m.work, gradient));
  for (int u = 0; u < UNITS; u++) {
    double sum = 0;

    for (int b = 0; b < BATCH; b++) sum += (double)mask[0][b * UNITS + u] * mask[1][b * UNITS + u];
    worst = fmax(worst, fabs(sum - gradient[u]));
  }
  RT_TEST_CHECK(worst < 1e-4, "ratio %g: the gradient has another mask, off by %g", ratio, worst);
  destroy(&m);
}

static bool differ(void)
{
  int different = 0;

  for (int i = 0; i < BATCH * UNITS; i++) different += mask[0][i] != mask[1][i];
  return different > BATCH * UNITS / 4; /* half of them at ratio 0.5 */
}

static void test_function(void)
{
  int64_t other[BATCH];
  float row[UNITS];
  Model m, one, two;

  create(0.5, 13, true, BATCH, false, &m);
  create(0.5, 13, true, 1, false, &one);
  create(0.5, 13, true, BATCH, true, &two);
  run(&m, 7, 3, sample, mask[0]);
  run(&m, 7, 4, sample, mask[1]);
  RT_TEST_CHECK(differ(), "another epoch, the same mask");
  run(&m, 8, 3, sample, mask[1]);
  RT_TEST_CHECK(differ(), "another seed, the same mask");
  for (int i = 0; i < BATCH; i++) other[i] = sample[i] + BATCH;
  run(&m, 7, 3, other, mask[1]);
  RT_TEST_CHECK(differ(), "other samples, the same mask");
  for (int i = 0; i < BATCH; i++) other[i] = sample[i] + ((int64_t)1 << 32);
  run(&m, 7, 3, other, mask[1]);
  RT_TEST_CHECK(differ(), "only the low half of a sample's number counts");
  run(&m, 7, 3, sample, mask[1]);
  RT_TEST_CHECK(!memcmp(mask[0], mask[1], sizeof(mask[0])), "the same call, another mask");
  for (int shift = 1; shift < UNITS / 2; shift++) {
    int equal = 0;

    for (int i = shift; i < UNITS; i++) equal += mask[0][i] == mask[0][i - shift];
    RT_TEST_CHECK(equal < 0.75 * (UNITS - shift), "the mask of a sample repeats after %d", shift);
  }
  RT_TEST_CHECK(memcmp(mask[0], mask[0] + 512, (UNITS - 512) * sizeof(float)),
                "the mask of a sample repeats after 512");
  /* two in a row keep a quarter, if they are independent */
  run(&two, 7, 3, sample, mask[1]);
  {
    double kept = 0;

    for (int i = 0; i < BATCH * UNITS; i++) kept += mask[1][i] != 0;
    RT_TEST_CHECK(fabs(kept / (BATCH * UNITS) - 0.25) < 0.01, "two nodes have one mask: %g are kept",
                  kept / (BATCH * UNITS));
  }
  /* the position in the batch does not count, nor its size */
  for (int i = 0; i < BATCH; i++) other[i] = sample[(i * 5 + 3) % BATCH];
  run(&m, 7, 3, other, mask[1]);
  for (int i = 0; i < BATCH; i++) {
    const float *here = mask[0] + (i * 5 + 3) % BATCH * UNITS;

    RT_TEST_CHECK(!memcmp(mask[1] + i * UNITS, here, UNITS * sizeof(float)), "sample %d depends on its place", i);
    run(&one, 7, 3, &other[i], row);
    RT_TEST_CHECK(!memcmp(row, here, UNITS * sizeof(float)), "sample %d depends on the size of the batch", i);
  }
  destroy(&m);
  destroy(&one);
  destroy(&two);
}

static void test_off(void)
{
  Model m;

  create(0.5, 13, false, BATCH, false, &m);
  run(&m, 7, 3, NULL, mask[0]);
  for (int i = 0; i < BATCH * UNITS; i++) mask[1][i] = 1;
  RT_TEST_CHECK(!memcmp(mask[0], mask[1], sizeof(mask[0])), "dropout outside of training");
  destroy(&m);
  create(0, 13, true, BATCH, false, &m);
  run(&m, 7, 3, sample, mask[0]);
  RT_TEST_CHECK(!memcmp(mask[0], mask[1], sizeof(mask[0])), "dropout with ratio 0");
  destroy(&m);
}

static void test_errors(void)
{
  static const float bad[] = {1, -0.5f, NAN, INFINITY};
  const RtPlanParams params = {.batch = 2, .training = true};
  RtPlan *plan = NULL;

  for (int i = 0; i < 6; i++) {
    RtGraph *graph;
    int x, y, ratio;

    RT_MUST(rt_graph_create(13, &graph));
    x = rt_support_input(graph, SHAPE(RT_BATCH, 3));
    y = NODE(graph, "Add", x, rt_support_parameter(graph, SHAPE(3)));
    if (i < 4)
      ratio = rt_support_value(graph, RT_VALUE_CONSTANT, 0, NULL, &bad[i]);
    else
      ratio = i == 4 ? rt_support_input(graph, 0, NULL) : rt_support_constant(graph, SHAPE(2));
    RT_MUST(rt_graph_add_output(graph, NODE(graph, "Dropout", y, ratio)));
    RT_MUST(rt_graph_finish(graph));
    RT_TEST_SAYS(rt_plan_create(graph, &params, &plan), RT_ERR_FAILED, "Dropout-1|ratio");
    RT_MUST(rt_graph_destroy(&graph));
  }
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  for (int i = 0; i < BATCH; i++) sample[i] = 1000 - 7 * i;
  for (int opset = 7; opset < 14; opset += 5) { /* the ratio is an attribute, or an input */
    test_mask(0.5, opset);
    test_mask(0.1, opset);
    test_mask(0.9, opset);
  }
  test_function();
  test_off();
  test_errors();
  return 0;
}

RT_TEST_MAIN(test)
