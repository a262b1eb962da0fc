/* What tests of the trainer share: a small dataset, models, runs in folders of their own, and what must be the same
   however a run is made. */
#ifndef RT_TRAINING_H
#define RT_TRAINING_H

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
static RtGraph *(*make)(void); /* another model than the perceptron; NULL: none */

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
  return make ? make() : make_perceptron(9, 1);
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
  const char *name[RT_TERMS];
  RtHere *here = NULL;
  RtMixture teacher = {.models = 1, .graph = {make_perceptron(12, 2)}};
  const RtHereParams beside = {.teacher = &teacher, .role = "teacher", .info = &info, .terms = &taught.terms};
  PetscErrorCode error;

  PetscFunctionBegin;
  RT_MUST(rt_augment_create(&(RtAugmentParams){0}, params->seed, &info, &augment));
  RT_MUST(rt_sampler_create(&choice, SAMPLES, CLASSES, NULL, NULL, &sampler));
  RT_MUST(rt_sampler_list(&sampler));
  in.augment = &augment;
  in.sampler = &sampler;
  if (rt_terms_teachers(&params->terms, name)) {
    RT_MUST(rt_here_create(&beside, &here));
    taught.teacher = rt_here_teacher(here);
  }
  error = rt_trainer_run(comm, &taught, &in, graph, result);
  RT_MUST(rt_here_destroy(&here));
  RT_MUST(rt_graph_destroy(&teacher.graph[0]));
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
  return !memcmp(a->parameter, b->parameter, (size_t)a->flat * sizeof(float)) &&
         !memcmp(a->state, b->state, (size_t)a->state_flat * sizeof(float));
}

/* Called by each test's main. */
static void start(void)
{
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  make_data();
}

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

#endif
