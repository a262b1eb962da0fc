#include "label/mixture.h"

#include "core/hash.h"
#include "core/message.h"
#include "distill/softmax.h"
#include "model/model.h"
#include "model/recipe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *rt_mixture_names(void)
{
  return "probabilities|logits";
}

bool rt_mixture_named(const RtOptions *options)
{
  return rt_options_text(options, "teacher", "models")[0] != 0;
}

bool rt_mixture_own(const RtOptions *options)
{
  return rt_mixture_named(options) || rt_options_text(options, "teacher", "model")[0];
}

PetscErrorCode rt_mixture_check(const RtJob *job)
{
  const int models = rt_model_count(job);
  const bool weighted = rt_options_given(job->options, "teacher", "weights");
  double weight[RT_OPTIONS_LIST], sum = 0;
  char path[PETSC_MAX_PATH_LEN];
  int weights = rt_options_reals(job->options, "teacher", "weights", weight);

  PetscFunctionBegin;
  if (!rt_mixture_named(job->options)) {
    if (weighted || rt_options_given(job->options, "teacher", "mix"))
      RtUsage("-teacher_%s is for several models: name them with -teacher_models", weighted ? "weights" : "mix");
    PetscFunctionReturn(0);
  }
  if (rt_options_text(job->options, "teacher", "model")[0])
    RtUsage("-teacher_model and -teacher_models both name the teacher; give one of them");
  if (models > RT_MIXTURE) RtUsage("-teacher_models names %d models, more than %d", models, (int)RT_MIXTURE);
  if (weights && weights != models)
    RtUsage("-teacher_weights has %d numbers, -teacher_models %d models; give one a model, or none", weights, models);
  for (int i = 0; i < models; i++) PetscCall(rt_model_list(job, i, path));
  for (int i = 0; i < weights; i++) sum += weight[i];
  if (weights && !(sum > 0)) RtUsage("-teacher_weights: all of them are 0");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_mixture_free(RtMixture *mixture)
{
  PetscFunctionBegin;
  for (int i = 0; i < RT_MIXTURE; i++) PetscCall(rt_graph_destroy(&mixture->graph[i]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_mixture_record(const RtMixture *mixture, char **text)
{
  const size_t line = RT_HASH_TEXT + 64;
  size_t at = 0;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1(line * (size_t)mixture->models + 64, text));
  if (mixture->models == 1) PetscFunctionReturn(0);
  at = (size_t)snprintf(*text, 64, "teacher_mix=%s\n", mixture->probabilities ? "probabilities" : "logits");
  for (int i = 0; i < mixture->models; i++)
    at +=
        (size_t)snprintf(*text + at, line, "teacher_models_%d=%.17g %s\n", i + 1, mixture->weight[i], mixture->hash[i]);
  PetscFunctionReturn(0);
}

/* Of a mixture: of everything that determines it. */
static PetscErrorCode hash_all(const RtMixture *m, char hash[RT_HASH_TEXT])
{
  RtHash *all = NULL;
  char *text;

  PetscFunctionBegin;
  PetscCall(rt_mixture_record(m, &text));
  PetscCall(rt_hash_create(&all));
  PetscCall(rt_hash_add(all, text, strlen(text)));
  PetscCall(rt_hash_finish(&all, hash));
  PetscCall(PetscFree(text));
  PetscFunctionReturn(0);
}

/* Model i of the list, as number m of the mixture. */
static PetscErrorCode read_one(const RtJob *job, const RtDatasetInfo *info, int i, RtMixture *mix, int m)
{
  char path[PETSC_MAX_PATH_LEN], first[PETSC_MAX_PATH_LEN];
  int width;

  PetscFunctionBegin;
  PetscCall(rt_model_list(job, i, path));
  PetscCall(rt_model_read_file(job, "teacher", path, info, &mix->graph[m], mix->hash[m]));
  if (!mix->graph[m]) RtFail("%s: the teacher cannot be read: there is no such file", path);
  PetscCall(rt_recipe_width(mix->graph[m], &width));
  if (!m) mix->width = width;
  PetscCall(rt_model_list(job, 0, first));
  RtCheck(width == mix->width,
          "-teacher_models: '%s' gives %d numbers a sample, but '%s' gives %d; they cannot be mixed", path, width,
          first, mix->width);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_mixture_read(const RtJob *job, const RtDatasetInfo *info, int which, RtMixture *mix,
                               char hash[RT_HASH_TEXT])
{
  double weight[RT_OPTIONS_LIST], sum = 0;
  int models, weights;

  PetscFunctionBegin;
  *mix = (RtMixture){.models = 1, .weight = {1}};
  PetscCall(rt_mixture_check(job));
  if (!rt_mixture_named(job->options)) {
    PetscCall(rt_model_read(job, "teacher", info, &mix->graph[0], mix->hash[0]));
    PetscCall(rt_recipe_width(mix->graph[0], &mix->width));
    PetscCall(PetscStrncpy(hash, mix->hash[0], RT_HASH_TEXT));
    PetscFunctionReturn(0);
  }
  mix->probabilities = strcmp(rt_options_text(job->options, "teacher", "mix"), "logits") != 0;
  if (mix->probabilities && info->targets)
    RtUsage(
        "-teacher_mix probabilities is for classes, but the dataset has float targets; take logits, the mean of the "
        "outputs");
  models = rt_model_count(job);
  weights = rt_options_reals(job->options, "teacher", "weights", weight);
  if (which == RT_MIXTURE_ALL) mix->models = models;
  for (int m = 0; m < mix->models; m++) PetscCall(read_one(job, info, which < 0 ? m : which, mix, m));
  for (int m = 0; m < mix->models; m++) sum += weights && which < 0 ? weight[m] : 1;
  for (int m = 0; m < mix->models; m++) mix->weight[m] = (weights && which < 0 ? weight[m] : 1) / sum;
  PetscCall(PetscStrncpy(hash, mix->hash[0], RT_HASH_TEXT));
  if (mix->models > 1) PetscCall(hash_all(mix, hash));
  PetscFunctionReturn(0);
}

/* log(exp(a) + exp(b)); a may be minus infinity, of a weight 0. */
static double add_logs(double a, double b)
{
  const double larger = a > b ? a : b, smaller = a > b ? b : a;

  return isinf(larger) ? larger : larger + log1p(exp(smaller - larger));
}

static void add_row(const RtMixture *m, int model, const float *logits, double *sum)
{
  const double weight = m->weight[model], log_weight = log(weight);
  double log_p[RT_SOFTMAX_PIECE], p[RT_SOFTMAX_PIECE];
  RtSoftmax row;

  if (m->probabilities) rt_softmax_row(m->width, logits, 1, &row);
  for (int first = 0; first < m->width; first += RT_SOFTMAX_PIECE) {
    const int rest = m->width - first, count = rest < RT_SOFTMAX_PIECE ? rest : RT_SOFTMAX_PIECE;

    if (m->probabilities) rt_softmax_get(&row, logits + first, count, log_p, p);
    for (int k = 0; k < count; k++) {
      double *to = &sum[first + k];

      if (m->probabilities)
        *to = model ? add_logs(*to, log_weight + log_p[k]) : log_weight + log_p[k];
      else
        *to = (model ? *to : 0) + weight * (double)logits[first + k];
    }
  }
}

void rt_mixture_add(const RtMixture *mixture, int model, int64_t rows, int64_t stride, const float *logits, double *sum)
{
  for (int64_t r = 0; r < rows; r++) add_row(mixture, model, logits + r * stride, sum + r * stride);
}

void rt_mixture_end(int64_t count, const double *sum, float *row)
{
  for (int64_t i = 0; i < count; i++) row[i] = (float)sum[i];
}
