/* Writing a graph and reading it again gives the same graph and the same bytes. What others make of the files is tested
   in tests/conformance. */
#include "core/file.h"
#include "core/hash.h"
#include "model/onnx_writer.h"
#include "ops/registry.h"
#include "test.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum { IN = 6, HIDDEN = 300, OUT = 5 };

static PetscErrorCode add_weights(RtGraph *graph, const char *name, RtValueKind kind, int ndim, const int64_t dim[],
                                  int *id)
{
  float *data;
  int64_t size = 1;

  PetscFunctionBegin;
  for (int i = 0; i < ndim; i++) size *= dim[i];
  PetscCall(PetscMalloc1(size, &data));
  for (int64_t i = 0; i < size; i++) data[i] = sinf((float)(i + ndim));
  PetscCall(rt_graph_add_value(graph, name, kind, RT_FLOAT, ndim, dim, data, id));
  PetscCall(PetscFree(data));
  PetscFunctionReturn(0);
}

/* y = Gemm(Relu(Flatten(x) W0), W1, b) and z = Dropout(y, -, a truth value), with every kind of attribute that
   operators have: whole numbers, floats, lists (of Unsqueeze and Squeeze between the two products). */
static PetscErrorCode make_graph(RtGraph **out)
{
  const int64_t x_dim[] = {RT_BATCH, 2, 3}, w0_dim[] = {IN, HIDDEN}, w1_dim[] = {OUT, HIDDEN}, b_dim[] = {OUT};
  const int64_t two[] = {0, -1};
  const uint8_t no = 0;
  int x, w0, w1, b, flag, flat, h, r, wide, thin, y, z, node;
  RtGraph *graph;

  PetscFunctionBegin;
  PetscCall(rt_graph_create(12, &graph));
  PetscCall(rt_graph_add_value(graph, "x", RT_VALUE_INPUT, RT_FLOAT, 3, x_dim, NULL, &x));
  PetscCall(add_weights(graph, "w0", RT_VALUE_PARAMETER, 2, w0_dim, &w0));
  PetscCall(add_weights(graph, "w1", RT_VALUE_PARAMETER, 2, w1_dim, &w1));
  PetscCall(add_weights(graph, "b", RT_VALUE_PARAMETER, 1, b_dim, &b));
  PetscCall(rt_graph_add_value(graph, "flag", RT_VALUE_CONSTANT, RT_UINT8, 0, NULL, &no, &flag));
  PetscCall(rt_graph_add_value(graph, "flat", RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &flat));
  PetscCall(rt_graph_add_value(graph, "h", RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &h));
  PetscCall(rt_graph_add_value(graph, "r", RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &r));
  PetscCall(rt_graph_add_value(graph, "wide", RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &wide));
  PetscCall(rt_graph_add_value(graph, "thin", RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &thin));
  PetscCall(rt_graph_add_value(graph, "y", RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &y));
  PetscCall(rt_graph_add_value(graph, "z", RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &z));
  PetscCall(rt_graph_add_node(graph, rt_registry_find("Flatten"), "", 1, &x, 1, &flat, &node));
  PetscCall(rt_graph_set_int(graph, node, "axis", 1));
  PetscCall(rt_graph_add_node(graph, rt_registry_find("MatMul"), "first", 2, (int[]){flat, w0}, 1, &h, &node));
  PetscCall(rt_graph_add_node(graph, rt_registry_find("Relu"), "", 1, &h, 1, &r, &node));
  PetscCall(rt_graph_add_node(graph, rt_registry_find("Unsqueeze"), "", 1, &r, 1, &wide, &node));
  PetscCall(rt_graph_set_ints(graph, node, "axes", 2, two));
  PetscCall(rt_graph_add_node(graph, rt_registry_find("Squeeze"), "", 1, &wide, 1, &thin, &node));
  PetscCall(rt_graph_set_ints(graph, node, "axes", 2, two));
  PetscCall(rt_graph_add_node(graph, rt_registry_find("Gemm"), "second", 3, (int[]){thin, w1, b}, 1, &y, &node));
  PetscCall(rt_graph_set_int(graph, node, "transB", 1));
  PetscCall(rt_graph_set_float(graph, node, "alpha", 0.1f));
  PetscCall(rt_graph_add_node(graph, rt_registry_find("Dropout"), "third", 3, (int[]){y, -1, flag}, 2, (int[]){z, -1},
                              &node));
  PetscCall(rt_graph_set_int(graph, node, "seed", 7));
  PetscCall(rt_graph_add_output(graph, y));
  PetscCall(rt_graph_add_output(graph, z));
  PetscCall(rt_graph_set_metadata(graph, "job", "two\nlines"));
  PetscCall(rt_graph_set_metadata(graph, "empty", ""));
  PetscCall(rt_graph_finish(graph));
  *out = graph;
  PetscFunctionReturn(0);
}

/* The value of the same name, with the same content. */
static void same_value(const RtGraph *a, int id_a, const RtGraph *b, int id_b)
{
  const RtValue *p = id_a < 0 ? NULL : &a->value[id_a], *q = id_b < 0 ? NULL : &b->value[id_b];
  const void *data_p, *data_q;

  RT_TEST_CHECK((p == NULL) == (q == NULL), "left out in one graph only");
  if (!p || !q) return;
  RT_TEST_CHECK(!strcmp(p->name, q->name), "%s is %s", p->name, q->name);
  RT_TEST_CHECK(p->kind == q->kind && p->type == q->type && p->ndim == q->ndim && p->size == q->size, "%s", p->name);
  for (int i = 0; i < p->ndim; i++) RT_TEST_CHECK(p->dim[i] == q->dim[i], "%s axis %d", p->name, i);
  if (p->kind != RT_VALUE_PARAMETER && p->kind != RT_VALUE_CONSTANT) return;
  data_p = p->kind == RT_VALUE_PARAMETER ? a->parameter + p->offset : p->data;
  data_q = q->kind == RT_VALUE_PARAMETER ? b->parameter + q->offset : q->data;
  RT_TEST_CHECK(!memcmp(data_p, data_q, (size_t)p->size * rt_types_size(p->type)), "the elements of %s", p->name);
}

static void same_attribute(const RtAttribute *p, const RtNode *node)
{
  const RtAttribute *q = rt_graph_attribute(node, p->name);

  RT_TEST_CHECK(q && p->kind == q->kind, "the attribute %s", p->name);
  if (!q || p->kind != q->kind) return;
  RT_TEST_CHECK(p->i == q->i && p->f == q->f && p->count == q->count, "the attribute %s", p->name);
  RT_TEST_CHECK(p->kind != RT_ATTRIBUTE_STRING || !strcmp(p->s, q->s), "the attribute %s", p->name);
  for (int i = 0; i < p->count && i < q->count; i++)
    RT_TEST_CHECK(p->ints[i] == q->ints[i], "the attribute %s, number %d", p->name, i);
}

static void same_graph(const RtGraph *a, const RtGraph *b)
{
  RT_TEST_CHECK(a->nodes == b->nodes && a->inputs == b->inputs && a->outputs == b->outputs, "counts differ");
  RT_TEST_CHECK(a->opset == b->opset && a->parameters == b->parameters && a->flat == b->flat, "sizes differ");
  RT_TEST_CHECK(a->metadatas == b->metadatas, "%d and %d metadata", a->metadatas, b->metadatas);
  for (int n = 0; n < a->nodes && n < b->nodes; n++) {
    const RtNode *p = &a->node[n], *q = &b->node[n];

    RT_TEST_CHECK(p->op == q->op && !strcmp(p->name, q->name), "node %d: '%s' is '%s'", n, p->name, q->name);
    RT_TEST_CHECK(p->inputs == q->inputs && p->outputs == q->outputs && p->attributes == q->attributes, "node %d", n);
    for (int k = 0; k < p->inputs && k < q->inputs; k++) same_value(a, p->input[k], b, q->input[k]);
    for (int k = 0; k < p->outputs && k < q->outputs; k++) same_value(a, p->output[k], b, q->output[k]);
    for (int k = 0; k < p->attributes; k++) same_attribute(&p->attribute[k], q);
  }
  for (int i = 0; i < a->inputs && i < b->inputs; i++) same_value(a, a->input[i], b, b->input[i]);
  for (int i = 0; i < a->outputs && i < b->outputs; i++) same_value(a, a->output[i], b, b->output[i]);
  for (int i = 0; i < 2 * a->metadatas && i < 2 * b->metadatas; i++)
    RT_TEST_CHECK(!strcmp(a->metadata[i], b->metadata[i]), "metadata %s is %s", a->metadata[i], b->metadata[i]);
}

static bool same_files(const char *a, const char *b)
{
  char hash_a[RT_HASH_TEXT] = "a", hash_b[RT_HASH_TEXT] = "b";

  return !rt_hash_file(a, hash_a) && !rt_hash_file(b, hash_b) && !strcmp(hash_a, hash_b);
}

static PetscErrorCode test_round(const RtGraph *graph)
{
  char written[RT_HASH_TEXT], read[RT_HASH_TEXT], file[RT_HASH_TEXT];
  RtGraph *again = NULL;

  PetscFunctionBegin;
  PetscCall(rt_onnx_write(graph, "a.onnx", written));
  PetscCall(rt_onnx_read("a.onnx", &again, read));
  PetscCall(rt_hash_file("a.onnx", file));
  RT_TEST_CHECK(!strcmp(written, read) && !strcmp(read, file), "hashes %s %s %s", written, read, file);
  same_graph(graph, again);
  PetscCall(rt_onnx_write(again, "b.onnx", NULL));
  RT_TEST_CHECK(same_files("a.onnx", "b.onnx"), "the second file has other bytes");
  PetscCall(rt_graph_destroy(&again));
  PetscFunctionReturn(0);
}

/* New parameters come out, and nothing else changes. */
static PetscErrorCode test_parameters(RtGraph *graph)
{
  RtGraph *again = NULL;
  float old = graph->parameter[0];

  PetscFunctionBegin;
  graph->parameter[0] = 42;
  PetscCall(rt_onnx_write(graph, "c.onnx", NULL));
  RT_TEST_CHECK(!same_files("a.onnx", "c.onnx"), "another parameter gives the same bytes");
  PetscCall(rt_onnx_read("c.onnx", &again, NULL));
  same_graph(graph, again);
  PetscCall(rt_graph_destroy(&again));
  graph->parameter[0] = old;
  PetscCall(rt_onnx_write(graph, "c.onnx", NULL));
  RT_TEST_CHECK(same_files("a.onnx", "c.onnx"), "the old parameter gives other bytes");
  PetscFunctionReturn(0);
}

/* The way of a model above 2 GB. */
static PetscErrorCode test_external(const RtGraph *graph)
{
  char written[RT_HASH_TEXT], read[RT_HASH_TEXT];
  RtGraph *again = NULL;
  struct stat status;

  PetscFunctionBegin;
  PetscCall(rt_onnx_writer_write(graph, "far.onnx", 1000, written));
  RT_TEST_CHECK(!stat("far.onnx", &status) && status.st_size < 2000, "%d bytes stay inside", (int)status.st_size);
  PetscCall(rt_onnx_read("far.onnx", &again, read));
  RT_TEST_CHECK(!strcmp(written, read), "hashes %s %s", written, read);
  same_graph(graph, again);
  PetscCall(rt_onnx_write(again, "near.onnx", NULL));
  RT_TEST_CHECK(same_files("a.onnx", "near.onnx"), "back inside, the bytes differ");
  PetscCall(rt_graph_destroy(&again));
  PetscCall(rt_file_remove("far.onnx.data"));
  RT_TEST_FAILS(rt_onnx_read("far.onnx", &again, NULL));
  RT_TEST_CHECK(!again, "a graph without its weights");
  PetscFunctionReturn(0);
}

static PetscErrorCode test_errors(const RtGraph *graph)
{
  RtGraph *none = NULL;

  PetscFunctionBegin;
  PetscCall(rt_file_mkdir("folder"));
  RT_TEST_FAILS(rt_onnx_read("absent.onnx", &none, NULL));
  RT_TEST_FAILS(rt_onnx_read("folder", &none, NULL));
  PetscCall(rt_file_write("text.onnx", "no model", 8));
  RT_TEST_FAILS(rt_onnx_read("text.onnx", &none, NULL));
  RT_TEST_CHECK(!none, "a graph in spite of an error");
  RT_TEST_FAILS(rt_onnx_write(graph, "absent/a.onnx", NULL));
  RT_TEST_FAILS(rt_onnx_write(graph, "folder", NULL));
  RT_TEST_FAILS(rt_onnx_writer_write(graph, "absent/a.onnx", 0, NULL));
  PetscFunctionReturn(0);
}

static PetscErrorCode test(int argc, char **argv)
{
  RtGraph *graph;

  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  PetscCall(make_graph(&graph));
  PetscCall(test_round(graph));
  PetscCall(test_parameters(graph));
  PetscCall(test_external(graph));
  PetscCall(test_errors(graph));
  PetscCall(rt_graph_destroy(&graph));
  PetscFunctionReturn(0);
}

RT_TEST_MAIN(test)
