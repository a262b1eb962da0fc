/* The content of a dataset apart from the file that holds it: its hash, and what its numbers must satisfy.
   The hash is the SHA-256 of a text that gives shape, type, scale, classes and their names, and the SHA-256 of each
   variable's elements in order (little-endian, as rt_dataset_read gives them). So it depends neither on the sizes of
   the pieces nor on chunks, compression or attributes of the file. Not collective. */
#ifndef RT_DATA_CONTENT_H
#define RT_DATA_CONTENT_H

#include "core/hash.h"
#include <retort/dataset.h>

enum { RT_CONTENT_INPUT, RT_CONTENT_LABEL, RT_CONTENT_TARGET, RT_CONTENT_PARTS };
enum { RT_CONTENT_CLASSES = 1 << 24 }; /* most classes */

typedef struct {
  RtHash *part[RT_CONTENT_PARTS];
} RtContent;

PetscErrorCode rt_content_create(RtContent *content);
/* Add count samples; buffers as for rt_dataset_read, NULL where there is none. */
PetscErrorCode rt_content_add(RtContent *content, const RtDatasetInfo *info, int64_t count, const void *input,
                              const int32_t *label, const float *target);
/* The hashes of the parts; destroys the content. */
PetscErrorCode rt_content_finish(RtContent *content, char part[RT_CONTENT_PARTS][RT_HASH_TEXT]);
PetscErrorCode rt_content_destroy(RtContent *content);

/* The dataset's hash from those of its parts. A part that the dataset has not counts as an empty one. */
PetscErrorCode rt_content_hash(const RtDatasetInfo *info, char part[RT_CONTENT_PARTS][RT_HASH_TEXT],
                               char hash[RT_HASH_TEXT]);

/* Labels must lie in [0, classes). first: number of the first sample, for messages. */
PetscErrorCode rt_content_check_labels(const char *path, int64_t first, int64_t count, int classes,
                                       const int32_t *label);
/* Floats must be finite. what: `input` or `target`; size: floats a sample. */
PetscErrorCode rt_content_check_floats(const char *path, const char *what, int64_t first, int64_t count, int64_t size,
                                       const float *value);

#endif
