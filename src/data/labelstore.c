/* The files of a label store: DIR/shard-NNNNNN.nc, each with sample_id(sample) and logits(sample[, view], class). */
#include <retort/labelstore.h>

#include "comm/agree.h"
#include "core/file.h"
#include "core/message.h"
#include "data/content.h"
#include "data/netcdf.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  char path[PETSC_MAX_PATH_LEN];
  int64_t bytes;
  int nc, logits, id; /* of the file and of its variables */
} Shard;

static PetscErrorCode shard_path(const char *dir, int64_t shard, char *path, size_t length)
{
  char name[48];

  PetscFunctionBegin;
  snprintf(name, sizeof name, "shard-%06lld.nc", (long long)shard);
  PetscCall(rt_file_join(dir, name, path, length));
  PetscFunctionReturn(0);
}

/* The number in the name of a shard's file; -1 for any other name, temporary ones too. */
static int64_t shard_number(const char *name)
{
  long long number;
  char again[48];

  if (sscanf(name, "shard-%lld.nc", &number) != 1 || number < 0) return -1;
  snprintf(again, sizeof again, "shard-%06lld.nc", number);
  return strcmp(name, again) ? -1 : (int64_t)number;
}

/* The smallest and the greatest number of a shard in the folder; -1 where there is none or no folder. */
static void list(const char *dir, int64_t *least, int64_t *most)
{
  DIR *folder = opendir(dir);
  const struct dirent *entry;

  *least = *most = -1;
  while (folder && (entry = readdir(folder))) {
    int64_t number = shard_number(entry->d_name);

    if (number < 0) continue;
    if (*least < 0 || number < *least) *least = number;
    if (number > *most) *most = number;
  }
  if (folder) closedir(folder);
}

static PetscErrorCode compare_number(const Shard *shard, const char *name, int64_t want)
{
  int64_t value = 0;
  bool found;

  PetscFunctionBegin;
  PetscCall(rt_netcdf_get_int64(shard->path, shard->nc, NC_GLOBAL, name, &value, &found));
  RtCheck(found, "%s has no attribute '%s'; it is not a shard of labels", shard->path, name);
  RtCheck(
      value == want,
      "%s was made from something else: its %s is %lld, expected %lld; remove the folder of labels or choose another",
      shard->path, name, (long long)value, (long long)want);
  PetscFunctionReturn(0);
}

static PetscErrorCode compare_text(const Shard *shard, const char *name, const char *want)
{
  char found[RT_HASH_TEXT + 160] = "", *text;

  PetscFunctionBegin;
  PetscCall(rt_netcdf_get_text(shard->path, shard->nc, NC_GLOBAL, name, shard->bytes, &text));
  RtCheck(text, "%s has no attribute '%s'; it is not a shard of labels", shard->path, name);
  PetscCall(PetscStrncpy(found, text, sizeof found));
  PetscCall(PetscFree(text));
  RtCheck(
      !strcmp(found, want),
      "%s was made from something else: its %s is '%s', expected '%s'; remove the folder of labels or choose another",
      shard->path, name, found, want);
  PetscFunctionReturn(0);
}

/* Does the variable logits have the shape [count, views, classes]? */
static PetscErrorCode compare_shape(const Shard *shard, const RtLabelstoreInfo *info, int64_t count)
{
  int64_t want[3] = {count, info->views, info->classes};
  int ndim, dim[NC_MAX_VAR_DIMS], dims = info->views > 1 ? 3 : 2;
  nc_type type;
  size_t length;

  PetscFunctionBegin;
  if (dims == 2) want[1] = info->classes;
  RtNetcdfRead(shard->path, nc_inq_var(shard->nc, shard->logits, NULL, &type, &ndim, dim, NULL));
  RtCheck(type == NC_FLOAT && ndim == dims, "%s: 'logits' must be float with %d dimensions", shard->path, dims);
  for (int i = 0; i < dims; i++) {
    RtNetcdfRead(shard->path, nc_inq_dimlen(shard->nc, dim[i], &length));
    RtCheck((int64_t)length == want[i], "%s: dimension %d of 'logits' is %lld, expected %lld", shard->path, i + 1,
            (long long)length, (long long)want[i]);
  }
  PetscFunctionReturn(0);
}

/* Does the shard belong to the store that info describes? */
static PetscErrorCode compare(Shard *shard, const RtLabelstoreInfo *info, int64_t number)
{
  int64_t count = rt_labelstore_count(info, number);
  size_t index = 0, rows;
  long long id;
  int dim;

  PetscFunctionBegin;
  PetscCall(compare_text(shard, "teacher_hash", info->teacher));
  PetscCall(compare_text(shard, "dataset_hash", info->dataset));
  PetscCall(compare_text(shard, "precision", info->precision));
  PetscCall(compare_text(shard, "augment", info->augment));
  PetscCall(compare_number(shard, "samples_total", info->samples));
  PetscCall(compare_number(shard, "shard_size", info->shard));
  PetscCall(compare_number(shard, "views", info->views));
  PetscCall(compare_number(shard, "shard", number));
  RtNetcdfRead(shard->path, nc_inq_varid(shard->nc, "logits", &shard->logits));
  RtNetcdfRead(shard->path, nc_inq_varid(shard->nc, "sample_id", &shard->id));
  PetscCall(compare_shape(shard, info, count));
  RtNetcdfRead(shard->path, nc_inq_vardimid(shard->nc, shard->id, &dim));
  RtNetcdfRead(shard->path, nc_inq_dimlen(shard->nc, dim, &rows));
  RtCheck((int64_t)rows == count, "%s: 'sample_id' has %lld samples, expected %lld", shard->path, (long long)rows,
          (long long)count);
  RtNetcdfRead(shard->path, nc_get_var1_longlong(shard->nc, shard->id, &index, &id));
  RtCheck(id == number * info->shard, "%s: it begins with sample %lld, expected %lld", shard->path, id,
          (long long)(number * info->shard));
  PetscFunctionReturn(0);
}

/* Read samples [first, first + count) of the shard. */
static PetscErrorCode read_logits(const Shard *shard, const RtLabelstoreInfo *info, int64_t first, int64_t count,
                                  float *logits)
{
  size_t start[3] = {(size_t)first}, size[3] = {(size_t)count, (size_t)info->views, (size_t)info->classes};

  PetscFunctionBegin;
  if (info->views == 1) size[1] = (size_t)info->classes;
  RtNetcdfRead(shard->path, nc_get_vara_float(shard->nc, shard->logits, start, size, logits));
  PetscFunctionReturn(0);
}

/* Reading the last sample shows a file that was cut off, at the price of one chunk. */
static PetscErrorCode try_last(const Shard *shard, const RtLabelstoreInfo *info, int64_t number)
{
  float *logits;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1((size_t)info->views * (size_t)info->classes, &logits));
  error = read_logits(shard, info, rt_labelstore_count(info, number) - 1, 1, logits);
  PetscCall(PetscFree(logits));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* logits: NULL only checks. */
static PetscErrorCode use(Shard *shard, const RtLabelstoreInfo *info, int64_t number, float *logits)
{
  int64_t count = rt_labelstore_count(info, number), size = (int64_t)info->views * info->classes;

  PetscFunctionBegin;
  PetscCall(compare(shard, info, number));
  if (!logits)
    PetscCall(try_last(shard, info, number));
  else {
    PetscCall(read_logits(shard, info, 0, count, logits));
    PetscCall(rt_content_check_floats(shard->path, "logits", number * info->shard, count, size, logits));
  }
  PetscFunctionReturn(0);
}

/* Open a shard that is there, check that it belongs to the store, and read it unless logits is NULL. */
static PetscErrorCode open_and_use(const char *dir, const RtLabelstoreInfo *info, int64_t number, float *logits)
{
  Shard shard;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(shard_path(dir, number, shard.path, sizeof shard.path));
  PetscCall(rt_netcdf_open(shard.path, &shard.nc, &shard.bytes));
  error = use(&shard, info, number, logits);
  rt_netcdf_close(shard.nc);
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* This rank's part of the check: shards rank, rank + size, ... missing: one for each of them. */
static PetscErrorCode check_part(const char *dir, const RtLabelstoreInfo *info, int rank, int size, bool *missing)
{
  int64_t shards = rt_labelstore_shards(info), least, most;
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  if (!rank) {
    list(dir, &least, &most);
    RtCheck(most < shards,
            "%s/shard-%06lld.nc does not belong to these labels, which have %lld shards; remove the folder or choose "
            "another",
            dir, (long long)most, (long long)shards);
  }
  for (int64_t i = rank; i < shards; i += size) {
    PetscCall(shard_path(dir, i, path, sizeof path));
    missing[i / size] = !rt_file_exists(path);
    if (!missing[i / size]) PetscCall(open_and_use(dir, info, i, NULL));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_check(MPI_Comm comm, const char *dir, const RtLabelstoreInfo *info, bool *missing)
{
  int64_t shards = rt_labelstore_shards(info);
  PetscMPIInt rank, size, part;
  PetscErrorCode error;
  bool *mine, *all;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  PetscCall(PetscMPIIntCast(shards / size + 1, &part));
  PetscCall(PetscCalloc2((size_t)part, &mine, (size_t)part * (size_t)size, &all));
  error = check_part(dir, info, rank, size, mine);
  error = rt_message_agree(comm, error);
  if (!error) {
    PetscCallMPI(MPI_Allgather(mine, part, MPI_C_BOOL, all, part, MPI_C_BOOL, comm));
    for (int64_t i = 0; i < shards; i++) missing[i] = all[i % size * part + i / size];
  }
  PetscCall(PetscFree2(mine, all));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_read(const char *dir, const RtLabelstoreInfo *info, int64_t shard, float *logits)
{
  PetscFunctionBegin;
  PetscCheck(shard >= 0 && shard < rt_labelstore_shards(info), PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE, "shard %lld",
             (long long)shard);
  PetscCall(open_and_use(dir, info, shard, logits));
  PetscFunctionReturn(0);
}

/* Text attribute of at most length - 1 characters. */
static PetscErrorCode describe_text(const Shard *shard, const char *name, char *text, size_t length)
{
  char *found;
  bool fits;

  PetscFunctionBegin;
  PetscCall(rt_netcdf_get_text(shard->path, shard->nc, NC_GLOBAL, name, shard->bytes, &found));
  fits = found && strlen(found) < length;
  if (fits) strcpy(text, found);
  PetscCall(PetscFree(found));
  RtCheck(fits, "%s: the attribute '%s' is absent or too long; it is not a shard of labels", shard->path, name);
  PetscFunctionReturn(0);
}

static PetscErrorCode describe_number(const Shard *shard, const char *name, int64_t most, int64_t *value)
{
  bool found;

  PetscFunctionBegin;
  PetscCall(rt_netcdf_get_int64(shard->path, shard->nc, NC_GLOBAL, name, value, &found));
  RtCheck(found && *value >= 1 && *value <= most,
          "%s: the attribute '%s' is absent or out of bounds; it is not a shard of labels", shard->path, name);
  PetscFunctionReturn(0);
}

static PetscErrorCode describe(const Shard *shard, RtLabelstoreInfo *info)
{
  int64_t views;
  size_t classes;
  int dim;

  PetscFunctionBegin;
  memset(info, 0, sizeof *info);
  PetscCall(describe_number(shard, "samples_total", INT64_MAX / 2, &info->samples));
  PetscCall(describe_number(shard, "shard_size", INT64_MAX / 2, &info->shard));
  RtCheck(rt_labelstore_shards(info) <= INT32_MAX, "%s claims too many shards", shard->path);
  PetscCall(describe_number(shard, "views", INT32_MAX, &views));
  info->views = (int)views;
  RtNetcdfRead(shard->path, nc_inq_dimid(shard->nc, "class", &dim));
  RtNetcdfRead(shard->path, nc_inq_dimlen(shard->nc, dim, &classes));
  RtCheck(classes > 0 && classes <= RT_CONTENT_CLASSES, "%s claims %lld classes", shard->path, (long long)classes);
  info->classes = (int)classes;
  PetscCall(describe_text(shard, "teacher_hash", info->teacher, sizeof info->teacher));
  PetscCall(describe_text(shard, "dataset_hash", info->dataset, sizeof info->dataset));
  PetscCall(describe_text(shard, "precision", info->precision, sizeof info->precision));
  PetscCall(describe_text(shard, "augment", info->augment, sizeof info->augment));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_describe(const char *dir, RtLabelstoreInfo *info, bool *found)
{
  int64_t least, most;
  Shard shard;
  PetscErrorCode error;

  PetscFunctionBegin;
  list(dir, &least, &most);
  *found = least >= 0;
  if (!*found) PetscFunctionReturn(0);
  PetscCall(shard_path(dir, least, shard.path, sizeof shard.path));
  PetscCall(rt_netcdf_open(shard.path, &shard.nc, &shard.bytes));
  error = describe(&shard, info);
  rt_netcdf_close(shard.nc);
  PetscCall(error);
  PetscFunctionReturn(0);
}
