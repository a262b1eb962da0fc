/* Which constants are trained, which are state, and what a job freezes of them. */
#include "support.h"

static RtGraph *graph;

static int start(void)
{
  RT_MUST(rt_graph_create(13, &graph));
  return rt_support_input(graph, SHAPE(RT_BATCH, 4));
}

static void finish(int output)
{
  RT_MUST(rt_graph_add_output(graph, output));
  RT_MUST(rt_graph_finish(graph));
}

static void is(int id, RtValueKind kind, const char *what)
{
  RT_TEST_CHECK(graph->value[id].kind == kind, "%s: %s is of kind %d, not %d", what, graph->value[id].name,
                (int)graph->value[id].kind, (int)kind);
}

static int constant(int ndim, const int64_t *dim)
{
  return rt_support_constant(graph, ndim, dim);
}

static int scalar(void)
{
  return constant(0, NULL);
}

/* --- through what changes the form alone -------------------------------------------------------------------------- */

static int cast(int value, int64_t to)
{
  int y = NODE(graph, "Cast", value);

  rt_support_set_int(graph, "to", to);
  return y;
}

static int form(const char *type, int w)
{
  int64_t shape[] = {4, 3}, axes[] = {0};

  if (!strcmp(type, "Cast")) return cast(w, 1);
  if (!strcmp(type, "Reshape")) return NODE(graph, type, w, rt_support_sizes(graph, 2, shape));
  if (!strcmp(type, "Squeeze"))
    return NODE(graph, type, NODE(graph, "Unsqueeze", w, rt_support_sizes(graph, 1, axes)),
                rt_support_sizes(graph, 1, axes));
  if (!strcmp(type, "Mul")) return NODE(graph, type, w, constant(SHAPE(3)));
  if (!strcmp(type, "half")) return NODE(graph, "Mul", scalar(), w);
  return NODE(graph, type, w);
}

static void test_forms(void)
{
  static const char *const type[] = {"Cast", "Reshape", "Squeeze", "Flatten", "Identity", "Mul", "half"};

  for (size_t i = 0; i < sizeof(type) / sizeof(*type); i++)
    for (int twice = 0; twice < 2; twice++) {
      RtPlanParams params = {.batch = 2, .training = true};
      RtPlan *plan;
      int x = start(), w = constant(SHAPE(4, 3)), y = form(type[i], w);

      if (twice) y = form(type[(i + 1) % 7], y);
      finish(NODE(graph, "MatMul", x, y));
      is(w, RT_VALUE_PARAMETER, type[i]);
      RT_MUST(rt_plan_create(graph, &params, &plan));
      RT_MUST(rt_plan_destroy(&plan));
      RT_MUST(rt_graph_destroy(&graph));
    }
}

/* Whole numbers do not come from weights. */
static void test_cut(void)
{
  int x = start(), w = constant(SHAPE(4, 3));

  finish(NODE(graph, "MatMul", x, cast(cast(w, 7), 1)));
  is(w, RT_VALUE_CONSTANT, "through whole numbers");
  RT_MUST(rt_graph_destroy(&graph));
}

/* --- normalisation, and factors later on -------------------------------------------------------------------------- */

static void test_factors(void)
{
  static const char *const type[] = {"Mul", "Sub", "Div"};
  char text[200];

  for (int i = 0; i < 3; i++)
    for (int swapped = 0; swapped < 2; swapped++) {
      int x = start(), before = constant(SHAPE(4)), after = constant(SHAPE(3)), half = scalar(), y;

      y = swapped ? NODE(graph, type[i], before, x) : NODE(graph, type[i], x, before);
      y = NODE(graph, "MatMul", NODE(graph, "Relu", y), constant(SHAPE(4, 3)));
      y = swapped ? NODE(graph, type[i], form("Cast", after), y) : NODE(graph, type[i], y, form("Cast", after));
      finish(NODE(graph, type[i], y, half));
      is(before, RT_VALUE_CONSTANT, type[i]);
      is(after, RT_VALUE_PARAMETER, type[i]);
      is(half, RT_VALUE_CONSTANT, type[i]);
      RT_TEST_CHECK(rt_graph_frozen(graph, text, sizeof(text)) == 2 && strstr(text, graph->value[before].name) &&
                        strstr(text, graph->value[half].name),
                    "frozen: %s", text);
      RT_MUST(rt_graph_destroy(&graph));
    }
}

/* A factor behind a product whose matrix comes through a Cast, and is used before as another name of it. */
static void test_behind(void)
{
  int x = start(), w = constant(SHAPE(4, 3)), wide = cast(w, 1), twice = NODE(graph, "Mul", wide, constant(SHAPE(3)));
  int scale = constant(SHAPE(3)), other = constant(SHAPE(3)), y = NODE(graph, "MatMul", x, twice);

  y = NODE(graph, "Add", NODE(graph, "Mul", y, scale), NODE(graph, "Mul", NODE(graph, "MatMul", x, wide), other));
  finish(y);
  is(w, RT_VALUE_PARAMETER, "matrix");
  is(scale, RT_VALUE_PARAMETER, "factor");
  is(other, RT_VALUE_PARAMETER, "factor behind the other name");
  RT_MUST(rt_graph_destroy(&graph));
}

/* A bias is trained wherever it stands; a ratio of Dropout never, and it is no weight that is frozen. */
static void test_others(void)
{
  int x = start(), bias = constant(SHAPE(4)), one = scalar(), ratio;
  float none = 0;
  char text[200];

  ratio = rt_support_value(graph, RT_VALUE_CONSTANT, 0, NULL, &none);
  x = NODE(graph, "Dropout", NODE(graph, "Add", NODE(graph, "Add", x, bias), one), ratio);
  finish(x);
  is(bias, RT_VALUE_PARAMETER, "bias");
  is(one, RT_VALUE_CONSTANT, "formula");
  is(ratio, RT_VALUE_CONSTANT, "ratio");
  RT_TEST_CHECK(rt_graph_frozen(graph, text, sizeof(text)) == 1 && !strcmp(text, graph->value[one].name), "%s", text);
  RT_MUST(rt_graph_destroy(&graph));
}

/* --- what a job freezes ------------------------------------------------------------------------------------------- */

static void test_freeze(void)
{
  int x = start(), w[6];
  float number[6];
  char text[100];

  for (int i = 0; i < 6; i++) {
    w[i] = constant(SHAPE(1, 4));
    number[i] = ((float *)graph->value[w[i]].data)[1];
    x = NODE(graph, "Add", NODE(graph, "Relu", x), w[i]);
  }
  finish(x);
  RT_MUST(rt_graph_freeze(graph, "", "-x_freeze"));
  RT_TEST_CHECK(graph->parameters == 24 && graph->flat == 96, "nothing is frozen");
  snprintf(text, sizeof(text), "%s, %s*", graph->value[w[1]].name, graph->value[w[3]].name);
  RT_MUST(rt_graph_freeze(graph, text, "-x_freeze"));
  RT_TEST_CHECK(graph->parameters == 16 && graph->flat == 64, "%lld parameters", (long long)graph->parameters);
  for (int i = 0; i < 6; i++) {
    const RtValue *v = &graph->value[w[i]];
    bool frozen = i == 1 || i == 3;

    is(w[i], frozen ? RT_VALUE_CONSTANT : RT_VALUE_PARAMETER, "freeze");
    RT_TEST_CHECK((frozen ? (float *)v->data : graph->parameter + v->offset)[1] == number[i], "number of %d", i);
  }
  RT_TEST_CHECK(rt_graph_frozen(graph, text, sizeof(text)) == 2, "%s", text);
  RT_TEST_SAYS(rt_graph_freeze(graph, "v*,layer9.*", "-x_freeze"), RT_ERR_USAGE, "-x_freeze|no parameter 'layer9.*'");
  RT_TEST_CHECK(graph->parameters == 16, "a refused pattern changed the graph");
  RT_MUST(rt_graph_freeze(graph, "*", "-x_freeze"));
  RT_TEST_CHECK(graph->parameters == 0 && graph->flat == 0, "all are frozen");
  RT_TEST_CHECK(rt_graph_frozen(graph, text, sizeof(text)) == 6 && strstr(text, "…"), "%s", text);
  RT_MUST(rt_graph_destroy(&graph));
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc, (void)argv;
  test_forms();
  test_cut();
  test_factors();
  test_behind();
  test_others();
  test_freeze();
  return 0;
}

RT_TEST_MAIN(test)
