/* What tests of the library share beside test.h: calls that must succeed, messages for the user, graphs in few words.
 */
#ifndef RT_SUPPORT_H
#define RT_SUPPORT_H

#include "test.h"

#include "core/random.h"
#include "ops/registry.h"

#include <stdlib.h>
#include <string.h>

/* The message of the last call that failed inside RT_MUST or RT_TEST_SAYS. */
static char rt_support_text[2048];

__attribute__((unused)) static PetscErrorCode rt_support_keep(MPI_Comm comm, int line, const char *function,
                                                              const char *file, PetscErrorCode code,
                                                              PetscErrorType type, const char *text, void *context)
{
  (void)comm, (void)line, (void)function, (void)file, (void)context;
  if (type == PETSC_ERROR_INITIAL && text) snprintf(rt_support_text, sizeof(rt_support_text), "%s", text);
  return code;
}

/* A call without which the test makes no sense. */
#define RT_MUST(call)                                                                                                  \
  do {                                                                                                                 \
    PetscErrorCode must_;                                                                                              \
                                                                                                                       \
    (void)PetscPushErrorHandler(rt_support_keep, NULL);                                                                \
    must_ = (call);                                                                                                    \
    (void)PetscPopErrorHandler();                                                                                      \
    if (must_) {                                                                                                       \
      fprintf(stderr, "%s:%d: %s returned %d: %s\n", __FILE__, __LINE__, #call, (int)must_, rt_support_text);          \
      MPI_Abort(MPI_COMM_WORLD, 1);                                                                                    \
    }                                                                                                                  \
  } while (0)

/* Check that a call fails with this code, and that its one line contains each of the words, which | separates. */
#define RT_TEST_SAYS(call, code, words)                                                                                \
  do {                                                                                                                 \
    PetscErrorCode says_;                                                                                              \
                                                                                                                       \
    rt_support_text[0] = 0;                                                                                            \
    (void)PetscPushErrorHandler(rt_support_keep, NULL);                                                                \
    says_ = (call);                                                                                                    \
    (void)PetscPopErrorHandler();                                                                                      \
    RT_TEST_CHECK(says_ == (code), "returned %d: %s", (int)says_, rt_support_text);                                    \
    rt_support_words(words, __FILE__, __LINE__);                                                                       \
  } while (0)

__attribute__((unused)) static void rt_support_words(const char *words, const char *file, int line)
{
  char copy[512], *rest = copy, *word;

  snprintf(copy, sizeof(copy), "%s", words);
  while ((word = strsep(&rest, "|")))
    if (!strstr(rt_support_text, word)) {
      fprintf(stderr, "%s:%d: the message lacks '%s': '%.300s'\n", file, line, word, rt_support_text);
      rt_test_failures++;
    }
  if (strchr(rt_support_text, '\n')) {
    fprintf(stderr, "%s:%d: the message is not one line: '%.300s'\n", file, line, rt_support_text);
    rt_test_failures++;
  }
}

/* Random numbers of a test: standard normal, and whole numbers below n. The next ones at each call. */
static uint64_t rt_support_stream;

__attribute__((unused)) static void rt_support_normal(int64_t count, float *out)
{
  uint32_t key[2] = {12, 34};

  rt_random_normal(key, rt_support_stream++, count, out);
}

__attribute__((unused)) static int rt_support_below(int n)
{
  uint32_t key[2] = {56, 78}, counter[4] = {(uint32_t)rt_support_stream++, 0, 0, 0}, word[4];

  rt_random_philox(key, counter, word);
  return (int)(word[0] % (uint32_t)n);
}

/* --- graphs ------------------------------------------------------------------------------------------------------- */

#define SHAPE(...)                                                                                                     \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[])                                               \
  {                                                                                                                    \
    __VA_ARGS__                                                                                                        \
  }

/* A value with a name of its own, filled with `data`, or with normal numbers where data is NULL. Returns its id. */
__attribute__((unused)) static int rt_support_value(RtGraph *graph, RtValueKind kind, int ndim, const int64_t *dim,
                                                    const float *data)
{
  int64_t size = 1;
  float *number = NULL;
  char name[32];
  int id;

  for (int i = 0; i < ndim; i++) size *= dim[i];
  snprintf(name, sizeof(name), "v%d", graph->values);
  if (kind != RT_VALUE_INPUT) {
    RT_MUST(PetscMalloc1(size + 1, &number));
    rt_support_normal(size, number);
    if (data) RT_MUST(PetscArraycpy(number, data, size));
  }
  RT_MUST(rt_graph_add_value(graph, name, kind, RT_FLOAT, ndim, dim, number, &id));
  RT_MUST(PetscFree(number));
  return id;
}

__attribute__((unused)) static int rt_support_input(RtGraph *graph, int ndim, const int64_t *dim)
{
  return rt_support_value(graph, RT_VALUE_INPUT, ndim, dim, NULL);
}

__attribute__((unused)) static int rt_support_parameter(RtGraph *graph, int ndim, const int64_t *dim)
{
  return rt_support_value(graph, RT_VALUE_PARAMETER, ndim, dim, NULL);
}

__attribute__((unused)) static int rt_support_constant(RtGraph *graph, int ndim, const int64_t *dim)
{
  return rt_support_value(graph, RT_VALUE_CONSTANT, ndim, dim, NULL);
}

__attribute__((unused)) static int rt_support_sizes(RtGraph *graph, int count, const int64_t *number)
{
  char name[32];
  int id;

  snprintf(name, sizeof(name), "v%d", graph->values);
  RT_MUST(
      rt_graph_add_value(graph, name, RT_VALUE_CONSTANT, RT_INT64, 1, (int64_t[]){count}, (const void *)number, &id));
  return id;
}

/* Append a node with one result; inputs below 0 are left out. Returns the id of the result; the node is the last. */
#define NODE(graph, type, ...)                                                                                         \
  rt_support_node(graph, type, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})

__attribute__((unused)) static int rt_support_node(RtGraph *graph, const char *type, int inputs, const int *input)
{
  const RtOp *op = rt_registry_find(type);
  char name[64];
  int id, node;

  if (!op) RT_MUST(rt_registry_unknown("", type, &op));
  snprintf(name, sizeof(name), "v%d", graph->values);
  RT_MUST(rt_graph_add_value(graph, name, RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &id));
  snprintf(name, sizeof(name), "%s-%d", type, graph->nodes);
  RT_MUST(rt_graph_add_node(graph, op, name, inputs, input, 1, &id, &node));
  return id;
}

/* The same with several results; their ids follow each other, that of the first is returned. */
__attribute__((unused)) static int rt_support_nodes(RtGraph *graph, const char *type, int inputs, const int *input,
                                                    int outputs)
{
  int id[64], node;
  char name[64];

  for (int k = 0; k < outputs; k++) {
    snprintf(name, sizeof(name), "v%d", graph->values);
    RT_MUST(rt_graph_add_value(graph, name, RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &id[k]));
  }
  snprintf(name, sizeof(name), "%s-%d", type, graph->nodes);
  RT_MUST(rt_graph_add_node(graph, rt_registry_find(type), name, inputs, input, outputs, id, &node));
  return id[0];
}

/* Set an attribute of the node that was added last. */
__attribute__((unused)) static void rt_support_set_int(RtGraph *graph, const char *name, int64_t value)
{
  RT_MUST(rt_graph_set_int(graph, graph->nodes - 1, name, value));
}

__attribute__((unused)) static void rt_support_set_float(RtGraph *graph, const char *name, float value)
{
  RT_MUST(rt_graph_set_float(graph, graph->nodes - 1, name, value));
}

__attribute__((unused)) static void rt_support_set_ints(RtGraph *graph, const char *name, int count,
                                                        const int64_t *value)
{
  RT_MUST(rt_graph_set_ints(graph, graph->nodes - 1, name, count, value));
}

#endif
