/* Writing datasets: in order, in pieces, under a temporary name until all is there. */
#include "core/file.h"
#include "core/size.h"
#include "data/content.h"
#include "netcdf/flags.h"
#include "netcdf/netcdf.h"
#include <retort/dataset.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct RtDatasetWriter {
  RtDatasetInfo info;
  char path[PETSC_MAX_PATH_LEN], temporary[PETSC_MAX_PATH_LEN];
  int nc; /* -1: closed */
  int input, label, target;
  int64_t done; /* samples */
  RtContent content;
};

static PetscErrorCode check_info(const char *path, RtDatasetInfo *info)
{
  PetscFunctionBegin;
  RtCheck(info->samples > 0, "%s: there are no samples to write", path);
  PetscCheck(info->ndim > 0 && info->ndim <= RT_MAX_DIM, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE, "%d dimensions",
             info->ndim);
  PetscCheck(info->type == RT_UINT8 || info->type == RT_FLOAT, PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG, "type %d",
             (int)info->type);
  PetscCheck(isfinite(info->scale) && info->scale != 0 && isfinite(info->offset), PETSC_COMM_SELF,
             PETSC_ERR_ARG_OUTOFRANGE, "scale or offset");
  RtCheck(info->classes >= 0 && info->classes <= RT_CONTENT_CLASSES, "%s: %d classes are too many", path,
          info->classes);
  info->size = 1;
  for (int i = 0; i < info->ndim; i++)
    RtCheck(info->dim[i] > 0 && !__builtin_mul_overflow(info->size, info->dim[i], &info->size),
            "%s: a sample has no elements or too many", path);
  RtCheck(info->size <= INT64_MAX / 8 / info->samples, "%s: there are too many elements", path);
  PetscFunctionReturn(0);
}

static PetscErrorCode copy_names(RtDatasetInfo *info, char *const *names)
{
  PetscFunctionBegin;
  info->class_name = NULL;
  if (!names || !info->classes) PetscFunctionReturn(0);
  PetscCall(PetscCalloc1((size_t)info->classes, &info->class_name));
  for (int i = 0; i < info->classes; i++) PetscCall(PetscStrallocpy(names[i], &info->class_name[i]));
  PetscFunctionReturn(0);
}

/* What is not finished is removed. */
static PetscErrorCode destroy(RtDatasetWriter **writer)
{
  RtDatasetWriter *w = *writer;

  PetscFunctionBegin;
  if (w->nc >= 0) PetscCall(rt_netcdf_abandon(w->temporary, w->nc));
  PetscCall(rt_content_destroy(&w->content));
  for (int i = 0; w->info.class_name && i < w->info.classes; i++) PetscCall(PetscFree(w->info.class_name[i]));
  PetscCall(PetscFree(w->info.class_name));
  PetscCall(PetscFree(*writer));
  PetscFunctionReturn(0);
}

/* Chunks of several samples, or a part of a large one. */
static void choose_chunk(const RtDatasetInfo *info, size_t chunk[])
{
  int64_t bytes = (int64_t)rt_types_size(info->type);
  int64_t room = rt_netcdf_chunk(info->samples * info->size * bytes) / bytes; /* the product was checked */

  for (int i = info->ndim; i >= 0; i--) {
    int64_t whole = i ? info->dim[i - 1] : info->samples, part = whole < room ? whole : room;

    chunk[i] = (size_t)part;
    room /= part;
  }
}

static PetscErrorCode define_input(RtDatasetWriter *w, const int dim[], const RtDatasetText *text)
{
  const RtDatasetInfo *info = &w->info;
  size_t chunk[RT_MAX_DIM + 1];
  const char *path = w->path;
  int nc = w->nc;

  PetscFunctionBegin;
  RtNetcdfWrite(path,
                nc_def_var(nc, "input", info->type == RT_UINT8 ? NC_UBYTE : NC_FLOAT, info->ndim + 1, dim, &w->input));
  choose_chunk(info, chunk);
  RtNetcdfWrite(path, nc_def_var_chunking(nc, w->input, NC_CHUNKED, chunk));
  RtNetcdfWrite(path, nc_def_var_deflate(nc, w->input, NC_SHUFFLE, 1, 1));
  RtNetcdfWrite(path, nc_def_var_fletcher32(nc, w->input, NC_FLETCHER32));
  PetscCall(rt_netcdf_describe(path, nc, w->input, text && text->long_name ? text->long_name : "input",
                               text && text->units ? text->units : "1"));
  if (info->scale != 1) RtNetcdfWrite(path, nc_put_att_float(nc, w->input, "scale_factor", NC_FLOAT, 1, &info->scale));
  if (info->offset != 0) RtNetcdfWrite(path, nc_put_att_float(nc, w->input, "add_offset", NC_FLOAT, 1, &info->offset));
  PetscFunctionReturn(0);
}

/* label or target: dimension sample, and one more where second >= 0. */
static PetscErrorCode define_output(RtDatasetWriter *w, const char *name, nc_type type, int sample, int second,
                                    int64_t numbers, int *var)
{
  const int dim[2] = {sample, second};
  int64_t rows = rt_netcdf_chunk(rt_size_times(4 * numbers, w->info.samples)) / 4 / numbers;
  size_t chunk[2] = {1, (size_t)numbers};
  const char *path = w->path;

  PetscFunctionBegin;
  if (rows > 1) chunk[0] = (size_t)(rows < w->info.samples ? rows : w->info.samples);
  RtNetcdfWrite(path, nc_def_var(w->nc, name, type, second < 0 ? 1 : 2, dim, var));
  RtNetcdfWrite(path, nc_def_var_chunking(w->nc, *var, NC_CHUNKED, chunk));
  RtNetcdfWrite(path, nc_def_var_deflate(w->nc, *var, NC_SHUFFLE, 1, 1));
  RtNetcdfWrite(path, nc_def_var_fletcher32(w->nc, *var, NC_FLETCHER32));
  PetscFunctionReturn(0);
}

static PetscErrorCode define(RtDatasetWriter *w, const RtDatasetText *text)
{
  const RtDatasetInfo *info = &w->info;
  const char *path = w->path;
  int dim[RT_MAX_DIM + 1], second = -1;

  PetscFunctionBegin;
  if (text && text->source) PetscCall(rt_netcdf_put_text(path, w->nc, NC_GLOBAL, "source", text->source));
  RtNetcdfWrite(path, nc_def_dim(w->nc, "sample", (size_t)info->samples, &dim[0]));
  for (int i = 0; i < info->ndim; i++)
    RtNetcdfWrite(path, nc_def_dim(w->nc, info->dim_name[i], (size_t)info->dim[i], &dim[i + 1]));
  PetscCall(define_input(w, dim, text));
  if (info->classes) {
    PetscCall(define_output(w, "label", NC_INT, dim[0], -1, 1, &w->label));
    PetscCall(rt_netcdf_describe(path, w->nc, w->label, "class", "1"));
    PetscCall(rt_netcdf_put_int64(path, w->nc, w->label, "classes", info->classes));
    PetscCall(rt_flags_put(w->path, w->nc, w->label, &w->info));
  }
  if (info->targets) {
    if (info->targets > 1) RtNetcdfWrite(path, nc_def_dim(w->nc, "output", (size_t)info->targets, &second));
    PetscCall(define_output(w, "target", NC_FLOAT, dim[0], second, info->targets, &w->target));
    PetscCall(rt_netcdf_describe(path, w->nc, w->target, "regression target", "1"));
    if (text && text->target_name)
      PetscCall(rt_netcdf_put_text(path, w->nc, w->target, "target_name", text->target_name));
  }
  RtNetcdfWrite(path, nc_enddef(w->nc));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_create(const char *path, const RtDatasetInfo *info, const RtDatasetText *text,
                                 RtDatasetWriter **writer)
{
  RtDatasetInfo checked = *info;
  RtDatasetWriter *w;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(check_info(path, &checked));
  PetscCall(PetscNew(&w));
  w->info = checked;
  w->nc = -1;
  PetscCall(copy_names(&w->info, info->class_name));
  PetscCall(PetscStrncpy(w->path, path, sizeof w->path));
  error = rt_file_temporary(path, w->temporary, sizeof w->temporary);
  if (!error) error = rt_content_create(&w->content);
  if (!error) error = rt_netcdf_create(w->temporary, path, "samples for training and evaluation", &w->nc);
  if (!error) error = define(w, text);
  if (error) PetscCall(rt_dataset_discard(&w));
  PetscCall(error);
  *writer = w;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_append(RtDatasetWriter *writer, int64_t count, const void *input, const int32_t *label,
                                 const float *target)
{
  const RtDatasetInfo *info = &writer->info;
  const char *path = writer->path;
  size_t start[RT_MAX_DIM + 1] = {(size_t)writer->done}, size[RT_MAX_DIM + 1] = {(size_t)count};

  PetscFunctionBegin;
  PetscCheck(count >= 0 && count <= info->samples - writer->done, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE,
             "%lld samples more than announced", (long long)(writer->done + count - info->samples));
  PetscCheck(input && !label == !info->classes && !target == !info->targets, PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG,
             "buffers do not fit the dataset");
  if (!count) PetscFunctionReturn(0);
  if (info->type == RT_FLOAT) PetscCall(rt_content_check_floats(path, "input", writer->done, count, info->size, input));
  if (label) PetscCall(rt_content_check_labels(path, writer->done, count, info->classes, label));
  if (target) PetscCall(rt_content_check_floats(path, "target", writer->done, count, info->targets, target));
  PetscCall(rt_content_add(&writer->content, info, count, input, label, target));
  for (int i = 0; i < info->ndim; i++) size[i + 1] = (size_t)info->dim[i];
  RtNetcdfWrite(path, nc_put_vara(writer->nc, writer->input, start, size, input));
  if (label) RtNetcdfWrite(path, nc_put_vara_int(writer->nc, writer->label, start, size, label));
  size[1] = (size_t)info->targets;
  if (target) RtNetcdfWrite(path, nc_put_vara_float(writer->nc, writer->target, start, size, target));
  writer->done += count;
  PetscFunctionReturn(0);
}

static PetscErrorCode complete(RtDatasetWriter *w)
{
  const int var[RT_CONTENT_PARTS] = {w->input, w->label, w->target};
  const bool has[RT_CONTENT_PARTS] = {true, w->info.classes > 0, w->info.targets > 0};
  char part[RT_CONTENT_PARTS][RT_HASH_TEXT], hash[RT_HASH_TEXT];
  int nc = w->nc;

  PetscFunctionBegin;
  RtCheck(w->done == w->info.samples, "%s: only %lld of %lld samples were given", w->path, (long long)w->done,
          (long long)w->info.samples);
  PetscCall(rt_content_finish(&w->content, part));
  PetscCall(rt_content_hash(&w->info, part, hash));
  for (int i = 0; i < RT_CONTENT_PARTS; i++)
    if (has[i]) PetscCall(rt_netcdf_put_text(w->path, nc, var[i], "sha256", part[i]));
  PetscCall(rt_netcdf_put_text(w->path, nc, NC_GLOBAL, "content_hash", hash));
  w->nc = -1;
  PetscCall(rt_netcdf_finish(w->temporary, w->path, nc));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_finish(RtDatasetWriter **writer)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  error = complete(*writer);
  if (error)
    PetscCall(rt_dataset_discard(writer));
  else
    PetscCall(destroy(writer));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_discard(RtDatasetWriter **writer)
{
  PetscFunctionBegin;
  if (*writer) PetscCall(destroy(writer));
  PetscFunctionReturn(0);
}
