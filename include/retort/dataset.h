/* Datasets: NetCDF files whose variables with the dimension `sample` first are fields. Three have a meaning by their
   names: `input` is what models read by default, `label` holds classes, `target` what a regression is to give. Samples
   are counted by the first dimension of `input`, whatever its name is; where there is no `input`, by `sample`. No
   fields are coordinates, text, and what has other dimensions first. Files made by `retort import` carry a content
   hash; for others it is computed when they are opened. */
#ifndef RETORT_DATASET_H
#define RETORT_DATASET_H

#include <retort/field.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int64_t samples;
  int fields;
  RtField *field;           /* [fields] input, label, target, as far as there are any; then the others by name */
  int input, label, target; /* numbers of these fields, -1: there is none */
  int classes;              /* 0: no label */
  char **class_name;        /* [classes], or NULL where the dataset has no names */
  char hash[RT_HASH_TEXT];
  /* What the fields input and target say, once more. */
  int ndim; /* dimensions of one sample's input, at least 1; without an input all that follows is 0 */
  int64_t dim[RT_MAX_DIM];
  char dim_name[RT_MAX_DIM][RT_FIELD_NAME];
  int64_t size;        /* elements of one sample's input */
  RtType type;         /* of input as stored: RT_UINT8 or RT_FLOAT */
  float scale, offset; /* input in physical units = stored * scale + offset */
  int targets;         /* numbers in one sample's target; 0: no target */
} RtDatasetInfo;

/* The fields that ndim, dim, dim_name, type, scale, offset, classes and targets describe: sets fields, field, input,
   label, target and size. field: [3], which info refers to from then on. */
void rt_field_derive(RtDatasetInfo *info, RtField field[]);
/* The other way round: sets what field says once more. */
void rt_field_repeat(RtDatasetInfo *info);
/* Whether a field is one of the three that have a meaning. */
bool rt_field_known(const char *name);
/* For qsort: the order in which a dataset lists its fields. */
int rt_field_order(const void *a, const void *b);

typedef struct RtDataset RtDataset;

/* Open a dataset to read. Collective on comm: rank 0 checks the file and tells the others, or all return the error.
   Errors: no file, not NetCDF, no fields, a type that is not supported, labels out of range, not finite numbers in
   floats (looked for while loading). */
PetscErrorCode rt_dataset_open(MPI_Comm comm, const char *path, RtDataset **dataset);
/* Collective. Accepts NULL. */
PetscErrorCode rt_dataset_close(RtDataset **dataset);
const RtDatasetInfo *rt_dataset_info(const RtDataset *dataset);
const char *rt_dataset_path(const RtDataset *dataset);

/* Read samples [first, first + count). Not collective. field: [info->fields] where each field goes, [count, elements]
   of its type; NULL: it is not wanted.
   Errors: a label outside [0, classes), numbers that are not finite or missing: field, sample and value are named. */
PetscErrorCode rt_dataset_read(const RtDataset *dataset, int64_t first, int64_t count, void *const field[]);

/* A dataset being written, in order, in pieces, so that it may be larger than memory. Not collective: one rank writes.
   The file appears under its name when rt_dataset_finish has succeeded; until then it has a temporary one. */
typedef struct RtDatasetWriter RtDatasetWriter;

/* info: samples, classes, class_name and the fields are read and copied; where fields is 0, what rt_field_derive makes
   of it. long_name and units describe input. source: what the data was made from (file names without folders). */
typedef struct {
  const char *long_name, *units, *source;
  const char *target_name; /* names of target columns, joined by commas, or NULL */
} RtDatasetText;
PetscErrorCode rt_dataset_create(const char *path, const RtDatasetInfo *info, const RtDatasetText *text,
                                 RtDatasetWriter **writer);
/* Append count samples. field: all of them, as for rt_dataset_read. Errors: as for reading, and a full disk. */
PetscErrorCode rt_dataset_append(RtDatasetWriter *writer, int64_t count, const void *const field[]);
/* Write the content hash, sync, rename. Errors: fewer samples were appended than announced. */
PetscErrorCode rt_dataset_finish(RtDatasetWriter **writer);
/* Drop what was written. Accepts NULL. */
PetscErrorCode rt_dataset_discard(RtDatasetWriter **writer);

#ifdef __cplusplus
}
#endif

#endif
