/* What the header of a dataset tells: shape, types, classes. */
#define _GNU_SOURCE
#include "data/dataset_header.h"

#include "core/size.h"
#include "data/content.h"
#include "netcdf/netcdf.h"

#include <math.h>
#include <string.h>

enum {
  RATIO = 4096,    /* no compression makes a file smaller than this */
  CACHE = 16 << 20 /* bytes of chunks that are kept unpacked, where one chunk is not larger */
};

/* The values that mean "missing": _FillValue, missing_value, and for floats what NetCDF puts where nothing was
   written. */
static PetscErrorCode find_fills(const RtDataset *dataset, RtVariable *variable)
{
  static const char *const name[] = {"_FillValue", "missing_value"};
  double value;
  bool found;

  PetscFunctionBegin;
  if (variable->type == NC_FLOAT || variable->type == NC_DOUBLE) variable->fill[variable->fills++] = NC_FILL_FLOAT;
  for (int i = 0; i < 2; i++) {
    PetscCall(rt_netcdf_get_double(dataset->path, dataset->nc, variable->id, name[i], &value, &found));
    if (found) variable->fill[variable->fills++] = (float)value;
  }
  PetscFunctionReturn(0);
}

/* Samples are read in ascending pieces: so of the chunks only those need to stay unpacked that a piece may have cut,
   all that hold parts of the same samples. */
static PetscErrorCode limit_cache(const RtDataset *dataset, const RtVariable *variable)
{
  const char *path = dataset->path;
  size_t chunk[NC_MAX_VAR_DIMS], size, length;
  int64_t one, row;
  int storage;

  PetscFunctionBegin;
  RtNetcdfRead(path, nc_inq_var_chunking(dataset->nc, variable->id, &storage, chunk));
  if (storage != NC_CHUNKED) PetscFunctionReturn(0);
  RtNetcdfRead(path, nc_inq_type(dataset->nc, variable->type, NULL, &size));
  one = row = rt_size_times((int64_t)size, (int64_t)chunk[0]);
  for (int i = 1; i < variable->ndim; i++) {
    RtNetcdfRead(path, nc_inq_dimlen(dataset->nc, variable->dim[i], &length));
    one = rt_size_times(one, (int64_t)chunk[i]);
    row = rt_size_times(row, (int64_t)((length + chunk[i] - 1) / chunk[i] * chunk[i]));
  }
  RtNetcdfRead(path, nc_set_var_chunk_cache(dataset->nc, variable->id, (size_t)PetscMax(one, PetscMin(row, CACHE)),
                                            1009, 0.75F));
  PetscFunctionReturn(0);
}

/* Look up a variable by name. Its id is -1 where the file has none. */
static PetscErrorCode find_variable(const RtDataset *dataset, const char *name, RtVariable *variable)
{
  const char *path = dataset->path;
  int nc = dataset->nc, status;
  char *text;
  bool found;

  PetscFunctionBegin;
  memset(variable, 0, sizeof *variable);
  variable->id = -1;
  variable->scale = 1;
  RtNetcdfTry(status, nc_inq_varid(nc, name, &variable->id));
  if (status == NC_ENOTVAR) {
    variable->id = -1;
    PetscFunctionReturn(0);
  }
  RtNetcdfRead(path, status);
  RtNetcdfRead(path, nc_inq_var(nc, variable->id, NULL, &variable->type, &variable->ndim, variable->dim, NULL));
  RtCheck(variable->type != NC_CHAR && variable->type < NC_STRING, "%s: the variable '%s' does not hold numbers", path,
          name);
  RtCheck(variable->ndim > 0, "%s: the variable '%s' has no dimensions; the first one must count samples", path, name);
  PetscCall(rt_netcdf_get_text(path, nc, variable->id, "_Unsigned", dataset->bytes, &text));
  variable->bytes = text && variable->type == NC_BYTE && !strcmp(text, "true");
  PetscCall(PetscFree(text));
  PetscCall(rt_netcdf_get_double(path, nc, variable->id, "scale_factor", &variable->scale, &found));
  PetscCall(rt_netcdf_get_double(path, nc, variable->id, "add_offset", &variable->offset, &found));
  RtCheck(isfinite(variable->scale) && variable->scale != 0 && isfinite(variable->offset) &&
              isfinite((float)variable->scale) && isfinite((float)variable->offset),
          "%s: scale_factor or add_offset of '%s' is zero or not finite", path, name);
  PetscCall(find_fills(dataset, variable));
  PetscCall(limit_cache(dataset, variable));
  PetscFunctionReturn(0);
}

/* Shape and type of input. */
static PetscErrorCode inspect_input(RtDataset *dataset)
{
  RtDatasetInfo *info = &dataset->info;
  RtVariable *input = &dataset->input;
  const char *path = dataset->path;
  char name[NC_MAX_NAME + 1];
  int64_t total;
  size_t length;

  PetscFunctionBegin;
  PetscCall(find_variable(dataset, "input", input));
  RtCheck(input->id >= 0, "%s has no variable 'input' (its first dimension counts samples)", path);
  RtCheck(input->ndim <= RT_MAX_DIM + 1, "%s: 'input' has %d dimensions; at most %d are supported", path, input->ndim,
          RT_MAX_DIM + 1);
  info->type = input->type == NC_UBYTE || input->bytes ? RT_UINT8 : RT_FLOAT;
  info->scale = (float)input->scale;
  info->offset = (float)input->offset;
  info->size = 1;
  for (int i = 0; i < input->ndim; i++) {
    RtNetcdfRead(path, nc_inq_dim(dataset->nc, input->dim[i], name, &length));
    RtCheck(length > 0, "%s: the dimension '%s' of 'input' is empty", path, name);
    if (!i)
      info->samples = (int64_t)length;
    else {
      info->dim[i - 1] = (int64_t)length;
      PetscCall(PetscStrncpy(info->dim_name[i - 1], name, sizeof info->dim_name[i - 1]));
      RtCheck(!__builtin_mul_overflow(info->size, info->dim[i - 1], &info->size), "%s: 'input' is too large", path);
    }
  }
  info->ndim = input->ndim - 1;
  if (!info->ndim) { /* input(sample): one number a sample */
    info->ndim = 1;
    info->dim[0] = 1;
    PetscCall(PetscStrncpy(info->dim_name[0], "feature", sizeof info->dim_name[0]));
  }
  /* A damaged header may claim anything; what follows allocates by these numbers. */
  RtCheck(!__builtin_mul_overflow(info->samples, info->size, &total) && total / RATIO <= dataset->bytes,
          "%s: 'input' claims %lld samples of %lld numbers, which do not fit into a file of %lld bytes", path,
          (long long)info->samples, (long long)info->size, (long long)dataset->bytes);
  PetscFunctionReturn(0);
}

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
  int id = dataset->label.id, status;
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

/* Number of classes and their names, as far as the header tells. classes stays 0 where it does not. */
static PetscErrorCode inspect_classes(RtDataset *dataset)
{
  RtDatasetInfo *info = &dataset->info;
  const char *path = dataset->path;
  int nc = dataset->nc, id = dataset->label.id, flags, count = 0;
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

static PetscErrorCode inspect_label(RtDataset *dataset)
{
  RtVariable *label = &dataset->label;
  const char *path = dataset->path;

  PetscFunctionBegin;
  PetscCall(find_variable(dataset, "label", label));
  if (label->id < 0) PetscFunctionReturn(0);
  RtCheck(label->type != NC_FLOAT && label->type != NC_DOUBLE,
          "%s: 'label' must hold whole numbers; name it 'target' if this is a regression", path);
  RtCheck(label->scale == 1 && label->offset == 0, "%s: 'label' must not have scale_factor or add_offset", path);
  RtCheck(label->ndim == 1 && label->dim[0] == dataset->input.dim[0],
          "%s: 'label' must have one dimension, the first one of 'input'", path);
  PetscCall(inspect_classes(dataset));
  PetscFunctionReturn(0);
}

static PetscErrorCode inspect_target(RtDataset *dataset)
{
  RtVariable *target = &dataset->target;
  const char *path = dataset->path;
  size_t length = 1;

  PetscFunctionBegin;
  PetscCall(find_variable(dataset, "target", target));
  if (target->id < 0) PetscFunctionReturn(0);
  RtCheck(target->ndim <= 2 && target->dim[0] == dataset->input.dim[0],
          "%s: 'target' must have the first dimension of 'input' and at most one more", path);
  if (target->ndim == 2) RtNetcdfRead(path, nc_inq_dimlen(dataset->nc, target->dim[1], &length));
  RtCheck(length > 0 && length <= RT_CONTENT_CLASSES &&
              (int64_t)length <= RATIO * (dataset->bytes / dataset->info.samples + 1),
          "%s: 'target' claims %lld numbers a sample", path, (long long)length);
  dataset->info.targets = (int)length;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_inspect(RtDataset *dataset)
{
  PetscFunctionBegin;
  PetscCall(rt_netcdf_open(dataset->path, &dataset->nc, &dataset->bytes));
  PetscCall(inspect_input(dataset));
  PetscCall(inspect_label(dataset));
  PetscCall(inspect_target(dataset));
  PetscFunctionReturn(0);
}
