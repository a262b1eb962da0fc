/* What the header of a dataset tells about its classes: how many, and their names. */
#define _GNU_SOURCE
#include "data/content.h"
#include "data/dataset_header.h"
#include "netcdf/netcdf.h"

#include <string.h>

/* Split text at separator into at most RT_CONTENT_CLASSES names. *names and each of them are allocated. */
static PetscErrorCode split(const char *text, char separator, int *count, char ***names)
{
  int total = 0, i = 0;
  const char *end;

  PetscFunctionBegin;
  for (const char *c = text; *c; c = end) {
    while (*c == separator) c++;
    end = strchrnul(c, separator);
    if (end > c) total++;
  }
  PetscCall(PetscCalloc1((size_t)total + 1, names));
  for (const char *c = text; *c && i < total; c = end) {
    while (*c == separator) c++;
    end = strchrnul(c, separator);
    PetscCall(PetscCalloc1((size_t)(end - c) + 1, &(*names)[i]));
    memcpy((*names)[i++], c, (size_t)(end - c));
  }
  *count = total;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_free_names(int count, char ***names)
{
  PetscFunctionBegin;
  for (int i = 0; *names && i < count; i++) PetscCall(PetscFree((*names)[i]));
  PetscCall(PetscFree(*names));
  PetscFunctionReturn(0);
}

/* Number of classes from flag_values, 0 where there are none. plain: they are 0, 1, 2, ... */
static PetscErrorCode count_flags(const RtDataset *dataset, int *classes, bool *plain)
{
  const char *path = dataset->path;
  int id = dataset->variable[dataset->info.label].id, status;
  long long *flag, most = -1;
  nc_type type;
  size_t length;

  PetscFunctionBegin;
  *classes = 0;
  *plain = true;
  RtNetcdfTry(status, nc_inq_att(dataset->nc, id, "flag_values", &type, &length));
  if (status == NC_ENOTATT) PetscFunctionReturn(0);
  RtNetcdfRead(path, status);
  RtCheck(type != NC_CHAR && type < NC_STRING && length > 0 && (int64_t)length <= dataset->bytes,
          "%s: flag_values of 'label' are not numbers", path);
  PetscCall(PetscMalloc1(length, &flag));
  RtNetcdfTry(status, nc_get_att_longlong(dataset->nc, id, "flag_values", flag));
  for (size_t i = 0; !status && i < length; i++) {
    *plain = *plain && flag[i] == (long long)i;
    if (flag[i] > most) most = flag[i];
  }
  PetscCall(PetscFree(flag));
  RtNetcdfRead(path, status);
  RtCheck(most >= 0 && most < RT_CONTENT_CLASSES, "%s: flag_values of 'label' must lie in 0 ... %d", path,
          RT_CONTENT_CLASSES - 1);
  *classes = (int)most + 1;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_inspect_classes(RtDataset *dataset)
{
  RtDatasetInfo *info = &dataset->info;
  const char *path = dataset->path;
  int nc = dataset->nc, id = dataset->variable[dataset->info.label].id, flags, count = 0;
  int64_t classes = 0;
  char *text, **names = NULL;
  bool found, plain;

  PetscFunctionBegin;
  PetscCall(rt_netcdf_get_int64(path, nc, id, "classes", &classes, &found));
  RtCheck(!found || (classes > 0 && classes <= RT_CONTENT_CLASSES), "%s: 'label' claims %lld classes", path,
          (long long)classes);
  PetscCall(count_flags(dataset, &flags, &plain));
  if (!found) classes = flags;
  /* flag_meanings has words; names with spaces stand in class_names, one a line. */
  PetscCall(rt_netcdf_get_text(path, nc, id, "class_names", dataset->bytes, &text));
  if (text) PetscCall(split(text, '\n', &count, &names));
  PetscCall(PetscFree(text));
  if (!count) {
    PetscCall(rt_dataset_free_names(count, &names));
    PetscCall(rt_netcdf_get_text(path, nc, id, "flag_meanings", dataset->bytes, &text));
    if (text) PetscCall(split(text, ' ', &count, &names));
    PetscCall(PetscFree(text));
  }
  if (!classes) classes = count;
  if (count && count == classes && plain)
    info->class_name = names;
  else
    PetscCall(rt_dataset_free_names(count, &names));
  info->classes = (int)classes;
  PetscFunctionReturn(0);
}
