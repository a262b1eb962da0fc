#include "model/recipe.h"

#include "core/message.h"
#include "core/random.h"
#include "model/binding.h"
#include "ops/registry.h"

#include <math.h>
#include <retort/plan.h>
#include <stdio.h>
#include <string.h>

enum { OPSET = 13 };

/* What a recipe is doing. */
typedef struct {
  RtGraph *graph;
  int last; /* value id */
  int64_t units;
  int counter;
} Builder;

/* Append a node with one result. extra: further inputs. */
static PetscErrorCode append(Builder *b, const char *type, int extras, const int extra[], const char *result, int *node)
{
  char name[64];
  int input[3] = {b->last}, id, made;

  PetscFunctionBegin;
  for (int i = 0; i < extras; i++) input[1 + i] = extra[i];
  if (result)
    snprintf(name, sizeof(name), "%s", result);
  else
    snprintf(name, sizeof(name), "%s_%d", type, b->counter++);
  PetscCall(rt_graph_add_value(b->graph, name, RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &id));
  PetscCall(rt_graph_add_node(b->graph, rt_registry_find(type), name, 1 + extras, input, 1, &id, &made));
  b->last = id;
  if (node) *node = made;
  PetscFunctionReturn(0);
}

static PetscErrorCode add_constant(Builder *b, const char *name, float value, int *id)
{
  PetscFunctionBegin;
  PetscCall(rt_graph_add_value(b->graph, name, RT_VALUE_CONSTANT, RT_FLOAT, 0, NULL, &value, id));
  PetscFunctionReturn(0);
}

static PetscErrorCode add_normalisation(Builder *b, double mean, double deviation)
{
  int id;

  PetscFunctionBegin;
  if (deviation == 0) PetscFunctionReturn(0);
  PetscCall(add_constant(b, "input_mean", (float)mean, &id));
  PetscCall(append(b, "Sub", 1, &id, NULL, NULL));
  PetscCall(add_constant(b, "input_deviation", (float)deviation, &id));
  PetscCall(append(b, "Div", 1, &id, NULL, NULL));
  PetscFunctionReturn(0);
}

static PetscErrorCode add_dropout(Builder *b, const RtRecipe *recipe, int layer)
{
  char name[64];
  int id;

  PetscFunctionBegin;
  if (layer >= recipe->dropouts || recipe->dropout[layer] == 0) PetscFunctionReturn(0);
  snprintf(name, sizeof(name), "dropout%d.ratio", layer);
  PetscCall(add_constant(b, name, (float)recipe->dropout[layer], &id));
  PetscCall(append(b, "Dropout", 1, &id, NULL, NULL));
  PetscFunctionReturn(0);
}

static PetscErrorCode add_linear(Builder *b, const RtRecipe *recipe, int layer, int64_t units, const char *result)
{
  int64_t dim[2] = {b->units, units}, bias_dim[1] = {units};
  double gain = layer < recipe->layers ? 2.0 : 1.0;
  float factor = (float)sqrt(gain / (double)b->units), *weight;
  uint32_t key[2];
  char name[64];
  int extra[2];

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(b->units * units, &weight));
  rt_random_key(recipe->seed, RT_RANDOM_INIT, key);
  rt_random_normal(key, (uint64_t)layer, b->units * units, weight);
  for (int64_t i = 0; i < b->units * units; i++) weight[i] *= factor;
  snprintf(name, sizeof(name), "layer%d.weight", layer);
  PetscCall(rt_graph_add_value(b->graph, name, RT_VALUE_CONSTANT, RT_FLOAT, 2, dim, weight, &extra[0]));
  PetscCall(PetscFree(weight));
  snprintf(name, sizeof(name), "layer%d.bias", layer);
  PetscCall(rt_graph_add_value(b->graph, name, RT_VALUE_CONSTANT, RT_FLOAT, 1, bias_dim, NULL, &extra[1]));
  PetscCall(append(b, "Gemm", 2, extra, result, NULL));
  b->units = units;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_recipe_mlp(const RtRecipe *recipe, const RtDatasetInfo *info, RtGraph **graph)
{
  Builder b = {0};
  int64_t dim[RT_MAX_DIM + 1] = {RT_BATCH};
  int node, width = recipe->width ? recipe->width : PetscMax(info->classes, info->targets);

  PetscFunctionBegin;
  RtCheck(width, "the dataset has neither labels nor targets to train on");
  RtCheck(info->input >= 0, "a perceptron reads the field 'input', which the dataset has not: name a model file");
  PetscCall(rt_graph_create(OPSET, &b.graph));
  for (int i = 0; i < info->ndim; i++) dim[1 + i] = info->dim[i];
  PetscCall(rt_graph_add_value(b.graph, "input", RT_VALUE_INPUT, RT_FLOAT, 1 + info->ndim, dim, NULL, &b.last));
  b.units = info->size;
  PetscCall(add_normalisation(&b, recipe->mean, recipe->deviation));
  if (info->ndim != 1) {
    PetscCall(append(&b, "Flatten", 0, NULL, NULL, &node));
    PetscCall(rt_graph_set_int(b.graph, node, "axis", 1));
  }
  PetscCall(add_dropout(&b, recipe, 0));
  for (int i = 0; i < recipe->layers; i++) {
    PetscCall(add_linear(&b, recipe, i, recipe->hidden[i], NULL));
    PetscCall(append(&b, "Relu", 0, NULL, NULL, NULL));
    PetscCall(add_dropout(&b, recipe, i + 1));
  }
  PetscCall(add_linear(&b, recipe, recipe->layers, width, info->targets ? "output" : "logits"));
  PetscCall(rt_graph_add_output(b.graph, b.last));
  PetscCall(rt_graph_finish(b.graph));
  *graph = b.graph;
  PetscFunctionReturn(0);
}

static const RtRecipeKind kinds[] = {{"mlp", "fully connected layers with Relu between them", rt_recipe_mlp}};

enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

const RtRecipeKind *rt_recipe_at(int i)
{
  return i < KINDS ? &kinds[i] : NULL;
}

const RtRecipeKind *rt_recipe_find(const char *name)
{
  for (int i = 0; i < KINDS; i++)
    if (!strcmp(kinds[i].name, name)) return &kinds[i];
  return NULL;
}

/* Shape of the output for a number of samples. */
static PetscErrorCode output_shape(const RtGraph *graph, int64_t batch, int *ndim, int64_t *dim)
{
  RtPlanParams params = {.batch = batch};
  RtPlan *plan;

  PetscFunctionBegin;
  PetscCall(rt_plan_create(graph, &params, &plan));
  *ndim = rt_plan_shape(plan, rt_tap_logits(graph), dim);
  PetscCall(rt_plan_destroy(&plan));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_recipe_width(const RtGraph *graph, int *width)
{
  int64_t dim[RT_MAX_DIM];
  int ndim = 0;

  PetscFunctionBegin;
  PetscCall(output_shape(graph, 2, &ndim, dim));
  *width = (int)dim[ndim - 1];
  PetscFunctionReturn(0);
}

void rt_recipe_say(const RtGraph *graph, const char *what)
{
  if (graph->outputs > 1)
    rt_message_print("%s: of its %d outputs the first, '%s', is used", what, graph->outputs,
                     graph->value[graph->output[0]].name);
}

static PetscErrorCode check_finite(const RtGraph *graph, const char *what)
{
  PetscFunctionBegin;
  for (int v = 0; v < graph->values; v++) {
    const RtValue *value = &graph->value[v];

    for (int64_t i = 0; value->kind == RT_VALUE_PARAMETER && i < value->size; i++)
      RtCheck(isfinite(graph->parameter[value->offset + i]), "the %s's tensor '%s' has a number that is not finite",
              what, value->name);
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode check_inputs(const RtGraph *graph, const RtDatasetInfo *info, const char *what)
{
  RtFieldRead *read;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(graph->inputs, &read));
  error = rt_binding_reads(graph, info, what, read);
  PetscCall(PetscFree(read));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* The model must take any number of samples, and give each a row of its own: lanes and the ends of data sets are of all
   lengths, down to 1. */
static PetscErrorCode check_rows(const RtGraph *graph, const char *what, int64_t *width)
{
  int64_t dim[RT_MAX_DIM];
  int ndim = 0;

  PetscFunctionBegin;
  for (int64_t batch = 3; batch >= 1; batch--) {
    PetscCall(output_shape(graph, batch, &ndim, dim));
    RtCheck(
        ndim == 2 && dim[0] == batch && (batch == 3 || dim[1] == *width),
        "the %s's output is not one row a sample: %lld sample%s gave it %d dimensions, the first of length %lld; the "
        "first axis must count samples in every node",
        what, (long long)batch, batch == 1 ? "" : "s", ndim, (long long)(ndim ? dim[0] : 0));
    *width = dim[1];
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_recipe_check(const RtGraph *graph, const RtDatasetInfo *info, const char *what)
{
  int64_t given = 0, width = info->classes ? info->classes : info->targets;

  PetscFunctionBegin;
  PetscCall(check_inputs(graph, info, what));
  PetscCall(check_rows(graph, what, &given));
  RtCheck(!width || given == width, "the %s gives %lld numbers a sample, the dataset has %lld %s", what,
          (long long)given, (long long)width, info->classes ? "classes" : "targets");
  PetscCall(check_finite(graph, what));
  PetscFunctionReturn(0);
}
