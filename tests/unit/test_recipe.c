/* Models made from a description: their layers, the distribution of their weights, their names, and what fits a
   dataset. */
#include "support.h"

#include "model/recipe.h"

#include <math.h>

static RtDatasetInfo images(void)
{
  RtDatasetInfo info = {.samples = 1, .ndim = 2, .dim = {4, 5}, .size = 20, .type = RT_FLOAT, .scale = 1, .classes = 3};

  return info;
}

static const RtValue *named(const RtGraph *graph, const char *name)
{
  int id = rt_graph_find(graph, name);

  RT_TEST_CHECK(id >= 0, "there is no %s", name);
  return &graph->value[PetscMax(id, 0)];
}

static void test_layers(void)
{
  static const char *const wanted[] = {"Flatten", "Dropout", "Gemm", "Relu", "Dropout", "Gemm", "Relu", "Gemm"};
  const int64_t hidden[] = {7, 6};
  const double dropout[] = {0.2, 0.5};
  RtRecipe recipe = {.layers = 2, .hidden = hidden, .dropouts = 2, .dropout = dropout, .seed = 1};
  RtDatasetInfo info = images();
  RtField field[3];
  RtGraph *graph;
  int width;

  RT_MUST(rt_recipe_mlp(&recipe, &info, &graph));
  RT_TEST_CHECK(graph->parameters == 20 * 7 + 7 + 7 * 6 + 6 + 6 * 3 + 3, "%lld parameters",
                (long long)graph->parameters);
  RT_TEST_CHECK(graph->nodes == 8, "%d nodes", graph->nodes);
  for (int i = 0; i < 8 && i < graph->nodes; i++)
    RT_TEST_CHECK(!strcmp(graph->node[i].op->type, wanted[i]), "node %d is %s", i, graph->node[i].op->type);
  RT_TEST_CHECK(named(graph, "layer1.weight")->dim[0] == 7 && named(graph, "layer1.weight")->dim[1] == 6, "weights");
  RT_TEST_CHECK(named(graph, "input")->kind == RT_VALUE_INPUT && graph->output[0] == rt_graph_find(graph, "logits"),
                "input and logits");
  RT_TEST_CHECK(named(graph, "input")->ndim == 3 && named(graph, "input")->dim[0] == RT_BATCH, "shape of the input");
  RT_MUST(rt_recipe_width(graph, &width));
  RT_TEST_CHECK(width == 3, "width %d", width);
  rt_field_derive(&info, field);
  RT_MUST(rt_recipe_check(graph, &info, "student"));
  info.classes = 4;
  RT_TEST_SAYS(rt_recipe_check(graph, &info, "student"), RT_ERR_FAILED, "student|3|4 classes");
  info.dim[1] = 6;
  rt_field_derive(&info, field);
  RT_TEST_SAYS(rt_recipe_check(graph, &info, "teacher"), RT_ERR_FAILED, "teacher|4 x 5|4 x 6");
  RT_MUST(rt_graph_destroy(&graph));
  info.classes = 0;
  RT_TEST_SAYS(rt_recipe_mlp(&recipe, &info, &graph), RT_ERR_FAILED, "labels|targets");
  info.targets = 2;
  RT_MUST(rt_recipe_mlp(&recipe, &info, &graph));
  RT_TEST_CHECK(graph->output[0] == rt_graph_find(graph, "output"), "the result of a regression is called output");
  rt_field_derive(&info, field);
  RT_MUST(rt_recipe_check(graph, &info, "student"));
  RT_MUST(rt_graph_destroy(&graph));
}

/* Moments of the weights of one layer. */
static void moments(const RtGraph *graph, const char *name, double *mean, double *variance)
{
  const RtValue *value = named(graph, name);
  const float *w = graph->parameter + value->offset;
  double sum = 0, square = 0;

  for (int64_t i = 0; i < value->size; i++) {
    sum += w[i];
    square += (double)w[i] * w[i];
  }
  *mean = sum / (double)value->size;
  *variance = square / (double)value->size - *mean * *mean;
}

static void test_weights(void)
{
  const int64_t hidden[] = {400, 300};
  RtRecipe recipe = {.layers = 2, .hidden = hidden, .seed = 1};
  RtDatasetInfo info = {.ndim = 1, .dim = {500}, .size = 500, .type = RT_FLOAT, .scale = 1, .classes = 100};
  static const double wanted[] = {2.0 / 500, 2.0 / 400, 1.0 / 300};
  RtGraph *graph, *same, *other;
  size_t bytes;

  RT_MUST(rt_recipe_mlp(&recipe, &info, &graph));
  RT_MUST(rt_recipe_mlp(&recipe, &info, &same));
  recipe.seed = 2;
  RT_MUST(rt_recipe_mlp(&recipe, &info, &other));
  bytes = (size_t)graph->flat * sizeof(float);
  RT_TEST_CHECK(!memcmp(graph->parameter, same->parameter, bytes), "a seed gives other weights a second time");
  RT_TEST_CHECK(memcmp(graph->parameter, other->parameter, bytes), "two seeds give the same weights");
  for (int l = 0; l < 3; l++) {
    char name[32];
    double mean, variance, size;
    const RtValue *bias;

    snprintf(name, sizeof(name), "layer%d.weight", l);
    moments(graph, name, &mean, &variance);
    size = (double)named(graph, name)->size;
    RT_TEST_CHECK(fabs(mean) < 4 * sqrt(wanted[l] / size), "%s has mean %g", name, mean);
    RT_TEST_CHECK(fabs(variance / wanted[l] - 1) < 4 * sqrt(2 / size), "%s has variance %g, not %g", name, variance,
                  wanted[l]);
    snprintf(name, sizeof(name), "layer%d.bias", l);
    bias = named(graph, name);
    for (int64_t i = 0; i < bias->size; i++)
      RT_TEST_CHECK(graph->parameter[bias->offset + i] == 0, "%s is not zero", name);
  }
  RT_TEST_CHECK(memcmp(graph->parameter + named(graph, "layer0.weight")->offset,
                       graph->parameter + named(graph, "layer1.weight")->offset, 1000 * sizeof(float)),
                "two layers begin alike");
  RT_MUST(rt_graph_destroy(&graph));
  RT_MUST(rt_graph_destroy(&same));
  RT_MUST(rt_graph_destroy(&other));
}

/* Normalisation is arithmetic that is not trained; without hidden layers the model is linear. */
static void test_normalisation(void)
{
  RtRecipe recipe = {.mean = 3, .deviation = 0.5, .seed = 1};
  RtDatasetInfo info = images();
  RtGraph *graph;
  RtPlan *plan;
  RtWork *work;
  float x[20];
  const float *w;

  RT_MUST(rt_recipe_mlp(&recipe, &info, &graph));
  RT_TEST_CHECK(graph->parameters == 63, "%lld parameters", (long long)graph->parameters);
  rt_support_normal(20, x);
  RT_MUST(rt_plan_create(graph, &(RtPlanParams){.batch = 1}, &plan));
  RT_MUST(rt_plan_set_parameters(plan, graph->parameter));
  RT_MUST(rt_work_create(plan, &work));
  memcpy(rt_work_input(work, 0), x, sizeof(x));
  RT_MUST(rt_plan_forward(plan, work));
  w = graph->parameter + named(graph, "layer0.weight")->offset;
  for (int c = 0; c < 3; c++) {
    double sum = 0;

    for (int i = 0; i < 20; i++) sum += (x[i] - 3) / 0.5 * w[i * 3 + c];
    RT_TEST_CHECK(fabs(sum - ((const float *)rt_work_tap(work, 0))[c]) < 1e-4, "class %d: %g, not %g", c,
                  (double)((const float *)rt_work_tap(work, 0))[c], sum);
  }
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}

/* Models of other makers that cannot be used. */
static void test_check(void)
{
  RtDatasetInfo info = images();
  RtField field[3];
  RtGraph *graph;
  int x, y;

  rt_field_derive(&info, field);
  RT_MUST(rt_graph_create(13, &graph));
  x = rt_support_input(graph, SHAPE(RT_BATCH, 20));
  y = rt_support_input(graph, SHAPE(RT_BATCH, 20));
  RT_MUST(rt_graph_add_output(graph, NODE(graph, "Add", x, y)));
  RT_MUST(rt_graph_finish(graph));
  RT_TEST_SAYS(rt_recipe_check(graph, &info, "teacher"), RT_ERR_FAILED,
               "teacher|is no field of the dataset, which has input, label");
  RT_MUST(rt_graph_destroy(&graph));
  RT_MUST(rt_graph_create(13, &graph));
  x = rt_support_input(graph, SHAPE(RT_BATCH, 4, 5));
  RT_MUST(rt_graph_add_output(graph, NODE(graph, "Relu", x)));
  RT_MUST(rt_graph_finish(graph));
  RT_TEST_SAYS(rt_recipe_check(graph, &info, "teacher"), RT_ERR_FAILED, "teacher|one row a sample");
  RT_MUST(rt_graph_destroy(&graph));
}

/* What gives one row a sample for some numbers of samples only. */
static void test_rows(void)
{
  static const char *const what[] = {"Squeeze without axes", "Flatten at axis 0", "rows put together",
                                     "two rows always", "as wide as there are samples"};
  RtDatasetInfo info = images();
  RtField field[3];

  rt_field_derive(&info, field);
  for (int i = 0; i < 5; i++) {
    RtGraph *graph;
    int x, y;

    RT_MUST(rt_graph_create(13, &graph));
    x = rt_support_input(graph, SHAPE(RT_BATCH, 4, 5));
    y = NODE(graph, "MatMul", NODE(graph, "Flatten", x), rt_support_constant(graph, SHAPE(20, 3)));
    if (i == 0) y = NODE(graph, "Squeeze", y);
    if (i == 1) y = NODE(graph, "Flatten", y);
    if (i == 1) rt_support_set_int(graph, "axis", 0);
    if (i == 2) y = NODE(graph, "Reshape", y, rt_support_sizes(graph, 2, (int64_t[]){-1, 6}));
    if (i == 3) y = NODE(graph, "Reshape", y, rt_support_sizes(graph, 2, (int64_t[]){2, 3}));
    if (i == 4) {
      y = NODE(graph, "Gemm", y, y);
      rt_support_set_int(graph, "transB", 1);
    }
    RT_MUST(rt_graph_add_output(graph, y));
    RT_MUST(rt_graph_finish(graph));
    printf("%s\n", what[i]);
    RT_TEST_SAYS(rt_recipe_check(graph, &info, "student"), RT_ERR_FAILED,
                 i == 2 || i == 3 ? "Reshape|elements do not fit" : "student|one row a sample");
    RT_MUST(rt_graph_destroy(&graph));
  }
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_layers();
  test_weights();
  test_normalisation();
  test_check();
  test_rows();
  return 0;
}

RT_TEST_MAIN(test)
