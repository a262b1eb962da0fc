/* Results in NetCDF: named arrays with units, and texts. For histories, evaluations and checkpoints. A file is complete
   or absent, and equal content gives equal bytes. Not collective: one rank writes. */
#ifndef RT_NETCDF_ARCHIVE_H
#define RT_NETCDF_ARCHIVE_H

#include <retort/dataset.h>

typedef enum { RT_ARCHIVE_FLOAT, RT_ARCHIVE_DOUBLE, RT_ARCHIVE_INT64, RT_ARCHIVE_INT32 } RtArchiveType;
typedef struct RtArchive RtArchive;

PetscErrorCode rt_archive_create(const char *path, const char *title, RtArchive **archive);
/* Before anything is put: the file will be sealed as a whole, see netcdf/seal.h. Without, large arrays get checksums.
 */
void rt_archive_seal(RtArchive *archive);
/* A dimension; defining it again with the same length does nothing. */
PetscErrorCode rt_archive_dimension(RtArchive *archive, const char *name, int64_t length);

typedef struct {
  const char *name, *units, *long_name;
  const char *dimension[RT_MAX_DIM]; /* names, up to the first NULL; none: a scalar */
  RtArchiveType type;
  const void *data; /* row-major */
  bool deflate;     /* compress, without loss */
} RtArchiveArray;
/* NaN in arrays of doubles is a missing value. */
PetscErrorCode rt_archive_put(RtArchive *archive, const RtArchiveArray *array);
/* A global attribute; on_variable: of that variable instead. */
PetscErrorCode rt_archive_put_text(RtArchive *archive, const char *on_variable, const char *name, const char *text);
/* CF's flags with the names of classes, on a variable. Does nothing where the dataset has no names. */
PetscErrorCode rt_archive_put_flags(RtArchive *archive, const char *variable, const RtDatasetInfo *info);
/* Seal, sync and rename. Destroys the archive, also on errors. */
PetscErrorCode rt_archive_commit(RtArchive **archive);
/* Drop what was written. Accepts NULL. */
PetscErrorCode rt_archive_discard(RtArchive **archive);

/* Does not look at a seal: rt_seal_check comes before it. Errors: no file, not NetCDF, damaged. */
PetscErrorCode rt_archive_open(const char *path, RtArchive **archive);
PetscErrorCode rt_archive_close(RtArchive **archive);
/* What a file was made with, as job/record.h has it; as the two for texts. */
PetscErrorCode rt_archive_put_record(RtArchive *archive, const char *record);
PetscErrorCode rt_archive_get_record(const RtArchive *archive, char **record);

/* Elements of an array, -1 where there is none of that name. */
int64_t rt_archive_length(const RtArchive *archive, const char *name);
/* Whether there is a dimension of that name. */
bool rt_archive_axis(const RtArchive *archive, const char *name);
/* data: [count]. Errors: absent, another number of elements, a checksum that is wrong. */
PetscErrorCode rt_archive_get(const RtArchive *archive, const char *name, RtArchiveType type, int64_t count,
                              void *data);
/* Allocated with PetscMalloc; NULL where absent. */
PetscErrorCode rt_archive_get_text(const RtArchive *archive, const char *name, char **text);

#endif
