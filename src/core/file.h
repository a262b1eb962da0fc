/* Files that are complete or absent: write under a temporary name, sync, rename. Not collective. */
#ifndef RT_CORE_FILE_H
#define RT_CORE_FILE_H

#include <retort/types.h>
#include <sys/stat.h>

/* A temporary name in the same folder: `.NAME.tmp-HOST-PID`. temporary: [PETSC_MAX_PATH_LEN]. */
PetscErrorCode rt_file_temporary(const char *path, char *temporary, size_t length);
/* Sync the closed file `temporary` and give it its name. Errors remove the temporary file. */
PetscErrorCode rt_file_commit(const char *temporary, const char *path);
/* Write a buffer. Errors: no room, no permission; path and system's reason are named. */
PetscErrorCode rt_file_write(const char *path, const void *data, size_t bytes);
/* Read a whole file; *data is allocated with PetscMalloc and ends in an extra zero byte. */
PetscErrorCode rt_file_read(const char *path, void **data, size_t *bytes);
/* Make a folder and its parents. No error if it is there. */
PetscErrorCode rt_file_mkdir(const char *path);
bool rt_file_exists(const char *path);
/* Join folder and name. Errors: too long. */
PetscErrorCode rt_file_join(const char *folder, const char *name, char *path, size_t length);
/* Remove a file if it is there. */
PetscErrorCode rt_file_remove(const char *path);

/* Remove temporary files that processes left in a folder: those of this host's processes that are gone, and of other
   hosts' what nobody has written to for an hour. No error if the folder is not there, or if they cannot be removed. */
PetscErrorCode rt_file_sweep(const char *folder);
/* The time by the clock that stamps the files of this folder, in seconds: that of the file server, perhaps, which need
   not agree with this host's. It makes a file for a moment; where it cannot, it takes this host's clock. */
PetscErrorCode rt_file_now(const char *folder, double *seconds);
/* When a file was last changed, by the same clock. */
double rt_file_changed(const struct stat *status);

#endif
