/* Writing one shard of a label store. */
#include <retort/labelstore.h>

#include "core/file.h"
#include "data/content.h"
#include "netcdf/netcdf.h"
#include "store/labelstore_shard.h"

enum { IDS = RT_LABELSTORE_CHUNK / 2 }; /* sample numbers in a chunk: 1 MiB */

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
  if (!info->components) PetscFunctionReturn(0);
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, "features_hash", info->features));
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, "features_layer", info->layer));
  RtNetcdfWrite(path, nc_put_att_double(nc, NC_GLOBAL, "features_kept_variance", NC_DOUBLE, 1, &info->kept));
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

/* A variable of [sample, view, width] or, of one view, [sample, width]. dim: of sample and view. */
typedef struct {
  const char *name, *dimension, *long_name;
  int width;
  const float *data;
} Rows;

static PetscErrorCode put_rows(const char *path, int nc, const int dim[2], const RtLabelstoreInfo *info, int64_t count,
                               const Rows *rows)
{
  int64_t in_chunk = PetscMax(1, RT_LABELSTORE_CHUNK / rows->width);
  size_t chunk[3] = {(size_t)PetscMin(in_chunk, count), 1, (size_t)rows->width}; /* an epoch reads one view */
  size_t shape[3] = {(size_t)count, (size_t)info->views, (size_t)rows->width}, start[3] = {0};
  int own[3] = {dim[0], dim[1]}, ndim = info->views > 1 ? 2 : 1, var;

  PetscFunctionBegin;
  if (info->views == 1) shape[1] = chunk[1] = (size_t)rows->width;
  RtNetcdfWrite(path, nc_def_dim(nc, rows->dimension, (size_t)rows->width, &own[ndim++]));
  RtNetcdfWrite(path, nc_def_var(nc, rows->name, NC_FLOAT, ndim, own, &var));
  RtNetcdfWrite(path, nc_def_var_chunking(nc, var, NC_CHUNKED, chunk));
  RtNetcdfWrite(path, nc_def_var_fletcher32(nc, var, NC_FLETCHER32));
  PetscCall(rt_netcdf_describe(path, nc, var, rows->long_name, "1"));
  PetscCall(rt_netcdf_put_text(path, nc, var, "coordinates", "sample_id"));
  RtNetcdfWrite(path, nc_put_vara_float(nc, var, start, shape, rows->data));
  PetscFunctionReturn(0);
}

static PetscErrorCode put_all(const char *path, int nc, const RtLabelstoreInfo *info, int64_t shard,
                              const float *logits, const float *features, const char *options)
{
  int64_t count = rt_labelstore_count(info, shard), first = shard * info->shard;
  Rows rows[2] = {
      {"logits", "class", "raw output of the teacher, before softmax", info->classes, logits},
      {"features", "component", "principal components of a layer's activations", info->components, features}};
  int dim[2] = {-1, -1};

  PetscFunctionBegin;
  PetscCall(put_attributes(path, nc, info, shard, options));
  RtNetcdfWrite(path, nc_def_dim(nc, "sample", (size_t)count, &dim[0]));
  if (info->views > 1) RtNetcdfWrite(path, nc_def_dim(nc, "view", (size_t)info->views, &dim[1]));
  PetscCall(put_ids(path, nc, "sample", dim[0], first, count));
  PetscCall(put_ids(path, nc, "sample_id", dim[0], first, count));
  for (int i = 0; i < (info->components ? 2 : 1); i++) PetscCall(put_rows(path, nc, dim, info, count, &rows[i]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_write(const char *dir, const RtLabelstoreInfo *info, int64_t shard, const float *logits,
                                   const float *features, const char *options)
{
  int64_t count = rt_labelstore_count(info, shard), size = (int64_t)info->views * info->classes;
  char path[PETSC_MAX_PATH_LEN], temporary[PETSC_MAX_PATH_LEN];
  PetscErrorCode error;
  int nc;

  PetscFunctionBegin;
  PetscCheck(shard >= 0 && shard < rt_labelstore_shards(info), PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE, "shard %lld",
             (long long)shard);
  PetscCall(rt_file_mkdir(dir));
  PetscCall(rt_labelstore_path(dir, shard, path));
  PetscCall(rt_content_check_floats(path, "teacher's output", shard * info->shard, count, size, logits));
  if (info->components)
    PetscCall(rt_content_check_floats(path, "layer's activations", shard * info->shard, count,
                                      (int64_t)info->views * info->components, features));
  PetscCall(rt_file_temporary(path, temporary, sizeof temporary));
  PetscCall(rt_netcdf_create(temporary, path, "logits of a teacher", &nc));
  error = put_all(path, nc, info, shard, logits, features, options);
  if (error) PetscCall(rt_netcdf_abandon(temporary, nc));
  PetscCall(error);
  PetscCall(rt_netcdf_finish_sealed(temporary, path, nc));
  PetscFunctionReturn(0);
}
