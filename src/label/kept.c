#include "label/kept.h"

#include "label/features.h"
#include "store/form.h"

#include <retort/tap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OWN = RT_LABELSTORE_FIELDS - 2 /* fields that a job may name, beside logits and features */, WORD = 64 };

/* Names in the job, in the order of the alphabet. */
static PetscErrorCode get_names(const RtJob *job, const char *name[OWN], int *count)
{
  PetscFunctionBegin;
  *count = rt_options_names(job->options, "label_taps", name, OWN);
  if (*count > OWN) RtUsage("-label_taps has %d fields, more than %d", *count, (int)OWN);
  PetscFunctionReturn(0);
}

static void prefix_of(const char *name, char prefix[WORD])
{
  snprintf(prefix, WORD, "label_taps_%s", name);
}

/* Options of other forms must not be given. */
static PetscErrorCode check_options(const RtJob *job, const char *prefix, const RtForm *form)
{
  PetscFunctionBegin;
  for (int i = 0; rt_form_at(i); i++)
    for (const RtFormOption *o = rt_form_at(i)->option; o->name; o++) {
      bool takes = false;

      for (const RtFormOption *own = form->option; own->name; own++) takes = takes || !strcmp(own->name, o->name);
      if (!takes && rt_options_given(job->options, prefix, o->name))
        RtUsage("-%s_%s is for the form %s, but -%s_form is %s", prefix, o->name, rt_form_at(i)->name, prefix,
                form->name);
    }
  PetscFunctionReturn(0);
}

static PetscErrorCode check_name(const RtJob *job, const char *name, const char *prefix)
{
  static const char *const taken[] = {"sample", "view", "class", "component"};
  const char *from = rt_options_text(job->options, prefix, "from");

  PetscFunctionBegin;
  for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
    if (!strcmp(name, taken[i])) RtUsage("-%s_from: a label store has its own '%s'; choose another name", prefix, name);
  if (!strcmp(name, "features") && rt_options_text(job->options, "label", "features")[0])
    RtUsage("-%s_from: -label_features keeps a field of that name; choose another name", prefix);
  if (!strcmp(name, "features"))
    RtUsage("-%s_from: 'features' is the field of -label_features; choose another name", prefix);
  if (!strcmp(name, "logits") && from[0] && strcmp(from, "logits"))
    RtUsage("-%s_from %s: the field 'logits' holds the teacher's logits; choose another name", prefix, from);
  if (strcmp(name, "logits") && !from[0])
    RtUsage("-%s_from: say what is kept: logits, hidden:N, output:N, a node or a value of the teacher", prefix);
  PetscFunctionReturn(0);
}

/* Form and tolerance of a field. count: of components. */
static PetscErrorCode read_form(const RtJob *job, const char *prefix, RtLabelstoreField *field, int *count)
{
  const RtForm *form = rt_form_find(rt_options_text(job->options, prefix, "form"));
  double option[RT_FORM_OPTIONS] = {0};
  const char *wrong = NULL;

  PetscFunctionBegin;
  PetscCall(check_options(job, prefix, form));
  for (int i = 0; form->option[i].name; i++) option[i] = rt_options_real(job->options, prefix, form->option[i].name);
  if (form->tolerate) wrong = form->tolerate(option, &field->absolute, &field->relative);
  if (wrong) RtUsage("-%s_form: %s", prefix, wrong);
  *count = form->traits & RT_FORM_PROJECTED ? (int)option[0] : 0;
  if (*count && !strcmp(field->name, "logits"))
    RtUsage("-%s_form %s: losses need the logits themselves; keep their components as a field of another name", prefix,
            form->name);
  PetscCall(PetscStrncpy(field->form, form == rt_form_at(0) && !strcmp(field->name, "logits") ? "" : form->name,
                         sizeof(field->form)));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_kept_check(const RtJob *job)
{
  const char *name[OWN];
  char prefix[WORD];
  int count, components;

  PetscFunctionBegin;
  PetscCall(get_names(job, name, &count));
  for (int i = 0; i < count; i++) {
    RtLabelstoreField field = {.kept = 0};

    prefix_of(name[i], prefix);
    PetscCall(PetscStrncpy(field.name, name[i], sizeof(field.name)));
    PetscCall(check_name(job, name[i], prefix));
    PetscCall(read_form(job, prefix, &field, &components));
  }
  PetscFunctionReturn(0);
}

/* The value that -label_features names: a hidden layer by its number alone, or a tap. */
static PetscErrorCode find_layer(const RtGraph *graph, const char *name, int *value)
{
  int *layer, count;
  char *end;
  long number = strtol(name, &end, 10);

  PetscFunctionBegin;
  PetscCall(rt_tap_layers(graph, &count, &layer));
  *value = !*end && number >= 1 && number < count ? layer[number - 1] : -1;
  PetscCall(PetscFree(layer));
  if (*value < 0) PetscCall(rt_tap_find(graph, name, "teacher", value));
  PetscFunctionReturn(0);
}

/* A field of a value, as the model has it or as so many components. */
static PetscErrorCode describe_field(const RtGraph *teacher, const char *prefix, int value, int count,
                                     RtLabelstoreField *field)
{
  int64_t width;
  char option[WORD + 16];
  RtComponentsWant want = {field->name, option, value, count};
  RtComponents components;

  PetscFunctionBegin;
  snprintf(option, sizeof(option), "%s_components", prefix);
  PetscCall(PetscStrncpy(field->layer, teacher->value[value].name, sizeof(field->layer)));
  if (count) {
    PetscCall(rt_components_describe(&want, teacher, &components));
    field->width = count;
    PetscFunctionReturn(0);
  }
  PetscCall(rt_features_shape(teacher, value, &width, &field->axes, field->dim));
  RtCheck(width <= INT32_MAX / 16, "-%s_from: '%s' has %lld numbers a sample, too many", prefix, field->layer,
          (long long)width);
  field->width = (int)width;
  PetscFunctionReturn(0);
}

static RtLabelstoreField *add(RtLabelstoreInfo *info, RtKept *kept, const char *name, int value, int components)
{
  RtLabelstoreField *field = &info->field[info->fields];

  *field = (RtLabelstoreField){.kept = 0};
  snprintf(field->name, sizeof(field->name), "%s", name);
  kept->value[info->fields] = value;
  kept->components[info->fields++] = components;
  return field;
}

static PetscErrorCode add_features(const RtJob *job, const RtGraph *teacher, RtLabelstoreInfo *info, RtKept *kept)
{
  const char *features = rt_options_text(job->options, "label", "features");
  RtLabelstoreField *field;
  int value, count = (int)rt_options_int(job->options, "label", "components");

  PetscFunctionBegin;
  if (!features[0]) PetscFunctionReturn(0);
  PetscCall(find_layer(teacher, features, &value));
  field = add(info, kept, "features", value, count);
  PetscCall(PetscStrncpy(field->form, rt_form_components.name, sizeof(field->form)));
  PetscCall(describe_field(teacher, "label", value, count, field));
  PetscFunctionReturn(0);
}

static PetscErrorCode add_own(const RtJob *job, const RtGraph *teacher, const char *name, RtLabelstoreInfo *info,
                              RtKept *kept)
{
  RtLabelstoreField *field;
  char prefix[WORD];
  int value, same = rt_graph_find(teacher, name);

  PetscFunctionBegin;
  prefix_of(name, prefix);
  PetscCall(rt_tap_find(teacher, rt_options_text(job->options, prefix, "from"), "teacher", &value));
  if (same >= 0 && same != value)
    RtUsage("-%s_from %s: the teacher has another value of the name '%s'; choose another name", prefix,
            rt_options_text(job->options, prefix, "from"), name);
  field = add(info, kept, name, value, 0);
  PetscCall(read_form(job, prefix, field, &kept->components[info->fields - 1]));
  PetscCall(describe_field(teacher, prefix, value, kept->components[info->fields - 1], field));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_kept_logits(const RtJob *job, int classes, RtLabelstoreInfo *info)
{
  const char *name[OWN];
  int count, components;

  PetscFunctionBegin;
  PetscCall(rt_kept_check(job));
  PetscCall(get_names(job, name, &count));
  rt_labelstore_logits(info, classes);
  for (int i = 0; i < count; i++)
    if (!strcmp(name[i], "logits")) PetscCall(read_form(job, "label_taps_logits", &info->field[0], &components));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_kept_describe(const RtJob *job, const RtGraph *teacher, int classes, RtLabelstoreInfo *info,
                                RtKept *kept)
{
  const char *name[OWN];
  int count;

  PetscFunctionBegin;
  PetscCall(rt_kept_logits(job, classes, info));
  PetscCall(get_names(job, name, &count));
  kept->value[0] = teacher ? rt_tap_logits(teacher) : -1;
  kept->components[0] = 0;
  if (!teacher && rt_options_text(job->options, "label", "features")[0])
    RtUsage("-label_features: several teachers have no layer in common; leave it out, or take one of them");
  if (teacher) PetscCall(add_features(job, teacher, info, kept));
  for (int i = 0; i < count; i++) {
    char prefix[WORD];

    if (!strcmp(name[i], "logits")) continue;
    prefix_of(name[i], prefix);
    if (!teacher)
      RtUsage("-%s_from: several teachers have nothing in common but logits; leave it out, or take one of them",
              prefix);
    PetscCall(add_own(job, teacher, name[i], info, kept));
  }
  PetscFunctionReturn(0);
}

const char *rt_kept_field(const RtJob *job, const char *name)
{
  const char *own[OWN];
  int count = PetscMin(OWN, rt_options_names(job->options, "label_taps", own, OWN));
  char prefix[WORD];

  if (!strcmp(name, "logits")) return "logits";
  if (!strcmp(name, "features") && rt_options_text(job->options, "label", "features")[0]) return "features";
  for (int i = 0; i < count; i++)
    if (!strcmp(own[i], name)) return own[i];
  for (int pass = 0; pass < 2; pass++) /* of several, the one that holds the tap as it is */
    for (int i = 0; i < count; i++) {
      const bool dense = !strcmp(rt_kept_form(job, own[i]), rt_form_at(0)->name);

      prefix_of(own[i], prefix);
      if ((dense || pass) && !strcmp(rt_options_text(job->options, prefix, "from"), name)) return own[i];
    }
  return NULL;
}

const char *rt_kept_tap(const RtJob *job, const char *name, char *tap, size_t length)
{
  const char *field = rt_kept_field(job, name), *from = name;
  const bool features = field && !strcmp(field, "features");
  char prefix[WORD], copy[128];

  if (features) from = rt_options_text(job->options, "label", "features");
  if (field && !features && strcmp(field, "logits")) {
    prefix_of(field, prefix);
    from = rt_options_text(job->options, prefix, "from");
  }
  snprintf(copy, sizeof(copy), "%s", from);
  snprintf(tap, length, "%s%s", features && strspn(copy, "0123456789") == strlen(copy) ? "hidden:" : "", copy);
  return tap;
}

const char *rt_kept_form(const RtJob *job, const char *field)
{
  const char *own[OWN];
  int count = PetscMin(OWN, rt_options_names(job->options, "label_taps", own, OWN));
  char prefix[WORD];

  if (!strcmp(field, "features")) return rt_form_components.name;
  prefix_of(field, prefix);
  for (int i = 0; i < count; i++)
    if (!strcmp(own[i], field)) return rt_options_text(job->options, prefix, "form");
  return rt_form_at(0)->name;
}

void rt_kept_names(const RtJob *job, char *text, size_t length)
{
  const char *own[OWN];
  int count = PetscMin(OWN, rt_options_names(job->options, "label_taps", own, OWN));
  size_t at = (size_t)snprintf(text, length, "logits");

  if (rt_options_text(job->options, "label", "features")[0] && at < length)
    at += (size_t)snprintf(text + at, length - at, ", features");
  for (int i = 0; i < count && at < length; i++)
    if (strcmp(own[i], "logits")) at += (size_t)snprintf(text + at, length - at, ", %s", own[i]);
}

PetscErrorCode rt_kept_pick(int count, const char *const *field, RtLabelstoreInfo *info)
{
  RtLabelstoreField *all;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(info->fields, &all));
  memcpy(all, info->field, (size_t)info->fields * sizeof(*all));
  for (int i = 0; i < count; i++) {
    int f = 0;

    while (f < info->fields && strcmp(all[f].name, field[i])) f++;
    PetscCheck(f < info->fields, PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG, "No field %s", field[i]);
    info->field[i] = all[f];
  }
  info->fields = count;
  PetscCall(PetscFree(all));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_kept_record(const RtLabelstoreInfo *info, char **text)
{
  const size_t line = 320;
  size_t at = 0;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1(line * (size_t)info->fields + 1, text));
  for (int f = 0; f < info->fields; f++) {
    const RtLabelstoreField *field = &info->field[f];

    if (!strcmp(field->name, "logits") && !field->form[0]) continue;
    at += (size_t)snprintf(*text + at, line, "label_taps_%s=%s,%s,%.17g,%.17g,%d\n", field->name, field->layer,
                           field->form, field->absolute, field->relative, field->width);
  }
  PetscFunctionReturn(0);
}
