/* Reading datasets, those of `retort import` and those made by hand with xarray or any other tool. */
#include <retort/dataset.h>

#include "core/message.h"
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

static PetscErrorCode read_bytes(const RtDataset *dataset, const size_t start[], const size_t count[], uint8_t *out)
{
  const RtVariable *input = &dataset->input;
  const char *path = dataset->path;
  int64_t total = (int64_t)count[0] * dataset->info.size;

  PetscFunctionBegin;
  if (input->bytes)
    RtNetcdfRead(path, nc_get_vara_schar(dataset->nc, input->id, start, count, (signed char *)out));
  else
    RtNetcdfRead(path, nc_get_vara_uchar(dataset->nc, input->id, start, count, out));
  for (int f = 0; f < input->fills; f++)
    for (int64_t i = 0; i < total; i++)
      RtCheck(out[i] != input->fill[f],
              "%s: the input of sample %lld is missing (byte %d); remove _FillValue and missing_value if it is not",
              path, (long long)start[0] + (long long)(i / dataset->info.size), out[i]);
  PetscFunctionReturn(0);
}

/* Read floats, as stored. */
static PetscErrorCode read_floats(const RtDataset *dataset, const RtVariable *variable, const char *what, int64_t size,
                                  const size_t start[], const size_t count[], float *out)
{
  const char *path = dataset->path;
  int64_t first = (int64_t)start[0], samples = (int64_t)count[0];
  int status;

  PetscFunctionBegin;
  RtNetcdfTry(status, nc_get_vara_float(dataset->nc, variable->id, start, count, out));
  /* Doubles that no float can hold have become infinite, and are found next. */
  if (status != NC_ERANGE) RtNetcdfRead(path, status);
  PetscCall(rt_content_check_floats(path, what, first, samples, size, out));
  PetscCall(check_fills(dataset, variable, what, first, samples, size, out));
  PetscFunctionReturn(0);
}

/* Read labels; they must lie in [0, limit). */
static PetscErrorCode read_labels(const RtDataset *dataset, int64_t first, int64_t count, int limit, int32_t *label)
{
  long long piece[LABELS];
  size_t start, size;
  int status;

  PetscFunctionBegin;
  for (int64_t done = 0; done < count; done += (int64_t)size) {
    start = (size_t)(first + done);
    size = (size_t)(count - done < LABELS ? count - done : LABELS);
    RtNetcdfTry(status, nc_get_vara_longlong(dataset->nc, dataset->label.id, &start, &size, piece));
    if (status != NC_ERANGE) RtNetcdfRead(dataset->path, status);
    for (size_t i = 0; i < size; i++) {
      RtCheck(piece[i] >= 0 && piece[i] < limit, "%s: the label of sample %lld is %lld, outside 0 ... %d",
              dataset->path, (long long)(start + i), piece[i], limit - 1);
      label[done + (int64_t)i] = (int32_t)piece[i];
    }
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode read_samples(const RtDataset *dataset, int64_t first, int64_t count, int limit, void *input,
                                   int32_t *label, float *target)
{
  const RtDatasetInfo *info = &dataset->info;
  const RtVariable *t = &dataset->target;
  size_t start[RT_MAX_DIM + 1] = {(size_t)first}, size[RT_MAX_DIM + 1] = {(size_t)count};

  PetscFunctionBegin;
  for (int i = 0; i < info->ndim; i++) size[i + 1] = (size_t)info->dim[i];
  if (input && info->type == RT_UINT8)
    PetscCall(read_bytes(dataset, start, size, input));
  else if (input)
    PetscCall(read_floats(dataset, &dataset->input, "input", info->size, start, size, input));
  if (label) PetscCall(read_labels(dataset, first, count, limit, label));
  if (target) {
    size[1] = (size_t)info->targets;
    PetscCall(read_floats(dataset, t, "target", info->targets, start, size, target));
    if (t->scale != 1 || t->offset != 0)
      for (int64_t i = 0; i < count * info->targets; i++) target[i] = (float)(target[i] * t->scale + t->offset);
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dataset_read(const RtDataset *dataset, int64_t first, int64_t count, void *input, int32_t *label,
                               float *target)
{
  const RtDatasetInfo *info = &dataset->info;

  PetscFunctionBegin;
  PetscCheck(first >= 0 && count >= 0 && count <= info->samples - first, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE,
             "samples %lld + %lld of %lld", (long long)first, (long long)count, (long long)info->samples);
  PetscCheck((!label || info->classes) && (!target || info->targets), PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG,
             "%s has no such variable", dataset->path);
  PetscCall(read_samples(dataset, first, count, info->classes, input, label, target));
  PetscFunctionReturn(0);
}

/* Read the whole file once, in pieces. most: the greatest label. content: takes all; NULL reads labels only. */
static PetscErrorCode look_through(const RtDataset *dataset, RtContent *content, void *input, int32_t *label,
                                   float *target, int64_t piece, int32_t *most)
{
  const RtDatasetInfo *info = &dataset->info;
  int limit = info->classes ? info->classes : RT_CONTENT_CLASSES;

  PetscFunctionBegin;
  *most = 0;
  for (int64_t first = 0; first < info->samples; first += piece) {
    int64_t count = info->samples - first < piece ? info->samples - first : piece;

    PetscCall(read_samples(dataset, first, count, limit, input, label, target));
    for (int64_t i = 0; label && i < count; i++) *most = label[i] > *most ? label[i] : *most;
    if (content) PetscCall(rt_content_add(content, info, count, input, label, target));
  }
  PetscFunctionReturn(0);
}

/* Find what the header does not tell. part: NULL if the hashes are known. */
static PetscErrorCode scan(RtDataset *dataset, char (*part)[RT_HASH_TEXT])
{
  RtDatasetInfo *info = &dataset->info;
  RtContent content;
  char *input = NULL;
  float *target = NULL;
  int32_t *label = NULL, most;
  int64_t bytes = info->size * (int64_t)rt_types_size(info->type);
  int64_t sample = bytes + 4 * (int64_t)info->targets, piece = sample < PIECE ? PIECE / sample : 1;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (piece > info->samples) piece = info->samples;
  if (part) {
    PetscCall(rt_content_create(&content));
    PetscCall(PetscMalloc1((size_t)(piece * bytes), &input));
    if (info->targets) PetscCall(PetscMalloc1((size_t)(piece * info->targets), &target));
  }
  if (dataset->label.id >= 0) PetscCall(PetscMalloc1((size_t)piece, &label));
  error = look_through(dataset, part ? &content : NULL, input, label, target, piece, &most);
  PetscCall(PetscFree(input));
  PetscCall(PetscFree(label));
  PetscCall(PetscFree(target));
  if (part && !error) error = rt_content_finish(&content, part);
  if (part && error) PetscCall(rt_content_destroy(&content));
  PetscCall(error);
  if (dataset->label.id >= 0 && !info->classes) info->classes = (int)most + 1;
  PetscFunctionReturn(0);
}

/* The hash that the file states, if it still belongs to the file: tools copy global attributes to what they derive,
   so the hashes of the variables and the shape must give it again. */
static PetscErrorCode stated_hash(RtDataset *dataset, bool *found)
{
  const int id[RT_CONTENT_PARTS] = {dataset->input.id, dataset->label.id, dataset->target.id};
  char part[RT_CONTENT_PARTS][RT_HASH_TEXT] = {""}, *text;

  PetscFunctionBegin;
  *found = false;
  for (int i = 0; i < RT_CONTENT_PARTS; i++) {
    if (id[i] < 0) continue;
    PetscCall(rt_netcdf_get_text(dataset->path, dataset->nc, id[i], "sha256", dataset->bytes, &text));
    if (text) PetscCall(PetscStrncpy(part[i], text, sizeof part[i]));
    PetscCall(PetscFree(text));
  }
  PetscCall(rt_content_hash(&dataset->info, part, dataset->info.hash));
  PetscCall(rt_netcdf_get_text(dataset->path, dataset->nc, NC_GLOBAL, "content_hash", dataset->bytes, &text));
  *found = text && !strcmp(text, dataset->info.hash);
  PetscCall(PetscFree(text));
  PetscFunctionReturn(0);
}

/* What rank 0 does for all. */
static PetscErrorCode examine(RtDataset *dataset)
{
  char part[RT_CONTENT_PARTS][RT_HASH_TEXT];
  bool stated;

  PetscFunctionBegin;
  PetscCall(rt_dataset_inspect(dataset));
  PetscCall(stated_hash(dataset, &stated));
  if (!stated) {
    PetscCall(scan(dataset, part));
    PetscCall(rt_content_hash(&dataset->info, part, dataset->info.hash));
  } else if (dataset->label.id >= 0 && !dataset->info.classes)
    PetscCall(scan(dataset, NULL));
  PetscFunctionReturn(0);
}

static PetscErrorCode destroy(RtDataset **dataset)
{
  PetscFunctionBegin;
  if ((*dataset)->nc >= 0) rt_netcdf_close((*dataset)->nc);
  PetscCall(rt_dataset_free_names((*dataset)->info.classes, &(*dataset)->info.class_name));
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
