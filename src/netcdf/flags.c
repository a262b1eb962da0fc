#include "netcdf/flags.h"

#include "netcdf/netcdf.h"

#include <ctype.h>
#include <string.h>

/* All names in one text: as words joined by blanks, which changes what CF does not allow, or as lines. */
static PetscErrorCode join_names(const RtDatasetInfo *info, bool words, char **text, bool *changed)
{
  size_t length = 1;
  char *next;

  PetscFunctionBegin;
  *changed = false;
  for (int i = 0; i < info->classes; i++) length += strlen(info->class_name[i]) + 1;
  PetscCall(PetscMalloc1(length, text));
  next = *text;
  for (int i = 0; i < info->classes; i++) {
    if (i) *next++ = words ? ' ' : '\n';
    for (const char *c = info->class_name[i]; *c; c++) {
      bool fits = isalnum((unsigned char)*c) || strchr("_-.+@", *c);

      if (!fits) *changed = true;
      *next++ = fits || !words ? *c : '_';
    }
  }
  *next = 0;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_flags_put(const char *path, int nc, int variable, const RtDatasetInfo *info)
{
  char *text;
  int *flag, status;
  nc_type type;
  bool changed;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (!info->class_name) PetscFunctionReturn(0);
  PetscCall(PetscMalloc1((size_t)info->classes, &flag));
  for (int i = 0; i < info->classes; i++) flag[i] = i;
  RtNetcdfTry(status, nc_inq_vartype(nc, variable, &type)); /* CF: flags have the type of their variable */
  if (!status) RtNetcdfTry(status, nc_put_att_int(nc, variable, "flag_values", type, (size_t)info->classes, flag));
  PetscCall(PetscFree(flag));
  RtNetcdfWrite(path, status);
  PetscCall(join_names(info, true, &text, &changed));
  error = rt_netcdf_put_text(path, nc, variable, "flag_meanings", text);
  PetscCall(PetscFree(text));
  PetscCall(error);
  if (!changed) PetscFunctionReturn(0);
  PetscCall(join_names(info, false, &text, &changed));
  error = rt_netcdf_put_text(path, nc, variable, "class_names", text);
  PetscCall(PetscFree(text));
  PetscCall(error);
  PetscFunctionReturn(0);
}
