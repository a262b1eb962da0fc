#define _GNU_SOURCE
#include "netcdf/netcdf.h"

#include "core/file.h"
#include "netcdf/seal.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { DESCRIPTORS = 65536, LEAST_CHUNK = 1 << 16, MOST_CHUNK = 1 << 20, CHUNKS = 1 << 10 };

static pthread_mutex_t lock;
static pthread_once_t lock_made = PTHREAD_ONCE_INIT;

static void make_lock(void)
{
  pthread_mutexattr_t kind;

  pthread_mutexattr_init(&kind);
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&lock, &kind);
  pthread_mutexattr_destroy(&kind);
}

void rt_netcdf_lock(void)
{
  pthread_once(&lock_made, make_lock);
  pthread_mutex_lock(&lock);
}

void rt_netcdf_unlock(void)
{
  int system = errno; /* the caller's reason */

  pthread_mutex_unlock(&lock);
  errno = system;
}

void rt_netcdf_close(int nc)
{
  rt_netcdf_lock();
  nc_close(nc);
  rt_netcdf_unlock();
}

int64_t rt_netcdf_chunk(int64_t bytes)
{
  return PetscMax(LEAST_CHUNK, PetscMin(MOST_CHUNK, bytes / CHUNKS));
}

/* Is there no room left beside path? HDF5 does not always let errno through. */
static bool no_room(const char *path)
{
  char folder[PETSC_MAX_PATH_LEN];
  struct statvfs room;
  char *slash;

  if (strlen(path) >= sizeof folder) return false;
  strcpy(folder, path);
  slash = strrchr(folder, '/');
  if (!slash)
    strcpy(folder, ".");
  else
    slash[slash == folder] = 0;
  return !statvfs(folder, &room) && (uint64_t)room.f_bavail * room.f_frsize < 65536;
}

PetscErrorCode rt_netcdf_fail(const char *path, bool writing, int status, int system)
{
  PetscFunctionBegin;
  if (writing) {
    RtCheck(system != ENOSPC && system != EDQUOT && !no_room(path),
            "%s: cannot be written: the disk is full; free some space and start again", path);
    RtCheck(system != EFBIG, "%s: cannot be written: the limit of a file's size is reached (ulimit -f)", path);
    RtCheck(status <= 0, "%s: cannot be written: %s", path, strerror(status));
    RtCheck(status != NC_EHDFERR || !system, "%s: cannot be written: %s", path, strerror(system));
    RtFail("%s: cannot be written: %s", path, nc_strerror(status));
  }
  RtCheck(status <= 0, "%s: cannot be read: %s", path, strerror(status));
  RtCheck(status != NC_ENOTNC, "%s is not a NetCDF file", path);
  RtCheck(system != ENOLCK && system != ENOSYS,
          "%s: cannot be read: its file system has no locks; set HDF5_USE_FILE_LOCKING=FALSE", path);
  RtCheck(status != NC_EHDFERR && status != NC_ETRUNC, "%s is damaged or cut off; make it again", path);
  RtFail("%s: cannot be read: %s", path, nc_strerror(status));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_netcdf_open(const char *path, int *nc, int64_t *bytes)
{
  struct stat file;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_OPEN));
  RtCheck(!stat(path, &file), "%s: cannot be read: %s", path, strerror(errno));
  RtCheck(S_ISREG(file.st_mode), "%s is not a file", path);
  RtNetcdfRead(path, nc_open(path, NC_NOWRITE, nc));
  if (bytes) *bytes = (int64_t)file.st_size;
  PetscFunctionReturn(0);
}

static PetscErrorCode put_common(const char *path, int nc, const char *title)
{
  PetscFunctionBegin;
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, "Conventions", "CF-1.10"));
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, "title", title));
  PetscCall(rt_netcdf_put_text(path, nc, NC_GLOBAL, "retort_version", RETORT_VERSION));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_netcdf_create(const char *temporary, const char *path, const char *title, int *nc)
{
  PetscErrorCode error;
  int made, status;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_OPEN));
  RtNetcdfTry(status, nc_create(temporary, NC_NETCDF4 | NC_CLOBBER, &made));
  if (status) {
    error = rt_netcdf_fail(path, true, status, errno);
    (void)unlink(temporary);
    PetscCall(error);
  }
  error = put_common(path, made, title);
  if (error) PetscCall(rt_netcdf_abandon(temporary, made));
  PetscCall(error);
  *nc = made;
  PetscFunctionReturn(0);
}

/* Put a file in memory, which always has room, below the open descriptors of a file. */
static void redirect(const char *path)
{
  struct stat wanted, file;
  int memory = memfd_create("abandoned", 0);

  if (memory < 0) return;
  if (!stat(path, &wanted))
    for (int i = 3; i < DESCRIPTORS; i++)
      if (i != memory && !fstat(i, &file) && file.st_ino == wanted.st_ino && file.st_dev == wanted.st_dev)
        (void)dup2(memory, i);
  close(memory);
}

/* HDF5 1.10 cannot close a file whose last bytes it cannot write: it keeps it half open, and crashes when MPI ends. So
   what it still wants to write goes where it does no harm. */
PetscErrorCode rt_netcdf_abandon(const char *temporary, int nc)
{
  struct rlimit before, all;

  PetscFunctionBegin;
  redirect(temporary);
  getrlimit(RLIMIT_FSIZE, &before);
  all = before;
  all.rlim_cur = all.rlim_max;
  setrlimit(RLIMIT_FSIZE, &all);
  rt_netcdf_close(nc);
  setrlimit(RLIMIT_FSIZE, &before);
  PetscCall(rt_file_remove(temporary));
  PetscFunctionReturn(0);
}

/* Everything is written here, before the file is closed, as after a failed close nothing can be repaired. */
static PetscErrorCode flush_file(const char *path, int nc)
{
  PetscFunctionBegin;
  RtNetcdfWrite(path, nc_sync(nc));
  PetscFunctionReturn(0);
}

/* Close a written file, which keeps its temporary name. */
static PetscErrorCode close_written(const char *temporary, const char *path, int nc)
{
  PetscErrorCode error;
  int status;

  PetscFunctionBegin;
  error = flush_file(path, nc);
  if (error) PetscCall(rt_netcdf_abandon(temporary, nc));
  PetscCall(error);
  RtNetcdfTry(status, nc_close(nc));
  if (status) {
    error = rt_netcdf_fail(path, true, status, errno);
    PetscCall(rt_file_remove(temporary));
    PetscCall(error);
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_netcdf_finish(const char *temporary, const char *path, int nc)
{
  PetscFunctionBegin;
  PetscCall(close_written(temporary, path, nc));
  PetscCall(rt_file_commit(temporary, path));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_netcdf_finish_sealed(const char *temporary, const char *path, int nc)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(close_written(temporary, path, nc));
  error = rt_seal_add(temporary, path);
  if (error) PetscCall(rt_file_remove(temporary));
  PetscCall(error);
  PetscCall(rt_file_commit(temporary, path));
  PetscFunctionReturn(0);
}

const char rt_netcdf_record_name[] = "options";

PetscErrorCode rt_netcdf_put_text(const char *path, int nc, int var, const char *name, const char *text)
{
  PetscFunctionBegin;
  RtNetcdfWrite(path, nc_put_att_text(nc, var, name, strlen(text), text));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_netcdf_put_int64(const char *path, int nc, int var, const char *name, int64_t value)
{
  long long number = value;

  PetscFunctionBegin;
  /* The CF convention prefers int where it suffices. */
  RtNetcdfWrite(path, nc_put_att_longlong(nc, var, name, value <= INT32_MAX ? NC_INT : NC_INT64, 1, &number));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_netcdf_describe(const char *path, int nc, int var, const char *long_name, const char *units)
{
  PetscFunctionBegin;
  PetscCall(rt_netcdf_put_text(path, nc, var, "long_name", long_name));
  PetscCall(rt_netcdf_put_text(path, nc, var, "units", units));
  PetscFunctionReturn(0);
}

/* Type and length of an attribute; NC_NAT where there is none. */
static PetscErrorCode find(const char *path, int nc, int var, const char *name, nc_type *type, size_t *length)
{
  int status;

  PetscFunctionBegin;
  *type = NC_NAT;
  RtNetcdfTry(status, nc_inq_att(nc, var, name, type, length));
  if (status == NC_ENOTATT)
    *type = NC_NAT;
  else
    RtNetcdfRead(path, status);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_netcdf_get_text(const char *path, int nc, int var, const char *name, int64_t limit, char **text)
{
  nc_type type;
  size_t length;
  char *found = NULL, *string;
  int status;

  PetscFunctionBegin;
  *text = NULL;
  PetscCall(find(path, nc, var, name, &type, &length));
  if (type == NC_STRING && length == 1) {
    RtNetcdfRead(path, nc_get_att_string(nc, var, name, &string));
    PetscCall(PetscStrallocpy(string ? string : "", text));
    rt_netcdf_lock();
    nc_free_string(1, &string);
    rt_netcdf_unlock();
  } else if (type == NC_CHAR) {
    RtCheck((int64_t)length <= limit, "%s is damaged: its attribute '%s' claims more bytes than the file has", path,
            name);
    PetscCall(PetscMalloc1(length + 1, &found));
    RtNetcdfTry(status, nc_get_att_text(nc, var, name, found));
    if (status) PetscCall(PetscFree(found));
    RtNetcdfRead(path, status);
    found[length] = 0;
    *text = found;
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_netcdf_get_double(const char *path, int nc, int var, const char *name, double *value, bool *found)
{
  nc_type type;
  size_t length;

  PetscFunctionBegin;
  *found = false;
  PetscCall(find(path, nc, var, name, &type, &length));
  if (type == NC_NAT) PetscFunctionReturn(0);
  RtCheck(length == 1 && type != NC_CHAR && type < NC_STRING, "%s: the attribute '%s' is not one number", path, name);
  RtNetcdfRead(path, nc_get_att_double(nc, var, name, value));
  *found = true;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_netcdf_get_int64(const char *path, int nc, int var, const char *name, int64_t *value, bool *found)
{
  double number = 0;

  PetscFunctionBegin;
  PetscCall(rt_netcdf_get_double(path, nc, var, name, &number, found));
  if (!*found) PetscFunctionReturn(0);
  RtCheck(number >= -0x1p53 && number <= 0x1p53 && number == (double)(int64_t)number,
          "%s: the attribute '%s' is not a whole number", path, name);
  *value = (int64_t)number;
  PetscFunctionReturn(0);
}
