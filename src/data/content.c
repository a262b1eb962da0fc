#include "data/content.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

PetscErrorCode rt_content_create(int fields, RtContent *content)
{
  PetscFunctionBegin;
  *content = (RtContent){.fields = fields};
  PetscCall(PetscCalloc1(fields, &content->part));
  for (int i = 0; i < fields; i++) PetscCall(rt_hash_create(&content->part[i]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_content_add(RtContent *content, const RtDatasetInfo *info, int64_t count, const void *const field[])
{
  PetscFunctionBegin;
  for (int i = 0; i < content->fields; i++)
    PetscCall(rt_hash_add(content->part[i], field[i], (size_t)count * (size_t)rt_field_bytes(&info->field[i])));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_content_finish(RtContent *content, RtContentHash part[])
{
  PetscFunctionBegin;
  for (int i = 0; i < content->fields; i++) PetscCall(rt_hash_finish(&content->part[i], part[i]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_content_destroy(RtContent *content)
{
  PetscFunctionBegin;
  for (int i = 0; content->part && i < content->fields; i++) PetscCall(rt_hash_destroy(&content->part[i]));
  PetscCall(PetscFree(content->part));
  PetscFunctionReturn(0);
}

/* Add one line of text, and its end, to the hash. */
static PetscErrorCode add_line(RtHash *hash, const char *key, const char *text)
{
  PetscFunctionBegin;
  PetscCall(rt_hash_add(hash, key, strlen(key)));
  PetscCall(rt_hash_add(hash, " ", 1));
  PetscCall(rt_hash_add(hash, text, strlen(text)));
  PetscCall(rt_hash_add(hash, "\n", 1));
  PetscFunctionReturn(0);
}

/* The fields that have a meaning: lines that stand since there were no others. */
static PetscErrorCode add_known(RtHash *hash, const RtDatasetInfo *info, RtContentHash part[])
{
  static const char *const name[] = {"input", "label", "target"};
  const int field[] = {info->input, info->label, info->target};
  char text[128];

  PetscFunctionBegin;
  for (int i = 0; i < info->ndim; i++) {
    snprintf(text, sizeof text, "%lld %s", (long long)info->dim[i], info->dim_name[i]);
    PetscCall(add_line(hash, "dimension", text));
  }
  /* %a gives the exact bits. */
  snprintf(text, sizeof text, "%s %a %a", info->type == RT_UINT8 ? "uint8" : "float", (double)info->scale,
           (double)info->offset);
  PetscCall(add_line(hash, "type", text));
  snprintf(text, sizeof text, "%d %d", info->classes, info->targets);
  PetscCall(add_line(hash, "outputs", text));
  for (int i = 0; info->class_name && i < info->classes; i++) PetscCall(add_line(hash, "class", info->class_name[i]));
  for (int i = 0; i < 3; i++) PetscCall(add_line(hash, name[i], field[i] < 0 ? "" : part[field[i]]));
  PetscFunctionReturn(0);
}

/* All others; info has them in the order of their names. */
static PetscErrorCode add_other(RtHash *hash, const RtField *field, const char *part)
{
  char text[128];

  PetscFunctionBegin;
  PetscCall(add_line(hash, "field", field->name));
  for (int i = 0; i < field->ndim; i++) {
    snprintf(text, sizeof text, "%lld %s", (long long)field->dim[i], field->axis[i]);
    PetscCall(add_line(hash, "dimension", text));
  }
  snprintf(text, sizeof text, "%s %a %a", rt_field_type_name(field->type), (double)field->scale, (double)field->offset);
  PetscCall(add_line(hash, "type", text));
  PetscCall(add_line(hash, "values", part));
  PetscFunctionReturn(0);
}

static PetscErrorCode add_all(RtHash *hash, const RtDatasetInfo *info, RtContentHash part[])
{
  char text[32];

  PetscFunctionBegin;
  PetscCall(add_line(hash, "dataset", "1"));
  snprintf(text, sizeof text, "%lld", (long long)info->samples);
  PetscCall(add_line(hash, "samples", text));
  PetscCall(add_known(hash, info, part));
  for (int i = 0; i < info->fields; i++)
    if (i != info->input && i != info->label && i != info->target) PetscCall(add_other(hash, &info->field[i], part[i]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_content_hash(const RtDatasetInfo *info, RtContentHash part[], char hash[RT_HASH_TEXT])
{
  RtHash *sum;

  PetscFunctionBegin;
  PetscCall(rt_hash_create(&sum));
  PetscCall(add_all(sum, info, part));
  PetscCall(rt_hash_finish(&sum, hash));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_content_check_labels(const char *path, int64_t first, int64_t count, int classes,
                                       const int32_t *label)
{
  PetscFunctionBegin;
  for (int64_t i = 0; i < count; i++)
    RtCheck(label[i] >= 0 && label[i] < classes, "%s: the label of sample %lld is %d, outside 0 ... %d", path,
            (long long)(first + i), (int)label[i], classes - 1);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_content_check_floats(const char *path, const char *what, int64_t first, int64_t count, int64_t size,
                                       const float *value)
{
  uint32_t worst = 0, bits;

  PetscFunctionBegin;
  /* The greatest exponent; a loop without branches, as all data pass here. */
  for (int64_t i = 0; i < count * size; i++) {
    memcpy(&bits, value + i, sizeof bits);
    bits &= 0x7f800000u;
    worst = bits > worst ? bits : worst;
  }
  if (worst < 0x7f800000u) PetscFunctionReturn(0);
  for (int64_t i = 0; i < count * size; i++)
    RtCheck(isfinite(value[i]), "%s: the %s of sample %lld is not finite (element %lld is %s)", path, what,
            (long long)(first + i / size), (long long)(i % size), isnan(value[i]) ? "NaN" : "infinite");
  PetscFunctionReturn(0);
}
