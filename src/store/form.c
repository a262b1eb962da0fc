#include "store/form.h"

#include <stdio.h>
#include <string.h>

static const RtForm *const forms[] = {&rt_form_dense, &rt_form_bf16, &rt_form_rounded, &rt_form_components};

enum { FORMS = sizeof(forms) / sizeof(*forms), TEXT = 256 };

const RtForm *rt_form_at(int i)
{
  return i < FORMS ? forms[i] : NULL;
}

const RtForm *rt_form_find(const char *name)
{
  if (!name[0]) return forms[0];
  for (int i = 0; i < FORMS; i++)
    if (!strcmp(forms[i]->name, name)) return forms[i];
  return NULL;
}

const char *rt_form_names(void)
{
  static char names[TEXT];
  size_t at = 0;

  for (int i = 0; i < FORMS; i++) at += (size_t)snprintf(names + at, TEXT - at, "%s%s", at ? "|" : "", forms[i]->name);
  return names;
}
