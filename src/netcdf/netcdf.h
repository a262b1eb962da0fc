/* Small helpers over NetCDF's serial calls: messages for people, attributes. Not collective. */
#ifndef RT_NETCDF_NETCDF_H
#define RT_NETCDF_NETCDF_H

#include "core/fault.h"

#include <errno.h>
#include <netcdf.h>
#include <retort/types.h>

/* Return from a function with a message for the user if a NetCDF call fails. path: the name that the message gives. */
#define RtNetcdfRead(path, call) RtNetcdfDo(path, false, call)
#define RtNetcdfWrite(path, call) RtNetcdfDo(path, true, call)
#define RtNetcdfDo(path, writing, call)                                                                                \
  do {                                                                                                                 \
    int status_, system_;                                                                                              \
    if (writing) PetscCall(rt_fault_at(RT_FAULT_WRITE));                                                               \
    rt_netcdf_lock();                                                                                                  \
    errno = 0;                                                                                                         \
    status_ = (call);                                                                                                  \
    system_ = errno;                                                                                                   \
    rt_netcdf_unlock();                                                                                                \
    if (PetscUnlikely(status_)) PetscCall(rt_netcdf_fail(path, writing, status_, system_));                            \
  } while (0)
/* The status of a call, for the caller to judge. */
#define RtNetcdfTry(status, call)                                                                                      \
  do {                                                                                                                 \
    rt_netcdf_lock();                                                                                                  \
    errno = 0;                                                                                                         \
    (status) = (call);                                                                                                 \
    rt_netcdf_unlock();                                                                                                \
  } while (0)

/* NetCDF and HDF5 are not safe for threads: each call of theirs stands between these two, or in one of the macros. A
   thread that has the lock may take it again. */
void rt_netcdf_lock(void);
void rt_netcdf_unlock(void);

/* Fail with one line that names the file and the reason. system: errno just after the call; HDF5 hides a full disk
   behind a status of its own. */
PetscErrorCode rt_netcdf_fail(const char *path, bool writing, int status, int system);

/* Open a file to read. bytes: its size, may be NULL. Errors: no file, a folder, not NetCDF, damaged. */
PetscErrorCode rt_netcdf_open(const char *path, int *nc, int64_t *bytes);
/* Create a NetCDF-4 file under the name temporary, with the global attributes that all of Retort's outputs share.
   path: the name that it will have, for messages. */
PetscErrorCode rt_netcdf_create(const char *temporary, const char *path, const char *title, int *nc);

/* Bytes for a chunk of a variable that is read in pieces, of `bytes` altogether: about a thousandth of it, so that it
   pays to read any part, from 64 KiB to 1 MiB, so that chunks are neither too many nor too large. */
int64_t rt_netcdf_chunk(int64_t bytes);

/* Close a file that was opened to read. */
void rt_netcdf_close(int nc);

/* Close a file made by rt_netcdf_create and give it its name. Errors remove the file. */
PetscErrorCode rt_netcdf_finish(const char *temporary, const char *path, int nc);
/* The same with a seal (netcdf/seal.h) behind the file's end. */
PetscErrorCode rt_netcdf_finish_sealed(const char *temporary, const char *path, int nc);
/* Close and remove a file made by rt_netcdf_create, also after an error while it was written. */
PetscErrorCode rt_netcdf_abandon(const char *temporary, int nc);

/* What a file was made with, as job/record.h has it: the attribute of this name. */
extern const char rt_netcdf_record_name[];
/* Text attributes. An empty text is stored too. var may be NC_GLOBAL. */
PetscErrorCode rt_netcdf_put_text(const char *path, int nc, int var, const char *name, const char *text);
PetscErrorCode rt_netcdf_put_int64(const char *path, int nc, int var, const char *name, int64_t value);
/* long_name and units of a variable. */
PetscErrorCode rt_netcdf_describe(const char *path, int nc, int var, const char *long_name, const char *units);

/* Text of an attribute, characters or one string. *text is allocated with PetscMalloc; NULL where the attribute is
   absent or is not text. limit: the file's size in bytes; no attribute is longer. */
PetscErrorCode rt_netcdf_get_text(const char *path, int nc, int var, const char *name, int64_t limit, char **text);
/* One number. found: false where the attribute is absent; then *value is not changed. Errors: not one number. */
PetscErrorCode rt_netcdf_get_double(const char *path, int nc, int var, const char *name, double *value, bool *found);
PetscErrorCode rt_netcdf_get_int64(const char *path, int nc, int var, const char *name, int64_t *value, bool *found);

#endif
