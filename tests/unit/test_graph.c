/* Graphs: what finishing makes of one (order, parameters, the flat buffer), and every mistake it must refuse. */
#include "support.h"

#include <unistd.h>

static RtGraph *start(void)
{
  RtGraph *graph;

  RT_MUST(rt_graph_create(13, &graph));
  return graph;
}

static int result(RtGraph *graph, const char *name)
{
  int id;

  RT_MUST(rt_graph_add_value(graph, name, RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &id));
  return id;
}

static void node(RtGraph *graph, const char *type, const char *name, int a, int b, int y)
{
  int number;

  RT_MUST(rt_graph_add_node(graph, rt_registry_find(type), name, b < 0 ? 1 : 2, (int[]){a, b}, 1, &y, &number));
}

/* --- what finishing does ------------------------------------------------------------------------------------------ */

static void test_order(void)
{
  RtGraph *graph = start();
  int x = rt_support_input(graph, SHAPE(RT_BATCH, 4)), a = result(graph, "a"), b = result(graph, "b");
  int c = result(graph, "c"), lost = result(graph, "lost"), w = rt_support_constant(graph, SHAPE(4, 4));
  int unused = rt_support_constant(graph, SHAPE(4, 4));

  node(graph, "Add", "third", a, b, c);
  node(graph, "Relu", "second", a, -1, b);
  node(graph, "MatMul", "dropped", x, unused, lost);
  node(graph, "MatMul", "first", x, w, a);
  RT_MUST(rt_graph_add_output(graph, c));
  RT_MUST(rt_graph_finish(graph));
  RT_TEST_CHECK(graph->nodes == 3, "%d nodes", graph->nodes);
  RT_TEST_CHECK(!strcmp(graph->node[0].name, "first") && !strcmp(graph->node[1].name, "second") &&
                    !strcmp(graph->node[2].name, "third"),
                "%s %s %s", graph->node[0].name, graph->node[1].name, graph->node[2].name);
  RT_TEST_CHECK(graph->value[w].kind == RT_VALUE_PARAMETER, "a weight is a parameter");
  RT_TEST_CHECK(graph->value[unused].kind == RT_VALUE_CONSTANT && graph->parameters == 16,
                "what no output needs is not trained");
  RT_TEST_CHECK(rt_tap_logits(graph) == c, "logits");
  RT_MUST(rt_graph_destroy(&graph));
  RT_TEST_CHECK(!graph, "destroy sets NULL");
  RT_MUST(rt_graph_destroy(&graph));
}

static void test_flat(void)
{
  static const int64_t size[] = {5, 16, 1, 33};
  RtGraph *graph = start();
  int x = rt_support_input(graph, SHAPE(RT_BATCH, 1)), id[4];
  float data[4][33];
  int64_t at = 0;

  /* normalisation is not trained */
  x = NODE(graph, "Sub", x, rt_support_constant(graph, SHAPE(1)));
  x = NODE(graph, "Div", NODE(graph, "Mul", x, rt_support_constant(graph, SHAPE(1))),
           rt_support_constant(graph, SHAPE(1)));
  for (int i = 0; i < 4; i++) {
    rt_support_normal(size[i], data[i]);
    id[i] = rt_support_value(graph, i % 2 ? RT_VALUE_PARAMETER : RT_VALUE_CONSTANT, SHAPE(1, size[i]), data[i]);
    x = NODE(graph, "Add", NODE(graph, "Softmax", x), id[i]);
    x = NODE(graph, "Gemm", x, rt_support_parameter(graph, SHAPE(size[i], 1)));
  }
  /* nor are whole numbers */
  x = NODE(graph, "Reshape", x, rt_support_sizes(graph, 2, (int64_t[]){0, -1}));
  RT_MUST(rt_graph_add_output(graph, x));
  RT_MUST(rt_graph_finish(graph));
  RT_TEST_CHECK(graph->parameters == 2 * (5 + 16 + 1 + 33), "%lld parameters", (long long)graph->parameters);
  RT_TEST_CHECK(graph->flat == 2 * (16 + 16 + 16 + 48), "flat %lld", (long long)graph->flat);
  for (int i = 0; i < graph->values; i++) {
    const RtValue *value = &graph->value[i];

    if (value->kind != RT_VALUE_PARAMETER) continue;
    RT_TEST_CHECK(value->offset == at, "%s stands at %lld, not %lld", value->name, (long long)value->offset,
                  (long long)at);
    at += (value->size + 15) / 16 * 16;
    for (int64_t k = value->offset + value->size; k < at; k++)
      RT_TEST_CHECK(graph->parameter[k] == 0, "padding of %s is not zero", value->name);
  }
  for (int i = 0; i < 4; i++)
    RT_TEST_CHECK(!memcmp(graph->parameter + graph->value[id[i]].offset, data[i], (size_t)size[i] * sizeof(float)),
                  "parameter %d lost its numbers", i);
  RT_MUST(rt_graph_destroy(&graph));
}

/* Weights behind one, two, three Identity nodes are trained; the nodes stand in any order. */
static void test_identity(void)
{
  for (int chain = 1; chain <= 3; chain++)
    for (int reversed = 0; reversed < 2; reversed++) {
      RtGraph *graph = start();
      int x = rt_support_input(graph, SHAPE(RT_BATCH, 4)), w = rt_support_constant(graph, SHAPE(4, 2)), id[4] = {w}, y;
      char name[16];

      for (int i = 1; i <= chain; i++) {
        snprintf(name, sizeof(name), "again%d", i);
        id[i] = result(graph, name);
      }
      y = NODE(graph, "MatMul", x, id[chain]);
      for (int i = 1; i <= chain; i++) {
        int k = reversed ? chain + 1 - i : i;

        node(graph, "Identity", "", id[k - 1], -1, id[k]);
      }
      RT_MUST(rt_graph_add_output(graph, y));
      RT_MUST(rt_graph_finish(graph));
      RT_TEST_CHECK(graph->value[w].kind == RT_VALUE_PARAMETER, "chain of %d, reversed %d: not trained", chain,
                    reversed);
      RT_MUST(rt_graph_destroy(&graph));
    }
}

static void test_logits(void)
{
  static const char *const last[] = {"Softmax", "LogSoftmax", "Relu"};

  for (int i = 0; i < 3; i++) {
    RtGraph *graph = start();
    int x = rt_support_input(graph, SHAPE(RT_BATCH, 4)),
        h = NODE(graph, "MatMul", x, rt_support_constant(graph, SHAPE(4, 3)));
    int y = NODE(graph, last[i], h);

    RT_MUST(rt_graph_add_output(graph, y));
    RT_MUST(rt_graph_finish(graph));
    RT_TEST_CHECK(rt_tap_logits(graph) == (i < 2 ? h : y), "%s", last[i]);
    RT_MUST(rt_graph_destroy(&graph));
  }
}

/* What a program sees that knows no parts of a graph. */
static void test_handle(void)
{
  RtGraph *graph = start();
  int x = rt_support_input(graph, SHAPE(RT_BATCH, 4)),
      y = NODE(graph, "MatMul", x, rt_support_constant(graph, SHAPE(4, 3))), z = NODE(graph, "Relu", y);
  const int *in, *out;

  RT_MUST(rt_graph_add_output(graph, z));
  RT_MUST(rt_graph_add_output(graph, y));
  RT_MUST(rt_graph_finish(graph));
  RT_TEST_CHECK(rt_graph_inputs(graph, NULL) == 1 && rt_graph_outputs(graph, NULL) == 2, "how many ends");
  rt_graph_inputs(graph, &in);
  rt_graph_outputs(graph, &out);
  RT_TEST_CHECK(in[0] == x && out[0] == z && out[1] == y, "ends");
  RT_TEST_CHECK(rt_graph_find(graph, rt_graph_name(graph, y)) == y, "name");
  RT_TEST_CHECK(rt_graph_parameters(graph) == 12 && rt_graph_flat(graph) == 16, "%lld parameters in %lld",
                (long long)rt_graph_parameters(graph), (long long)rt_graph_flat(graph));
  RT_TEST_CHECK(rt_graph_parameter(graph) && rt_graph_parameter(graph)[12] == 0, "padding");
  RT_TEST_CHECK(!rt_graph_state_flat(graph) && !rt_graph_axes(graph), "neither state nor free axes");
  RT_MUST(rt_graph_destroy(&graph));
}

static void test_text(void)
{
  RtGraph *graph = start();
  int x = rt_support_input(graph, SHAPE(RT_BATCH, 4)), y = NODE(graph, "Flatten", x);
  const RtNode *n = &graph->node[0];

  rt_support_set_int(graph, "axis", 3);
  rt_support_set_float(graph, "alpha", 0.5f);
  RT_MUST(rt_graph_set_string(graph, 0, "mode", "linear"));
  RT_MUST(rt_graph_set_ints(graph, 0, "pads", 3, (int64_t[]){1, -2, INT64_MAX}));
  RT_TEST_CHECK(rt_graph_attribute_int(n, "axis", 9) == 3 && rt_graph_attribute_int(n, "other", 9) == 9, "int");
  RT_TEST_CHECK(rt_graph_attribute_int(n, "alpha", 9) == 9, "a number of another kind is not taken");
  RT_TEST_CHECK(rt_graph_attribute_float(n, "alpha", 9) == 0.5f && rt_graph_attribute_float(n, "beta", 9) == 9,
                "float");
  RT_TEST_CHECK(!strcmp(rt_graph_attribute(n, "mode")->s, "linear") && !rt_graph_attribute(n, "modes"), "string");
  RT_TEST_CHECK(rt_graph_attribute(n, "pads")->count == 3 && rt_graph_attribute(n, "pads")->ints[2] == INT64_MAX,
                "ints");
  RT_TEST_CHECK(rt_graph_find(graph, "v0") == x && rt_graph_find(graph, "v1") == y && rt_graph_find(graph, "v") < 0,
                "find");
  for (int i = 0; i < 20; i++) {
    char key[16], text[16];

    snprintf(key, sizeof(key), "key%d", i % 10);
    snprintf(text, sizeof(text), "text%d", i);
    RT_MUST(rt_graph_set_metadata(graph, key, text));
  }
  RT_TEST_CHECK(graph->metadatas == 10 && !strcmp(rt_graph_get_metadata(graph, "key3"), "text13"), "metadata");
  RT_TEST_CHECK(!rt_graph_get_metadata(graph, "key"), "absent metadata");
  RT_MUST(rt_graph_destroy(&graph));
}

/* --- what it refuses ---------------------------------------------------------------------------------------------- */

static void refuse(RtGraph *graph, int output, const char *words)
{
  if (output >= 0) RT_MUST(rt_graph_add_output(graph, output));
  RT_TEST_SAYS(rt_graph_finish(graph), RT_ERR_FAILED, words);
  RT_MUST(rt_graph_destroy(&graph));
}

static void test_values(void)
{
  RtGraph *graph = start();
  int id, x = rt_support_input(graph, SHAPE(RT_BATCH, 4));

  (void)x;
  RT_TEST_SAYS(rt_graph_add_value(graph, "v0", RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &id), RT_ERR_FAILED,
               "v0|twice");
  RT_TEST_SAYS(rt_graph_add_value(graph, "w", RT_VALUE_CONSTANT, RT_FLOAT, SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1), NULL, &id),
               RT_ERR_FAILED, "w|9 dimensions");
  RT_TEST_SAYS(rt_graph_add_value(graph, "w", RT_VALUE_CONSTANT, RT_FLOAT, SHAPE(1 << 30, 1 << 30, 1 << 30), NULL, &id),
               RT_ERR_FAILED, "w|impossible shape");
  RT_TEST_SAYS(rt_graph_add_value(graph, "w", RT_VALUE_PARAMETER, RT_FLOAT, SHAPE(-1, 4), NULL, &id), RT_ERR_FAILED,
               "w|impossible shape");
  RT_TEST_CHECK(rt_graph_find(graph, "w") < 0, "a value that was refused is there");
  RT_MUST(rt_graph_destroy(&graph));
}

static void test_structure(void)
{
  RtGraph *graph = start();
  int x, a, b;

  refuse(graph, -1, "no output");
  graph = start();
  refuse(graph, result(graph, "y"), "no input");
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 4));
  refuse(graph, x, "v0|not computed");
  graph = start();
  (void)rt_support_input(graph, SHAPE(RT_BATCH, 4));
  refuse(graph, result(graph, "y"), "y");
  /* a cycle of two, and of one */
  for (int one = 0; one < 2; one++) {
    graph = start();
    x = rt_support_input(graph, SHAPE(RT_BATCH, 4));
    a = result(graph, "a");
    b = result(graph, "b");
    node(graph, "Add", "", x, one ? a : b, a);
    node(graph, "Relu", "", a, -1, b);
    refuse(graph, b, "cycle");
  }
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 4));
  a = result(graph, "a");
  refuse(graph, NODE(graph, "Add", x, a), "nothing|'a'");
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 4));
  a = result(graph, "a");
  node(graph, "Relu", "", x, -1, a);
  node(graph, "Softmax", "", x, -1, a);
  refuse(graph, a, "'a'|computed twice");
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 4));
  node(graph, "Relu", "", x, -1, x);
  refuse(graph, NODE(graph, "Relu", x), "v0");
}

/* All nodes that cannot be run stand in one message, by name and operator. */
static void test_operators(void)
{
  RtGraph *graph = start();
  int x = rt_support_input(graph, SHAPE(RT_BATCH, 4)), none;
  char name[16];

  x = NODE(graph, "LeakyTanh", NODE(graph, "Relu", NODE(graph, "Conv7", x)));
  x = NODE(graph, "Add", x, -1);
  x = NODE(graph, "MatMul", x);
  x = NODE(graph, "Relu", x, x);
  refuse(graph, x, "5 nodes|Conv7 'Conv7-0'|LeakyTanh 'LeakyTanh-2'|Add 'Add-3'|MatMul 'MatMul-4'|Relu 'Relu-5'");
  /* more than fit one line */
  graph = start();
  x = rt_support_input(graph, SHAPE(RT_BATCH, 4));
  for (int i = 0; i < 500; i++) x = NODE(graph, "AnOperatorWithALongName", x);
  refuse(graph, x, "500 nodes|AnOperatorWithALongName-0");
  /* too old an opset */
  RT_MUST(rt_graph_create(5, &graph));
  x = rt_support_input(graph, SHAPE(RT_BATCH, 4));
  refuse(graph, NODE(graph, "Add", x, x), "1 node|Add|opset 5");
  /* a node without results or without inputs */
  for (int i = 0; i < 4; i++) {
    int y = -1, number;

    graph = start();
    x = rt_support_input(graph, SHAPE(RT_BATCH, 4));
    y = NODE(graph, "Relu", x);
    snprintf(name, sizeof(name), "odd%d", i);
    none = result(graph, name);
    RT_MUST(rt_graph_add_node(graph, rt_registry_find("Identity"), name, i == 0 ? 0 : 1, (int[]){i == 1 ? -1 : x},
                              i == 2 ? 0 : 1, (int[]){i == 3 ? -1 : none}, &number));
    if (i < 2) {
      refuse(graph, none, name);
    } else { /* nobody needs it */
      RT_MUST(rt_graph_add_output(graph, y));
      RT_MUST(rt_graph_finish(graph));
      RT_MUST(rt_graph_destroy(&graph));
    }
  }
}

/* Identity nodes that go in a circle through constants: must be refused, not followed for ever. */
static void test_circle(void)
{
  for (int one = 0; one < 2; one++) {
    RtGraph *graph = start();
    int x = rt_support_input(graph, SHAPE(RT_BATCH, 4)), a = rt_support_constant(graph, SHAPE(4));
    int b = rt_support_constant(graph, SHAPE(4)), y = NODE(graph, "Add", x, a);

    node(graph, "Identity", "there", one ? a : b, -1, a);
    if (!one) node(graph, "Identity", "back", a, -1, b);
    alarm(10);
    refuse(graph, y, "computed twice");
    alarm(0);
  }
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_order();
  test_flat();
  test_identity();
  test_logits();
  test_handle();
  test_text();
  test_values();
  test_structure();
  test_operators();
  test_circle();
  return 0;
}

RT_TEST_MAIN(test)
