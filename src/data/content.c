#include "data/content.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

PetscErrorCode rt_content_create(RtContent *content)
{
  PetscFunctionBegin;
  memset(content, 0, sizeof *content);
  for (int i = 0; i < RT_CONTENT_PARTS; i++) PetscCall(rt_hash_create(&content->part[i]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_content_add(RtContent *content, const RtDatasetInfo *info, int64_t count, const void *input,
                              const int32_t *label, const float *target)
{
  size_t samples = (size_t)count;

  PetscFunctionBegin;
  if (input)
    PetscCall(
        rt_hash_add(content->part[RT_CONTENT_INPUT], input, samples * (size_t)info->size * rt_types_size(info->type)));
  if (label) PetscCall(rt_hash_add(content->part[RT_CONTENT_LABEL], label, samples * sizeof *label));
  if (target)
    PetscCall(rt_hash_add(content->part[RT_CONTENT_TARGET], target, samples * (size_t)info->targets * sizeof *target));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_content_finish(RtContent *content, char part[RT_CONTENT_PARTS][RT_HASH_TEXT])
{
  PetscFunctionBegin;
  for (int i = 0; i < RT_CONTENT_PARTS; i++) PetscCall(rt_hash_finish(&content->part[i], part[i]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_content_destroy(RtContent *content)
{
  PetscFunctionBegin;
  for (int i = 0; i < RT_CONTENT_PARTS; i++) PetscCall(rt_hash_destroy(&content->part[i]));
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

static PetscErrorCode add_all(RtHash *hash, const RtDatasetInfo *info, char part[RT_CONTENT_PARTS][RT_HASH_TEXT])
{
  static const char *const name[RT_CONTENT_PARTS] = {"input", "label", "target"};
  const bool has[RT_CONTENT_PARTS] = {true, info->classes > 0, info->targets > 0};
  char text[128];

  PetscFunctionBegin;
  PetscCall(add_line(hash, "dataset", "1"));
  snprintf(text, sizeof text, "%lld", (long long)info->samples);
  PetscCall(add_line(hash, "samples", text));
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
  for (int i = 0; i < RT_CONTENT_PARTS; i++) PetscCall(add_line(hash, name[i], has[i] ? part[i] : ""));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_content_hash(const RtDatasetInfo *info, char part[RT_CONTENT_PARTS][RT_HASH_TEXT],
                               char hash[RT_HASH_TEXT])
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
