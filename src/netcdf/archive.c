#include "netcdf/archive.h"

#include "core/file.h"
#include "netcdf/flags.h"
#include "netcdf/netcdf.h"
#include "netcdf/seal.h"

#include <math.h>

enum {
  PIECE = 1 << 24, /* elements in one read or write: well below 2 GiB */
  CHECKED = 4096,  /* arrays of so many elements get checksums */
  CHUNK = 1 << 18  /* elements */
};

struct RtArchive {
  char path[PETSC_MAX_PATH_LEN], temporary[PETSC_MAX_PATH_LEN];
  int nc;
  int64_t bytes;
  bool sealed;
};

static const nc_type netcdf_type[] = {NC_FLOAT, NC_DOUBLE, NC_INT64, NC_INT};
static const size_t element_size[] = {sizeof(float), sizeof(double), sizeof(int64_t), sizeof(int32_t)};

PetscErrorCode rt_archive_create(const char *path, const char *title, RtArchive **archive)
{
  RtArchive *a;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&a));
  PetscCall(PetscStrncpy(a->path, path, sizeof(a->path)));
  error = rt_file_temporary(path, a->temporary, sizeof(a->temporary));
  if (!error) error = rt_netcdf_create(a->temporary, path, title, &a->nc);
  if (error) PetscCall(PetscFree(a));
  PetscCall(error);
  *archive = a;
  PetscFunctionReturn(0);
}

void rt_archive_seal(RtArchive *archive)
{
  archive->sealed = true;
}

PetscErrorCode rt_archive_dimension(RtArchive *archive, const char *name, int64_t length)
{
  int id, absent;
  size_t old;

  PetscFunctionBegin;
  RtNetcdfTry(absent, nc_inq_dimid(archive->nc, name, &id) || nc_inq_dimlen(archive->nc, id, &old));
  if (!absent && old == (size_t)length) PetscFunctionReturn(0);
  RtNetcdfWrite(archive->path, nc_def_dim(archive->nc, name, (size_t)length, &id));
  PetscFunctionReturn(0);
}

/* Compression, and checksums of the parts where there is none of the whole file. They need chunks, which lie along the
   first dimension. */
static PetscErrorCode add_filters(const RtArchive *a, int variable, int ndim, const size_t *length, int64_t elements,
                                  bool deflate)
{
  size_t chunk[RT_MAX_DIM];

  PetscFunctionBegin;
  if (a->sealed || ndim == 0 || elements < CHECKED) PetscFunctionReturn(0);
  for (int i = 0; i < ndim; i++) chunk[i] = length[i];
  chunk[0] = PetscMax(1, PetscMin(length[0], CHUNK / PetscMax(1, (size_t)elements / length[0])));
  RtNetcdfWrite(a->path, nc_def_var_chunking(a->nc, variable, NC_CHUNKED, chunk));
  if (deflate) RtNetcdfWrite(a->path, nc_def_var_deflate(a->nc, variable, NC_SHUFFLE, 1, 1));
  RtNetcdfWrite(a->path, nc_def_var_fletcher32(a->nc, variable, NC_FLETCHER32));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_archive_put(RtArchive *archive, const RtArchiveArray *array)
{
  size_t length[RT_MAX_DIM], start[RT_MAX_DIM] = {0}, count[RT_MAX_DIM], row = 1;
  int id[RT_MAX_DIM], ndim = 0, variable;
  int64_t elements = 1;
  const double missing = NAN;

  PetscFunctionBegin;
  for (; ndim < RT_MAX_DIM && array->dimension[ndim]; ndim++) {
    RtNetcdfWrite(archive->path, nc_inq_dimid(archive->nc, array->dimension[ndim], &id[ndim]));
    RtNetcdfWrite(archive->path, nc_inq_dimlen(archive->nc, id[ndim], &length[ndim]));
    count[ndim] = length[ndim];
    elements *= (int64_t)length[ndim];
    if (ndim > 0) row *= length[ndim];
  }
  RtNetcdfWrite(archive->path, nc_def_var(archive->nc, array->name, netcdf_type[array->type], ndim, id, &variable));
  PetscCall(rt_netcdf_describe(archive->path, archive->nc, variable, array->long_name, array->units));
  PetscCall(add_filters(archive, variable, ndim, length, elements, array->deflate));
  if (array->type == RT_ARCHIVE_FLOAT) /* all is written: there is nothing to fill */
    RtNetcdfWrite(archive->path, nc_def_var_fill(archive->nc, variable, NC_NOFILL, NULL));
  if (array->type == RT_ARCHIVE_DOUBLE && ndim > 0)
    RtNetcdfWrite(archive->path, nc_def_var_fill(archive->nc, variable, NC_FILL, &missing));
  if (ndim == 0) {
    RtNetcdfWrite(archive->path, nc_put_var(archive->nc, variable, array->data));
    PetscFunctionReturn(0);
  }
  for (start[0] = 0; elements && start[0] < length[0]; start[0] += count[0]) {
    count[0] = PetscMin(length[0] - start[0], PetscMax(1, PIECE / row));
    RtNetcdfWrite(archive->path, nc_put_vara(archive->nc, variable, start, count,
                                             (const char *)array->data + start[0] * row * element_size[array->type]));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_archive_put_text(RtArchive *archive, const char *on_variable, const char *name, const char *text)
{
  int variable = NC_GLOBAL;

  PetscFunctionBegin;
  if (on_variable) RtNetcdfWrite(archive->path, nc_inq_varid(archive->nc, on_variable, &variable));
  PetscCall(rt_netcdf_put_text(archive->path, archive->nc, variable, name, text));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_archive_put_flags(RtArchive *archive, const char *variable, const RtDatasetInfo *info)
{
  int id;

  PetscFunctionBegin;
  RtNetcdfWrite(archive->path, nc_inq_varid(archive->nc, variable, &id));
  PetscCall(rt_flags_put(archive->path, archive->nc, id, info));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_archive_commit(RtArchive **archive)
{
  RtArchive *a = *archive;
  PetscErrorCode error;

  PetscFunctionBegin;
  *archive = NULL;
  error = (a->sealed ? rt_netcdf_finish_sealed : rt_netcdf_finish)(a->temporary, a->path, a->nc);
  PetscCall(PetscFree(a));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_archive_discard(RtArchive **archive)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  if (!*archive) PetscFunctionReturn(0);
  error = rt_netcdf_abandon((*archive)->temporary, (*archive)->nc);
  PetscCall(PetscFree(*archive));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_archive_open(const char *path, RtArchive **archive)
{
  RtArchive *a;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&a));
  PetscCall(PetscStrncpy(a->path, path, sizeof(a->path)));
  error = rt_netcdf_open(path, &a->nc, &a->bytes);
  if (error) PetscCall(PetscFree(a));
  PetscCall(error);
  *archive = a;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_archive_close(RtArchive **archive)
{
  PetscFunctionBegin;
  if (!*archive) PetscFunctionReturn(0);
  rt_netcdf_close((*archive)->nc);
  PetscCall(PetscFree(*archive));
  PetscFunctionReturn(0);
}

static int64_t length_of(const RtArchive *archive, const char *name)
{
  int variable, ndim, id[NC_MAX_VAR_DIMS];
  int64_t elements = 1;
  size_t length;

  if (nc_inq_varid(archive->nc, name, &variable) || nc_inq_varndims(archive->nc, variable, &ndim)) return -1;
  if (ndim > RT_MAX_DIM || nc_inq_vardimid(archive->nc, variable, id)) return -1;
  for (int i = 0; i < ndim; i++)
    if (nc_inq_dimlen(archive->nc, id[i], &length) || __builtin_mul_overflow(elements, (int64_t)length, &elements))
      return -1;
  return elements;
}

int64_t rt_archive_length(const RtArchive *archive, const char *name)
{
  int64_t elements;

  rt_netcdf_lock();
  elements = length_of(archive, name);
  rt_netcdf_unlock();
  return elements;
}

bool rt_archive_axis(const RtArchive *archive, const char *name)
{
  int status, dimension;

  RtNetcdfTry(status, nc_inq_dimid(archive->nc, name, &dimension));
  return !status;
}

PetscErrorCode rt_archive_get(const RtArchive *archive, const char *name, RtArchiveType type, int64_t count, void *data)
{
  size_t start[RT_MAX_DIM] = {0}, piece[RT_MAX_DIM], length, row;
  int variable, ndim, id[RT_MAX_DIM];
  nc_type stored;

  PetscFunctionBegin;
  RtCheck(rt_archive_length(archive, name) == count, "%s: it has no '%s' of %lld elements", archive->path, name,
          (long long)count);
  RtNetcdfRead(archive->path, nc_inq_varid(archive->nc, name, &variable));
  RtNetcdfRead(archive->path, nc_inq_var(archive->nc, variable, NULL, &stored, &ndim, id, NULL));
  RtCheck(stored == netcdf_type[type], "%s: '%s' has another type", archive->path, name);
  if (ndim == 0) {
    RtNetcdfRead(archive->path, nc_get_var(archive->nc, variable, data));
    PetscFunctionReturn(0);
  }
  for (int i = 0; i < ndim; i++) RtNetcdfRead(archive->path, nc_inq_dimlen(archive->nc, id[i], &piece[i]));
  length = piece[0];
  row = length ? (size_t)count / length : 0;
  for (start[0] = 0; start[0] < length; start[0] += piece[0]) {
    piece[0] = PetscMin(length - start[0], PetscMax(1, PIECE / PetscMax(row, 1)));
    RtNetcdfRead(archive->path,
                 nc_get_vara(archive->nc, variable, start, piece, (char *)data + start[0] * row * element_size[type]));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_archive_get_text(const RtArchive *archive, const char *name, char **text)
{
  PetscFunctionBegin;
  PetscCall(rt_netcdf_get_text(archive->path, archive->nc, NC_GLOBAL, name, archive->bytes, text));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_archive_put_record(RtArchive *archive, const char *record)
{
  PetscFunctionBegin;
  PetscCall(rt_archive_put_text(archive, NULL, rt_netcdf_record_name, record));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_archive_get_record(const RtArchive *archive, char **record)
{
  PetscFunctionBegin;
  PetscCall(rt_archive_get_text(archive, rt_netcdf_record_name, record));
  PetscFunctionReturn(0);
}
