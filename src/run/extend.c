#include "run/extend.h"

#include "core/hash.h"
#include "core/message.h"
#include "distill/loss.h"
#include "job/early.h"
#include "ops/registry.h"
#include "run/table.h"

#include <dlfcn.h>
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LIBRARIES = 32 };

typedef struct {
  char hash[RT_HASH_TEXT];
  int rows; /* that it has added */
} Library;

static Library library[LIBRARIES];
static int libraries;
static Library *loading; /* whose rt_extend runs */

/* A loss's option must not hide one that every term has. */
static PetscErrorCode check_options(const RtLoss *loss)
{
  char name[RT_LOSS_NAME + 32];

  PetscFunctionBegin;
  for (const RtLossOption *o = loss->option; o->name; o++) {
    snprintf(name, sizeof(name), "distill_terms_*_%s", o->name);
    RtCheck(!rt_table_has(name), "the loss '%s' has an option '%s', which every term has already", loss->name, o->name);
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_extend_add(const RtExtend *what)
{
  PetscFunctionBegin;
  RtCheck(what->version == RT_EXTEND_VERSION,
          "built with the headers of another release of Retort; build it again with those of retort %s",
          RETORT_VERSION);
  for (int i = 0; i < what->losses; i++) {
    PetscCall(rt_loss_add(&what->loss[i]));
    PetscCall(check_options(&what->loss[i]));
  }
  for (int i = 0; i < what->operators; i++) PetscCall(rt_registry_add(&what->op[i], loading ? loading->hash : ""));
  if (loading) loading->rows += what->losses + what->operators;
  PetscFunctionReturn(0);
}

/* Whatever fails in a library while it is loaded gets its path in front. The handler steps aside to pass the message on
   to the one below it. */
static PetscErrorCode name_library(MPI_Comm comm, int line, const char *function, const char *file, PetscErrorCode code,
                                   PetscErrorType type, const char *text, void *path)
{
  (void)PetscPopErrorHandler();
  if (type == PETSC_ERROR_INITIAL)
    code = PetscError(comm, line, function, file, code, type, "-extend %s: %s", (const char *)path, text ? text : "");
  else
    code = PetscError(comm, line, function, file, code, type, "%s", text ? text : "");
  (void)PetscPushErrorHandler(name_library, path);
  return code;
}

/* Without a slash in its name the loader would look for a library in its own folders. The settings of arithmetic are
   kept: what is built with -ffast-math flushes small numbers to zero, for the whole process, as soon as it is loaded.
 */
static PetscErrorCode open_library(const char *path, void **handle)
{
  char place[PETSC_MAX_PATH_LEN];
  const char *why;
  fenv_t settings;

  PetscFunctionBegin;
  *handle = NULL;
  RtCheck(snprintf(place, sizeof(place), "%s%s", strchr(path, '/') ? "" : "./", path) < (int)sizeof(place),
          "the path is too long");
  (void)fegetenv(&settings);
  *handle = dlopen(place, RTLD_NOW | RTLD_LOCAL);
  why = *handle ? NULL : dlerror();
  (void)fesetenv(&settings);
  if (why && !strncmp(why, place, strlen(place)) && !strncmp(why + strlen(place), ": ", 2)) why += strlen(place) + 2;
  RtCheck(*handle, "is no library that can be loaded here: %s", why ? why : "");
  PetscFunctionReturn(0);
}

static PetscErrorCode load(const char *path)
{
  PetscErrorCode (*start)(void);
  struct stat status;
  void *handle;

  PetscFunctionBegin;
  RtCheck(libraries < LIBRARIES, "more than %d libraries cannot be loaded", (int)LIBRARIES);
  RtCheck(!stat(path, &status) && S_ISREG(status.st_mode), "there is no such file");
  library[libraries].rows = 0;
  PetscCall(rt_hash_file(path, library[libraries].hash));
  PetscCall(open_library(path, &handle));
  *(void **)(void *)&start = dlsym(handle, "rt_extend");
  if (!start) {
    (void)dlclose(handle);
    RtFail("defines no function rt_extend; see retort/extend.h");
  }
  loading = &library[libraries];
  PetscCall(start());
  RtCheck(loading->rows, "its rt_extend adds nothing; see rt_extend_add in retort/extend.h");
  libraries++;
  PetscFunctionReturn(0);
}

/* Collective. */
static PetscErrorCode check_bytes(MPI_Comm comm, const char *path, const char *hash)
{
  char first[RT_HASH_TEXT];
  int rank;

  PetscFunctionBegin;
  memcpy(first, hash, RT_HASH_TEXT);
  PetscCallMPI(MPI_Bcast(first, RT_HASH_TEXT, MPI_CHAR, 0, comm));
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  RtCheck(!strcmp(first, hash), "-extend %s: the file has other bytes for rank %d than for rank 0; share it", path,
          rank);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_extend_load(MPI_Comm comm, const char *path)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscPushErrorHandler(name_library, (void *)path));
  error = load(path);
  PetscCall(PetscPopErrorHandler());
  loading = NULL;
  RtAgree(comm, error);
  RtAgree(comm, check_bytes(comm, path, library[libraries - 1].hash));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_extend_start(MPI_Comm comm)
{
  char *names, *left, *path;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_early_text(comm, "extend", &names));
  for (path = strtok_r(names, ",", &left); path && !error; path = strtok_r(NULL, ",", &left))
    error = rt_extend_load(comm, path);
  PetscCall(PetscFree(names));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static int compare_hashes(const void *a, const void *b)
{
  return strcmp(((const Library *)a)->hash, ((const Library *)b)->hash);
}

PetscErrorCode rt_extend_record(char **line)
{
  Library sorted[LIBRARIES];
  size_t length = (size_t)libraries * RT_HASH_TEXT + 16, used = 0;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1(length, line));
  memcpy(sorted, library, sizeof(sorted));
  qsort(sorted, (size_t)libraries, sizeof(*sorted), compare_hashes);
  for (int i = 0; i < libraries; i++)
    used += (size_t)snprintf(*line + used, length - used, "%s%s", i ? "," : "extend=", sorted[i].hash);
  if (libraries) snprintf(*line + used, length - used, "\n");
  PetscFunctionReturn(0);
}
