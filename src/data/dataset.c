/* Reading datasets, those of `retort import` and those made by hand with xarray or any other tool. */
#include <retort/dataset.h>

#include "core/message.h"
#include "core/size.h"
#include "data/content.h"
#include "data/dataset_header.h"
#include "netcdf/netcdf.h"

#include <string.h>

enum {
  PIECE = 8 << 20, /* bytes read at once while the whole file is looked through */
  LABELS = 1024    /* labels converted at once */
};

const RtDatasetInfo *rt_dataset_info(const RtDataset *dataset)
{
  return &dataset->info;
}

const char *rt_dataset_path(const RtDataset *dataset)
{
  return dataset->path;
}

/* Missing values, by number of the sample. size: elements a sample. */
static PetscErrorCode check_fills(const RtDataset *dataset, const RtVariable *variable, const char *what, int64_t first,
                                  int64_t count, int64_t size, const float *value)
{
  bool any = false;

  PetscFunctionBegin;
  for (int f = 0; f < variable->fills; f++)
    for (int64_t i = 0; i < count * size; i++) any |= value[i] == variable->fill[f];
  for (int f = 0; any && f < variable->fills; f++)
    for (int64_t i = 0; i < count * size; i++)
      RtCheck(value[i] != variable->fill[f], "%s: the %s of sample %lld is missing (element %lld has the fill value)",
              dataset->path, what, (long long)(first + i / size), (long long)(i % size));
  PetscFunctionReturn(0);
}

static PetscErrorCode read_bytes(const RtDataset *dataset, int field, const size_t start[], const size_t count[],
                                 uint8_t *out)
{
  const RtVariable *variable = &dataset->variable[field];
  const RtField *f = &dataset->info.field[field];
  const char *path = dataset->path;
  int64_t size = rt_field_size(f), total = (int64_t)count[0] * size;

  PetscFunctionBegin;
  if (variable->bytes)
    RtNetcdfRead(path, nc_get_vara_schar(dataset->nc, variable->id, start, count, (signed char *)out));
  else
    RtNetcdfRead(path, nc_get_vara_uchar(dataset->nc, variable->id, start, count, out));
  for (int k = 0; k < variable->fills; k++)
    for (int64_t i = 0; i < total; i++)
      RtCheck(out[i] != variable->fill[k],
              "%s: the %s of sample %lld is missing (byte %d); remove _FillValue and missing_value if it is not", path,
              f->name, (long long)start[0] + (long long)(i / size), out[i]);
  PetscFunctionReturn(0);
}

/* Read floats, as stored; those of the target in physical units. checked: missing numbers are errors. */
static PetscErrorCode read_floats(const RtDataset *dataset, int field, const size_t start[], const size_t count[],
                                  bool checked, float *out)
{
  const RtVariable *variable = &dataset->variable[field];
  const RtField *f = &dataset->info.field[field];
  const char *path = dataset->path;
  int64_t first = (int64_t)start[0], samples = (int64_t)count[0], size = rt_field_size(f);
  int status;

  PetscFunctionBegin;
  RtNetcdfTry(status, nc_get_vara_float(dataset->nc, variable->id, start, count, out));
  /* Doubles that no float can hold have become infinite, and are found next. */
  if (status != NC_ERANGE) RtNetcdfRead(path, status);
  if (checked) PetscCall(rt_content_check_floats(path, f->name, first, samples, size, out));
  if (checked) PetscCall(check_fills(dataset, variable, f->name, first, samples, size, out));
  if (field == dataset->info.target && (variable->scale != 1 || variable->offset != 0))
    for (int64_t i = 0; i < samples * size; i++) out[i] = (float)(out[i] * variable->scale + variable->offset);
  PetscFunctionReturn(0);
}

/* Read whole numbers of four or eight bytes. */
static PetscErrorCode read_whole(const RtDataset *dataset, int field, const size_t start[], const size_t count[],
                                 bool checked, void *out)
{
  const RtVariable *variable = &dataset->variable[field];
  const RtField *f = &dataset->info.field[field];
  const char *path = dataset->path;
  int64_t size = rt_field_size(f), total = (int64_t)count[0] * size;
  int status;

  PetscFunctionBegin;
  if (f->type == RT_INT32)
    RtNetcdfTry(status, nc_get_vara_int(dataset->nc, variable->id, start, count, out));
  else
    RtNetcdfTry(status, nc_get_vara_longlong(dataset->nc, variable->id, start, count, out));
  RtCheck(status != NC_ERANGE, "%s: '%s' holds numbers of 2^63 or more", path, f->name);
  RtNetcdfRead(path, status);
  for (int k = 0; checked && k < variable->fills; k++)
    for (int64_t i = 0; i < total; i++) {
      double value = f->type == RT_INT32 ? (double)((const int32_t *)out)[i] : (double)((const int64_t *)out)[i];

      RtCheck(value != variable->exact[k], "%s: the %s of sample %lld is missing (element %lld has the fill value)",
              path, f->name, (long long)start[0] + (long long)(i / size), (long long)(i % size));
    }
  PetscFunctionReturn(0);
}

/* Read labels; they must lie in [0, limit). */
static PetscErrorCode read_labels(const RtDataset *dataset, int64_t first, int64_t count, int limit, int32_t *label)
{
  const int id = dataset->variable[dataset->info.label].id;
  long long piece[LABELS];
  size_t start, size;
  int status;

  PetscFunctionBegin;
  for (int64_t done = 0; done < count; done += (int64_t)size) {
    start = (size_t)(first + done);
    size = (size_t)(count - done < LABELS ? count - done : LABELS);
    RtNetcdfTry(status, nc_get_vara_longlong(dataset->nc, id, &start, &size, piece));
    if (status != NC_ERANGE) RtNetcdfRead(dataset->path, status);
    for (size_t i = 0; i < size; i++) {
      RtCheck(piece[i] >= 0 && piece[i] < limit, "%s: the label of sample %lld is %lld, outside 0 ... %d",
              dataset->path, (long long)(start + i), piece[i], limit - 1);
      label[done + (int64_t)i] = (int32_t)piece[i];
    }
  }
  PetscFunctionReturn(0);
}

/* limit: labels are less. checked: numbers must be there and finite. */
static PetscErrorCode read_field(const RtDataset *dataset, int field, int64_t first, int64_t count, int limit,
                                 bool checked, void *out)
{
  const RtField *f = &dataset->info.field[field];
  size_t start[RT_MAX_DIM + 1] = {(size_t)first}, size[RT_MAX_DIM + 1] = {(size_t)count};

  PetscFunctionBegin;
  for (int i = 0; i < f->ndim; i++) size[i + 1] = (size_t)f->dim[i];
  if (field == dataset->info.label)
    PetscCall(read_labels(dataset, first, count, limit, out));
  else if (f->type == RT_UINT8)
    PetscCall(read_bytes(dataset, field, start, size, out));
  else if (f->type == RT_FLOAT)
    PetscCall(read_floats(dataset, field, start, size, checked, out));
  else
    PetscCall(read_whole(dataset, field, start, size, checked, out));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_read(const RtDataset *dataset, int64_t first, int64_t count, void *const field[])
{
  const RtDatasetInfo *info = &dataset->info;

  PetscFunctionBegin;
  PetscCheck(first >= 0 && count >= 0 && count <= info->samples - first, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE,
             "samples %lld + %lld of %lld", (long long)first, (long long)count, (long long)info->samples);
  for (int f = 0; f < info->fields; f++)
    if (field[f]) PetscCall(read_field(dataset, f, first, count, info->classes, true, field[f]));
  PetscFunctionReturn(0);
}

/* Room for a piece of all fields, or of the labels alone. */
typedef struct {
  int64_t samples;
  void **field; /* [info->fields] */
} Piece;

static PetscErrorCode create_piece(const RtDatasetInfo *info, bool all, Piece *piece)
{
  int64_t sample = 0;

  PetscFunctionBegin;
  for (int f = 0; f < info->fields; f++) sample = rt_size_plus(sample, rt_field_bytes(&info->field[f]));
  piece->samples = PetscMin(PetscMax(1, PIECE / sample), info->samples);
  PetscCall(PetscCalloc1(info->fields, &piece->field));
  for (int f = 0; f < info->fields; f++)
    if (all || f == info->label)
      PetscCall(PetscMalloc1((size_t)(piece->samples * rt_field_bytes(&info->field[f])), (char **)&piece->field[f]));
  PetscFunctionReturn(0);
}

static PetscErrorCode destroy_piece(const RtDatasetInfo *info, Piece *piece)
{
  PetscFunctionBegin;
  for (int f = 0; piece->field && f < info->fields; f++) PetscCall(PetscFree(piece->field[f]));
  PetscCall(PetscFree(piece->field));
  PetscFunctionReturn(0);
}

/* Read the whole file once, in pieces. most: the greatest label. content: takes all; NULL: the labels alone are read.
   A field that has no meaning by its name may lack numbers as long as nobody wants it. */
static PetscErrorCode look_through(const RtDataset *dataset, RtContent *content, const Piece *piece, int32_t *most)
{
  const RtDatasetInfo *info = &dataset->info;
  const int32_t *label = info->label < 0 ? NULL : piece->field[info->label];
  int limit = info->classes ? info->classes : RT_CONTENT_CLASSES;

  PetscFunctionBegin;
  *most = 0;
  for (int64_t first = 0; first < info->samples; first += piece->samples) {
    int64_t count = PetscMin(info->samples - first, piece->samples);

    for (int f = 0; f < info->fields; f++)
      if (piece->field[f])
        PetscCall(read_field(dataset, f, first, count, limit, rt_field_known(info->field[f].name), piece->field[f]));
    for (int64_t i = 0; label && i < count; i++) *most = label[i] > *most ? label[i] : *most;
    if (content) PetscCall(rt_content_add(content, info, count, (const void *const *)piece->field));
  }
  PetscFunctionReturn(0);
}

/* Find what the header does not tell. part: [fields], gets their hashes; NULL if they are known. */
static PetscErrorCode scan(RtDataset *dataset, RtContentHash *part)
{
  RtDatasetInfo *info = &dataset->info;
  RtContent content = {0};
  Piece piece = {0};
  PetscErrorCode error;
  int32_t most = 0;

  PetscFunctionBegin;
  if (part) PetscCall(rt_content_create(info->fields, &content));
  error = create_piece(info, part != NULL, &piece);
  if (!error) error = look_through(dataset, part ? &content : NULL, &piece, &most);
  if (part && !error) error = rt_content_finish(&content, part);
  PetscCall(destroy_piece(info, &piece));
  PetscCall(rt_content_destroy(&content));
  PetscCall(error);
  if (info->label >= 0 && !info->classes) info->classes = (int)most + 1;
  PetscFunctionReturn(0);
}

/* The hash that the file states, if it still belongs to the file: tools copy global attributes to what they derive,
   so the hashes of the variables and the shape must give it again. */
static PetscErrorCode stated_hash(RtDataset *dataset, RtContentHash part[], bool *found)
{
  RtDatasetInfo *info = &dataset->info;
  char *text;

  PetscFunctionBegin;
  *found = false;
  for (int f = 0; f < info->fields; f++) {
    PetscCall(rt_netcdf_get_text(dataset->path, dataset->nc, dataset->variable[f].id, "sha256", dataset->bytes, &text));
    if (text) PetscCall(PetscStrncpy(part[f], text, sizeof part[f]));
    PetscCall(PetscFree(text));
  }
  PetscCall(rt_content_hash(info, part, info->hash));
  PetscCall(rt_netcdf_get_text(dataset->path, dataset->nc, NC_GLOBAL, "content_hash", dataset->bytes, &text));
  *found = text && !strcmp(text, info->hash);
  PetscCall(PetscFree(text));
  PetscFunctionReturn(0);
}

static PetscErrorCode find_hash(RtDataset *dataset, RtContentHash part[])
{
  bool stated;

  PetscFunctionBegin;
  PetscCall(stated_hash(dataset, part, &stated));
  if (!stated) {
    PetscCall(scan(dataset, part));
    PetscCall(rt_content_hash(&dataset->info, part, dataset->info.hash));
  } else if (dataset->info.label >= 0 && !dataset->info.classes)
    PetscCall(scan(dataset, NULL));
  PetscFunctionReturn(0);
}

/* What rank 0 does for all. */
static PetscErrorCode examine(RtDataset *dataset)
{
  RtContentHash *part;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_dataset_inspect(dataset));
  PetscCall(PetscCalloc1(dataset->info.fields, &part));
  error = find_hash(dataset, part);
  PetscCall(PetscFree(part));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode destroy(RtDataset **dataset)
{
  PetscFunctionBegin;
  if ((*dataset)->nc >= 0) rt_netcdf_close((*dataset)->nc);
  PetscCall(rt_dataset_free_names((*dataset)->info.classes, &(*dataset)->info.class_name));
  PetscCall(PetscFree((*dataset)->info.field));
  PetscCall(PetscFree((*dataset)->variable));
  PetscCall(PetscFree(*dataset));
  PetscFunctionReturn(0);
}

/* Collective. */
static PetscErrorCode open_all(RtDataset *dataset)
{
  RtDatasetInfo *info = &dataset->info;
  PetscErrorCode error = 0;
  PetscMPIInt rank;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(dataset->comm, &rank));
  if (!rank) error = examine(dataset);
  RtAgree(dataset->comm, error);
  if (rank) error = rt_dataset_inspect(dataset);
  RtAgree(dataset->comm, error);
  PetscCallMPI(MPI_Bcast(&info->classes, 1, MPI_INT, 0, dataset->comm));
  PetscCallMPI(MPI_Bcast(info->hash, RT_HASH_TEXT, MPI_CHAR, 0, dataset->comm));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_open(MPI_Comm comm, const char *path, RtDataset **dataset)
{
  RtDataset *made;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&made));
  made->nc = -1;
  made->comm = comm;
  PetscCall(PetscStrncpy(made->path, path, sizeof made->path));
  error = open_all(made);
  if (error) PetscCall(destroy(&made));
  PetscCall(error);
  *dataset = made;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_close(RtDataset **dataset)
{
  PetscFunctionBegin;
  if (*dataset) PetscCall(destroy(dataset));
  PetscFunctionReturn(0);
}
