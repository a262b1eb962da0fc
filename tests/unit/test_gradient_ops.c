/* Every operator that can be trained through, in many shapes and settings: its result against a plain reference in
   double, its gradient against central finite differences of that reference. */
#include "gradient.h"

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

/* --- pieces and orders of elements -------------------------------------------------------------------------------- */

/* As it is, or squared, so that what reads it needs its elements in backward. */
static void compare_once(RtGraph *graph, int y, bool squared, const char *op, const char *what)
{
  compare(graph, squared ? NODE(graph, "Mul", y, y) : y, op, what);
}

static void test_transpose(void)
{
  static const int64_t perm[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {0, 2, 1, 3}, {2, 3, 0, 1}, {1, 3, 2, 0}};

  for (Source source = PARAMETER; source < SOURCES; source++)
    for (int squared = 0; squared < 2; squared++) {
      for (int p = -1; p < 5; p++) {
        RtGraph *graph = start(OPSET);
        int y = NODE(graph, "Transpose", operand(graph, source, SHAPE(2, 3, 4, 5)));

        if (p >= 0) rt_support_set_ints(graph, "perm", 4, perm[p]);
        compare_once(graph, y, squared, "Transpose", source_name[source]);
      }
      for (int n = 1; n <= 2; n++) {
        RtGraph *graph = start(OPSET);
        int y = NODE(graph, "Transpose", operand(graph, source, n, (int64_t[]){6, 1}));

        compare_once(graph, y, squared, "Transpose", "one or two axes");
      }
    }
}

/* Numbers known when the plan is made, or those of a run: normal numbers of the input, cut to whole ones. */
static int indices(RtGraph *graph, bool known, int ndim, int64_t length)
{
  int64_t dim[] = {3, 2}, number[6], size = 1;
  int id, y;

  for (int i = 0; i < ndim; i++) size *= dim[i];
  for (int i = 0; i < 6; i++) number[i] = rt_support_below((int)(2 * length)) - length; /* some twice */
  if (known) {
    char name[16];

    snprintf(name, sizeof(name), "v%d", graph->values);
    RT_MUST(rt_graph_add_value(graph, name, RT_VALUE_CONSTANT, RT_INT64, ndim, dim, number, &id));
    return id;
  }
  y = NODE(graph, "Cast", rt_support_input(graph, ndim, dim));
  rt_support_set_int(graph, "to", rt_support_below(2) ? 6 : 7);
  return y;
}

static void test_gather(void)
{
  for (Source source = PARAMETER; source < SOURCES; source++)
    for (int i = 0; i < 2 * 2 * 3 * 5; i++) {
      bool squared = i & 1, known = i >> 1 & 1;
      int ndim = i / 4 % 3, axis = i / 12 - 2;
      RtGraph *graph = start(OPSET);
      char what[96];
      int y;

      snprintf(what, sizeof(what), "axis %d, %d axes of indices, %s, %s", axis, ndim, known ? "known" : "given",
               source_name[source]);
      y = operand(graph, source, SHAPE(7, 8, 9));
      y = NODE(graph, "Gather", y, indices(graph, known, ndim, 7));
      rt_support_set_int(graph, "axis", axis);
      compare_once(graph, y, squared, "Gather", what);
    }
}

/* Pieces of several lengths along each axis; one tensor twice; one that has no gradient. */
static void test_concat(void)
{
  for (int axis = -3; axis < 3; axis++)
    for (int i = 0; i < 16; i++) {
      int64_t a[] = {2, 3, 4}, b[] = {2, 3, 4};
      RtGraph *graph = start(OPSET);
      int x, y, p, q;

      b[(axis + 3) % 3] = 1 + i % 2;
      x = operand(graph, i & 1 ? GIVEN : COMPUTED, 3, a);
      p = operand(graph, i & 2 ? PARAMETER : COMPUTED, 3, b);
      q = i & 4 ? x : operand(graph, PARAMETER, 3, a);
      y = NODE(graph, "Concat", x, p, q, p);
      rt_support_set_int(graph, "axis", axis);
      compare_once(graph, y, i & 8, "Concat", i & 4 ? "one twice" : "different ones");
    }
}

/* Equal and different lengths; all outputs are read, or some, or one twice. */
static void test_split(void)
{
  static const int64_t length[][3] = {{2, 2, 2}, {1, 3, 2}, {0, 6, 0}};

  for (Source source = PARAMETER; source < SOURCES; source++)
    for (int axis = -2; axis < 2; axis++)
      for (int i = 0; i < 4 * 4; i++) {
        RtGraph *graph = start(i / 4 == 3 ? 11 : OPSET);
        int x = operand(graph, source, SHAPE(6, 6)), read = i % 4, y;
        int in[2] = {x, i / 4 == 1 || i / 4 == 2 ? rt_support_sizes(graph, 3, length[i / 4]) : -1};
        char what[96];

        y = rt_support_nodes(graph, "Split", in[1] < 0 ? 1 : 2, in, 3);
        rt_support_set_int(graph, "axis", axis);
        if (i / 4 == 3) rt_support_set_ints(graph, "split", 3, length[0]);
        snprintf(what, sizeof(what), "axis %d, lengths %d, reading %d, %s", axis, i / 4, read, source_name[source]);
        if (read == 0) y = NODE(graph, "Concat", y + 2, y, y + 1, y);
        if (read == 0) rt_support_set_int(graph, "axis", axis);
        if (read == 1) y = NODE(graph, "Relu", y + 1); /* the others are read by nothing */
        if (read == 2) y = NODE(graph, "Mul", y + 1, y + 1);
        if (read == 3) {
          y = NODE(graph, "Concat", NODE(graph, "Mul", y + 1, y + 1), x, y);
          rt_support_set_int(graph, "axis", axis);
        }
        compare(graph, y, "Split", what);
      }
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
  test_transpose();
  test_gather();
  test_concat();
  test_split();
  test_every_operator();
  printf("the largest error of a result is %.2f tolerances, of a gradient %.2f\n", worst[0], worst[1]);
  return 0;
}

RT_TEST_MAIN(test)
