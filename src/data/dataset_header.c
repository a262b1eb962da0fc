/* What the header of a dataset tells: its fields, their shapes and types. */
#include "data/dataset_header.h"

#include "core/size.h"
#include "data/content.h"
#include "netcdf/netcdf.h"

#include <math.h>
#include <stdlib.h>
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
  bool found;

  PetscFunctionBegin;
  if (variable->type == NC_FLOAT || variable->type == NC_DOUBLE) variable->exact[variable->fills++] = NC_FILL_FLOAT;
  for (int i = 0; i < 2; i++) {
    double value;

    PetscCall(rt_netcdf_get_double(dataset->path, dataset->nc, variable->id, name[i], &value, &found));
    if (found) variable->exact[variable->fills++] = value;
  }
  for (int f = 0; f < variable->fills; f++) variable->fill[f] = (float)variable->exact[f];
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

/* What all variables have in common. variable->id is there. */
static PetscErrorCode inspect_variable(const RtDataset *dataset, const char *name, RtVariable *variable)
{
  const char *path = dataset->path;
  int nc = dataset->nc;
  char *text;
  bool found;

  PetscFunctionBegin;
  variable->scale = 1;
  RtNetcdfRead(path, nc_inq_var(nc, variable->id, NULL, &variable->type, &variable->ndim, variable->dim, NULL));
  RtCheck(variable->type != NC_CHAR && variable->type < NC_STRING, "%s: the variable '%s' does not hold numbers", path,
          name);
  RtCheck(variable->ndim > 0, "%s: the variable '%s' has no dimensions; the first one must count samples", path, name);
  RtCheck(variable->ndim <= RT_MAX_DIM + 1, "%s: '%s' has %d dimensions; at most %d are supported", path, name,
          variable->ndim, RT_MAX_DIM + 1);
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

/* Shape of a field. A damaged header may claim anything; what follows allocates by these numbers. */
static PetscErrorCode inspect_shape(const RtDataset *dataset, const RtVariable *variable, RtField *field)
{
  const char *path = dataset->path;
  const long long samples = dataset->info.samples;
  int64_t size = 1, total;
  char name[NC_MAX_NAME + 1];
  size_t length;

  PetscFunctionBegin;
  field->ndim = variable->ndim - 1;
  for (int i = 0; i < field->ndim; i++) {
    RtNetcdfRead(path, nc_inq_dim(dataset->nc, variable->dim[i + 1], name, &length));
    RtCheck(length > 0, "%s: the dimension '%s' of '%s' is empty", path, name, field->name);
    field->dim[i] = (int64_t)length;
    PetscCall(PetscStrncpy(field->axis[i], name, sizeof field->axis[i]));
    RtCheck(!__builtin_mul_overflow(size, field->dim[i], &size), "%s: '%s' is too large", path, field->name);
  }
  RtCheck(!__builtin_mul_overflow(dataset->info.samples, size, &total) && total / RATIO <= dataset->bytes,
          "%s: '%s' claims %lld samples of %lld numbers, which do not fit into a file of %lld bytes", path, field->name,
          samples, (long long)size, (long long)dataset->bytes);
  PetscFunctionReturn(0);
}

/* The type that holds what the variable's type can hold. */
static RtType type_of(const RtVariable *variable)
{
  switch (variable->type) {
  case NC_BYTE:
    return variable->bytes ? RT_UINT8 : RT_INT32;
  case NC_UBYTE:
    return RT_UINT8;
  case NC_SHORT:
  case NC_USHORT:
  case NC_INT:
    return RT_INT32;
  case NC_UINT:
  case NC_INT64:
  case NC_UINT64:
    return RT_INT64;
  default:
    return RT_FLOAT;
  }
}

static PetscErrorCode inspect_field(RtDataset *dataset, int number)
{
  RtField *field = &dataset->info.field[number];
  RtVariable *variable = &dataset->variable[number];

  PetscFunctionBegin;
  PetscCall(inspect_variable(dataset, field->name, variable));
  PetscCall(inspect_shape(dataset, variable, field));
  field->type = type_of(variable);
  field->scale = (float)variable->scale;
  field->offset = (float)variable->offset;
  PetscFunctionReturn(0);
}

/* --- fields that have a meaning ----------------------------------------------------------------------------------- */

/* Whole numbers that are no bytes are read as floats. */
static PetscErrorCode inspect_input(RtDataset *dataset)
{
  RtField *input = &dataset->info.field[dataset->info.input];

  PetscFunctionBegin;
  if (input->type != RT_UINT8) input->type = RT_FLOAT;
  if (!input->ndim) { /* input(sample): one number a sample */
    input->ndim = 1;
    input->dim[0] = 1;
    PetscCall(PetscStrncpy(input->axis[0], "feature", sizeof input->axis[0]));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode inspect_label(RtDataset *dataset)
{
  const RtVariable *label = &dataset->variable[dataset->info.label];
  const char *path = dataset->path;

  PetscFunctionBegin;
  RtCheck(label->type != NC_FLOAT && label->type != NC_DOUBLE,
          "%s: 'label' must hold whole numbers; name it 'target' if this is a regression", path);
  RtCheck(label->scale == 1 && label->offset == 0, "%s: 'label' must not have scale_factor or add_offset", path);
  RtCheck(label->ndim == 1, "%s: 'label' must have one dimension, the first one of 'input'", path);
  dataset->info.field[dataset->info.label].type = RT_INT32;
  PetscCall(rt_dataset_inspect_classes(dataset));
  PetscFunctionReturn(0);
}

/* It is read in physical units. */
static PetscErrorCode inspect_target(RtDataset *dataset)
{
  RtField *target = &dataset->info.field[dataset->info.target];
  const char *path = dataset->path;

  PetscFunctionBegin;
  RtCheck(target->ndim <= 1, "%s: 'target' must have the first dimension of 'input' and at most one more", path);
  RtCheck(rt_field_size(target) <= RT_CONTENT_CLASSES, "%s: 'target' claims %lld numbers a sample", path,
          (long long)rt_field_size(target));
  target->type = RT_FLOAT;
  target->scale = 1;
  target->offset = 0;
  PetscFunctionReturn(0);
}

/* --- which variables are fields ----------------------------------------------------------------------------------- */

/* The dimension that counts samples: the first one of `input`, or `sample`. */
static PetscErrorCode find_samples(RtDataset *dataset, int *dimension)
{
  const char *path = dataset->path;
  int input, status, dim[NC_MAX_VAR_DIMS], ndim = 0;
  char name[NC_MAX_NAME + 1];
  size_t length;

  PetscFunctionBegin;
  RtNetcdfTry(status, nc_inq_varid(dataset->nc, "input", &input));
  if (!status) {
    RtNetcdfRead(path, nc_inq_var(dataset->nc, input, NULL, NULL, &ndim, dim, NULL));
    RtCheck(ndim > 0, "%s: the variable 'input' has no dimensions; the first one must count samples", path);
    *dimension = dim[0];
  } else {
    if (status != NC_ENOTVAR) RtNetcdfRead(path, status);
    RtNetcdfTry(status, nc_inq_dimid(dataset->nc, "sample", dimension));
    RtCheck(!status, "%s has no variable 'input' (its first dimension counts samples), and no dimension 'sample'",
            path);
  }
  RtNetcdfRead(path, nc_inq_dim(dataset->nc, *dimension, name, &length));
  RtCheck(length > 0, "%s: the dimension '%s' of 'input' is empty", path, name);
  dataset->info.samples = (int64_t)length;
  PetscFunctionReturn(0);
}

/* Whether a variable is a field; name: [NC_MAX_NAME + 1]. One with a meaning is, or it is an error. */
static PetscErrorCode is_field(const RtDataset *dataset, int id, int samples, char *name, bool *field)
{
  const char *path = dataset->path;
  char first[NC_MAX_NAME + 1] = "";
  int ndim, dim[NC_MAX_VAR_DIMS];
  nc_type type;

  PetscFunctionBegin;
  RtNetcdfRead(path, nc_inq_var(dataset->nc, id, name, &type, &ndim, dim, NULL));
  if (ndim > 0) RtNetcdfRead(path, nc_inq_dimname(dataset->nc, dim[0], first));
  *field = ndim > 0 && dim[0] == samples && type != NC_CHAR && type < NC_STRING && ndim <= RT_MAX_DIM + 1 &&
           strlen(name) < RT_FIELD_NAME && (ndim > 1 || strcmp(name, first) != 0);
  if (!rt_field_known(name)) PetscFunctionReturn(0);
  RtCheck(*field || type == NC_CHAR || type >= NC_STRING || ndim == 0 || dim[0] == samples,
          "%s: the first dimension of '%s' is '%s', which does not count the samples: it must be the first one of "
          "'input'",
          path, name, first);
  *field = true;
  PetscFunctionReturn(0);
}

static PetscErrorCode list_fields(RtDataset *dataset)
{
  RtDatasetInfo *info = &dataset->info;
  const char *path = dataset->path;
  char name[NC_MAX_NAME + 1];
  int samples, variables, id;

  PetscFunctionBegin;
  PetscCall(find_samples(dataset, &samples));
  RtNetcdfRead(path, nc_inq_nvars(dataset->nc, &variables));
  PetscCall(PetscCalloc1((size_t)variables + 1, &info->field));
  PetscCall(PetscCalloc1((size_t)variables + 1, &dataset->variable));
  for (int v = 0; v < variables; v++) {
    bool field;

    PetscCall(is_field(dataset, v, samples, name, &field));
    if (field) PetscCall(PetscStrncpy(info->field[info->fields++].name, name, RT_FIELD_NAME));
  }
  RtCheck(info->fields, "%s has no variable whose first dimension is 'sample'", path);
  qsort(info->field, (size_t)info->fields, sizeof(*info->field), rt_field_order);
  for (int f = 0; f < info->fields; f++) {
    RtNetcdfRead(path, nc_inq_varid(dataset->nc, info->field[f].name, &id));
    dataset->variable[f].id = id;
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_inspect(RtDataset *dataset)
{
  RtDatasetInfo *info = &dataset->info;

  PetscFunctionBegin;
  PetscCall(rt_netcdf_open(dataset->path, &dataset->nc, &dataset->bytes));
  PetscCall(list_fields(dataset));
  for (int f = 0; f < info->fields; f++) PetscCall(inspect_field(dataset, f));
  rt_field_repeat(info);
  if (info->input >= 0) PetscCall(inspect_input(dataset));
  if (info->label >= 0) PetscCall(inspect_label(dataset));
  if (info->target >= 0) PetscCall(inspect_target(dataset));
  rt_field_repeat(info);
  PetscFunctionReturn(0);
}
