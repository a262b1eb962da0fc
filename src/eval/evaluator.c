#include "eval/evaluator.h"

#include "comm/agree.h"
#include "core/memory.h"
#include "core/message.h"
#include "core/size.h"
#include "core/stop.h"
#include "data/trainset.h"
#include "eval/bias.h"
#include "eval/evaluation.h"
#include "eval/outcome.h"
#include "eval/similarity.h"
#include "model/binding.h"
#include "model/model.h"
#include "model/recipe.h"
#include "train/predictor.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 1 << 16 /* most samples in memory at once */ };

static const char *const role[RT_MODELS] = {"teacher", "student"};

typedef struct {
  const RtJob *job;
  const RtDatasetInfo *info;
  RtGraph *const *graph; /* [RT_MODELS] NULL where there is none */
  RtPredictor *predictor[RT_MODELS];
  RtMetrics *metrics;   /* [threads] */
  RtBias *bias;         /* [threads]; NULL where nothing is corrected */
  RtOutcomes *outcomes; /* NULL where samples are not kept */
  RtSamples samples;
  float *logits[RT_MODELS]; /* [samples in memory, width] of this rank's micro-batches */
  int width;
  bool stoppable, stopped; /* a request to stop is heeded; it was, on this rank */
} Evaluator;

typedef struct {
  float *logits;
  int width;
} Keep;

/* Elements of a field, NULL where there is none. */
static const void *field_of(const RtSamples *samples, int field)
{
  return field < 0 ? NULL : samples->field[field];
}

static PetscErrorCode keep_rows(void *context, int thread, int64_t at, int64_t rows, const int64_t *sample,
                                const float *const *row)
{
  const float *logits = row[0];
  const Keep *keep = context;

  PetscFunctionBegin;
  (void)thread;
  (void)sample;
  memcpy(keep->logits + at * keep->width, logits, (size_t)(rows * keep->width) * sizeof(float));
  PetscFunctionReturn(0);
}

/* After the first model has run, the second one's rows come with both at hand. */
static PetscErrorCode count_rows(void *context, int thread, int64_t at, int64_t rows, const int64_t *sample,
                                 const float *const *row)
{
  const float *logits = row[0];
  Evaluator *e = context;

  PetscFunctionBegin;
  for (int64_t r = 0; r < rows; r++) {
    int64_t i = sample[r] - e->samples.first;
    const float *z[RT_MODELS] = {e->logits[RT_TEACHER] ? e->logits[RT_TEACHER] + (at + r) * e->width : NULL,
                                 e->predictor[RT_STUDENT] ? logits + r * e->width : NULL};
    const int32_t *labels = field_of(&e->samples, e->samples.info->label);
    const float *targets = field_of(&e->samples, e->samples.info->target);
    int32_t label = labels ? labels[i] : -1;

    if (!e->predictor[RT_STUDENT]) z[RT_TEACHER] = logits + r * e->width;
    if (e->metrics)
      rt_metrics_add(&e->metrics[thread], z, label, targets ? targets + i * e->info->targets : NULL,
                     e->outcomes ? e->outcomes->block + at + r : NULL);
    if (e->bias) rt_bias_add(&e->bias[thread], logits + r * e->width, label);
  }
  PetscFunctionReturn(0);
}

/* Samples sample[0 … count - 1], all inside e->samples. */
static PetscErrorCode run_block(Evaluator *e, int64_t count, const int64_t *sample)
{
  RtPredictorRange range = {.samples = &e->samples,
                            .count = count,
                            .sample = sample,
                            .first = e->job->rank,
                            .stride = e->job->size,
                            .watch = e->stoppable ? rt_predictor_stop : NULL,
                            .watch_context = &e->stopped};
  int last = e->predictor[RT_STUDENT] ? RT_STUDENT : RT_TEACHER;
  Keep keep = {.logits = e->logits[RT_TEACHER], .width = e->width};

  PetscFunctionBegin;
  if (last == RT_STUDENT && e->predictor[RT_TEACHER])
    PetscCall(rt_predictor_run(e->predictor[RT_TEACHER], &range, keep_rows, &keep));
  if (e->stopped) PetscFunctionReturn(0);
  PetscCall(rt_predictor_run(e->predictor[last], &range, count_rows, e));
  PetscFunctionReturn(0);
}

/* What is read of a dataset: what the models read, and answers. want: allocated, [info->fields]. */
static PetscErrorCode find_want(const Evaluator *e, const RtDatasetInfo *info, bool **want)
{
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1(info->fields, want));
  if (info->label >= 0) (*want)[info->label] = true;
  if (info->target >= 0) (*want)[info->target] = true;
  for (int m = 0; m < RT_MODELS && !error; m++)
    if (e->graph[m]) error = rt_binding_want(e->graph[m], info, role[m], *want);
  if (error) PetscCall(PetscFree(*want));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Samples of a dataset in memory at once: whole micro-batches, so that they are the same whatever the memory is. */
static PetscErrorCode find_block(const Evaluator *e, const RtDatasetInfo *info, const bool *want, int64_t *block)
{
  const int64_t batch = rt_options_int(e->job->options, "eval", "batch");
  const int64_t memory = rt_options_int(e->job->options, "data", "memory");
  const int64_t row = (int64_t)sizeof(int64_t) + (int64_t)sizeof(float) * e->width + 2 * (int64_t)sizeof(RtOutcome);
  const int64_t room = memory / rt_size_plus(rt_samples_bytes(info, want), row);
  char text[RT_SIZE_TEXT];

  PetscFunctionBegin;
  *block = PetscMin(PetscMax(1, PetscMin(BLOCK, room) / batch) * batch, info->samples);
  RtCheck(*block <= room,
          "-data_memory %s is too small: %lld samples at once take more; give more, or take a smaller -eval_batch",
          rt_size_text(memory, text), (long long)*block);
  PetscFunctionReturn(0);
}

/* Collective. What one rank leaves out is missing for all. */
static PetscErrorCode agree_stop(Evaluator *e)
{
  int any = e->stopped;

  PetscFunctionBegin;
  PetscCall(rt_agree_max(e->job->comm, 1, &any));
  e->stopped = any;
  PetscFunctionReturn(0);
}

/* Collective. Bring what the ranks have found in a block to rank 0, or agree to stop here. */
static PetscErrorCode collect_block(Evaluator *e, int64_t first, int64_t size, PetscErrorCode error)
{
  PetscFunctionBegin;
  RtAgree(e->job->comm, error);
  PetscCall(agree_stop(e));
  if (!e->stopped)
    PetscCall(rt_outcome_collect(e->outcomes, first, size, field_of(&e->samples, e->samples.info->label)));
  PetscFunctionReturn(0);
}

/* All samples of a dataset, or those of a list that lie in each block. list: ascending, may be NULL. */
static PetscErrorCode run_blocks(Evaluator *e, const RtDataset *dataset, const bool *want, int64_t listed,
                                 const int64_t *list)
{
  int64_t *sample, samples = rt_dataset_info(dataset)->samples, next = 0, block;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(find_block(e, rt_dataset_info(dataset), want, &block));
  PetscCall(PetscMalloc1(block, &sample));
  if (e->predictor[RT_TEACHER] && e->predictor[RT_STUDENT])
    PetscCall(rt_memory_create((size_t)(block * e->width) * sizeof(float), &e->logits[RT_TEACHER]));
  for (int64_t first = 0; first < samples && !error && !e->stopped; first += block) {
    int64_t size = PetscMin(block, samples - first), count = 0;

    for (int64_t i = 0; !list && i < size; i++) sample[count++] = first + i;
    while (list && next < listed && list[next] < first + size) sample[count++] = list[next++];
    if (!count) continue;
    error = rt_samples_load(dataset, want, first, size, &e->samples);
    if (!error) error = run_block(e, count, sample);
    if (e->outcomes) error = collect_block(e, first, size, error);
    PetscCall(rt_samples_free(&e->samples));
  }
  PetscCall(PetscFree(sample));
  PetscCall(rt_memory_destroy(&e->logits[RT_TEACHER]));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode run_dataset(Evaluator *e, const RtDataset *dataset, int64_t listed, const int64_t *list)
{
  PetscErrorCode error;
  bool *want;

  PetscFunctionBegin;
  PetscCall(find_want(e, rt_dataset_info(dataset), &want));
  error = run_blocks(e, dataset, want, listed, list);
  PetscCall(PetscFree(want));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* matrix: with a confusion, where the classes are not too many for one. */
static PetscErrorCode start_bias(Evaluator *e, const bool *named, double fixed, bool matrix)
{
  int64_t *confusion = NULL;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1(e->job->threads, &e->bias));
  if (matrix && e->width <= RT_METRIC_CONFUSION)
    PetscCall(PetscCalloc1((size_t)e->width * (size_t)e->width, &confusion));
  for (int t = 0; t < e->job->threads; t++)
    e->bias[t] = (RtBias){.width = e->width, .named = named, .fixed = fixed, .confusion = confusion};
  PetscFunctionReturn(0);
}

/* Sums over threads and ranks, in `sum`; its confusion, if any, belongs to the caller. */
static PetscErrorCode finish_bias(Evaluator *e, RtBias *sum)
{
  int64_t number[2];

  PetscFunctionBegin;
  *sum = e->bias[0];
  for (int t = 1; t < e->job->threads; t++) {
    sum->count += e->bias[t].count;
    sum->correct += e->bias[t].correct;
    for (int s = 0; s < RT_BIAS_STEPS; s++) sum->correct_at[s] += e->bias[t].correct_at[s];
  }
  PetscCall(PetscFree(e->bias));
  number[0] = sum->count;
  number[1] = sum->correct;
  PetscCall(rt_agree_count(e->job->comm, 2, number));
  PetscCall(rt_agree_count(e->job->comm, RT_BIAS_STEPS, sum->correct_at));
  if (sum->confusion) PetscCall(rt_agree_count(e->job->comm, (int64_t)e->width * e->width, sum->confusion));
  sum->count = number[0];
  sum->correct = number[1];
  PetscFunctionReturn(0);
}

/* Choose the number on the held-out part of the training set. */
static PetscErrorCode fit_on_holdout(Evaluator *e, const bool *named, double *value)
{
  RtTrainset data;
  RtBias sum;
  RtMetrics *metrics = e->metrics;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_trainset_open(e->job, "teacher", &data));
  if (!data.sampler.held) {
    PetscCall(rt_trainset_close(&data));
    RtFail("-eval_bias_fit holdout: the job holds no samples out; set -data_holdout");
  }
  PetscCall(start_bias(e, named, 0, false));
  e->metrics = NULL;
  error = rt_message_agree(e->job->comm, run_dataset(e, data.dataset, data.sampler.held, data.sampler.held_out));
  e->metrics = metrics;
  PetscCall(rt_trainset_close(&data));
  PetscCall(finish_bias(e, &sum));
  PetscCall(error);
  PetscCall(agree_stop(e));
  *value = rt_bias_value(rt_bias_best(&sum));
  PetscFunctionReturn(0);
}

static PetscErrorCode check_classes(const RtJob *job, const RtDatasetInfo *info, int width)
{
  int64_t list[RT_OPTIONS_LIST];
  int count = rt_options_ints(job->options, "eval", "bias_classes", list);

  PetscFunctionBegin;
  if (count && !info->classes) RtUsage("-eval_bias_classes: the test set has no classes");
  for (int i = 0; i < count; i++)
    if (list[i] >= width)
      RtUsage("-eval_bias_classes: there is no class %lld; there are %d", (long long)list[i], width);
  PetscFunctionReturn(0);
}

static PetscErrorCode name_classes(const Evaluator *e, bool *named, bool *any)
{
  int64_t list[RT_OPTIONS_LIST];
  int count = rt_options_ints(e->job->options, "eval", "bias_classes", list);

  PetscFunctionBegin;
  PetscCall(check_classes(e->job, e->info, e->width));
  *any = count > 0 && e->predictor[RT_STUDENT];
  for (int i = 0; *any && i < count; i++) named[list[i]] = true;
  PetscFunctionReturn(0);
}

/* Bytes of all numbers that stand in a model. */
static int64_t weight_bytes(const RtGraph *graph)
{
  int64_t bytes = 0;

  for (int v = 0; v < graph->values; v++)
    if (graph->value[v].kind != RT_VALUE_INPUT && graph->value[v].kind != RT_VALUE_RESULT)
      bytes += graph->value[v].size * (int64_t)rt_types_size(graph->value[v].type);
  return bytes;
}

static PetscErrorCode start_models(Evaluator *e, RtGraph **graph, RtEvaluation *result)
{
  int64_t batch = rt_options_int(e->job->options, "eval", "batch"), block;
  int width[RT_MODELS] = {0};
  PetscErrorCode error;
  RtMetricCase about = {.classes = e->info->classes,
                        .targets = e->info->targets,
                        .bins = (int)rt_options_int(e->job->options, "eval", "bins")};
  bool *has = about.has, *want;

  PetscFunctionBegin;
  for (int m = 0; m < RT_MODELS; m++) {
    PetscCall(rt_model_read_if_there(e->job, role[m], e->info, &graph[m], result->hash[m]));
    has[m] = graph[m] != NULL;
    if (!has[m]) continue;
    PetscCall(rt_recipe_width(graph[m], &width[m]));
    e->width = width[m];
    PetscCall(rt_predictor_create(graph[m], 0, NULL, batch, RT_PRECISION_FP32, e->job->threads, &e->predictor[m]));
    result->parameters[m] = graph[m]->parameters;
    result->bytes[m] = weight_bytes(graph[m]);
  }
  RtCheck(has[0] || has[1], "%s holds neither teacher.onnx nor student.onnx: run `retort train` or `retort distill`",
          e->job->dir);
  RtCheck(!has[0] || !has[1] || width[0] == width[1], "teacher and student give different numbers of outputs");
  PetscCall(PetscCalloc1(e->job->threads, &e->metrics));
  about.width = e->width;
  for (int t = 0; t < e->job->threads; t++) PetscCall(rt_metrics_create(&about, &e->metrics[t]));
  PetscCall(find_want(e, e->info, &want));
  error = find_block(e, e->info, want, &block);
  PetscCall(PetscFree(want));
  PetscCall(error);
  PetscCall(rt_outcome_create(e->job->comm, e->info->samples, block, batch, &result->outcomes));
  PetscFunctionReturn(0);
}

/* The test set under both models; with a bias to correct, also under the corrected student. */
static PetscErrorCode measure(Evaluator *e, const RtDataset *dataset, RtEvaluation *result)
{
  const char *fit = rt_options_text(e->job->options, "eval", "bias_fit");
  double fixed = rt_options_real(e->job->options, "eval", "bias");
  PetscErrorCode error;
  bool *named, any = false;
  MPI_Comm meeting;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1(e->width, &named));
  error = name_classes(e, named, &any);
  if (!error && any && !strcmp(fit, "holdout")) error = fit_on_holdout(e, named, &fixed);
  /* What fits the test set best is known when it is over, too late to say what would be taken for what. */
  if (!error && any) error = start_bias(e, named, fixed, strcmp(fit, "test") != 0);
  if (!error) {
    e->outcomes = &result->outcomes;
    PetscCallMPI(MPI_Comm_dup(e->job->comm, &meeting));
    error = rt_message_meet(meeting, run_dataset(e, dataset, 0, NULL));
    PetscCallMPI(MPI_Comm_free(&meeting));
  }
  if (!error) error = agree_stop(e);
  if (e->bias) PetscCall(finish_bias(e, &result->bias));
  if (error) {
    PetscCall(PetscFree(named));
    PetscCall(error);
  }
  for (int t = 1; t < e->job->threads; t++) rt_metrics_merge(&e->metrics[0], &e->metrics[t]);
  PetscCall(rt_metrics_collect(e->job->comm, &e->metrics[0]));
  result->corrected = any;
  if (any && !strcmp(fit, "test")) {
    int best = rt_bias_best(&result->bias);

    result->bias.fixed = rt_bias_value(best);
    result->bias.correct = result->bias.correct_at[best];
  }
  PetscCall(PetscFree(named));
  PetscFunctionReturn(0);
}

static PetscErrorCode compare_layers(const RtJob *job, const RtDataset *dataset, RtGraph **graph,
                                     const RtEvaluation *result, bool *stopped)
{
  RtSimilarityModel model[RT_MODELS];

  PetscFunctionBegin;
  for (int m = 0; m < RT_MODELS; m++) model[m] = (RtSimilarityModel){role[m], graph[m], result->hash[m]};
  PetscCall(rt_similarity_write(job, dataset, model, stopped));
  PetscFunctionReturn(0);
}

static PetscErrorCode refuse_similarity(const RtJob *job)
{
  RtFail("-eval_cka compares the layers of two models, but there is one in %s", job->dir);
}

static PetscErrorCode evaluate(const RtJob *job, const RtDataset *dataset, bool *stopped)
{
  Evaluator e = {.job = job, .info = rt_dataset_info(dataset), .stoppable = !rt_stop_late()};
  RtGraph *graph[RT_MODELS] = {NULL, NULL};
  RtEvaluation result = {.job = job, .info = e.info};
  const bool similarity = rt_options_bool(job->options, "eval", "cka");
  PetscErrorCode error;

  PetscFunctionBegin;
  e.graph = graph;
  error = start_models(&e, graph, &result);
  if (!error && similarity && !(graph[RT_TEACHER] && graph[RT_STUDENT])) error = refuse_similarity(job);
  if (!error) error = measure(&e, dataset, &result);
  *stopped = !error && e.stopped;
  if (!error && !e.stopped) {
    result.metrics = &e.metrics[0];
    error = rt_evaluation_write(&result);
    if (!error) rt_evaluation_print(&result);
    if (!error && similarity) error = compare_layers(job, dataset, graph, &result, stopped);
  }
  PetscCall(PetscFree(result.bias.confusion));
  PetscCall(rt_outcome_destroy(&result.outcomes));
  for (int t = 0; e.metrics && t < job->threads; t++) PetscCall(rt_metrics_destroy(&e.metrics[t]));
  PetscCall(PetscFree(e.metrics));
  for (int m = 0; m < RT_MODELS; m++) {
    PetscCall(rt_predictor_destroy(&e.predictor[m]));
    PetscCall(rt_graph_destroy(&graph[m]));
  }
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* What a model reads must come in the same order from both sets, as far as they name their axes. */
static PetscErrorCode compare_axes(const RtGraph *graph, const RtDatasetInfo *train, const RtDatasetInfo *test)
{
  char why[400];

  PetscFunctionBegin;
  for (int i = 0; i < graph->inputs; i++) {
    const char *name = graph->value[graph->input[i]].field;
    int a = name ? rt_field_find(train->fields, train->field, name) : -1;
    int b = name ? rt_field_find(test->fields, test->field, name) : -1;

    RtCheck(a < 0 || b < 0 || rt_field_axes_fit(&train->field[a], &test->field[b], why, sizeof(why)),
            "the test set does not go with the training set, whose field '%s' %s", name, why);
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_evaluator_check(const RtJob *job, const RtDatasetInfo *train, RtGraph *teacher)
{
  RtDataset *dataset = NULL;
  PetscErrorCode error;
  int width;

  PetscFunctionBegin;
  PetscCall(rt_dataset_open(job->comm, rt_options_text(job->options, "data", "test"), &dataset));
  error = compare_axes(teacher, train, rt_dataset_info(dataset));
  if (!error)
    error =
        rt_binding_attach(teacher, rt_dataset_info(dataset), rt_model_inputs(job, role[RT_TEACHER]), role[RT_TEACHER]);
  if (!error) error = rt_recipe_check(teacher, rt_dataset_info(dataset), role[RT_TEACHER]);
  if (!error) error = rt_recipe_width(teacher, &width);
  if (!error) error = check_classes(job, rt_dataset_info(dataset), width);
  PetscCall(rt_dataset_close(&dataset));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_evaluator_run(const RtJob *job, bool *stopped)
{
  const char *path;
  RtDataset *dataset = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  PetscCall(rt_job_need(job, "data_test", "the test set, from `retort import`", &path));
  PetscCall(rt_dataset_open(job->comm, path, &dataset));
  error = evaluate(job, dataset, stopped);
  PetscCall(rt_dataset_close(&dataset));
  PetscCall(error);
  PetscFunctionReturn(0);
}
