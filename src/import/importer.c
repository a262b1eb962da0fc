#include "import/import.h"

#include <stdio.h>
#include <string.h>

static const RtImporter *const importers[] = {&rt_importer_idx, &rt_importer_npy, &rt_importer_csv};

enum { IMPORTERS = sizeof(importers) / sizeof(*importers) };

const RtImporter *rt_importer_at(int i)
{
  return i < IMPORTERS ? importers[i] : NULL;
}

const RtImporter *rt_importer_find(const char *name)
{
  for (int i = 0; i < IMPORTERS; i++)
    if (!strcmp(importers[i]->name, name)) return importers[i];
  return NULL;
}

const char *rt_importer_names(void)
{
  static char names[256];
  size_t at = 0;

  for (int i = 0; i < IMPORTERS; i++)
    at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s",
                           !i                  ? ""
                           : i + 1 < IMPORTERS ? ", "
                                               : " or ",
                           importers[i]->name);
  return names;
}
