/* How gradients of several operators meet: values with several readers, parameters under several names, random graphs;
   against central finite differences of a plain reference. */
#include "gradient.h"

/* --- how gradients meet ------------------------------------------------------------------------------------------- */

static int dense(RtGraph *graph, int x, int64_t in, int64_t out)
{
  return NODE(graph, "Gemm", x, rt_support_constant(graph, SHAPE(in, out)), rt_support_constant(graph, SHAPE(out)));
}

static void test_readers(void)
{
  RtGraph *graph = start(OPSET);
  int x = rt_support_input(graph, SHAPE(RT_BATCH, 5)), h = dense(graph, x, 5, 4), w;

  h = NODE(graph, "Add", NODE(graph, "Mul", h, h),
           NODE(graph, "Add", NODE(graph, "Softmax", h), NODE(graph, "Sub", h, h)));
  compare(graph, h, "graph", "a value with six readers");

  graph = start(OPSET);
  x = rt_support_input(graph, SHAPE(RT_BATCH, 5));
  w = rt_support_parameter(graph, SHAPE(5, 5));
  h = NODE(graph, "Relu", NODE(graph, "MatMul", x, w));
  h = NODE(graph, "MatMul", h, w);
  h = NODE(graph, "Gemm", h, w);
  rt_support_set_int(graph, "transB", 1);
  compare(graph, NODE(graph, "Add", h, NODE(graph, "MatMul", NODE(graph, "Softmax", x), w)), "graph",
          "a parameter that is used four times");

  graph = start(OPSET);
  x = rt_support_input(graph, SHAPE(RT_BATCH, 5));
  h = dense(graph, x, 5, 8);
  for (int i = 0; i < 3; i++) h = NODE(graph, "Add", h, dense(graph, NODE(graph, "Relu", dense(graph, h, 8, 6)), 6, 8));
  compare(graph, dense(graph, NODE(graph, "Relu", h), 8, 3), "graph", "residual connections");

  /* backward alone needs the result of this Relu: what comes next must not take its place */
  graph = start(OPSET);
  x = rt_support_input(graph, SHAPE(RT_BATCH, 5));
  h = NODE(graph, "Relu", dense(graph, x, 5, 8));
  for (int i = 0; i < 4; i++) h = NODE(graph, "Add", h, rt_support_constant(graph, SHAPE(1, 8)));
  compare(graph, dense(graph, NODE(graph, "Softmax", h), 8, 3), "graph", "Relu and sums");

  graph = start(OPSET);
  w = rt_support_parameter(graph, SHAPE(12));
  h = NODE(graph, "Reshape", w, rt_support_sizes(graph, 2, (int64_t[]){3, 4}));
  x = NODE(graph, "Flatten", h);
  h = NODE(graph, "Add", NODE(graph, "Mul", h, h), x);
  compare(graph, NODE(graph, "Add", h, NODE(graph, "Reshape", w, rt_support_sizes(graph, 2, (int64_t[]){3, 4}))),
          "graph", "one parameter under several names");

  /* constants become parameters: one behind Cast and a product with a row of factors, and factors of results */
  graph = start(OPSET);
  x = rt_support_input(graph, SHAPE(RT_BATCH, 5));
  w = NODE(graph, "Cast", rt_support_constant(graph, SHAPE(5, 4)));
  rt_support_set_int(graph, "to", 1);
  h = NODE(graph, "MatMul", NODE(graph, "Mul", x, rt_support_constant(graph, SHAPE(5))),
           NODE(graph, "Mul", w, rt_support_constant(graph, SHAPE(4))));
  h = NODE(graph, "Sub", NODE(graph, "Mul", h, rt_support_constant(graph, SHAPE(4))), NODE(graph, "MatMul", x, w));
  h = NODE(graph, "Sub", rt_support_constant(graph, SHAPE(1)), h);
  compare(graph, h, "graph", "weights behind Cast and Mul");
  RT_TEST_CHECK(parameters == 20 + 4 + 4 + 1, "%lld parameters", (long long)parameters);
}

/* Layers in random order: what one reads, another has made, and buffers are shared as far as they can be. */
static void random_graph(int number)
{
  static const char *const op[] = {"Relu", "Softmax", "LogSoftmax", "Add", "Sub", "Mul", "Reshape", "MatMul", "Gemm"};
  RtGraph *graph = start(OPSET);
  int value[24], count = 2, w = rt_support_parameter(graph, SHAPE(4, 4)), sum;
  char what[32];

  value[0] = rt_support_input(graph, SHAPE(BATCH, 4));
  value[1] = dense(graph, value[0], 4, 4);
  value[count++] = NODE(graph, "MatMul", value[0], w);
  while (count < 14) {
    int kind = rt_support_below(9), a = value[rt_support_below(count)], b = value[rt_support_below(count)];

    if (kind == 6) {
      a = NODE(graph, "Reshape", a, rt_support_sizes(graph, 1, (int64_t[]){-1}));
      a = NODE(graph, "Relu", a);
      value[count++] = NODE(graph, "Reshape", a, rt_support_sizes(graph, 2, (int64_t[]){-1, 4}));
    } else if (kind == 8) {
      value[count++] = dense(graph, a, 4, 4);
    } else if (kind < 3) {
      value[count++] = NODE(graph, op[kind], a);
    } else {
      if (kind == 5) b = NODE(graph, "Softmax", b); /* keep products from growing */
      value[count++] = NODE(graph, op[kind], a, kind == 7 ? w : b);
    }
  }
  /* all parameters have influence: everything is added up */
  sum = NODE(graph, "Softmax", value[1]);
  for (int i = 2; i < count; i++) sum = NODE(graph, "Add", NODE(graph, "LogSoftmax", value[i]), sum);
  snprintf(what, sizeof(what), "random graph %d", number);
  compare(graph, sum, "graph", what);
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc, (void)argv;
  test_readers();
  for (int i = 0; i < 40; i++) random_graph(i);
  printf("the largest error of a result is %.2f tolerances, of a gradient %.2f\n", worst[0], worst[1]);
  return 0;
}

RT_TEST_MAIN(test)
