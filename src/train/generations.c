#include "train/generations.h"

#include "core/file.h"
#include "job/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PetscErrorCode rt_generations_path(const char *dir, const char *role, int64_t step, char *path)
{
  char folder[PETSC_MAX_PATH_LEN], name[96];

  PetscFunctionBegin;
  PetscCall(rt_files_path(dir, RT_FILES_CHECKPOINT, NULL, folder));
  snprintf(name, sizeof(name), "%s-%010lld.nc", role, (long long)step);
  PetscCall(rt_file_join(folder, name, path, PETSC_MAX_PATH_LEN));
  PetscFunctionReturn(0);
}

int64_t rt_generations_step(const char *name, const char *role)
{
  size_t length = strlen(role), digits;

  if (strncmp(name, role, length) || name[length] != '-') return -1;
  name += length + 1;
  digits = strspn(name, "0123456789");
  if (digits < 10 || digits > 18 || (digits > 10 && name[0] == '0') || strcmp(name + digits, ".nc")) return -1;
  return strtoll(name, NULL, 10);
}

static int compare(const void *a, const void *b)
{
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

  return (left > right) - (left < right);
}

/* step: [room], may be NULL. Returns how many there are. */
static int read_names(DIR *stream, const char *role, int room, int64_t *step)
{
  const struct dirent *entry;
  int count = 0;

  rewinddir(stream);
  while ((entry = readdir(stream))) {
    int64_t found = rt_generations_step(entry->d_name, role);

    if (found < 0) continue;
    if (step && count == room) break;
    if (step) step[count] = found;
    count++;
  }
  return count;
}

PetscErrorCode rt_generations_list(const char *dir, const char *role, int *count, int64_t **step)
{
  char folder[PETSC_MAX_PATH_LEN];
  DIR *stream;
  int room;

  PetscFunctionBegin;
  *count = 0;
  *step = NULL;
  PetscCall(rt_files_path(dir, RT_FILES_CHECKPOINT, NULL, folder));
  stream = opendir(folder);
  if (!stream && errno == ENOENT) PetscFunctionReturn(0);
  RtCheck(stream, "%s: the folder cannot be read: %s", folder, strerror(errno));
  room = read_names(stream, role, 0, NULL);
  if (PetscMalloc1(room + 1, step)) {
    closedir(stream);
    PetscFunctionReturn(RT_ERR_FAILED);
  }
  *count = read_names(stream, role, room, *step);
  closedir(stream);
  qsort(*step, (size_t)*count, sizeof(**step), compare);
  PetscFunctionReturn(0);
}

/* Remove the files of these steps. Frees step. */
static PetscErrorCode remove_steps(const char *dir, const char *role, int count, int64_t *step)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  for (int i = 0; i < count && !error; i++) {
    error = rt_generations_path(dir, role, step[i], path);
    if (!error) error = rt_file_remove(path);
  }
  PetscCall(PetscFree(step));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_generations_prune(const char *dir, const char *role, int64_t newest, int64_t keep, int64_t best)
{
  int64_t *step;
  int count, upto = 0, old = 0;

  PetscFunctionBegin;
  PetscCall(rt_generations_list(dir, role, &count, &step));
  while (upto < count && step[upto] <= newest) upto++;
  for (int i = 0; i < count; i++)
    if ((i < upto - PetscMax(1, keep) || i >= upto) && step[i] != best) step[old++] = step[i];
  PetscCall(remove_steps(dir, role, old, step));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_generations_remove(const char *dir, const char *role)
{
  int64_t *step;
  int count;

  PetscFunctionBegin;
  PetscCall(rt_generations_list(dir, role, &count, &step));
  PetscCall(remove_steps(dir, role, count, step));
  PetscFunctionReturn(0);
}
