/* What the importers of arrays (IDX, NumPy) share: from two arrays in row-major order, samples first, to a dataset.
   Not collective. */
#ifndef RT_IMPORT_ARRAYS_H
#define RT_IMPORT_ARRAYS_H

#include "import/element.h"
#include "import/source.h"

/* An array whose header has been read; its source stands at the first element. */
typedef struct {
  RtSource *source;
  RtElement element;
  int ndim;
  int64_t dim[RT_MAX_DIM + 1];
} RtArray;

/* Check the sizes that a header of so many bytes announces against each other and against the bytes that are there. */
PetscErrorCode rt_arrays_check(const RtArray *array, int64_t header);

/* Opens an array; context is what the importer needs for that. rt_arrays_import opens y twice: how many classes there
   are must be known before the first sample is written. */
typedef PetscErrorCode (*RtArrayOpen)(const void *context, RtArray *array);

/* y and its context: NULL where there are no labels. origin: text for the attribute `source`. */
PetscErrorCode rt_arrays_import(RtArrayOpen open, const void *x, const void *y, const char *origin, const char *output);

#endif
