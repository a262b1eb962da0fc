#include "compress/init.h"

#include "compress/cut.h"
#include "compress/start.h"
#include "core/message.h"
#include "label/kept.h"
#include "label/mixture.h"
#include "label/moments.h"
#include "label/store.h"
#include "linalg/eigen.h"
#include "linalg/ridge.h"
#include "model/dense.h"

#include <math.h>
#include <retort/tap.h>
#include <string.h>

static const double pca_energy = 0.75; /* of the input's variance */

/* A start: a row of the table. */
typedef struct Start Start;
struct Start {
  const char *name, *help;
  bool pca, ridge; /* what makes the first layer, and the last one */
  bool teacher;    /* it begins with the teacher */
  bool cut;        /* the student is the teacher, cut; otherwise the job describes it */
  PetscErrorCode (*make)(const Start *start, const RtJob *job, const RtTrainset *data, const RtInitTeacher *teacher,
                         RtGraph **graph, bool *stopped); /* NULL: as the job describes it, at random */
};

static const Start *find_start(const RtJob *job);

/* Directions of the largest variance, leading first. */
typedef struct {
  int64_t n, count; /* numbers; directions */
  double part;      /* of the variance that they shall hold at least */
  double kept;      /* what they hold */
  double *value;    /* [n] variances, ascending */
  double *vector;   /* [n, count] row-major */
} Directions;

/* As few as hold the part. */
static void choose_count(Directions *found)
{
  double total = 0, kept = 0;

  for (int64_t i = 0; i < found->n; i++) total += PetscMax(found->value[i], 0);
  while (found->count < found->n && (!found->count || kept < found->part * total)) {
    found->count++;
    kept += PetscMax(found->value[found->n - found->count], 0);
  }
  found->kept = total > 0 ? kept / total : 1;
}

static PetscErrorCode find_on_grid(const RtGram *gram, RtGrid *grid, Directions *found)
{
  RtMatrix *moments = NULL, *all = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_matrix_create(grid, found->n, found->n, &moments));
  error = rt_matrix_create(grid, found->n, found->n, &all);
  if (!error) error = rt_gram_fill(gram, 0, 0, moments);
  if (!error) error = rt_eigen_solve(moments, found->value, all, NULL);
  if (!error) choose_count(found);
  if (!error) error = PetscMalloc1(found->n * found->count, &found->vector);
  if (!error) error = rt_eigen_leading(all, found->count, found->vector);
  PetscCall(rt_matrix_destroy(&moments));
  PetscCall(rt_matrix_destroy(&all));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode find_directions(const RtJob *job, const RtGram *gram, Directions *found)
{
  RtGrid *grid = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(found->n, &found->value));
  PetscCall(rt_grid_create(job->comm, rt_grid_worth(found->n), job->threads, &grid));
  error = rt_grid_meet(grid, find_on_grid(gram, grid, found));
  PetscCall(rt_grid_destroy(&grid));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Of what enters a layer, over the training samples. */
static RtMoments moments_of(const RtJob *job, const RtTrainset *data, RtMomentsLayer *layer)
{
  return (RtMoments){.job = job,
                     .dataset = data->dataset,
                     .sampler = &data->sampler,
                     .most = rt_options_int(job->options, "student", "init_samples"),
                     .layers = 1,
                     .layer = layer};
}

/* The layer's weights, projected onto the directions and scaled so that its outputs vary as much as random weights of
   the same size make them; outputs have mean zero. product: [count, out], to work with. */
static void project(const RtDense *dense, const Directions *found, double *product, double *weight)
{
  double square = 0, variance = 0, total = 0, size;

  for (int64_t i = 0; i < dense->in; i++) {
    total += found->value[i];
    for (int64_t o = 0; o < dense->out; o++) square += weight[i * dense->out + o] * weight[i * dense->out + o];
    for (int64_t k = 0; k < found->count; k++)
      for (int64_t o = 0; o < dense->out; o++)
        product[k * dense->out + o] += found->vector[i * found->count + k] * weight[i * dense->out + o];
  }
  for (int64_t k = 0; k < found->count; k++)
    for (int64_t o = 0; o < dense->out; o++)
      variance += found->value[dense->in - 1 - k] * product[k * dense->out + o] * product[k * dense->out + o];
  size = variance > 0 ? sqrt(total / (double)dense->in * square / variance) : 1;
  PetscArrayzero(weight, dense->in * dense->out);
  for (int64_t i = 0; i < dense->in; i++)
    for (int64_t k = 0; k < found->count; k++)
      for (int64_t o = 0; o < dense->out; o++)
        weight[i * dense->out + o] += size * found->vector[i * found->count + k] * product[k * dense->out + o];
}

static PetscErrorCode aim(RtGraph *graph, const RtDense *dense, const RtGram *gram, const Directions *found)
{
  double *weight, *bias, *product;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscCalloc3(dense->in * dense->out, &weight, dense->out, &bias, found->count * dense->out, &product));
  rt_dense_get(graph, dense, weight, NULL);
  project(dense, found, product, weight);
  for (int64_t i = 0; i < dense->in; i++)
    for (int64_t o = 0; o < dense->out; o++) bias[o] -= rt_gram_mean(gram, i) * weight[i * dense->out + o];
  error = rt_dense_set(graph, dense, weight, dense->bias < 0 ? NULL : bias);
  PetscCall(PetscFree3(weight, bias, product));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode start_pca(const RtJob *job, const RtTrainset *data, RtGraph *graph, const RtDense *dense,
                                bool *stopped)
{
  double energy = rt_options_real(job->options, "student", "init_energy");
  RtMomentsLayer layer = {graph, dense->input, dense->in};
  RtMoments moments = moments_of(job, data, &layer);
  Directions found = {.n = dense->in, .part = energy > 0 ? energy : pca_energy};
  RtGram *gram = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_moments_collect(&moments, &gram, stopped));
  if (*stopped) PetscFunctionReturn(0);
  error = find_directions(job, gram, &found);
  if (!error) error = aim(graph, dense, gram, &found);
  PetscCall(PetscFree(found.value));
  PetscCall(PetscFree(found.vector));
  PetscCall(rt_gram_destroy(&gram));
  PetscCall(error);
  rt_message_print(
      "student: the first layer looks along %lld of %lld principal directions, with %.2f %% of the variance",
      (long long)found.count, (long long)found.n, 100 * found.kept);
  PetscFunctionReturn(0);
}

/* The regression of a layer's answers on what enters it. */
typedef struct {
  const RtGram *gram; /* [in, then out] */
  int64_t in, out;
  double *weight, *bias; /* [in, out]; [out] */
  double explained;      /* part of the answers' variance */
} Regression;

static PetscErrorCode solve_on_grid(Regression *r, double shift, RtGrid *grid)
{
  RtMatrix *moments = NULL, *right = NULL, *solution = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_matrix_create(grid, r->in, r->in, &moments));
  error = rt_matrix_create(grid, r->in, r->out, &right);
  if (!error) error = rt_matrix_create(grid, r->in, r->out, &solution);
  if (!error) error = rt_gram_fill(r->gram, 0, 0, moments);
  if (!error) error = rt_gram_fill(r->gram, 0, r->in, right);
  if (!error) error = rt_ridge_solve(moments, right, shift, "-student_init_lambda", solution, NULL);
  if (!error) error = rt_matrix_gather(solution, r->weight);
  PetscCall(rt_matrix_destroy(&moments));
  PetscCall(rt_matrix_destroy(&right));
  PetscCall(rt_matrix_destroy(&solution));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* The penalty does not touch the bias: moments are taken about the mean, and the bias sets the means right. With
   (C + s I) W = R the mean square that is left is tr(V) − tr(WᵀR) − s ‖W‖². */
static PetscErrorCode regress(const RtJob *job, Regression *r)
{
  double lambda = rt_options_real(job->options, "student", "init_lambda"), trace = 0, shift, left = 0, total = 0;
  RtGrid *grid = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  for (int64_t i = 0; i < r->in; i++) trace += rt_gram_covariance(r->gram, i, i);
  shift = trace > 0 ? lambda * trace / (double)r->in : 1;
  PetscCall(rt_grid_create(job->comm, rt_grid_worth(r->in), job->threads, &grid));
  error = rt_grid_meet(grid, solve_on_grid(r, shift, grid));
  PetscCall(rt_grid_destroy(&grid));
  PetscCall(error);
  for (int64_t o = 0; o < r->out; o++) {
    r->bias[o] = rt_gram_mean(r->gram, r->in + o);
    total += rt_gram_covariance(r->gram, r->in + o, r->in + o);
    for (int64_t i = 0; i < r->in; i++) {
      double w = r->weight[i * r->out + o];

      r->bias[o] -= rt_gram_mean(r->gram, i) * w;
      left -= w * rt_gram_covariance(r->gram, i, r->in + o) + shift * w * w;
    }
  }
  r->explained = total > 0 ? -left / total : 1;
  PetscFunctionReturn(0);
}

static PetscErrorCode start_ridge(const RtJob *job, const RtTrainset *data, const RtInitTeacher *teacher,
                                  RtGraph *graph, const RtDense *dense, bool *stopped)
{
  RtMomentsLayer layer = {graph, dense->input, dense->in};
  RtMoments moments = moments_of(job, data, &layer);
  Regression r = {.in = dense->in, .out = dense->out};
  RtLabelstoreInfo store;
  char dir[PETSC_MAX_PATH_LEN];
  RtGram *gram = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  RtCheck(
      dense->output == rt_tap_logits(graph) && dense->bias >= 0,
      "-student_init ridge solves the student's last layer, which must be a Gemm with a bias that gives the logits");
  PetscCall(rt_store_describe(job, data->info, teacher->hash, teacher->width, &data->augment, &store, dir));
  PetscCall(rt_kept_logits(job, teacher->width, &store));
  moments.joined = true;
  moments.store = &store;
  moments.store_dir = dir;
  PetscCall(rt_moments_collect(&moments, &gram, stopped));
  if (*stopped) PetscFunctionReturn(0);
  r.gram = gram;
  PetscCall(PetscMalloc2(r.in * r.out, &r.weight, r.out, &r.bias));
  error = regress(job, &r);
  if (!error) error = rt_dense_set(graph, dense, r.weight, r.bias);
  PetscCall(PetscFree2(r.weight, r.bias));
  PetscCall(rt_gram_destroy(&gram));
  PetscCall(error);
  rt_message_print("student: the last layer explains %.2f %% of the variance of the teacher's logits",
                   100 * r.explained);
  PetscFunctionReturn(0);
}

static PetscErrorCode refuse_first(const RtGraph *graph, const char *name)
{
  RtFail(
      "-student_init %s: the weights of the student's first layer '%s' are constant, scaled, or used more than once: "
      "they cannot be set",
      name, rt_graph_node_name(graph, &graph->node[rt_dense_first(graph)]));
}

static PetscErrorCode start_layers(const Start *start, const RtJob *job, const RtTrainset *data,
                                   const RtInitTeacher *teacher, RtGraph *graph, bool *stopped)
{
  RtDense *dense = NULL;
  int layers;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_dense_find(graph, &layers, &dense));
  if (!layers) {
    PetscCall(PetscFree(dense));
    RtFail("-student_init %s: the student has no fully connected layer", start->name);
  }
  if (start->pca && dense[0].node != rt_dense_first(graph)) error = refuse_first(graph, start->name);
  if (!error && start->pca) error = start_pca(job, data, graph, &dense[0], stopped);
  if (!error && !*stopped && start->ridge) error = start_ridge(job, data, teacher, graph, &dense[layers - 1], stopped);
  PetscCall(PetscFree(dense));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* rank: room for the ranks. */
static RtCut describe_cut(const RtJob *job, const RtGraph *teacher, int64_t rank[RT_OPTIONS_LIST])
{
  const RtOptions *o = job->options;

  return (RtCut){.job = job,
                 .most = rt_options_int(o, "student", "init_samples"),
                 .teacher = teacher,
                 .degree = {.parameters = rt_options_int(o, "student", "init_parameters"),
                            .energy = rt_options_real(o, "student", "init_energy"),
                            .ranks = rt_options_ints(o, "student", "hidden", rank),
                            .rank = rank,
                            .names = "-student_init svd"},
                 .plain = true};
}

PetscErrorCode rt_init_check_teacher(const RtJob *job, const RtGraph *teacher)
{
  int64_t rank[RT_OPTIONS_LIST];
  RtCut cut = describe_cut(job, teacher, rank);

  PetscFunctionBegin;
  if (find_start(job)->cut) PetscCall(rt_cut_check(&cut));
  PetscFunctionReturn(0);
}

/* Collective. */
static PetscErrorCode make_cut(const Start *start, const RtJob *job, const RtTrainset *data, const RtInitTeacher *given,
                               RtGraph **graph, bool *stopped)
{
  int64_t rank[RT_OPTIONS_LIST];
  char hash[RT_HASH_TEXT];
  RtGraph *teacher = NULL;
  RtCut cut;
  PetscErrorCode error;

  PetscFunctionBegin;
  (void)start;
  (void)given; /* its hash and width: here it is read whole */
  PetscCall(rt_model_read(job, "teacher", data->info, &teacher, hash));
  cut = describe_cut(job, teacher, rank);
  cut.dataset = data->dataset;
  cut.sampler = &data->sampler;
  error = rt_cut_make(&cut, "student", graph, stopped);
  PetscCall(rt_graph_destroy(&teacher));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Collective. */
static PetscErrorCode make_layers(const Start *start, const RtJob *job, const RtTrainset *data,
                                  const RtInitTeacher *teacher, RtGraph **graph, bool *stopped)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_trainset_model(job, "student", data, teacher->width, graph));
  error = start_layers(start, job, data, teacher, *graph, stopped);
  if (error || *stopped) PetscCall(rt_graph_destroy(graph));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static const Start starts[] = {
    {.name = "random", .help = "random weights"},
    {.name = "pca", .help = "the first layer from the data", .pca = true, .make = make_layers},
    {.name = "ridge", .help = "the last layer from the teacher", .ridge = true, .teacher = true, .make = make_layers},
    {.name = "pca+ridge", .help = "both", .pca = true, .ridge = true, .teacher = true, .make = make_layers},
    {.name = "svd", .help = "the teacher cut to low rank", .teacher = true, .cut = true, .make = make_cut},
};

enum { STARTS = sizeof(starts) / sizeof(*starts) };

const char *rt_init_at(int i, const char **help)
{
  if (i >= STARTS) return NULL;
  *help = starts[i].help;
  return starts[i].name;
}

static const Start *find_start(const RtJob *job)
{
  const char *name = rt_options_text(job->options, "student", "init");
  int i = 0;

  while (strcmp(starts[i].name, name)) i++; /* the option is one of them */
  return &starts[i];
}

PetscErrorCode rt_init_check(const RtJob *job, bool teacher, bool store)
{
  const RtOptions *o = job->options;
  const Start *start = find_start(job);

  PetscFunctionBegin;
  if (start->teacher && !teacher)
    RtUsage("-student_init %s begins with the teacher, but the job has none", start->name);
  if (start->ridge && !store)
    RtUsage("-student_init %s reads the teacher's logits from the store, but with -distill_teacher %s there is none",
            start->name, rt_options_text(o, "distill", "teacher"));
  if (start->cut && rt_mixture_named(o))
    RtUsage("-student_init svd cuts one teacher, but -teacher_models names several: take one of them");
  if (start->cut && rt_options_text(o, "student", "model")[0])
    RtUsage("-student_init svd and -student_model both say which network the student is: leave one out");
  if (start->cut && rt_options_given(o, "student", "dropout"))
    RtUsage("-student_init svd makes a student without dropout: leave -student_dropout out");
  if (start->cut && !rt_options_int(o, "student", "init_parameters") &&
      rt_options_real(o, "student", "init_energy") == 0 && !rt_options_given(o, "student", "hidden"))
    RtUsage("-student_init svd needs to know how far to cut: -student_init_parameters, -student_init_energy, or the "
            "ranks of the layers as -student_hidden");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_init_make(const RtJob *job, const RtTrainset *data, const RtInitTeacher *teacher, const char *record,
                            RtGraph **graph, bool *stopped)
{
  const Start *start = find_start(job);
  double begin = MPI_Wtime();
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  if (!start->make) {
    PetscCall(rt_trainset_model(job, "student", data, teacher->width, graph));
    PetscFunctionReturn(0);
  }
  PetscCall(rt_start_read(job, record, graph));
  if (*graph) PetscFunctionReturn(0);
  PetscCall(start->make(start, job, data, teacher, graph, stopped));
  if (*stopped) PetscFunctionReturn(0);
  error = rt_start_write(job, record, *graph);
  if (error) PetscCall(rt_graph_destroy(graph));
  PetscCall(error);
  rt_message_print("student: start %s in %.1f s", start->name, MPI_Wtime() - begin);
  PetscFunctionReturn(0);
}
