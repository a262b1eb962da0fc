/* The content of a dataset apart from the file that holds it: its hash, and what its numbers must satisfy.
   The hash is the SHA-256 of a text that gives shape, type, scale, classes and their names, and the SHA-256 of each
   field's elements in order (little-endian, as rt_dataset_read gives them). So it depends neither on the sizes of the
   pieces nor on chunks, compression or attributes of the file. Not collective. */
#ifndef RT_DATA_CONTENT_H
#define RT_DATA_CONTENT_H

#include "core/hash.h"
#include <retort/dataset.h>

enum { RT_CONTENT_CLASSES = 1 << 24 }; /* most classes */

typedef struct {
  int fields;
  RtHash **part; /* [fields] */
} RtContent;

/* A hash as text. */
typedef char RtContentHash[RT_HASH_TEXT];

PetscErrorCode rt_content_create(int fields, RtContent *content);
/* Add count samples of all fields, as for rt_dataset_read. */
PetscErrorCode rt_content_add(RtContent *content, const RtDatasetInfo *info, int64_t count, const void *const field[]);
/* The hashes of the fields: part, [fields]. */
PetscErrorCode rt_content_finish(RtContent *content, RtContentHash part[]);
PetscErrorCode rt_content_destroy(RtContent *content);

/* The dataset's hash from those of its fields, [info->fields]. A dataset of input, label and target alone has the hash
   that it had before there were others. */
PetscErrorCode rt_content_hash(const RtDatasetInfo *info, RtContentHash part[], char hash[RT_HASH_TEXT]);

/* Labels must lie in [0, classes). first: number of the first sample, for messages. */
PetscErrorCode rt_content_check_labels(const char *path, int64_t first, int64_t count, int classes,
                                       const int32_t *label);
/* Floats must be finite. what: the field's name; size: floats a sample. */
PetscErrorCode rt_content_check_floats(const char *path, const char *what, int64_t first, int64_t count, int64_t size,
                                       const float *value);

#endif
