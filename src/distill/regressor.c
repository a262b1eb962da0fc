#include "distill/regressor.h"

#include "core/random.h"
#include "ops/registry.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 160 };

static bool needs(const RtTerm *term, int64_t student, int64_t teacher)
{
  return term->loss->traits & RT_LOSS_MAPS && term->reference == RT_TERMS_TEACHER && student != teacher;
}

bool rt_regressor_needed(const RtTerms *terms, const int64_t *student, const int64_t *teacher)
{
  bool found = false;

  for (int k = 0; k < terms->count; k++) found = found || needs(&terms->term[k], student[k], teacher[k]);
  return found;
}

/* W of a term's map. */
static PetscErrorCode add_weight(RtGraph *graph, const char *term, uint64_t seed, int64_t in, int64_t out, int *id)
{
  const float reach = 1 / sqrtf((float)in);
  const int64_t dim[2] = {in, out}, blocks = (in * out + 3) / 4;
  uint32_t key[2], high[3] = {0}, *word;
  char name[NAME];
  float *weight;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc2(4 * blocks, &word, 4 * blocks, &weight));
  for (size_t i = 0; term[i]; i++) high[i % 3] = high[i % 3] * 31 + (uint32_t)term[i];
  rt_random_key(seed, RT_RANDOM_REGRESSOR, key);
  rt_random_fill(key, high, 0, 4 * blocks, word);
  for (int64_t i = 0; i < in * out; i++) weight[i] = reach * (2 * rt_random_unit(word[i]) - 1);
  snprintf(name, sizeof(name), "regressor/%s/weight", term);
  error = rt_graph_add_value(graph, name, RT_VALUE_PARAMETER, RT_FLOAT, 2, dim, weight, id);
  PetscCall(PetscFree2(word, weight));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* A node of one result, behind what is there; *to: its result, which may replace an input. */
static PetscErrorCode add_node(RtGraph *graph, const char *type, const char *result, int inputs, const int *input,
                               int *to)
{
  int node, output;

  PetscFunctionBegin;
  PetscCall(rt_graph_add_value(graph, result, RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &output));
  PetscCall(rt_graph_add_node(graph, rt_registry_find(type), "", inputs, input, 1, &output, &node));
  *to = output;
  PetscFunctionReturn(0);
}

static PetscErrorCode attach(RtGraph *graph, uint64_t seed, int64_t in, int64_t out, RtTerm *term)
{
  char name[NAME];
  int input[3];

  PetscFunctionBegin;
  RtCheck(in < INT32_MAX / PetscMax(out, 1), "the term '%s': a map of %lld to %lld numbers is too large", term->name,
          (long long)in, (long long)out);
  PetscCall(rt_tap_find(graph, term->student, "student", &input[0]));
  snprintf(name, sizeof(name), "regressor/%s/row", term->name);
  PetscCall(add_node(graph, "Flatten", name, 1, input, &input[0]));
  PetscCall(add_weight(graph, term->name, seed, in, out, &input[1]));
  snprintf(name, sizeof(name), "regressor/%s/bias", term->name);
  PetscCall(rt_graph_add_value(graph, name, RT_VALUE_PARAMETER, RT_FLOAT, 1, &out, NULL, &input[2]));
  snprintf(name, sizeof(name), "regressor/%s", term->name);
  PetscCall(add_node(graph, "Gemm", name, 3, input, &input[0]));
  PetscCall(PetscStrncpy(term->student, name, sizeof(term->student)));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_regressor_attach(RtGraph *graph, uint64_t seed, const int64_t *student, const int64_t *teacher,
                                   RtTerms *terms)
{
  PetscFunctionBegin;
  for (int k = 0; k < terms->count; k++)
    if (needs(&terms->term[k], student[k], teacher[k]))
      PetscCall(attach(graph, seed, student[k], teacher[k], &terms->term[k]));
  PetscCall(rt_graph_extend(graph));
  PetscFunctionReturn(0);
}

void rt_regressor_detach(const RtGraph *trained, RtGraph *student)
{
  for (int i = 0; i < student->values; i++) {
    const RtValue *to = &student->value[i];
    int id = to->kind == RT_VALUE_PARAMETER ? rt_graph_find(trained, to->name) : -1;

    if (id >= 0 && trained->value[id].kind == RT_VALUE_PARAMETER)
      memcpy(student->parameter + to->offset, trained->parameter + trained->value[id].offset,
             (size_t)to->size * sizeof(float));
    id = to->kind == RT_VALUE_STATE ? rt_graph_find(trained, to->name) : -1;
    if (id >= 0)
      memcpy(student->state + to->offset, trained->state + trained->value[id].offset, (size_t)to->size * sizeof(float));
  }
}
