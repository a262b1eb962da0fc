#define _GNU_SOURCE
#include "core/file.h"
#include "core/fault.h"
#include "core/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double forgotten = 3600; /* seconds after which another host's temporary file has no owner */

/* Split into folder (with its slash, or empty) and name. */
static const char *name_of(const char *path)
{
  const char *slash = strrchr(path, '/');

  return slash ? slash + 1 : path;
}

PetscErrorCode rt_file_temporary(const char *path, char *temporary, size_t length)
{
  const char *name = name_of(path);
  char host[RT_PROCESS_HOST];
  int written;

  PetscFunctionBegin;
  rt_process_host(host);
  written = snprintf(temporary, length, "%.*s.%s.tmp-%s-%ld", (int)(name - path), path, name, host, (long)getpid());
  RtCheck(written > 0 && (size_t)written < length, "%s: the path is too long", path);
  PetscFunctionReturn(0);
}

/* Make a rename survive a power cut: sync the folder. File systems that cannot do it are left alone. */
static void sync_folder(const char *path)
{
  char folder[PETSC_MAX_PATH_LEN];
  const char *name = name_of(path);
  int file;

  snprintf(folder, sizeof(folder), "%.*s", (int)(name - path), path);
  file = open(folder[0] ? folder : ".", O_RDONLY | O_DIRECTORY);
  if (file < 0) return;
  (void)fsync(file);
  close(file);
}

PetscErrorCode rt_file_commit(const char *temporary, const char *path)
{
  int file, failed;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_WRITE));
  file = open(temporary, O_RDONLY);
  failed = file < 0 || fsync(file);
  if (file >= 0) close(file);
  if (failed || rename(temporary, path)) {
    int reason = errno;

    unlink(temporary);
    RtFail("%s: cannot be written: %s", path, strerror(reason));
  }
  sync_folder(path);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_file_write(const char *path, const void *data, size_t bytes)
{
  char temporary[PETSC_MAX_PATH_LEN];
  const char *next = data;
  int file;

  PetscFunctionBegin;
  PetscCall(rt_file_temporary(path, temporary, sizeof(temporary)));
  PetscCall(rt_fault_at(RT_FAULT_OPEN));
  PetscCall(rt_fault_at(RT_FAULT_WRITE));
  file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  RtCheck(file >= 0, "%s: cannot be written: %s", path, strerror(errno));
  while (bytes > 0) {
    ssize_t put = write(file, next, PetscMin(bytes, (size_t)1 << 30));

    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      int reason = errno;

      close(file);
      unlink(temporary);
      RtFail("%s: cannot be written: %s", path, strerror(reason));
    }
    next += put;
    bytes -= (size_t)put;
  }
  close(file);
  PetscCall(rt_file_commit(temporary, path));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_file_read(const char *path, void **data, size_t *bytes)
{
  struct stat status;
  char *buffer;
  size_t have = 0;
  int file;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_OPEN));
  file = open(path, O_RDONLY);
  RtCheck(file >= 0, "%s: cannot be read: %s", path, strerror(errno));
  if (fstat(file, &status) || !S_ISREG(status.st_mode)) {
    close(file);
    RtFail("%s: is not a file", path);
  }
  PetscCall(PetscMalloc1((size_t)status.st_size + 1, &buffer));
  while (have < (size_t)status.st_size) {
    ssize_t got = read(file, buffer + have, PetscMin((size_t)status.st_size - have, (size_t)1 << 30));

    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    have += (size_t)got;
  }
  close(file);
  if (have < (size_t)status.st_size) {
    PetscCall(PetscFree(buffer));
    RtFail("%s: cannot be read to its end", path);
  }
  buffer[have] = 0;
  *data = buffer;
  *bytes = have;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_file_mkdir(const char *path)
{
  char part[PETSC_MAX_PATH_LEN];
  size_t length = strlen(path);

  PetscFunctionBegin;
  RtCheck(length > 0 && length < sizeof(part), "the folder's name '%s' is empty or too long", path);
  for (size_t i = 1; i <= length; i++) {
    if (i < length && path[i] != '/') continue;
    memcpy(part, path, i);
    part[i] = 0;
    if (mkdir(part, 0777) && errno != EEXIST) RtFail("%s: the folder cannot be made: %s", part, strerror(errno));
  }
  RtCheck(!access(path, W_OK | X_OK), "%s: the folder cannot be written: %s", path, strerror(errno));
  PetscFunctionReturn(0);
}

bool rt_file_exists(const char *path)
{
  return !access(path, F_OK);
}

PetscErrorCode rt_file_join(const char *folder, const char *name, char *path, size_t length)
{
  int written;

  PetscFunctionBegin;
  written = snprintf(path, length, "%s/%s", folder, name);
  RtCheck(written > 0 && (size_t)written < length, "%s/%s: the path is too long", folder, name);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_file_remove(const char *path)
{
  PetscFunctionBegin;
  if (unlink(path) && errno != ENOENT) RtFail("%s: cannot be removed: %s", path, strerror(errno));
  PetscFunctionReturn(0);
}

double rt_file_changed(const struct stat *status)
{
  return (double)status->st_mtim.tv_sec + 1e-9 * (double)status->st_mtim.tv_nsec;
}

PetscErrorCode rt_file_now(const char *folder, double *seconds)
{
  char path[PETSC_MAX_PATH_LEN], temporary[PETSC_MAX_PATH_LEN];
  struct timespec now;
  struct stat status;
  int file;

  PetscFunctionBegin;
  PetscCall(rt_file_join(folder, "clock", path, sizeof(path)));
  PetscCall(rt_file_temporary(path, temporary, sizeof(temporary)));
  clock_gettime(CLOCK_REALTIME, &now);
  *seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
  file = open(temporary, O_WRONLY | O_CREAT, 0666);
  if (file < 0) PetscFunctionReturn(0);
  if (!futimens(file, NULL) && !fstat(file, &status)) *seconds = rt_file_changed(&status);
  close(file);
  (void)unlink(temporary);
  PetscFunctionReturn(0);
}

/* Is this the name of a temporary file, .NAME.tmp-HOST-PID? */
static bool read_temporary(const char *name, char host[RT_PROCESS_HOST], long *pid)
{
  const char *mark = NULL, *last = strrchr(name, '-');
  char *end;

  if (name[0] != '.' || !last || last[1] < '0' || last[1] > '9') return false;
  for (const char *next = strstr(name, ".tmp-"); next; next = strstr(next + 1, ".tmp-")) mark = next + 5;
  if (!mark || mark > last || last - mark >= RT_PROCESS_HOST) return false;
  memset(host, 0, RT_PROCESS_HOST);
  memcpy(host, mark, (size_t)(last - mark));
  *pid = strtol(last + 1, &end, 10);
  return !*end;
}

/* A process of this host that runs may be asleep for long; what it writes stays. */
static PetscErrorCode sweep_one(const char *folder, const char *name, const char *host, long pid)
{
  char path[PETSC_MAX_PATH_LEN], here[RT_PROCESS_HOST];
  bool left = rt_process_gone(host, pid, 0);
  struct stat status;
  double now;

  PetscFunctionBegin;
  PetscCall(rt_file_join(folder, name, path, sizeof(path)));
  rt_process_host(here);
  if (!left && strcmp(host, here) && !stat(path, &status)) {
    PetscCall(rt_file_now(folder, &now));
    left = now - rt_file_changed(&status) > forgotten;
  }
  if (left) (void)unlink(path);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_file_sweep(const char *folder)
{
  DIR *dir = opendir(folder);
  const struct dirent *entry;
  PetscErrorCode error = 0;
  char host[RT_PROCESS_HOST];
  long pid;

  PetscFunctionBegin;
  while (dir && !error && (entry = readdir(dir)))
    if (read_temporary(entry->d_name, host, &pid)) error = sweep_one(folder, entry->d_name, host, pid);
  if (dir) closedir(dir);
  PetscFunctionReturn(error);
}
