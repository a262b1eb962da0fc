#include "model/binding.h"

#include "core/hash.h"
#include "job/options.h"

#include <stdio.h>
#include <string.h>

enum { NAMES = 400 /* bytes of a list of names in a message */ };

static RtValue *input_of(const RtGraph *graph, int i)
{
  return &graph->value[graph->input[i]];
}

/* --- the job's pairs ---------------------------------------------------------------------------------------------- */

static void input_names(const RtGraph *graph, char *text, size_t length)
{
  size_t used = 0;

  text[0] = 0;
  for (int i = 0; i < graph->inputs && used < length; i++)
    used += (size_t)snprintf(text + used, length - used, "%s%s", i ? ", " : "", input_of(graph, i)->name);
}

/* Refuse the name of a field that does not exist. reader: what asks for it. */
static PetscErrorCode no_field(const RtDatasetInfo *info, const char *name, const char *reader)
{
  const char **all, *near;
  char names[NAMES];

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(info->fields, &all));
  for (int f = 0; f < info->fields; f++) all[f] = info->field[f].name;
  near = rt_options_nearest(name, all, info->fields);
  PetscCall(PetscFree(all));
  rt_field_names(info->fields, info->field, names, sizeof(names));
  RtFail("%s: the dataset has no field '%s'%s%s%s; it has %s", reader, name, near ? ", the nearest is '" : "",
         near ? near : "", near ? "'" : "", names);
}

/* Note the field of one input. pair: `INPUT=FIELD`. */
static PetscErrorCode take_pair(RtGraph *graph, const RtDatasetInfo *info, char *pair, const char *what)
{
  char *equal = strchr(pair, '='), names[NAMES], option[64];
  int i = 0;

  PetscFunctionBegin;
  snprintf(option, sizeof(option), "-%s_inputs", what);
  if (!equal || equal == pair || !equal[1])
    RtUsage("%s: '%s' is not INPUT=FIELD: the model's name for an input, and a field of the dataset", option, pair);
  *equal = 0;
  while (i < graph->inputs && strcmp(input_of(graph, i)->name, pair) != 0) i++;
  input_names(graph, names, sizeof(names));
  RtCheck(i < graph->inputs, "%s: the %s has no input '%s'; it has %s", option, what, pair, names);
  if (rt_field_find(info->fields, info->field, equal + 1) < 0) PetscCall(no_field(info, equal + 1, option));
  RtCheck(!input_of(graph, i)->field, "%s: the input '%s' stands twice", option, pair);
  PetscCall(PetscStrallocpy(equal + 1, &input_of(graph, i)->field));
  PetscFunctionReturn(0);
}

static PetscErrorCode take_pairs(RtGraph *graph, const RtDatasetInfo *info, const char *pairs, const char *what)
{
  char *copy, *rest, *pair;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(PetscStrallocpy(pairs, &copy));
  rest = copy;
  while (!error && (pair = strsep(&rest, ", ")))
    if (pair[0]) error = take_pair(graph, info, pair, what);
  PetscCall(PetscFree(copy));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* --- the choice of fields ----------------------------------------------------------------------------------------- */

/* The field that an input gets without being named, of those that are no answers and not taken: `input`, else the only
   one. -1: there is none, or several. */
static int left_over(const RtGraph *graph, const RtDatasetInfo *info, const int *field)
{
  int found = -1;

  for (int f = 0; f < info->fields; f++) {
    bool taken = f == info->label || f == info->target;

    for (int i = 0; i < graph->inputs; i++) taken = taken || field[i] == f;
    if (taken) continue;
    if (f == info->input) return f;
    found = found == -1 ? f : -2;
  }
  return PetscMax(found, -1);
}

/* field: [graph->inputs] gets their numbers. */
static PetscErrorCode choose(const RtGraph *graph, const RtDatasetInfo *info, const char *what, int *field)
{
  int open = 0, last = -1;
  char names[NAMES], reader[160];

  PetscFunctionBegin;
  for (int i = 0; i < graph->inputs; i++) {
    const RtValue *input = input_of(graph, i);

    field[i] = rt_field_find(info->fields, info->field, input->field ? input->field : input->name);
    snprintf(reader, sizeof(reader), "the %s's input '%.80s'", what, input->name);
    if (field[i] < 0 && input->field) PetscCall(no_field(info, input->field, reader));
    if (field[i] < 0) open++;
    if (field[i] < 0) last = i;
  }
  if (open == 1) field[last] = left_over(graph, info, field);
  if (!open || field[last] >= 0) PetscFunctionReturn(0);
  rt_field_names(info->fields, info->field, names, sizeof(names));
  RtFail(
      "the %s's input '%s' is no field of the dataset, which has %s: say which one it reads with -%s_inputs %s=FIELD",
      what, input_of(graph, last)->name, names, what, input_of(graph, last)->name);
}

/* --- whether they fit --------------------------------------------------------------------------------------------- */

/* What an input reads, as a field. */
static RtField field_of(const RtGraph *graph, const RtValue *input)
{
  RtField field = {.type = input->type, .ndim = input->ndim - 1, .scale = 1};

  snprintf(field.name, sizeof(field.name), "%s", input->name);
  for (int i = 0; i < field.ndim; i++) {
    const int axis = rt_axes_of(input->dim[i + 1]);

    field.dim[i] = axis < 0 ? input->dim[i + 1] : RT_FIELD_FREE;
    if (axis >= 0) snprintf(field.axis[i], sizeof(field.axis[i]), "%s", graph->axis[axis]);
  }
  return field;
}

/* Lengths of the free axes: [graph->axes], 0 as long as they are not known. */
static PetscErrorCode take_lengths(const RtGraph *graph, const RtValue *input, const RtField *has, const char *what,
                                   int64_t *length)
{
  PetscFunctionBegin;
  for (int i = 1; i < input->ndim; i++) {
    const int axis = rt_axes_of(input->dim[i]);

    if (axis < 0) continue;
    RtCheck(!length[axis] || length[axis] == has->dim[i - 1],
            "the %s's axis '%s' has two lengths: %lld in the field '%s', which its input '%s' reads, elsewhere %lld",
            what, graph->axis[axis], (long long)has->dim[i - 1], has->name, input->name, (long long)length[axis]);
    length[axis] = has->dim[i - 1];
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode check(const RtGraph *graph, const RtDatasetInfo *info, const char *what, const int *field,
                            int64_t *length)
{
  PetscFunctionBegin;
  for (int i = 0; i < graph->inputs; i++) {
    const RtValue *input = input_of(graph, i);
    const RtField want = field_of(graph, input), *has = &info->field[field[i]];
    char why[800];

    RtCheck(rt_field_fits(&want, has, why, sizeof(why)), "the %s's input '%s' %s", what, input->name, why);
    PetscCall(take_lengths(graph, input, has, what, length));
  }
  PetscFunctionReturn(0);
}

/* What a graph reads. field: [graph->inputs]; length: [graph->axes], as far as it is known before. */
static PetscErrorCode bind(const RtGraph *graph, const RtDatasetInfo *info, const char *what, int *field,
                           int64_t *length)
{
  PetscFunctionBegin;
  PetscCall(choose(graph, info, what, field));
  PetscCall(check(graph, info, what, field, length));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_binding_attach(RtGraph *graph, const RtDatasetInfo *info, const char *pairs, const char *what)
{
  PetscErrorCode error = 0;
  int *field;

  PetscFunctionBegin;
  for (int i = 0; i < graph->inputs; i++) PetscCall(PetscFree(input_of(graph, i)->field));
  PetscCall(PetscArrayzero(graph->length, graph->axes));
  PetscCall(take_pairs(graph, info, pairs, what));
  PetscCall(PetscMalloc1(graph->inputs, &field));
  error = bind(graph, info, what, field, graph->length);
  for (int i = 0; i < graph->inputs && !error; i++)
    if (!input_of(graph, i)->field) error = PetscStrallocpy(info->field[field[i]].name, &input_of(graph, i)->field);
  PetscCall(PetscFree(field));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_binding_reads(const RtGraph *graph, const RtDatasetInfo *info, const char *what, RtFieldRead *read)
{
  PetscErrorCode error;
  int64_t *length;
  int *field;

  PetscFunctionBegin;
  PetscCall(PetscMalloc2(graph->inputs, &field, graph->axes + 1, &length));
  PetscCall(PetscArraycpy(length, graph->length, graph->axes));
  error = bind(graph, info, what, field, length);
  for (int i = 0; i < graph->inputs && !error; i++) read[i] = (RtFieldRead){field[i], input_of(graph, i)->type};
  PetscCall(PetscFree2(field, length));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_binding_want(const RtGraph *graph, const RtDatasetInfo *info, const char *what, bool *want)
{
  RtFieldRead *read;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(graph->inputs, &read));
  error = rt_binding_reads(graph, info, what, read);
  for (int i = 0; i < graph->inputs && !error; i++) want[read[i].field] = true;
  PetscCall(PetscFree(read));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_binding_hash(const char *pairs, char hash[RT_HASH_TEXT])
{
  RtHash *sum;

  PetscFunctionBegin;
  if (!pairs[0]) PetscFunctionReturn(0);
  PetscCall(rt_hash_create(&sum));
  PetscCall(rt_hash_add(sum, hash, strlen(hash)));
  PetscCall(rt_hash_add(sum, "\n", 1));
  PetscCall(rt_hash_add(sum, pairs, strlen(pairs)));
  PetscCall(rt_hash_finish(&sum, hash));
  PetscFunctionReturn(0);
}
