/* Fields of a label store: their list, and what they must have in common. */
#include <retort/labelstore.h>

#include "store/form.h"

#include <stdio.h>
#include <string.h>

void rt_labelstore_logits(RtLabelstoreInfo *info, int width)
{
  info->fields = 1;
  info->field[0] = (RtLabelstoreField){.name = "logits", .width = width};
}

int rt_labelstore_find(const RtLabelstoreInfo *info, const char *name)
{
  for (int f = 0; f < info->fields; f++)
    if (!strcmp(info->field[f].name, name)) return f;
  return -1;
}

int64_t rt_labelstore_width(const RtLabelstoreInfo *info)
{
  int64_t width = 0;

  for (int f = 0; f < info->fields; f++) width += info->field[f].width;
  return width;
}

static const char *form_of(const RtLabelstoreField *field)
{
  return field->form[0] ? field->form : rt_form_at(0)->name;
}

bool rt_labelstore_same(const RtLabelstoreField *has, const RtLabelstoreField *want, char *why)
{
  why[0] = 0;
  if (strcmp(has->layer, want->layer))
    snprintf(why, RT_LABELSTORE_TEXT, "holds '%.40s', expected '%.40s'", has->layer, want->layer);
  else if (strcmp(form_of(has), form_of(want)))
    snprintf(why, RT_LABELSTORE_TEXT, "has the form %s, expected %s", form_of(has), form_of(want));
  else if (has->absolute != want->absolute || has->relative != want->relative)
    snprintf(why, RT_LABELSTORE_TEXT, "is off by up to %g and %g of a number, expected %g and %g", has->absolute,
             has->relative, want->absolute, want->relative);
  else if (has->width != want->width)
    snprintf(why, RT_LABELSTORE_TEXT, "has %d numbers a sample, expected %d", has->width, want->width);
  else if (want->hash[0] && strcmp(has->hash, want->hash))
    snprintf(why, RT_LABELSTORE_TEXT, "holds other components, %.16s…, expected %.16s…", has->hash, want->hash);
  return !why[0];
}
