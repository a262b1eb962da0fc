#include <retort/field.h>

#include <retort/dataset.h>
#include <stdio.h>
#include <string.h>

/* The fields that have a meaning by their names, in the order in which a dataset lists them. Nothing else knows them.
 */
enum { INPUT, LABEL, TARGET, KNOWN };
static const char *const known[KNOWN] = {"input", "label", "target"};

bool rt_field_known(const char *name)
{
  for (int k = 0; k < KNOWN; k++)
    if (!strcmp(name, known[k])) return true;
  return false;
}

int rt_field_order(const void *a, const void *b)
{
  const RtField *x = a, *y = b;
  const bool first[2] = {rt_field_known(x->name), rt_field_known(y->name)};

  return first[0] != first[1] ? first[1] - first[0] : strcmp(x->name, y->name);
}

int64_t rt_field_size(const RtField *field)
{
  int64_t size = 1;

  for (int i = 0; i < field->ndim; i++) size *= field->dim[i];
  return size;
}

int64_t rt_field_bytes(const RtField *field)
{
  return rt_field_size(field) * (int64_t)rt_types_size(field->type);
}

int rt_field_find(int fields, const RtField *field, const char *name)
{
  for (int i = 0; i < fields; i++)
    if (!strcmp(field[i].name, name)) return i;
  return -1;
}

void rt_field_names(int fields, const RtField *field, char *text, size_t length)
{
  size_t used = 0;

  text[0] = 0;
  for (int i = 0; i < fields && used < length; i++)
    used += (size_t)snprintf(text + used, length - used, "%s%s", i ? ", " : "", field[i].name);
}

const char *rt_field_type_name(RtType type)
{
  static const char *const name[RT_TYPES] = {"float", "uint8", "int32", "int64"};

  return name[type];
}

void rt_field_shape(const RtField *field, bool named, char *text, size_t length)
{
  size_t used = 0;

  snprintf(text, length, "%s", field->ndim ? "" : "1");
  for (int i = 0; i < field->ndim && used < length; i++) {
    const bool unknown = field->dim[i] < 0;
    char number[24];

    snprintf(number, sizeof(number), "%lld", (long long)field->dim[i]);
    used += (size_t)snprintf(text + used, length - used, "%s%s%s%s", i ? (named ? ", " : " x ") : "",
                             named || unknown ? field->axis[i] : "", named && field->axis[i][0] && !unknown ? " " : "",
                             unknown ? "" : number);
  }
}

/* --- which fields go together ------------------------------------------------------------------------------------- */

static bool types_fit(const RtField *want, const RtField *has, char *why, size_t length)
{
  const char *wanted = rt_field_type_name(want->type), *given = rt_field_type_name(has->type);
  bool fits =
      want->type == RT_FLOAT || (has->type != RT_FLOAT && rt_types_size(has->type) <= rt_types_size(want->type));

  if (!fits) {
    snprintf(why, length, "reads %s, the field '%s' of the dataset holds %s", wanted, has->name, given);
    return false;
  }
  if (want->type == RT_FLOAT || has->type == RT_UINT8 || (has->scale == 1 && has->offset == 0)) return true;
  snprintf(why, length, "reads %s, the field '%s' of the dataset has whole numbers with a scale", wanted, has->name);
  return false;
}

/* The axis with this name, -1: there is none. */
static int axis_of(const RtField *field, const char *name)
{
  for (int i = 0; name[0] && i < field->ndim; i++)
    if (!strcmp(field->axis[i], name)) return i;
  return -1;
}

/* Names that both have must come in the same order, and where there are as many axes, in the same places. */
bool rt_field_axes_fit(const RtField *want, const RtField *has, char *why, size_t length)
{
  int before = -1;

  for (int i = 0; i < want->ndim; i++) {
    int at = axis_of(has, want->axis[i]);

    if (at < 0) continue;
    if (at < before || (want->ndim == has->ndim && at != i)) {
      snprintf(why, length,
               "has the axis '%s' in place %d, the field '%s' of the dataset in place %d: write the field in the other "
               "order",
               want->axis[i], i + 1, has->name, at + 1);
      return false;
    }
    before = at;
  }
  return true;
}

/* The next axis from *i on that is not of length 1; 0 at the end. */
static int64_t next_length(const RtField *field, int *i)
{
  while (*i < field->ndim && field->dim[*i] == 1) ++*i;
  return *i < field->ndim ? field->dim[(*i)++] : 0;
}

static bool lengths_fit(const RtField *want, const RtField *has)
{
  bool open = false, equal = true;
  int i = 0, j = 0, wide[2] = {0, 0};
  int64_t a, b;

  for (int k = 0; k < want->ndim; k++) open = open || want->dim[k] == RT_FIELD_FREE;
  if (open) {
    equal = want->ndim == has->ndim;
    for (int k = 0; equal && k < want->ndim; k++) equal = want->dim[k] == RT_FIELD_FREE || want->dim[k] == has->dim[k];
    return equal;
  }
  if (rt_field_size(want) != rt_field_size(has)) return false;
  for (int k = 0; k < want->ndim; k++) wide[0] += want->dim[k] != 1;
  for (int k = 0; k < has->ndim; k++) wide[1] += has->dim[k] != 1;
  if (wide[0] <= 1 || wide[1] <= 1) return true;
  do {
    a = next_length(want, &i);
    b = next_length(has, &j);
    equal = equal && a == b;
  } while (a && b);
  return equal;
}

bool rt_field_fits(const RtField *want, const RtField *has, char *why, size_t length)
{
  char wanted[256], given[256];

  if (!types_fit(want, has, why, length) || !rt_field_axes_fit(want, has, why, length)) return false;
  if (lengths_fit(want, has)) return true;
  rt_field_shape(want, false, wanted, sizeof(wanted));
  rt_field_shape(has, false, given, sizeof(given));
  snprintf(why, length, "reads %s numbers a sample, the field '%s' of the dataset has %s", wanted, has->name, given);
  return false;
}

/* --- what info says twice ----------------------------------------------------------------------------------------- */

static RtField *append(RtDatasetInfo *info, RtField field[], int which, RtType type)
{
  RtField *f = &field[info->fields++];

  *f = (RtField){.type = type, .scale = 1};
  snprintf(f->name, sizeof(f->name), "%s", known[which]);
  return f;
}

void rt_field_derive(RtDatasetInfo *info, RtField field[])
{
  RtField *f;

  info->field = field;
  info->fields = 0;
  if (info->ndim) {
    f = append(info, field, INPUT, info->type);
    f->scale = info->scale;
    f->offset = info->offset;
    f->ndim = info->ndim;
    memcpy(f->dim, info->dim, sizeof(f->dim));
    memcpy(f->axis, info->dim_name, sizeof(f->axis));
  }
  if (info->classes) (void)append(info, field, LABEL, RT_INT32);
  if (info->targets) {
    f = append(info, field, TARGET, RT_FLOAT);
    f->ndim = info->targets > 1;
    f->dim[0] = info->targets;
    if (f->ndim) strcpy(f->axis[0], "output");
  }
  rt_field_repeat(info);
}

void rt_field_repeat(RtDatasetInfo *info)
{
  const RtField *f;

  info->input = rt_field_find(info->fields, info->field, known[INPUT]);
  info->label = rt_field_find(info->fields, info->field, known[LABEL]);
  info->target = rt_field_find(info->fields, info->field, known[TARGET]);
  info->targets = info->target < 0 ? 0 : (int)rt_field_size(&info->field[info->target]);
  info->ndim = 0;
  info->size = 0;
  if (info->input < 0) return;
  f = &info->field[info->input];
  info->ndim = f->ndim;
  memcpy(info->dim, f->dim, sizeof(info->dim));
  memcpy(info->dim_name, f->axis, sizeof(info->dim_name));
  info->size = rt_field_size(f);
  info->type = f->type;
  info->scale = f->scale;
  info->offset = f->offset;
}
