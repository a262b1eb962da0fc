/* Training a model whose operators keep something from step to step: the same bits on any number of ranks and threads,
   and after any number of stops; the mean over lanes. */
#include "centre.h"
#include "training.h"

static int constant(RtGraph *graph, int ndim, const int64_t *dim, const float *data)
{
  return rt_support_value(graph, RT_VALUE_CONSTANT, ndim, dim, data);
}

/* State at the input and behind a layer. */
static RtGraph *make_centred(void)
{
  static const float zero[FEATURES];
  RtGraph *graph;
  int x;

  RT_MUST(rt_graph_create(13, &graph));
  x = rt_support_input(graph, SHAPE(RT_BATCH, FEATURES));
  x = NODE(graph, "TestCentre", x, constant(graph, SHAPE(FEATURES), zero));
  x = NODE(graph, "MatMul", x, constant(graph, SHAPE(FEATURES, 8), input));
  x = NODE(graph, "Relu", NODE(graph, "TestCentre", x, constant(graph, SHAPE(8), zero)));
  RT_MUST(rt_graph_add_output(graph, NODE(graph, "MatMul", x, constant(graph, SHAPE(8, CLASSES), input + 100))));
  RT_MUST(rt_graph_finish(graph));
  return graph;
}

/* Running means that operators keep: the same bits, and in lanes of the whole dataset those of its columns. */
static void test_state(void)
{
  RtTrainerParams params = usual();
  RtTrainerResult result;
  RtGraph *graph;

  same_bits("state", params, 20);
  params.reduce = RT_REDUCE_TREE;
  params.batch = 13; /* lanes without a sample, and a last batch of few */
  params.epochs = 2;
  same_bits("state in small batches", params, 0);
  params.batch = SAMPLES;
  params.lanes = 10;
  params.epochs = 3;
  params.select_best = false;
  graph = run(PETSC_COMM_WORLD, params, 0, &result);
  for (int f = 0; f < FEATURES; f++) {
    double mean = 0, wanted = 0;

    for (int i = 0; i < SAMPLES; i++) mean += input[i * FEATURES + f] / (double)SAMPLES;
    for (int e = 0; e < 3; e++) wanted = 0.75 * wanted + 0.25 * mean;
    RT_TEST_CHECK(fabs(graph->state[f] - wanted) < 1e-6, "column %d: %g, not %g", f, (double)graph->state[f], wanted);
  }
  RT_MUST(rt_graph_destroy(&graph));
  graph = make_model();
  params.optimizer = rt_optimizer_find("tao");
  RT_TEST_SAYS(rt_trainer_check(&params, size, graph), RT_ERR_USAGE, "tao|TestCentre");
  RT_MUST(rt_graph_destroy(&graph));
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  RT_MUST(rt_registry_add(&rt_centre, ""));
  start();
  make = make_centred;
  test_state();
  test_stops(usual());
  return 0;
}

RT_TEST_MAIN(test)
