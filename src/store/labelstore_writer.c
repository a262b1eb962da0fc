/* Writing one shard of a label store. */
#include <retort/labelstore.h>

#include "core/file.h"
#include "data/content.h"
#include "netcdf/netcdf.h"
#include "store/form.h"
#include "store/labelstore_shard.h"

#include <stdio.h>
#include <string.h>

enum {
  IDS = RT_LABELSTORE_CHUNK / 2, /* sample numbers in a chunk: 1 MiB */
  LEVEL = 1                      /* of deflate: higher ones take longer and save little */
};

static PetscErrorCode put_attributes(const char *path, int nc, const RtLabelstoreInfo *info, int64_t shard,
                                     const char *options)
{
  PetscFunctionBegin;
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, "teacher_hash", info->teacher));
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, "dataset_hash", info->dataset));
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, "precision", info->precision));
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, "augment", info->augment));
  PetscCall(rt_netcdf_put_int64(path, nc, NC_GLOBAL, "samples_total", info->samples));
  PetscCall(rt_netcdf_put_int64(path, nc, NC_GLOBAL, "shard_size", info->shard));
  PetscCall(rt_netcdf_put_int64(path, nc, NC_GLOBAL, "views", info->views));
  PetscCall(rt_netcdf_put_int64(path, nc, NC_GLOBAL, "shard", shard));
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, rt_netcdf_record_name, options));
  PetscFunctionReturn(0);
}

/* Of the features that stores had before they had other fields. */
static PetscErrorCode put_feature_attributes(const char *path, int nc, const RtLabelstoreField *field)
{
  PetscFunctionBegin;
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, "features_hash", field->hash));
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, "features_layer", field->layer));
  RtNetcdfWrite(path, nc_put_att_double(nc, NC_GLOBAL, "features_kept_variance", NC_DOUBLE, 1, &field->kept));
  PetscFunctionReturn(0);
}

/* A variable with the number of each sample in the dataset. `sample`, the coordinate of the dimension, puts the shards
   into order in xarray's open_mfdataset; `sample_id` keeps the numbers where tools drop or renumber coordinates. */
static PetscErrorCode put_ids(const char *path, int nc, const char *name, int dim, int64_t first, int64_t count)
{
  size_t chunk = (size_t)(PetscMin(count, IDS)), start = 0;
  long long *id;
  int var, status;

  PetscFunctionBegin;
  RtNetcdfWrite(path, nc_def_var(nc, name, NC_INT64, 1, &dim, &var));
  RtNetcdfWrite(path, nc_def_var_chunking(nc, var, NC_CHUNKED, &chunk));
  RtNetcdfWrite(path, nc_def_var_deflate(nc, var, NC_SHUFFLE, 1, 1));
  RtNetcdfWrite(path, nc_def_var_fletcher32(nc, var, NC_FLETCHER32));
  PetscCall(rt_netcdf_describe(path, nc, var, "number of the sample in the dataset", "1"));
  chunk = (size_t)count;
  PetscCall(PetscMalloc1(chunk, &id));
  for (int64_t i = 0; i < count; i++) id[i] = first + i;
  RtNetcdfTry(status, nc_put_vara_longlong(nc, var, &start, &chunk, id));
  PetscCall(PetscFree(id));
  RtNetcdfWrite(path, status);
  PetscFunctionReturn(0);
}

/* What a field says of itself; logits as they are and features say it as they always did. */
static PetscErrorCode put_field_attributes(const char *path, int nc, int var, const RtLabelstoreField *field)
{
  const bool logits = !strcmp(field->name, "logits"), features = !strcmp(field->name, "features");
  const RtForm *form = rt_form_find(field->form);
  char name[192] = "raw output of the teacher, before softmax";

  PetscFunctionBegin;
  if (features) snprintf(name, sizeof(name), "principal components of a layer's activations");
  if (!logits && !features)
    snprintf(name, sizeof(name), "%s '%s' of the teacher",
             form->traits & RT_FORM_PROJECTED ? "principal components of" : "value", field->layer);
  PetscCall(rt_netcdf_describe(path, nc, var, name, "1"));
  PetscCall(rt_netcdf_put_text(path, nc, var, "coordinates", "sample_id"));
  if (features || (logits && form == rt_form_at(0))) PetscFunctionReturn(0);
  PetscCall(rt_netcdf_put_text(path, nc, var, "form", form->name));
  if (!logits) PetscCall(rt_netcdf_put_text(path, nc, var, "teacher_value", field->layer));
  if (field->absolute > 0)
    RtNetcdfWrite(path, nc_put_att_double(nc, var, "maximum_absolute_error", NC_DOUBLE, 1, &field->absolute));
  if (field->relative > 0)
    RtNetcdfWrite(path, nc_put_att_double(nc, var, "maximum_relative_error", NC_DOUBLE, 1, &field->relative));
  if (!field->hash[0]) PetscFunctionReturn(0);
  PetscCall(rt_netcdf_put_text(path, nc, var, "components_hash", field->hash));
  RtNetcdfWrite(path, nc_put_att_double(nc, var, "kept_variance", NC_DOUBLE, 1, &field->kept));
  PetscFunctionReturn(0);
}

/* Dimensions of a row: `class` of logits, `component` of features, NAME_component, NAME_axis1, … own: [axes] gets them.
 */
static PetscErrorCode put_dimensions(const char *path, int nc, const RtLabelstoreField *field, int *axes, int *own)
{
  const RtForm *form = rt_form_find(field->form);
  char name[64];

  PetscFunctionBegin;
  *axes = PetscMax(1, field->axes);
  for (int i = 0; i < *axes; i++) {
    if (form->traits & RT_FORM_PROJECTED)
      snprintf(name, sizeof(name), "%s_component", field->name);
    else
      snprintf(name, sizeof(name), "%s_axis%d", field->name, i + 1);
    if (!strcmp(field->name, "logits")) snprintf(name, sizeof(name), "class");
    if (!strcmp(field->name, "features")) snprintf(name, sizeof(name), "component");
    RtNetcdfWrite(path, nc_def_dim(nc, name, (size_t)(field->axes ? field->dim[i] : field->width), &own[i]));
  }
  PetscFunctionReturn(0);
}

/* A field in a file: its rows are [sample, view, axes…] or, of one view, [sample, axes…]. */
typedef struct {
  const RtLabelstoreField *field;
  const float *data;
  int64_t first, count, views, in_chunk; /* samples; of a chunk, which has one view, as an epoch reads one */
  int var, ndim;
  size_t size[RT_MAX_DIM + 2];
} Rows;

/* Rounded, a chunk of samples after the other. */
static PetscErrorCode put_encoded(const char *path, int nc, const RtForm *form, Rows *r)
{
  const int64_t row = r->views * r->field->width;
  size_t start[RT_MAX_DIM + 2] = {0};
  float *piece;
  PetscErrorCode error = 0;
  int status = 0;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(PetscMin(r->in_chunk, r->count) * row, &piece));
  for (int64_t at = 0; at < r->count && !error && !status; at += r->in_chunk) {
    const int64_t count = PetscMin(r->in_chunk, r->count - at);

    memcpy(piece, r->data + at * row, (size_t)(count * row) * sizeof(float));
    form->encode(r->field, count * row, piece);
    error = rt_content_check_floats(path, "rounded output", r->first + at, count, row, piece);
    start[0] = (size_t)at;
    r->size[0] = (size_t)count;
    if (!error) RtNetcdfTry(status, nc_put_vara_float(nc, r->var, start, r->size, piece));
  }
  PetscCall(PetscFree(piece));
  PetscCall(error);
  RtNetcdfWrite(path, status);
  PetscFunctionReturn(0);
}

/* dim: of sample and view. */
static PetscErrorCode put_rows(const char *path, int nc, const int dim[2], Rows *r)
{
  const RtForm *form = rt_form_find(r->field->form);
  size_t chunk[RT_MAX_DIM + 2], start[RT_MAX_DIM + 2] = {0};
  int own[RT_MAX_DIM + 2] = {dim[0], dim[1]}, first = r->views > 1 ? 2 : 1, axes;

  PetscFunctionBegin;
  PetscCall(put_dimensions(path, nc, r->field, &axes, own + first));
  r->ndim = first + axes;
  r->in_chunk = PetscMax(1, RT_LABELSTORE_CHUNK / r->field->width);
  r->size[0] = (size_t)r->count;
  chunk[0] = (size_t)PetscMin(r->in_chunk, r->count);
  r->size[1] = (size_t)r->views;
  chunk[1] = 1;
  for (int i = 0; i < axes; i++)
    r->size[first + i] = chunk[first + i] = (size_t)(r->field->axes ? r->field->dim[i] : r->field->width);
  RtNetcdfWrite(path, nc_def_var(nc, r->field->name, NC_FLOAT, r->ndim, own, &r->var));
  RtNetcdfWrite(path, nc_def_var_chunking(nc, r->var, NC_CHUNKED, chunk));
  if (form->traits & RT_FORM_PACKED) RtNetcdfWrite(path, nc_def_var_deflate(nc, r->var, NC_SHUFFLE, 1, LEVEL));
  RtNetcdfWrite(path, nc_def_var_fletcher32(nc, r->var, NC_FLETCHER32));
  PetscCall(put_field_attributes(path, nc, r->var, r->field));
  if (form->encode)
    PetscCall(put_encoded(path, nc, form, r));
  else
    RtNetcdfWrite(path, nc_put_vara_float(nc, r->var, start, r->size, r->data));
  PetscFunctionReturn(0);
}

static PetscErrorCode put_all(const char *path, int nc, const RtLabelstoreInfo *info, int64_t shard,
                              const float *const *data, const char *options)
{
  const int features = rt_labelstore_find(info, "features");
  int64_t count = rt_labelstore_count(info, shard), first = shard * info->shard;
  int dim[2] = {-1, -1};

  PetscFunctionBegin;
  PetscCall(put_attributes(path, nc, info, shard, options));
  if (features >= 0) PetscCall(put_feature_attributes(path, nc, &info->field[features]));
  RtNetcdfWrite(path, nc_def_dim(nc, "sample", (size_t)count, &dim[0]));
  if (info->views > 1) RtNetcdfWrite(path, nc_def_dim(nc, "view", (size_t)info->views, &dim[1]));
  PetscCall(put_ids(path, nc, "sample", dim[0], first, count));
  PetscCall(put_ids(path, nc, "sample_id", dim[0], first, count));
  for (int f = 0; f < info->fields; f++) {
    Rows rows = {&info->field[f], data[f], first, count, .views = info->views};

    PetscCall(put_rows(path, nc, dim, &rows));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_write(const char *dir, const RtLabelstoreInfo *info, int64_t shard,
                                   const float *const *data, const char *options)
{
  int64_t count = rt_labelstore_count(info, shard);
  char path[PETSC_MAX_PATH_LEN], temporary[PETSC_MAX_PATH_LEN];
  PetscErrorCode error;
  int nc;

  PetscFunctionBegin;
  PetscCheck(shard >= 0 && shard < rt_labelstore_shards(info), PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE, "shard %lld",
             (long long)shard);
  PetscCall(rt_file_mkdir(dir));
  PetscCall(rt_labelstore_path(dir, shard, path));
  for (int f = 0; f < info->fields; f++)
    PetscCall(rt_content_check_floats(path, f ? info->field[f].name : "teacher's output", shard * info->shard, count,
                                      (int64_t)info->views * info->field[f].width, data[f]));
  PetscCall(rt_file_temporary(path, temporary, sizeof temporary));
  PetscCall(rt_netcdf_create(temporary, path, "logits of a teacher", &nc));
  error = put_all(path, nc, info, shard, data, options);
  if (error) PetscCall(rt_netcdf_abandon(temporary, nc));
  PetscCall(error);
  PetscCall(rt_netcdf_finish_sealed(temporary, path, nc));
  PetscFunctionReturn(0);
}
