/* Datasets: NetCDF files with the variable `input` (dimension `sample` first) and `label` (classes) or `target`
   (regression). Files made by `retort import` carry a content hash; for others it is computed when they are opened. */
#ifndef RETORT_DATASET_H
#define RETORT_DATASET_H

#include <retort/types.h>

typedef struct {
  int64_t samples;
  int ndim; /* dimensions of one sample, without `sample` */
  int64_t dim[RT_MAX_DIM];
  char dim_name[RT_MAX_DIM][64];
  int64_t size;        /* elements of one sample */
  RtType type;         /* of input as stored: RT_UINT8 or RT_FLOAT */
  float scale, offset; /* input in physical units = stored * scale + offset */
  int classes;         /* 0: no label */
  int targets;         /* numbers in one sample's target; 0: no target */
  char **class_name;   /* [classes], or NULL where the dataset has no names */
  char hash[RT_HASH_TEXT];
} RtDatasetInfo;

typedef struct RtDataset RtDataset;

/* Open a dataset to read. Collective on comm: rank 0 checks the file and tells the others, or all return the error.
   Errors: no file, not NetCDF, no `input`, a type that is not supported, labels out of range, not finite numbers in
   floats (looked for while loading). */
PetscErrorCode rt_dataset_open(MPI_Comm comm, const char *path, RtDataset **dataset);
/* Collective. Accepts NULL. */
PetscErrorCode rt_dataset_close(RtDataset **dataset);
const RtDatasetInfo *rt_dataset_info(const RtDataset *dataset);
const char *rt_dataset_path(const RtDataset *dataset);

/* Read samples [first, first + count). Not collective. Any of the buffers may be NULL.
   input: [count, size] of info->type, as stored; label: [count]; target: [count, targets].
   Errors: a label outside [0, classes), an input or target that is not finite: sample and value are named. */
PetscErrorCode rt_dataset_read(const RtDataset *dataset, int64_t first, int64_t count, void *input, int32_t *label,
                               float *target);

/* A dataset being written, in order, in pieces, so that it may be larger than memory. Not collective: one rank writes.
   The file appears under its name when rt_dataset_finish has succeeded; until then it has a temporary one. */
typedef struct RtDatasetWriter RtDatasetWriter;

/* info: samples, ndim, dim, dim_name, type, scale, offset, classes, targets, class_name are read and copied.
   long_name and units describe input. source: what the data was made from (file names without folders). */
typedef struct {
  const char *long_name, *units, *source;
  const char *target_name; /* names of target columns, joined by commas, or NULL */
} RtDatasetText;
PetscErrorCode rt_dataset_create(const char *path, const RtDatasetInfo *info, const RtDatasetText *text,
                                 RtDatasetWriter **writer);
/* Append count samples; buffers as for rt_dataset_read, NULL exactly where info says there is none.
   Errors: as for reading, and a full disk. */
PetscErrorCode rt_dataset_append(RtDatasetWriter *writer, int64_t count, const void *input, const int32_t *label,
                                 const float *target);
/* Write the content hash, sync, rename. Errors: fewer samples were appended than announced. */
PetscErrorCode rt_dataset_finish(RtDatasetWriter **writer);
/* Drop what was written. Accepts NULL. */
PetscErrorCode rt_dataset_discard(RtDatasetWriter **writer);

#endif
