/* A dataset that is open to read, and what its header tells. Not collective. */
#ifndef RT_DATA_DATASET_HEADER_H
#define RT_DATA_DATASET_HEADER_H

#include <netcdf.h>
#include <retort/dataset.h>

enum { RT_DATASET_FILLS = 3 };

/* A field's variable. */
typedef struct {
  int id;
  int ndim;
  nc_type type;
  int dim[NC_MAX_VAR_DIMS];
  bool bytes;           /* NC_BYTE that means unsigned bytes */
  double scale, offset; /* as the file gives them */
  int fills;
  float fill[RT_DATASET_FILLS];   /* values that mean "missing" */
  double exact[RT_DATASET_FILLS]; /* the same, for whole numbers */
} RtVariable;

struct RtDataset {
  RtDatasetInfo info;
  char path[PETSC_MAX_PATH_LEN];
  MPI_Comm comm;
  int nc;
  int64_t bytes;        /* of the file */
  RtVariable *variable; /* [info.fields] */
};

/* Open the file at dataset->path and fill in all that the header tells: variables and info, without the hash. classes
   stays 0 where there are labels and the header does not tell how many. On an error, too, the caller closes nc and
   frees variable, info.field and class_name. Errors: see rt_dataset_open. */
PetscErrorCode rt_dataset_inspect(RtDataset *dataset);

/* Number of classes of the label and their names, as far as the header tells. */
PetscErrorCode rt_dataset_inspect_classes(RtDataset *dataset);
PetscErrorCode rt_dataset_free_names(int count, char ***names);

#endif
