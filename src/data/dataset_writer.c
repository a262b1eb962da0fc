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
  int nc;       /* -1: closed */
  int *var;     /* [info.fields] */
  int64_t done; /* samples */
  RtContent content;
};

static PetscErrorCode check_field(const char *path, int64_t samples, const RtField *field)
{
  int64_t size = 1;

  PetscFunctionBegin;
  PetscCheck(field->ndim >= 0 && field->ndim <= RT_MAX_DIM, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE, "%d dimensions",
             field->ndim);
  PetscCheck(isfinite(field->scale) && field->scale != 0 && isfinite(field->offset), PETSC_COMM_SELF,
             PETSC_ERR_ARG_OUTOFRANGE, "scale or offset");
  for (int i = 0; i < field->ndim; i++)
    RtCheck(field->dim[i] > 0 && !__builtin_mul_overflow(size, field->dim[i], &size),
            "%s: a sample has no elements or too many", path);
  RtCheck(size <= INT64_MAX / 8 / samples, "%s: there are too many elements", path);
  PetscFunctionReturn(0);
}

/* What the fields with a meaning must be. */
static PetscErrorCode check_known(const char *path, const RtDatasetInfo *info)
{
  PetscFunctionBegin;
  PetscCheck(info->input < 0 || info->type == RT_UINT8 || info->type == RT_FLOAT, PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG,
             "type %d", (int)info->type);
  PetscCheck(info->input < 0 || info->ndim > 0, PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG, "input without an axis");
  PetscCheck(!info->classes == (info->label < 0), PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG, "classes without a label");
  PetscCheck(info->label < 0 || (info->field[info->label].type == RT_INT32 && !info->field[info->label].ndim),
             PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG, "the label is no class");
  PetscCheck(info->target < 0 || (info->field[info->target].type == RT_FLOAT && info->field[info->target].ndim < 2),
             PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG, "the target is no row");
  RtCheck(info->classes >= 0 && info->classes <= RT_CONTENT_CLASSES, "%s: %d classes are too many", path,
          info->classes);
  PetscFunctionReturn(0);
}

static PetscErrorCode check_info(const char *path, const RtDatasetInfo *info)
{
  PetscFunctionBegin;
  RtCheck(info->samples > 0, "%s: there are no samples to write", path);
  PetscCheck(info->fields > 0, PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG, "no fields");
  for (int f = 0; f < info->fields; f++) {
    PetscCall(check_field(path, info->samples, &info->field[f]));
    PetscCheck(!f || rt_field_order(&info->field[f - 1], &info->field[f]) < 0, PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG,
               "fields are not in order");
  }
  PetscCall(check_known(path, info));
  PetscFunctionReturn(0);
}

/* Fields and names are the writer's own from now on. */
static PetscErrorCode copy_fields(RtDatasetInfo *info)
{
  const RtField *from = info->field;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(PetscMax(info->fields, 3), &info->field));
  if (info->fields)
    PetscCall(PetscArraycpy(info->field, from, info->fields));
  else
    rt_field_derive(info, info->field);
  rt_field_repeat(info);
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
  PetscCall(PetscFree(w->info.field));
  PetscCall(PetscFree(w->var));
  PetscCall(PetscFree(*writer));
  PetscFunctionReturn(0);
}

/* Chunks of several samples, or a part of a large one. */
static void choose_chunk(const RtField *field, int64_t samples, size_t chunk[])
{
  int64_t bytes = (int64_t)rt_types_size(field->type);
  int64_t room = rt_netcdf_chunk(samples * rt_field_bytes(field)) / bytes; /* the product was checked */

  for (int i = field->ndim; i >= 0; i--) {
    int64_t whole = i ? field->dim[i - 1] : samples, part = whole < room ? whole : room;

    chunk[i] = (size_t)part;
    room /= part;
  }
}

/* The same of labels and targets, whose rows stay whole. */
static void choose_rows(const RtField *field, int64_t samples, size_t chunk[])
{
  const int64_t numbers = rt_field_size(field);
  int64_t rows = rt_netcdf_chunk(rt_size_times(4 * numbers, samples)) / 4 / numbers;

  chunk[0] = (size_t)PetscMax(1, PetscMin(rows, samples));
  chunk[1] = (size_t)numbers;
}

/* The dimension of an axis. Axes of the same name and length are one. */
static PetscErrorCode define_axis(RtDatasetWriter *w, const RtField *field, int axis, int *dim)
{
  const char *name = field->axis[axis];
  char own[2 * RT_FIELD_NAME];
  size_t length;
  int status;

  PetscFunctionBegin;
  if (!name[0]) snprintf(own, sizeof own, "%s_%d", field->name, axis + 1);
  if (!name[0]) name = own;
  RtNetcdfTry(status, nc_inq_dimid(w->nc, name, dim));
  if (status) {
    RtNetcdfWrite(w->path, nc_def_dim(w->nc, name, (size_t)field->dim[axis], dim));
    PetscFunctionReturn(0);
  }
  RtNetcdfWrite(w->path, nc_inq_dimlen(w->nc, *dim, &length));
  RtCheck((int64_t)length == field->dim[axis], "%s: the axis '%s' of '%s' has the length %lld, elsewhere it has %lld",
          w->path, name, field->name, (long long)field->dim[axis], (long long)length);
  PetscFunctionReturn(0);
}

static PetscErrorCode define_variable(RtDatasetWriter *w, int number, int sample)
{
  static const nc_type type[RT_TYPES] = {NC_FLOAT, NC_UBYTE, NC_INT, NC_INT64};
  const RtField *f = &w->info.field[number];
  int dim[RT_MAX_DIM + 1] = {sample}, *var = &w->var[number];
  size_t chunk[RT_MAX_DIM + 1];
  const char *path = w->path;

  PetscFunctionBegin;
  for (int i = 0; i < f->ndim; i++) PetscCall(define_axis(w, f, i, &dim[i + 1]));
  RtNetcdfWrite(path, nc_def_var(w->nc, f->name, type[f->type], f->ndim + 1, dim, var));
  if (number == w->info.label || number == w->info.target)
    choose_rows(f, w->info.samples, chunk);
  else
    choose_chunk(f, w->info.samples, chunk);
  RtNetcdfWrite(path, nc_def_var_chunking(w->nc, *var, NC_CHUNKED, chunk));
  RtNetcdfWrite(path, nc_def_var_deflate(w->nc, *var, NC_SHUFFLE, 1, 1));
  RtNetcdfWrite(path, nc_def_var_fletcher32(w->nc, *var, NC_FLETCHER32));
  PetscFunctionReturn(0);
}

/* What a variable says of itself. */
static PetscErrorCode describe(RtDatasetWriter *w, int number, const RtDatasetText *text)
{
  const RtDatasetInfo *info = &w->info;
  const RtField *f = &info->field[number];
  const char *path = w->path, *name = f->name, *units = "1";
  int nc = w->nc, var = w->var[number];

  PetscFunctionBegin;
  if (number == info->label) name = "class";
  if (number == info->target) name = "regression target";
  if (number == info->input && text && text->long_name) name = text->long_name;
  if (number == info->input && text && text->units) units = text->units;
  PetscCall(rt_netcdf_describe(path, nc, var, name, units));
  if (f->scale != 1) RtNetcdfWrite(path, nc_put_att_float(nc, var, "scale_factor", NC_FLOAT, 1, &f->scale));
  if (f->offset != 0) RtNetcdfWrite(path, nc_put_att_float(nc, var, "add_offset", NC_FLOAT, 1, &f->offset));
  if (number == info->label) {
    PetscCall(rt_netcdf_put_int64(path, nc, var, "classes", info->classes));
    PetscCall(rt_flags_put(path, nc, var, info));
  }
  if (number == info->target && text && text->target_name)
    PetscCall(rt_netcdf_put_text(path, nc, var, "target_name", text->target_name));
  PetscFunctionReturn(0);
}

static PetscErrorCode define(RtDatasetWriter *w, const RtDatasetText *text)
{
  const char *path = w->path;
  int sample;

  PetscFunctionBegin;
  if (text && text->source) PetscCall(rt_netcdf_put_text(path, w->nc, NC_GLOBAL, "source", text->source));
  RtNetcdfWrite(path, nc_def_dim(w->nc, "sample", (size_t)w->info.samples, &sample));
  for (int f = 0; f < w->info.fields; f++) {
    PetscCall(define_variable(w, f, sample));
    PetscCall(describe(w, f, text));
  }
  RtNetcdfWrite(path, nc_enddef(w->nc));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_create(const char *path, const RtDatasetInfo *info, const RtDatasetText *text,
                                 RtDatasetWriter **writer)
{
  RtDatasetWriter *w;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&w));
  w->info = *info;
  w->info.class_name = NULL;
  w->nc = -1;
  PetscCall(copy_fields(&w->info));
  error = check_info(path, &w->info);
  if (!error) error = PetscCalloc1(w->info.fields, &w->var);
  if (!error) error = copy_names(&w->info, info->class_name);
  if (!error) error = PetscStrncpy(w->path, path, sizeof w->path);
  if (!error) error = rt_file_temporary(path, w->temporary, sizeof w->temporary);
  if (!error) error = rt_content_create(w->info.fields, &w->content);
  if (!error) error = rt_netcdf_create(w->temporary, path, "samples for training and evaluation", &w->nc);
  if (!error) error = define(w, text);
  if (error) PetscCall(rt_dataset_discard(&w));
  PetscCall(error);
  *writer = w;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_append(RtDatasetWriter *writer, int64_t count, const void *const field[])
{
  const RtDatasetInfo *info = &writer->info;
  const char *path = writer->path;

  PetscFunctionBegin;
  PetscCheck(count >= 0 && count <= info->samples - writer->done, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE,
             "%lld samples more than announced", (long long)(writer->done + count - info->samples));
  if (!count) PetscFunctionReturn(0);
  for (int f = 0; f < info->fields; f++) {
    const RtField *of = &info->field[f];

    PetscCheck(field[f], PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG, "the field '%s' is not given", of->name);
    if (of->type == RT_FLOAT)
      PetscCall(rt_content_check_floats(path, of->name, writer->done, count, rt_field_size(of), field[f]));
    if (f == info->label) PetscCall(rt_content_check_labels(path, writer->done, count, info->classes, field[f]));
  }
  PetscCall(rt_content_add(&writer->content, info, count, field));
  for (int f = 0; f < info->fields; f++) {
    const RtField *of = &info->field[f];
    size_t start[RT_MAX_DIM + 1] = {(size_t)writer->done}, size[RT_MAX_DIM + 1] = {(size_t)count};

    for (int i = 0; i < of->ndim; i++) size[i + 1] = (size_t)of->dim[i];
    RtNetcdfWrite(path, nc_put_vara(writer->nc, writer->var[f], start, size, field[f]));
  }
  writer->done += count;
  PetscFunctionReturn(0);
}

static PetscErrorCode complete(RtDatasetWriter *w)
{
  RtContentHash *part;
  char hash[RT_HASH_TEXT];
  int nc = w->nc;
  PetscErrorCode error;

  PetscFunctionBegin;
  RtCheck(w->done == w->info.samples, "%s: only %lld of %lld samples were given", w->path, (long long)w->done,
          (long long)w->info.samples);
  PetscCall(PetscCalloc1(w->info.fields, &part));
  error = rt_content_finish(&w->content, part);
  if (!error) error = rt_content_hash(&w->info, part, hash);
  for (int f = 0; !error && f < w->info.fields; f++)
    error = rt_netcdf_put_text(w->path, nc, w->var[f], "sha256", part[f]);
  PetscCall(PetscFree(part));
  PetscCall(error);
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
