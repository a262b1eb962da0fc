/* A plain reference: runs a finished graph in double, one element at a time, and takes gradients by central finite
   differences. It shares no code with src/ops and src/graph/bound.c. Dropout is not run here. */
#ifndef RT_REFERENCE_H
#define RT_REFERENCE_H

#include "support.h"

#include "graph/parts.h"

#include <retort/operator.h>

#include <math.h>

typedef struct {
  int ndim;
  int64_t dim[RT_MAX_DIM], size;
  double *x; /* NULL: not computed yet */
} RtReferenceValue;

typedef struct {
  const RtGraph *graph;
  RtReferenceValue *value; /* [graph->values] */
} RtReference;

static void rt_reference_shape(RtReferenceValue *v, int ndim, const int64_t *dim)
{
  v->ndim = ndim;
  v->size = 1;
  for (int i = 0; i < ndim; i++) {
    v->dim[i] = dim[i];
    v->size *= dim[i];
  }
  if (!v->x) v->x = calloc((size_t)v->size + 1, sizeof(double));
}

/* Element of `from` that stands under element i of `to` when shapes are aligned to the right. */
static int64_t rt_reference_under(const RtReferenceValue *from, const RtReferenceValue *to, int64_t i)
{
  int64_t at = 0, step = 1;

  for (int d = to->ndim - 1, f = from->ndim - 1; f >= 0; d--, f--) {
    at += from->dim[f] == 1 ? 0 : i % to->dim[d] * step;
    step *= from->dim[f];
    i /= to->dim[d];
  }
  return at;
}

static void rt_reference_broadcast(const RtReferenceValue *a, const RtReferenceValue *b, RtReferenceValue *y, char op)
{
  int64_t dim[RT_MAX_DIM];
  int ndim = a->ndim > b->ndim ? a->ndim : b->ndim;

  for (int i = 0; i < ndim; i++) {
    int ia = i - (ndim - a->ndim), ib = i - (ndim - b->ndim);
    int64_t p = ia < 0 ? 1 : a->dim[ia], q = ib < 0 ? 1 : b->dim[ib];

    dim[i] = p == 1 ? q : p;
  }
  rt_reference_shape(y, ndim, dim);
  for (int64_t i = 0; i < y->size; i++) {
    double p = a->x[rt_reference_under(a, y, i)], q = b->x[rt_reference_under(b, y, i)];

    y->x[i] = op == 'A' ? p + q : op == 'S' ? p - q : op == 'M' ? p * q : p / q;
  }
}

static void rt_reference_gemm(const RtNode *node, const RtReferenceValue *a, const RtReferenceValue *b,
                              const RtReferenceValue *c, RtReferenceValue *y)
{
  bool ta = rt_graph_attribute_int(node, "transA", 0), tb = rt_graph_attribute_int(node, "transB", 0);
  double alpha = rt_graph_attribute_float(node, "alpha", 1), beta = rt_graph_attribute_float(node, "beta", 1);
  int64_t m = a->dim[ta], k = a->dim[!ta], n = b->dim[!tb];

  rt_reference_shape(y, 2, (int64_t[]){m, n});
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;

      for (int64_t p = 0; p < k; p++) sum += a->x[ta ? p * m + i : i * k + p] * b->x[tb ? j * k + p : p * n + j];
      y->x[i * n + j] = alpha * sum + (c ? beta * c->x[rt_reference_under(c, y, i * n + j)] : 0);
    }
}

static void rt_reference_matmul(const RtReferenceValue *a, const RtReferenceValue *b, RtReferenceValue *y)
{
  int64_t dim[RT_MAX_DIM], m = a->dim[a->ndim - 2], k = a->dim[a->ndim - 1], n = b->dim[b->ndim - 1];

  memcpy(dim, a->dim, sizeof(dim));
  dim[a->ndim - 1] = n;
  rt_reference_shape(y, a->ndim, dim);
  for (int64_t batch = 0; batch < a->size / (m * k); batch++) {
    const double *pa = a->x + batch * m * k, *pb = b->x + (b->ndim == 2 ? 0 : batch * k * n);

    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double sum = 0;

        for (int64_t p = 0; p < k; p++) sum += pa[i * k + p] * pb[p * n + j];
        y->x[batch * m * n + i * n + j] = sum;
      }
  }
}

static void rt_reference_softmax(const RtNode *node, int64_t opset, bool logarithm, const RtReferenceValue *x,
                                 RtReferenceValue *y)
{
  int64_t axis = rt_graph_attribute_int(node, "axis", opset < 13 ? 1 : -1), outer = 1, count = 1, inner = 1;

  if (axis < 0) axis += x->ndim;
  rt_reference_shape(y, x->ndim, x->dim);
  for (int i = 0; i < x->ndim; i++) *(i < axis ? &outer : i == axis || opset < 13 ? &count : &inner) *= x->dim[i];
  for (int64_t o = 0; o < outer; o++)
    for (int64_t in = 0; in < inner; in++) {
      const double *from = x->x + o * count * inner + in;
      double *to = y->x + o * count * inner + in, sum = 0;

      for (int64_t c = 0; c < count; c++) sum += exp(from[c * inner]);
      for (int64_t c = 0; c < count; c++) {
        double p = exp(from[c * inner]) / sum;

        to[c * inner] = logarithm ? log(p) : p;
      }
    }
}

/* The same elements in another shape. */
static void rt_reference_rename(const RtReference *r, const RtNode *node, const RtReferenceValue *x,
                                RtReferenceValue *y)
{
  const RtValue *sizes = node->inputs > 1 ? &r->graph->value[node->input[1]] : NULL;
  const int64_t *number = sizes ? sizes->data : NULL;
  int64_t dim[RT_MAX_DIM] = {1, 1}, axis = rt_graph_attribute_int(node, "axis", 1), known = 1;
  int ndim = 2, from = 0;

  switch (node->op->type[0]) {
  case 'F':
    for (int i = 0; i < x->ndim; i++) dim[i >= (axis < 0 ? axis + x->ndim : axis)] *= x->dim[i];
    break;
  case 'R':
    ndim = (int)sizes->size;
    for (int i = 0; i < ndim; i++) dim[i] = number[i] == 0 ? x->dim[i] : number[i];
    for (int i = 0; i < ndim; i++) known *= dim[i] == -1 ? 1 : dim[i];
    for (int i = 0; i < ndim; i++) dim[i] = dim[i] == -1 ? x->size / known : dim[i];
    break;
  case 'S':
  case 'U':
    ndim = x->ndim + (int)sizes->size * (node->op->type[0] == 'U' ? 1 : -1);
    for (int i = 0, out = 0; i < PetscMax(ndim, x->ndim); i++) {
      bool named = false;

      for (int64_t k = 0; k < sizes->size; k++)
        named = named || i == (number[k] < 0 ? number[k] + PetscMax(ndim, x->ndim) : number[k]);
      if (node->op->type[0] == 'U')
        dim[i] = named ? 1 : x->dim[from++];
      else if (!named)
        dim[out++] = x->dim[i];
    }
    break;
  default:
    ndim = x->ndim;
    memcpy(dim, x->dim, sizeof(dim));
  }
  rt_reference_shape(y, ndim, dim);
  memcpy(y->x, x->x, (size_t)x->size * sizeof(double));
}

/* Element i of a shape as indices, and back. */
static void rt_reference_index(const RtReferenceValue *v, int64_t i, int64_t *index)
{
  for (int d = v->ndim - 1; d >= 0; i /= v->dim[d--]) index[d] = i % v->dim[d];
}

static int64_t rt_reference_at(const RtReferenceValue *v, const int64_t *index)
{
  int64_t at = 0;

  for (int d = 0; d < v->ndim; d++) at = at * v->dim[d] + index[d];
  return at;
}

static void rt_reference_transpose(const RtNode *node, const RtReferenceValue *x, RtReferenceValue *y)
{
  const RtAttribute *perm = rt_graph_attribute(node, "perm");
  int64_t dim[RT_MAX_DIM], to[RT_MAX_DIM], from[RT_MAX_DIM];

  for (int d = 0; d < x->ndim; d++) dim[d] = x->dim[perm ? perm->ints[d] : x->ndim - 1 - d];
  rt_reference_shape(y, x->ndim, dim);
  for (int64_t i = 0; i < y->size; i++) {
    rt_reference_index(y, i, to);
    for (int d = 0; d < x->ndim; d++) from[perm ? perm->ints[d] : x->ndim - 1 - d] = to[d];
    y->x[i] = x->x[rt_reference_at(x, from)];
  }
}

/* Rows of x; the indices are constants, or numbers cut to whole ones. */
static void rt_reference_gather(const RtReference *r, const RtNode *node, const RtReferenceValue *x,
                                RtReferenceValue *y)
{
  const RtValue *v = &r->graph->value[node->input[1]];
  const RtReferenceValue *given = &r->value[node->input[1]];
  bool known = v->kind == RT_VALUE_CONSTANT;
  int64_t dim[RT_MAX_DIM], to[RT_MAX_DIM], from[RT_MAX_DIM], axis = rt_graph_attribute_int(node, "axis", 0);
  int inner = known ? v->ndim : given->ndim, ndim = 0;

  if (axis < 0) axis += x->ndim;
  for (int d = 0; d < axis; d++) dim[ndim++] = x->dim[d];
  for (int d = 0; d < inner; d++) dim[ndim++] = known ? v->dim[d] : given->dim[d];
  for (int d = (int)axis + 1; d < x->ndim; d++) dim[ndim++] = x->dim[d];
  rt_reference_shape(y, ndim, dim);
  for (int64_t i = 0; i < y->size; i++) {
    int64_t at = 0, k;

    rt_reference_index(y, i, to);
    for (int d = 0; d < inner; d++) at = at * dim[axis + d] + to[axis + d];
    k = known ? ((const int64_t *)v->data)[at] : (int64_t)given->x[at];
    for (int d = 0; d < x->ndim; d++)
      from[d] = d < axis ? to[d] : d == axis ? (k < 0 ? k + x->dim[d] : k) : to[d + inner - 1];
    y->x[i] = x->x[rt_reference_at(x, from)];
  }
}

/* Concat and Split: the pieces are the inputs, or the outputs, of which `length` are given or all equal. */
static void rt_reference_pieces(const RtReference *r, const RtNode *node)
{
  bool split = node->op->type[0] == 'S';
  const RtValue *sizes = split && node->inputs > 1 ? &r->graph->value[node->input[1]] : NULL;
  RtReferenceValue *whole = &r->value[split ? node->input[0] : node->output[0]];
  const RtReferenceValue *like = &r->value[node->input[0]];
  int count = split ? node->outputs : node->inputs;
  int64_t dim[RT_MAX_DIM], index[RT_MAX_DIM], axis = rt_graph_attribute_int(node, "axis", 0), at = 0;

  if (axis < 0) axis += like->ndim;
  memcpy(dim, like->dim, sizeof(dim));
  if (!split) {
    dim[axis] = 0;
    for (int k = 0; k < count; k++) dim[axis] += r->value[node->input[k]].dim[axis];
    rt_reference_shape(whole, like->ndim, dim);
  }
  for (int k = 0; k < count; k++) {
    RtReferenceValue *piece = &r->value[split ? node->output[k] : node->input[k]];

    if (split) {
      dim[axis] = sizes ? ((const int64_t *)sizes->data)[k] : whole->dim[axis] / count;
      rt_reference_shape(piece, whole->ndim, dim);
    }
    for (int64_t i = 0; i < piece->size; i++) {
      double *a;

      rt_reference_index(piece, i, index);
      index[axis] += at;
      a = &whole->x[rt_reference_at(whole, index)];
      *(split ? &piece->x[i] : a) = split ? *a : piece->x[i];
    }
    at += piece->dim[axis];
  }
}

static void rt_reference_node(const RtReference *r, const RtNode *node)
{
  const char *type = node->op->type;
  const RtReferenceValue *in[3] = {NULL, NULL, NULL};
  RtReferenceValue *y = &r->value[node->output[0]];

  for (int i = 0; i < node->inputs && i < 3; i++) in[i] = node->input[i] < 0 ? NULL : &r->value[node->input[i]];
  if (!strcmp(type, "Gemm")) {
    rt_reference_gemm(node, in[0], in[1], in[2], y);
  } else if (!strcmp(type, "MatMul")) {
    rt_reference_matmul(in[0], in[1], y);
  } else if (!strcmp(type, "Add") || !strcmp(type, "Sub") || !strcmp(type, "Mul") || !strcmp(type, "Div")) {
    rt_reference_broadcast(in[0], in[1], y, type[0]);
  } else if (!strcmp(type, "Relu")) {
    rt_reference_shape(y, in[0]->ndim, in[0]->dim);
    for (int64_t i = 0; i < y->size; i++) y->x[i] = in[0]->x[i] > 0 ? in[0]->x[i] : 0;
  } else if (!strcmp(type, "Softmax") || !strcmp(type, "LogSoftmax")) {
    rt_reference_softmax(node, r->graph->opset, type[0] == 'L', in[0], y);
  } else if (!strcmp(type, "Transpose")) {
    rt_reference_transpose(node, in[0], y);
  } else if (!strcmp(type, "Gather")) {
    rt_reference_gather(r, node, in[0], y);
  } else if (!strcmp(type, "Concat") || !strcmp(type, "Split")) {
    rt_reference_pieces(r, node);
  } else {
    rt_reference_rename(r, node, in[0], y);
  }
}

/* Give inputs, parameters and constants their elements. input: [graph->inputs] one array each. */
static void rt_reference_create(const RtGraph *graph, int64_t batch, float *const *input, RtReference *r)
{
  r->graph = graph;
  r->value = calloc((size_t)graph->values, sizeof(*r->value));
  for (int id = 0, number = 0; id < graph->values; id++) {
    const RtValue *value = &graph->value[id];
    const float *from = value->kind == RT_VALUE_INPUT       ? input[number++]
                        : value->kind == RT_VALUE_PARAMETER ? graph->parameter + value->offset
                                                            : value->data;
    int64_t dim[RT_MAX_DIM];

    if (value->kind == RT_VALUE_RESULT || value->type != RT_FLOAT) continue;
    for (int i = 0; i < value->ndim; i++) dim[i] = value->dim[i] == RT_BATCH ? batch : value->dim[i];
    rt_reference_shape(&r->value[id], value->ndim, dim);
    for (int64_t i = 0; i < r->value[id].size; i++) r->value[id].x[i] = from[i];
  }
}

static void rt_reference_destroy(RtReference *r)
{
  for (int i = 0; i < r->graph->values; i++) free(r->value[i].x);
  free(r->value);
}

/* Runs all nodes; returns the logits. */
static const RtReferenceValue *rt_reference_run(const RtReference *r)
{
  for (int i = 0; i < r->graph->nodes; i++) rt_reference_node(r, &r->graph->node[i]);
  return &r->value[rt_tap_logits(r->graph)];
}

static double rt_reference_scalar(const RtReference *r, const float *c)
{
  const RtReferenceValue *y = rt_reference_run(r);
  double sum = 0;

  for (int64_t i = 0; i < y->size; i++) sum += c[i] * y->x[i];
  return sum;
}

/* d sum(c logits) / d parameter, by central differences, into gradient: [graph->flat]. */
static void rt_reference_gradient(const RtReference *r, const float *c, double *gradient)
{
  const double h = 1e-6;

  memset(gradient, 0, (size_t)r->graph->flat * sizeof(double));
  for (int id = 0; id < r->graph->values; id++) {
    const RtValue *value = &r->graph->value[id];

    if (value->kind != RT_VALUE_PARAMETER) continue;
    for (int64_t i = 0; i < value->size; i++) {
      double *x = &r->value[id].x[i], keep = *x, above;

      *x = keep + h;
      above = rt_reference_scalar(r, c);
      *x = keep - h;
      gradient[value->offset + i] = (above - rt_reference_scalar(r, c)) / (2 * h);
      *x = keep;
    }
  }
  (void)rt_reference_run(r);
}

/* Run a finished graph by the library and by the reference; returns the largest difference of the logits, and in
 *derived that of the gradient, each relative to the largest number there is (at least 1). The graph is destroyed. */
__attribute__((unused)) static double rt_reference_compare(RtGraph *graph, int64_t batch, RtPrecision precision,
                                                           double *derived)
{
  RtPlanParams params = {.batch = batch, .training = true, .precision = precision};
  RtPlan *plan;
  RtWork *work;
  RtReference r;
  const RtReferenceValue *y;
  float *input[8] = {NULL}, *gradient, *c;
  double *wanted, worst = 0, most = 1, dworst = 0, dmost = 1;
  int64_t shape[RT_MAX_DIM];

  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_plan_set_parameters(plan, graph->parameter));
  RT_MUST(rt_work_create(plan, &work));
  for (int k = 0; k < graph->inputs; k++) {
    int64_t size = 1, dim[RT_MAX_DIM];
    int ndim = rt_plan_shape(plan, graph->input[k], dim);

    for (int i = 0; i < ndim; i++) size *= dim[i];
    input[k] = malloc((size_t)(size + 1) * sizeof(float));
    rt_support_normal(size, input[k]);
    memcpy(rt_work_input(work, k), input[k], (size_t)size * sizeof(float));
  }
  rt_reference_create(graph, batch, input, &r);
  y = rt_reference_run(&r);
  if (rt_plan_shape(plan, rt_tap_logits(graph), shape) != y->ndim ||
      memcmp(shape, y->dim, (size_t)y->ndim * sizeof(*shape)))
    worst = INFINITY;
  c = malloc((size_t)y->size * sizeof(float));
  gradient = malloc((size_t)graph->flat * sizeof(float));
  wanted = malloc((size_t)graph->flat * sizeof(double));
  rt_support_normal(y->size, c);
  /* what was there before must not matter; padding stays */
  for (int64_t i = 0; i < graph->flat; i++) gradient[i] = 1e30f;
  RT_MUST(rt_plan_forward(plan, work));
  for (int64_t i = 0; i < y->size; i++) {
    double difference = fabs(((const float *)rt_work_tap(work, 0))[i] - y->x[i]);

    if (!(difference <= worst)) worst = isnan(difference) ? INFINITY : difference;
    most = fmax(most, fabs(y->x[i]));
  }
  memcpy(rt_work_dtap(work, 0), c, (size_t)y->size * sizeof(float));
  RT_MUST(rt_plan_backward(plan, work, gradient));
  rt_reference_gradient(&r, c, wanted);
  for (int id = 0; id < graph->values; id++) {
    const RtValue *value = &graph->value[id];

    if (value->kind != RT_VALUE_PARAMETER) continue;
    for (int64_t i = value->offset; i < value->offset + value->size; i++) {
      double difference = fabs(gradient[i] - wanted[i]);

      if (!(difference <= dworst)) dworst = isnan(difference) ? INFINITY : difference;
      dmost = fmax(dmost, fabs(wanted[i]));
    }
    for (int64_t i = value->offset + value->size; i % 16; i++)
      if (gradient[i] != 1e30f) dworst = INFINITY;
  }
  rt_reference_destroy(&r);
  for (int k = 0; k < graph->inputs; k++) free(input[k]);
  free(c);
  free(gradient);
  free(wanted);
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
  *derived = dworst / dmost;
  return worst / most;
}

#endif
