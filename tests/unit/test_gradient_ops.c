/* Every operator that can be trained through, in many shapes and settings: its result against a plain reference in
   double, its gradient against central finite differences of that reference. Each operator states its tolerance, which
   is relative to the largest number in the result or gradient. */
#include "reference.h"

static const struct {
  const char *op;
  double forward, backward;
} tolerance[] = {
    {"Gemm", 2e-6, 2e-6},       {"MatMul", 2e-6, 2e-6},   {"Add", 3e-7, 1e-6},     {"Sub", 3e-7, 1e-6},
    {"Mul", 3e-7, 1e-6},        {"Div", 3e-7, 2e-6},      {"Relu", 3e-7, 1e-6},    {"Softmax", 3e-7, 1e-6},
    {"LogSoftmax", 3e-7, 1e-6}, {"Flatten", 3e-7, 1e-6},  {"Reshape", 3e-7, 1e-6}, {"Squeeze", 3e-7, 1e-6},
    {"Unsqueeze", 3e-7, 1e-6},  {"Identity", 3e-7, 1e-6}, {"Cast", 3e-7, 1e-6},    {"graph", 5e-6, 5e-6},
};

enum { ROWS = sizeof(tolerance) / sizeof(*tolerance) };

enum { OPSET = 13, BATCH = 6 };

static bool compared[ROWS];
static int64_t parameters; /* of the graph that was compared last */
static double worst[2];    /* part of the tolerance that was used, for a look at how tight it is */

static RtGraph *start(int64_t opset)
{
  RtGraph *graph;

  RT_MUST(rt_graph_create(opset, &graph));
  return graph;
}

/* ROWS where it is in none. */
static int row_of(const char *op)
{
  int row = 0;

  while (row < ROWS && strcmp(tolerance[row].op, op)) row++;
  return row;
}

/* Make `output` the logits, and compare. The graph is destroyed. */
static void compare(RtGraph *graph, int output, const char *op, const char *what)
{
  double forward, backward;
  int row = row_of(op);

  RT_MUST(rt_graph_add_output(graph, output));
  if (!graph->inputs) (void)rt_support_input(graph, SHAPE(RT_BATCH, 1)); /* a model has one */
  RT_MUST(rt_graph_finish(graph));
  parameters = graph->parameters;
  forward = rt_reference_compare(graph, BATCH, RT_PRECISION_FP32, &backward) / tolerance[row].forward;
  backward /= tolerance[row].backward;
  RT_TEST_CHECK(forward <= 1, "%s, %s: result is off by %.1f tolerances", op, what, forward);
  RT_TEST_CHECK(backward <= 1, "%s, %s: gradient is off by %.1f tolerances", op, what, backward);
  compared[row] = true;
  worst[0] = fmax(worst[0], forward);
  worst[1] = fmax(worst[1], backward);
}

/* Where an operand comes from. */
typedef enum {
  GIVEN,     /* an input: has no gradient */
  PARAMETER, /* its gradient goes into the flat buffer */
  COMPUTED,  /* the sum of two parameters: its gradient lies in the slab */
  SOURCES
} Source;

static const char *const source_name[] = {"given", "parameter", "computed"};

static int operand_of(RtGraph *graph, Source source, int ndim, const int64_t *dim, const float *data)
{
  if (source == GIVEN) return rt_support_input(graph, ndim, dim);
  if (source == PARAMETER) return rt_support_value(graph, RT_VALUE_PARAMETER, ndim, dim, data);
  return NODE(graph, "Add", rt_support_value(graph, RT_VALUE_PARAMETER, ndim, dim, data),
              rt_support_value(graph, RT_VALUE_PARAMETER, ndim, dim, data));
}

static int operand(RtGraph *graph, Source source, int ndim, const int64_t *dim)
{
  return operand_of(graph, source, ndim, dim, NULL);
}

/* --- matrix products ---------------------------------------------------------------------------------------------- */

typedef struct {
  int64_t m, k, n;
  bool ta, tb, relu, plain; /* plain: alpha and beta are not set */
  float alpha, beta;
  int c; /* which shape of C; 0: none */
  Source a, b;
} Gemm;

static void gemm(const Gemm *q)
{
  const int64_t c_dim[][2] = {{0, 0}, {q->n}, {1, q->n}, {q->m, 1}, {q->m, q->n}, {1}, {0, 0}, {1, 1}};
  const int c_ndim[] = {0, 1, 2, 2, 2, 1, 0, 2};
  RtGraph *graph = start(OPSET);
  int a = operand(graph, q->a, 2, q->ta ? (int64_t[]){q->k, q->m} : (int64_t[]){q->m, q->k}), c = -1, y;
  int b = operand(graph, q->b, 2, q->tb ? (int64_t[]){q->n, q->k} : (int64_t[]){q->k, q->n});
  char what[160];

  snprintf(what, sizeof(what), "%lldx%lldx%lld%s%s %s %s C %d alpha %g beta %g%s", (long long)q->m, (long long)q->k,
           (long long)q->n, q->ta ? " transA" : "", q->tb ? " transB" : "", source_name[q->a], source_name[q->b], q->c,
           (double)q->alpha, (double)q->beta, q->relu ? " Relu" : "");
  if (q->c) c = rt_support_constant(graph, c_ndim[q->c], c_dim[q->c]);
  y = q->c ? NODE(graph, "Gemm", a, b, c) : NODE(graph, "Gemm", a, b);
  rt_support_set_int(graph, "transA", q->ta);
  rt_support_set_int(graph, "transB", q->tb);
  if (!q->plain) rt_support_set_float(graph, "alpha", q->alpha);
  if (!q->plain) rt_support_set_float(graph, "beta", q->beta);
  if (q->relu) y = NODE(graph, "Relu", y);
  compare(graph, y, "Gemm", what);
}

static void test_gemm(void)
{
  static const int64_t shape[][3] = {{4, 3, 5}, {1, 7, 1}, {17, 33, 9}, {6, 1, 1}, {1, 1, 20}};
  static const float factor[][2] = {{1, 1}, {0.5f, 1}, {1, -0.25f}, {-1.5f, 0}};
  int count = 0;

  for (int i = 0; i < 2 * 2 * SOURCES * 2 * 5; i++) {
    const int64_t *s = shape[i / 24];
    Gemm q = {.m = s[0], .k = s[1], .n = s[2], .ta = i & 1, .tb = i >> 1 & 1, .plain = true, .alpha = 1, .beta = 1};

    q.a = i / 4 % 3;
    q.b = i / 12 % 2 ? PARAMETER : COMPUTED;
    q.c = i % 2;
    gemm(&q);
  }
  for (int c = 0; c < 8; c++)
    for (int f = 0; f < 4; f++)
      for (int relu = 0; relu < 2; relu++, count++) {
        const int64_t *s = shape[count % 5];
        Gemm q = {.m = s[0], .k = s[1], .n = s[2], .alpha = factor[f][0], .beta = factor[f][1], .c = c, .relu = relu};

        q.ta = count / 5 % 2;
        q.tb = count / 3 % 2;
        q.a = count % 3;
        q.b = count % 2 ? PARAMETER : COMPUTED;
        if (q.c && q.beta == 0) q.beta = 0.125f; /* with 0, C has no influence that can be measured */
        gemm(&q);
      }
}

static void matmul(int ndim, const int64_t *a_dim, int b_ndim, const int64_t *b_dim, Source a, Source b)
{
  RtGraph *graph = start(OPSET);
  char what[96];

  snprintf(what, sizeof(what), "%d and %d dimensions, %s and %s", ndim, b_ndim, source_name[a], source_name[b]);
  compare(graph, NODE(graph, "MatMul", operand(graph, a, ndim, a_dim), operand(graph, b, b_ndim, b_dim)), "MatMul",
          what);
}

static void test_matmul(void)
{
  for (Source a = GIVEN; a < SOURCES; a++)
    for (Source b = PARAMETER; b < SOURCES; b++) {
      matmul(SHAPE(5, 7), SHAPE(7, 3), a, b);
      matmul(SHAPE(1, 1), SHAPE(1, 1), a, b);
      matmul(SHAPE(2, 5, 7), SHAPE(7, 3), a, b);
      matmul(SHAPE(3, 5, 4), SHAPE(3, 4, 2), a, b);
      matmul(SHAPE(2, 3, 5, 4), SHAPE(2, 3, 4, 6), a, b);
      matmul(SHAPE(1, 5, 4), SHAPE(1, 4, 2), a, b);
    }
}

/* A product with what follows it: the bias and the Relu that ride on it, and those that must not. */
static void fusion(const char *what, int ndim, const int64_t *a_dim, int b_ndim, const int64_t *b_dim, int c_ndim,
                   const int64_t *c_dim, Source bias, bool swapped, bool relu, bool second)
{
  RtGraph *graph = start(OPSET);
  int a = operand(graph, GIVEN, ndim, a_dim), b = operand(graph, PARAMETER, b_ndim, b_dim);
  int product = NODE(graph, "MatMul", a, b), c = operand(graph, bias, c_ndim, c_dim), y;

  y = swapped ? NODE(graph, "Add", c, product) : NODE(graph, "Add", product, c);
  if (relu) y = NODE(graph, "Relu", y);
  if (second) y = NODE(graph, "Add", y, product); /* the product itself is read once more */
  compare(graph, y, "MatMul", what);
}

static void test_fusion(void)
{
  for (int i = 0; i < 8; i++) {
    bool swapped = i & 1, relu = i & 2, second = i & 4;

    fusion("bias", SHAPE(6, 5), SHAPE(5, 4), SHAPE(4), PARAMETER, swapped, relu, second);
    fusion("bias of two dimensions", SHAPE(6, 5), SHAPE(5, 4), SHAPE(1, 4), PARAMETER, swapped, relu, second);
    fusion("bias of three dimensions", SHAPE(6, 5), SHAPE(5, 4), SHAPE(1, 1, 4), PARAMETER, swapped, relu, second);
    fusion("bias of one number", SHAPE(6, 5), SHAPE(5, 4), SHAPE(1), PARAMETER, swapped, relu, second);
    fusion("bias for one unit", SHAPE(6, 5), SHAPE(5, 1), SHAPE(1), PARAMETER, swapped, relu, second);
    fusion("computed bias", SHAPE(6, 5), SHAPE(5, 4), SHAPE(4), COMPUTED, swapped, relu, second);
    fusion("bias a row", SHAPE(6, 5), SHAPE(5, 4), SHAPE(6, 1), PARAMETER, swapped, relu, second);
    fusion("bias of a sequence", SHAPE(2, 3, 5), SHAPE(5, 4), SHAPE(4), PARAMETER, swapped, relu, second);
    fusion("bias of batched products", SHAPE(3, 2, 5), SHAPE(3, 5, 4), SHAPE(4), PARAMETER, swapped, relu, second);
  }
}

/* A Gemm without C whose beta must not reach the bias that follows. */
static void test_fused_gemm(void)
{
  RtGraph *graph = start(OPSET);
  int x = rt_support_input(graph, SHAPE(RT_BATCH, 5)),
      y = NODE(graph, "Gemm", x, rt_support_constant(graph, SHAPE(5, 4)));

  rt_support_set_float(graph, "alpha", 0.5f);
  rt_support_set_float(graph, "beta", 0.25f);
  y = NODE(graph, "Relu", NODE(graph, "Add", y, rt_support_constant(graph, SHAPE(4))));
  compare(graph, y, "Gemm", "beta without C, and a bias that follows");
}

/* --- element by element ------------------------------------------------------------------------------------------- */

static int positive(RtGraph *graph, Source source, int ndim, const int64_t *dim)
{
  float data[512];

  rt_support_normal(512, data);
  for (int i = 0; i < 512; i++) data[i] = 0.5f + fabsf(data[i]);
  return operand_of(graph, source, ndim, dim, data);
}

static void stretched(int ndim, const int64_t *a_dim, int b_ndim, const int64_t *b_dim)
{
  static const char *const op[] = {"Add", "Sub", "Mul", "Div"};
  char what[96];

  for (int o = 0; o < 4; o++)
    for (int sources = 0; sources < SOURCES * SOURCES; sources++) {
      Source a = sources % SOURCES, b = sources / SOURCES;
      RtGraph *graph;

      /* inputs have all dimensions fixed here; an input that is divided by may come near 0 */
      if ((a == GIVEN && b == GIVEN) || (o == 3 && b == GIVEN)) continue;
      graph = start(OPSET);
      snprintf(what, sizeof(what), "%d and %d dimensions, %s and %s", ndim, b_ndim, source_name[a], source_name[b]);
      compare(graph, NODE(graph, op[o], operand(graph, a, ndim, a_dim), positive(graph, b, b_ndim, b_dim)), op[o],
              what);
    }
}

static void test_elementwise(void)
{
  stretched(SHAPE(4, 5), SHAPE(4, 5));
  stretched(SHAPE(4, 5), SHAPE(5));
  stretched(SHAPE(5), SHAPE(4, 5));
  stretched(SHAPE(4, 1), SHAPE(1, 5));
  stretched(SHAPE(1, 5), SHAPE(4, 1));
  stretched(SHAPE(4, 5), SHAPE(1));
  stretched(SHAPE(1), SHAPE(4, 5));
  stretched(SHAPE(1, 1), SHAPE(1));
  stretched(SHAPE(2, 3, 4), SHAPE(3, 1));
  stretched(SHAPE(2, 1, 4), SHAPE(1, 3, 1));
  stretched(SHAPE(2, 3, 4), SHAPE(4));
  stretched(SHAPE(2, 3, 4, 5), SHAPE(3, 1, 5));
  stretched(SHAPE(2, 3, 1, 5), SHAPE(2, 1, 4, 1));
  stretched(0, NULL, SHAPE(3, 2));
  stretched(SHAPE(3, 2), 0, NULL);
}

static void test_relu(void)
{
  for (Source a = PARAMETER; a < SOURCES; a++) {
    RtGraph *graph = start(OPSET);

    compare(graph, NODE(graph, "Relu", operand(graph, a, SHAPE(3, 7, 2))), "Relu", source_name[a]);
    graph = start(OPSET);
    compare(graph, NODE(graph, "Relu", NODE(graph, "Relu", operand(graph, a, SHAPE(40)))), "Relu", "twice");
  }
}

static void softmax(const char *op, int64_t opset, int ndim, const int64_t *dim, int axis, Source source)
{
  RtGraph *graph = start(opset);
  int y = NODE(graph, op, operand(graph, source, ndim, dim));
  char what[96];

  snprintf(what, sizeof(what), "opset %d, axis %d of %d", (int)opset, axis, ndim);
  if (axis != ndim) rt_support_set_int(graph, "axis", axis);        /* otherwise absent */
  y = NODE(graph, "Mul", y, rt_support_constant(graph, ndim, dim)); /* the last Softmax is left out of training */
  compare(graph, y, op, what);
}

static void test_softmax(void)
{
  static const int64_t opset[] = {7, 11, 13};

  for (int o = 0; o < 3; o++)
    for (int l = 0; l < 2; l++)
      for (int axis = -3; axis <= 3; axis++) {
        const char *op = l ? "LogSoftmax" : "Softmax";

        softmax(op, opset[o], SHAPE(3, 4, 5), axis, axis % 2 ? PARAMETER : COMPUTED);
        if (axis >= -2 && axis <= 2) softmax(op, opset[o], SHAPE(6, 1), axis, COMPUTED);
      }
}

/* --- other names for the same elements ---------------------------------------------------------------------------- */

static void test_shapes(void)
{
  static const char *const op[] = {"Reshape", "Reshape", "Squeeze", "Squeeze", "Unsqueeze", "Unsqueeze"};
  static const int64_t number[][4] = {{0, -1}, {4, 3, 2}, {1}, {-3, 3}, {0, 2}, {-1}};
  static const int count[] = {2, 3, 1, 2, 2, 1};

  for (Source source = PARAMETER; source < SOURCES; source++) {
    for (int axis = -4; axis <= 4; axis++) {
      RtGraph *graph = start(OPSET);
      int y = NODE(graph, "Flatten", operand(graph, source, SHAPE(2, 3, 2, 2)));

      rt_support_set_int(graph, "axis", axis);
      compare(graph, NODE(graph, "Relu", y), "Flatten", "then Relu");
    }
    for (int cast = 0; cast < 2; cast++) {
      const char *renames = cast ? "Cast" : "Identity";
      RtGraph *graph = start(OPSET);
      int y = NODE(graph, renames, operand(graph, source, SHAPE(3, 5)));

      if (cast) rt_support_set_int(graph, "to", 1); /* FLOAT */
      compare(graph, NODE(graph, "Mul", y, y), renames, "then squared");
    }
    for (int i = 0; i < 6; i++)
      for (int last = 0; last < 2; last++) {
        RtGraph *graph = start(OPSET);
        int y = NODE(graph, op[i], operand(graph, source, SHAPE(2, 1, 12, 1)),
                     rt_support_sizes(graph, count[i], number[i]));

        if (!last) y = NODE(graph, "Mul", y, y);
        if (!last || source == COMPUTED) /* a parameter itself cannot be the result */
          compare(graph, y, op[i], last ? "as the last node" : "then squared");
        else
          RT_MUST(rt_graph_destroy(&graph));
      }
  }
}

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

/* Sizes have no gradient; Dropout, which is random, is tested in test_gradient_dropout.c. */
static void test_every_operator(void)
{
  const RtOp *op;

  for (int i = 0; (op = rt_registry_at(i)); i++) {
    int row = row_of(op->type);

    if (!op->host && strcmp(op->type, "Dropout"))
      RT_TEST_CHECK(row < ROWS && compared[row], "the operator %s has no case here", op->type);
  }
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_gemm();
  test_matmul();
  test_fusion();
  test_fused_gemm();
  test_elementwise();
  test_relu();
  test_softmax();
  test_shapes();
  test_readers();
  for (int i = 0; i < 40; i++) random_graph(i);
  test_every_operator();
  printf("the largest error of a result is %.2f tolerances, of a gradient %.2f\n", worst[0], worst[1]);
  return 0;
}

RT_TEST_MAIN(test)
