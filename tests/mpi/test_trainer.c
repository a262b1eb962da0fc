/* Training a small model: the same bits on any number of ranks and threads, and after any number of stops, also where
   the lanes of a batch meet; the loss falls; norms are limited; mistakes are said clearly. */
#include "training.h"

/* Labels, a layer, and relations of layers of other widths. */
static RtTrainerParams relating(void)
{
  RtTrainerParams params = usual();
  RtTerm *layer = &params.terms.term[1], *relations = &params.terms.term[2];

  params.terms.count = 3;
  rt_terms_start("layer", rt_loss_find("hint"), layer);
  layer->weight_last = 0.01;
  snprintf(layer->student, sizeof(layer->student), "hidden:1");
  snprintf(layer->teacher, sizeof(layer->teacher), "hidden:1");
  rt_terms_start("relations", rt_loss_find("rkd"), relations);
  relations->weight = relations->weight_last = 0.3;
  relations->warmup = 0.5;
  snprintf(relations->student, sizeof(relations->student), "hidden:2");
  snprintf(relations->teacher, sizeof(relations->teacher), "hidden:2");
  return params;
}

/* Mean cross-entropy over all samples. */
static double loss_of(const RtGraph *graph)
{
  RtPlan *plan;
  RtWork *work;
  double sum = 0;

  RT_MUST(rt_plan_create(graph, &(RtPlanParams){.batch = SAMPLES}, &plan));
  RT_MUST(rt_plan_set_parameters(plan, graph->parameter));
  RT_MUST(rt_work_create(plan, &work));
  memcpy(rt_work_input(work, 0), input, sizeof(input));
  RT_MUST(rt_plan_forward(plan, work));
  for (int i = 0; i < SAMPLES; i++) {
    const float *z = (const float *)rt_work_tap(work, 0) + i * CLASSES;
    double total = 0;

    for (int c = 0; c < CLASSES; c++) total += exp(z[c]);
    sum += log(total) - z[label[i]];
  }
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  return sum / SAMPLES;
}

/* --- the same bits ------------------------------------------------------------------------------------------------ */

static void test_bits(void)
{
  RtTrainerParams params = usual();

  same_bits("usual", params, 0);
  params.max_norm = 0.7;
  params.weight_decay = 1e-3;
  same_bits("held out, norms limited", params, 20);
  params = usual();
  params.optimizer = rt_optimizer_find("adamw");
  params.schedule.rate = 0.01;
  params.lanes = PetscMax(4, size);
  params.precision = RT_PRECISION_BF16;
  same_bits("adamw in bf16", params, 0);
  params.batch = 7; /* fewer rows than some lanes would have */
  params.lanes = PetscMax(5, size);
  params.epochs = 1;
  same_bits("small batch", params, 0);
  params = relating();
  same_bits("relations", params, 20);
  params.meeting_memory = 1; /* lanes run forward again after the meeting */
  params.epochs = 1;
  same_bits("relations in little memory", params, 0);
}

/* The system may give fewer threads than are asked for: no lane may be left out. */
static void test_fewer_threads(void)
{
  RtTrainerParams params = usual();
  RtTrainerResult result;
  RtGraph *wanted = run(PETSC_COMM_SELF, params, 20, &result), *got;

  params.threads = 64;
  omp_set_dynamic(1);
  got = run(PETSC_COMM_WORLD, params, 20, &result);
  omp_set_dynamic(0);
  RT_TEST_CHECK(equal(wanted, got), "other bits where there are fewer threads than asked for");
  RT_MUST(rt_graph_destroy(&wanted));
  RT_MUST(rt_graph_destroy(&got));
}

static double furthest(const RtGraph *a, const RtGraph *b)
{
  double worst = 0;

  for (int64_t i = 0; i < a->flat; i++) worst = fmax(worst, fabs(a->parameter[i] - b->parameter[i]));
  return worst;
}

/* Relations are those of the whole batch: nearly the same model in any number of lanes. Lanes kept from forward to
   backward, or run again, are the same to the bit. */
static void test_relations(void)
{
  RtTrainerParams params = relating();
  RtTrainerResult result;
  RtGraph *lanes = run(PETSC_COMM_SELF, params, 0, &result), *again, *one, *without;

  params.meeting_memory = 1;
  again = run(PETSC_COMM_SELF, params, 0, &result);
  RT_TEST_CHECK(equal(lanes, again), "other bits where lanes run forward again");
  params.lanes = 1;
  one = run(PETSC_COMM_SELF, params, 0, &result);
  RT_TEST_CHECK(furthest(lanes, one) < 1e-4, "one lane is off by %g", furthest(lanes, one));
  params.terms.count = 2;
  without = run(PETSC_COMM_SELF, params, 0, &result);
  RT_TEST_CHECK(furthest(without, one) > 1e-2, "relations change the model by %g only", furthest(without, one));
  RT_MUST(rt_graph_destroy(&lanes));
  RT_MUST(rt_graph_destroy(&again));
  RT_MUST(rt_graph_destroy(&one));
  RT_MUST(rt_graph_destroy(&without));
}

/* The fast sum gives other bits, and nearly the same model. */
static void test_fast(void)
{
  RtTrainerParams params = usual();
  RtTrainerResult result;
  RtGraph *tree = run(PETSC_COMM_SELF, params, 0, &result), *fast;

  params.reduce = RT_REDUCE_FAST;
  fast = run(PETSC_COMM_WORLD, params, 0, &result);
  RT_TEST_CHECK(furthest(tree, fast) < 1e-4, "the fast sum is off by %g", furthest(tree, fast));
  RT_MUST(rt_graph_destroy(&tree));
  RT_MUST(rt_graph_destroy(&fast));
}

static void test_loss(void)
{
  RtTrainerParams params = usual();
  RtTrainerResult result;
  RtGraph *before = make_model(), *after;

  params.epochs = 15;
  after = run(PETSC_COMM_WORLD, params, 0, &result);
  RT_TEST_CHECK(loss_of(after) < 0.5 * loss_of(before), "loss %g after %g", loss_of(after), loss_of(before));
  RT_MUST(rt_graph_destroy(&before));
  RT_MUST(rt_graph_destroy(&after));
}

/* --- stops -------------------------------------------------------------------------------------------------------- */

static void test_other_job(void)
{
  RtTrainerParams params = usual();
  RtTrainerResult result;
  RtGraph *graph = make_model(), *wanted;
  char folder[64];

  wanted = run(PETSC_COMM_SELF, params, 0, &result);
  new_folder(PETSC_COMM_WORLD, folder);
  params.dir = folder;
  params.record = "a=1\nrate=0.2\n";
  rt_stop_start(1e-9);
  RT_MUST(train(PETSC_COMM_WORLD, &params, 0, graph, &result));
  RT_TEST_CHECK(result.stopped && result.epochs == 0, "not stopped");
  rt_stop_start(0);
  params.record = "a=1\nrate=0.1\n";
  RT_TEST_SAYS(train(PETSC_COMM_WORLD, &params, 0, graph, &result), RT_ERR_FAILED,
               rank == 0 ? "checkpoint|rate|0.2|0.1|force" : "");
  params.force = true;
  RT_MUST(train(PETSC_COMM_WORLD, &params, 0, graph, &result));
  RT_TEST_CHECK(!result.stopped && equal(graph, wanted), "force does not start over");
  RT_MUST(rt_trainer_clean(PETSC_COMM_WORLD, &params));
  RT_MUST(rt_graph_destroy(&graph));
  RT_MUST(rt_graph_destroy(&wanted));
}

/* --- norms -------------------------------------------------------------------------------------------------------- */

/* Largest norm of what enters a unit. columns: units. */
static double largest_norm(const RtGraph *graph, int id)
{
  const RtValue *value = &graph->value[id];
  const float *w = graph->parameter + value->offset;
  double largest = 0;

  for (int64_t c = 0; c < value->dim[1]; c++) {
    double square = 0;

    for (int64_t r = 0; r < value->dim[0]; r++) square += (double)w[r * value->dim[1] + c] * w[r * value->dim[1] + c];
    largest = fmax(largest, sqrt(square));
  }
  return largest;
}

/* products: the layers are MatMul and Add, as some exporters write them. */
static void test_norms(bool products)
{
  RtTrainerParams params = usual();
  RtTrainerResult result;
  RtGraph *graph;
  char folder[64];
  int w[2], b[2], x;

  RT_MUST(rt_graph_create(13, &graph));
  x = rt_support_input(graph, SHAPE(RT_BATCH, FEATURES));
  w[0] = rt_support_parameter(graph, SHAPE(FEATURES, 8));
  b[0] = rt_support_parameter(graph, SHAPE(8));
  w[1] = rt_support_parameter(graph, SHAPE(8, CLASSES));
  b[1] = rt_support_parameter(graph, SHAPE(CLASSES));
  for (int l = 0; l < 2; l++) {
    x = products ? NODE(graph, "Add", NODE(graph, "MatMul", x, w[l]), b[l]) : NODE(graph, "Gemm", x, w[l], b[l]);
    if (l == 0) x = NODE(graph, "Relu", x);
  }
  RT_MUST(rt_graph_add_output(graph, x));
  RT_MUST(rt_graph_finish(graph));
  RT_TEST_CHECK(largest_norm(graph, w[0]) > 1.5 && largest_norm(graph, w[1]) > 1.5, "weights are small already");
  params.epochs = 2;
  params.max_norm = 1.25;
  new_folder(PETSC_COMM_WORLD, folder);
  params.dir = folder;
  RT_MUST(train(PETSC_COMM_WORLD, &params, 0, graph, &result));
  RT_TEST_CHECK(largest_norm(graph, w[0]) < 1.25 * (1 + 1e-6), "products %d: a hidden unit has norm %g", products,
                largest_norm(graph, w[0]));
  RT_TEST_CHECK(largest_norm(graph, w[1]) > 1.3, "products %d: the output layer is limited, to %g", products,
                largest_norm(graph, w[1]));
  RT_MUST(rt_graph_destroy(&graph));
}

/* --- mistakes ----------------------------------------------------------------------------------------------------- */

static void test_mistakes(void)
{
  RtTrainerParams params = usual();
  RtTrainerResult result;
  RtGraph *graph = make_model();
  char folder[64];
  float keep = input[777];

  new_folder(PETSC_COMM_WORLD, folder);
  params.dir = folder;
  input[777] = NAN;
  RT_TEST_SAYS(train(PETSC_COMM_WORLD, &params, 0, graph, &result), RT_ERR_FAILED,
               "student|not finite|epoch 1|learning rate");
  input[777] = keep;
  RT_MUST(rt_graph_destroy(&graph));
  graph = make_model();
  params.schedule.rate = 1e30;
  RT_TEST_SAYS(train(PETSC_COMM_WORLD, &params, 0, graph, &result), RT_ERR_FAILED, "student|not finite|learning rate");
  params = usual();
  params.dir = folder;
  params.lanes = size - 1;
  if (size > 1)
    RT_TEST_SAYS(train(PETSC_COMM_WORLD, &params, 0, graph, &result), RT_ERR_FAILED, "ranks are more than|lanes");
  params = relating();
  params.dir = folder;
  snprintf(params.terms.term[1].student, RT_TERMS_END, "hidden:2");
  RT_TEST_SAYS(train(PETSC_COMM_WORLD, &params, 0, graph, &result), RT_ERR_FAILED, rank == 0 ? "layer|14" : "");
  params = usual();
  params.dir = "there/is/no/such/folder";
  RT_TEST_SAYS(train(PETSC_COMM_WORLD, &params, 0, graph, &result), RT_ERR_FAILED, rank == 0 ? "there/is/no/such" : "");
  RT_MUST(rt_graph_destroy(&graph));
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  start();
  test_bits();
  test_fewer_threads();
  test_relations();
  test_fast();
  test_loss();
  test_stops(usual());
  test_stops(relating());
  test_other_job();
  test_norms(false);
  test_norms(true);
  test_mistakes();
  return 0;
}

RT_TEST_MAIN(test)
