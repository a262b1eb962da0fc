/* Training a small model: the same bits on any number of ranks and threads, and after any number of stops, also where
   the lanes of a batch meet; the loss falls; norms are limited; mistakes are said clearly. */
#include "support.h"

#include "core/file.h"
#include "core/stop.h"
#include "label/here.h"
#include "model/recipe.h"
#include "train/trainer.h"

#include <math.h>
#include <omp.h>

enum { SAMPLES = 110, FEATURES = 10, CLASSES = 4 };

static float input[SAMPLES * FEATURES];
static int32_t label[SAMPLES];
static RtField field[3];
static RtDatasetInfo info = {.samples = SAMPLES,
                             .ndim = 1,
                             .dim = {FEATURES},
                             .dim_name = {"feature"},
                             .size = FEATURES,
                             .type = RT_FLOAT,
                             .scale = 1,
                             .classes = CLASSES};
static const RtSamples samples = {.info = &info, .count = SAMPLES, .field = (void *[]){input, label}};
static int rank, size, folders;

/* Classes that a linear model can tell apart, nearly. */
static void make_data(void)
{
  float weight[CLASSES][FEATURES], noise;

  rt_field_derive(&info, field);
  rt_support_normal(CLASSES * FEATURES, weight[0]);
  rt_support_normal(SAMPLES * FEATURES, input);
  for (int i = 0; i < SAMPLES; i++) {
    double top = -INFINITY;

    for (int c = 0; c < CLASSES; c++) {
      double z = 0;

      for (int f = 0; f < FEATURES; f++) z += weight[c][f] * input[i * FEATURES + f];
      rt_support_normal(1, &noise);
      z += 0.3 * noise;
      if (z > top) label[i] = c;
      top = fmax(top, z);
    }
  }
}

static RtTrainerParams usual(void)
{
  RtTrainerParams params = {.role = "student",
                            .record = "a=1\n",
                            .seed = 3,
                            .epochs = 4,
                            .batch = 32,
                            .lanes = 6, /* 6 rows each: the last lane has 2 and padding */
                            .threads = 1,
                            .optimizer = rt_optimizer_find("sgd"),
                            .optimizer_params = {.momentum = 0.9, .nesterov = true, .beta1 = 0.9, .beta2 = 0.99},
                            .schedule = {.kind = "cosine", .rate = 0.1},
                            .select_best = true};

  rt_terms_short(rt_loss_find("kl"), 1, 0, 0, &params.terms); /* labels alone */
  params.optimizer_params.epsilon = 1e-8;
  if (size > params.lanes) params.lanes = size + 1; /* on 8 ranks 4 rows each, and one lane has none */
  return params;
}

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

static RtGraph *make_perceptron(int64_t last, uint64_t seed)
{
  const int64_t hidden[] = {14, last};
  static const double dropout[] = {0, 0.2, 0.1};
  RtRecipe recipe = {.layers = 2, .hidden = hidden, .dropouts = 3, .dropout = dropout, .seed = seed};
  RtGraph *graph;

  RT_MUST(rt_recipe_mlp(&recipe, &info, &graph));
  return graph;
}

static RtGraph *make_model(void)
{
  return make_perceptron(9, 1);
}

/* A run directory that nobody has used; each rank has its own where comm is MPI_COMM_SELF. */
static void new_folder(MPI_Comm comm, char name[64])
{
  int members;

  MPI_Comm_size(comm, &members);
  snprintf(name, 64, "run%d-%d-%d", size, folders++, members == size ? 0 : rank);
  if (members != size || rank == 0) RT_MUST(rt_file_mkdir(name));
  MPI_Barrier(comm);
}

/* Train `graph`, beside a teacher where a term reads one; returns the error. */
static PetscErrorCode train(MPI_Comm comm, const RtTrainerParams *params, int64_t holdout, RtGraph *graph,
                            RtTrainerResult *result)
{
  const RtSamplerParams choice = {.seed = params->seed, .holdout = holdout};
  RtFeedSource in = {.info = &info, .samples = &samples, .views = 1};
  RtAugment augment;
  RtSampler sampler;
  RtTrainerParams taught = *params;
  RtHere *here = NULL;
  RtGraph *teacher = make_perceptron(12, 2);
  PetscErrorCode error;

  PetscFunctionBegin;
  RT_MUST(rt_augment_create(&(RtAugmentParams){0}, params->seed, &info, &augment));
  RT_MUST(rt_sampler_create(&choice, SAMPLES, CLASSES, NULL, NULL, &sampler));
  RT_MUST(rt_sampler_list(&sampler));
  in.augment = &augment;
  in.sampler = &sampler;
  if (rt_terms_teacher(&params->terms)) {
    RT_MUST(rt_here_create(&(RtHereParams){.graph = teacher, .info = &info, .terms = &taught.terms}, &here));
    taught.teacher = rt_here_teacher(here);
  }
  error = rt_trainer_run(comm, &taught, &in, graph, result);
  RT_MUST(rt_here_destroy(&here));
  RT_MUST(rt_graph_destroy(&teacher));
  RT_MUST(rt_sampler_destroy(&sampler));
  PetscFunctionReturn(error);
}

/* A whole run in a folder of its own. The caller owns the graph. */
static RtGraph *run(MPI_Comm comm, RtTrainerParams params, int64_t holdout, RtTrainerResult *result)
{
  RtGraph *graph = make_model();
  char folder[64];

  new_folder(comm, folder);
  params.dir = folder;
  RT_MUST(train(comm, &params, holdout, graph, result));
  return graph;
}

static bool equal(const RtGraph *a, const RtGraph *b)
{
  return !memcmp(a->parameter, b->parameter, (size_t)a->flat * sizeof(float));
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

static void same_bits(const char *what, RtTrainerParams params, int64_t holdout)
{
  RtTrainerResult one, many;
  RtGraph *wanted = run(PETSC_COMM_SELF, params, holdout, &one), *got;

  RT_TEST_CHECK(!one.stopped && one.epochs == params.epochs && one.best_epoch >= 1, "%s: %lld epochs", what,
                (long long)one.epochs);
  RT_TEST_CHECK(isnan(one.accuracy) == (holdout == 0), "%s: accuracy %g", what, one.accuracy);
  for (params.threads = 1; params.threads <= 3; params.threads++) {
    got = run(PETSC_COMM_WORLD, params, holdout, &many);
    RT_TEST_CHECK(equal(wanted, got), "%s: other bits with %d threads", what, params.threads);
    RT_TEST_CHECK(one.best_epoch == many.best_epoch && !memcmp(&one.accuracy, &many.accuracy, sizeof(double)),
                  "%s: epoch %lld has %g, not %lld and %g", what, (long long)many.best_epoch, many.accuracy,
                  (long long)one.best_epoch, one.accuracy);
    RT_MUST(rt_graph_destroy(&got));
  }
  RT_MUST(rt_graph_destroy(&wanted));
}

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

/* Stopped after every step, also before the held-out part of an epoch is evaluated, and gone on with by all ranks and
   by one in turn. */
static void test_stops(RtTrainerParams params)
{
  RtTrainerResult result;
  RtGraph *wanted, *graph = NULL;
  char folder[64];
  int runs = 0, same = 1, stopped = 1;

  params.optimizer = rt_optimizer_find("adamw");
  params.schedule.rate = 0.01;
  params.max_norm = 0.9;
  params.checkpoint_epochs = 1;
  wanted = run(PETSC_COMM_SELF, params, 20, &result);
  new_folder(PETSC_COMM_WORLD, folder);
  params.dir = folder;
  rt_stop_start(1e-9);
  for (; stopped && runs < 100; runs++) {
    RT_MUST(rt_graph_destroy(&graph));
    graph = make_model();
    params.threads = 1 + runs % 3;
    if (runs % 2 == 0)
      RT_MUST(train(PETSC_COMM_WORLD, &params, 20, graph, &result));
    else if (rank == 0)
      RT_MUST(train(PETSC_COMM_SELF, &params, 20, graph, &result));
    stopped = result.stopped;
    MPI_Bcast(&stopped, 1, MPI_INT, 0, PETSC_COMM_WORLD);
  }
  rt_stop_start(0);
  RT_TEST_CHECK(runs == 4 * 3 || runs == 4 * 3 + 1, "%d runs for 12 steps and what comes after the last", runs);
  if (runs % 2 == 1 || rank == 0) same = equal(wanted, graph);
  RT_TEST_CHECK(same, "stops change the bits");
  RT_MUST(rt_graph_destroy(&wanted));
  RT_MUST(rt_graph_destroy(&graph));
}

/* A checkpoint of another job is refused, or ignored by force. */
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
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  make_data();
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
