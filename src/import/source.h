/* A file that an importer reads from its beginning to its end: plain, compressed by gzip, or a member of a zip archive.
   Not collective. */
#ifndef RT_IMPORT_SOURCE_H
#define RT_IMPORT_SOURCE_H

#include <retort/types.h>

typedef struct RtSource RtSource;

/* Open a plain or gzip file. */
PetscErrorCode rt_source_open(const char *path, RtSource **source);
/* Open a member of a zip archive. */
PetscErrorCode rt_source_open_member(const char *path, const char *member, RtSource **source);
/* Accepts NULL. */
PetscErrorCode rt_source_close(RtSource **source);

/* The file's name for messages: `PATH`, or `PATH:MEMBER`. */
const char *rt_source_name(const RtSource *source);
/* No more bytes than this can come; exact: just as many will. Headers are checked against it before anything is
   allocated by what they claim. */
int64_t rt_source_limit(const RtSource *source, bool *exact);

/* Read up to size bytes; *got is less only at the end. Errors: a cut off or damaged archive. */
PetscErrorCode rt_source_read_some(RtSource *source, void *data, size_t size, size_t *got);
/* Read exactly size bytes. Errors: the file ends before. */
PetscErrorCode rt_source_read(RtSource *source, void *data, size_t size);
/* Errors: bytes are left. */
PetscErrorCode rt_source_end(RtSource *source);

/* Members of a zip archive. *names and each of them are allocated. Errors: not a zip archive. */
PetscErrorCode rt_source_members(const char *path, int *count, char ***names);
PetscErrorCode rt_source_free_members(int count, char ***names);

/* What a dataset was made from, for its attribute `source`: names without folders, and the SHA-256 of each file.
   second may be NULL. text: [length]. */
PetscErrorCode rt_source_describe(const char *first, const char *second, char *text, size_t length);

#endif
