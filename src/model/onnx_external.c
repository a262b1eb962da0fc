#define _GNU_SOURCE
#include "model/onnx_external.h"

#include "model/onnx_wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_FILES = 512, CHUNK = 1 << 20 }; /* files that one model may use; bytes hashed at a time */

typedef struct {
  char *location;
  FILE *file;
  size_t bytes;
} Part;

struct RtExternal {
  const char *model;
  RtHash *hash;
  int parts;
  Part part[MOST_FILES];
};

PetscErrorCode rt_onnx_external_create(const char *model, RtHash *hash, RtExternal **external)
{
  PetscFunctionBegin;
  PetscCall(PetscNew(external));
  (*external)->model = model;
  (*external)->hash = hash;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_onnx_external_destroy(RtExternal **external)
{
  PetscFunctionBegin;
  if (!*external) PetscFunctionReturn(0);
  for (int i = 0; i < (*external)->parts; i++) {
    fclose((*external)->part[i].file);
    PetscCall(PetscFree((*external)->part[i].location));
  }
  PetscCall(PetscFree(*external));
  PetscFunctionReturn(0);
}

/* A model must not make us read files from elsewhere. */
static bool stays_inside(const char *location)
{
  if (location[0] == '/') return false;
  for (const char *part = location; part; part = strchr(part, '/')) {
    part += *part == '/';
    if (!strncmp(part, "..", 2) && (part[2] == 0 || part[2] == '/')) return false;
  }
  return true;
}

static PetscErrorCode hash_file(Part *part, RtHash *hash)
{
  char *chunk;
  size_t done = 0, got = 1;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(CHUNK, &chunk));
  while (got > 0) {
    got = fread(chunk, 1, CHUNK, part->file);
    done += got;
    PetscCall(rt_hash_add(hash, chunk, got));
  }
  PetscCall(PetscFree(chunk));
  RtCheck(done == part->bytes, "the external data '%s' cannot be read to its end", part->location);
  PetscFunctionReturn(0);
}

/* The opened file of a location, new or known. */
static PetscErrorCode open_part(RtExternal *external, const char *location, Part **part)
{
  const char *slash = strrchr(external->model, '/');
  char path[PETSC_MAX_PATH_LEN];
  struct stat status;
  Part *p;
  int length;

  PetscFunctionBegin;
  for (int i = 0; i < external->parts; i++) {
    *part = &external->part[i];
    if (!strcmp((*part)->location, location)) PetscFunctionReturn(0);
  }
  RtCheck(external->parts < MOST_FILES, "the weights stand in more than %d external files", (int)MOST_FILES);
  length =
      snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash - external->model + 1) : 0, external->model, location);
  RtCheck(length > 0 && (size_t)length < sizeof(path), "the path of the external data '%s' is too long", location);
  RtCheck(!stat(path, &status), "the external data '%s' cannot be read: %s; it belongs beside the model", path,
          strerror(errno));
  RtCheck(S_ISREG(status.st_mode), "the external data '%s' is not a file", path);
  p = &external->part[external->parts];
  p->bytes = (size_t)status.st_size;
  p->file = fopen(path, "rb");
  RtCheck(p->file, "the external data '%s' cannot be read: %s", path, strerror(errno));
  external->parts++;
  PetscCall(PetscStrallocpy(location, &p->location));
  if (external->hash) PetscCall(hash_file(p, external->hash));
  *part = p;
  PetscFunctionReturn(0);
}

/* A decimal number, nothing else. */
static bool parse_number(const char *text, uint64_t *number)
{
  *number = 0;
  if (!text[0]) return false;
  for (; *text; text++)
    if (*text < '0' || *text > '9' || __builtin_mul_overflow(*number, 10, number) ||
        __builtin_add_overflow(*number, (uint64_t)(*text - '0'), number))
      return false;
  return true;
}

PetscErrorCode rt_onnx_external_read(RtExternal *external, const Onnx__TensorProto *tensor, size_t bytes, void **data)
{
  const char *location = NULL;
  uint64_t offset = 0, length = bytes;
  Part *part;
  size_t got;

  PetscFunctionBegin;
  for (size_t i = 0; i < tensor->n_external_data; i++) {
    const char *key = tensor->external_data[i]->key, *text = tensor->external_data[i]->value;

    if (!key || !text) continue;
    if (!strcmp(key, "location")) location = text;
    RtCheck(strcmp(key, "offset") || parse_number(text, &offset),
            "the tensor '%s' has an external offset that is not a number", tensor->name);
    RtCheck(strcmp(key, "length") || parse_number(text, &length),
            "the tensor '%s' has an external length that is not a number", tensor->name);
  }
  PetscCall(rt_onnx_wire_name(location, "an external data file"));
  RtCheck(stays_inside(location),
          "the tensor '%s' wants external data from '%s', outside the model's folder: this is refused", tensor->name,
          location);
  RtCheck(length == bytes, "the tensor '%s' needs %zu bytes, but names %llu bytes of external data", tensor->name,
          bytes, (unsigned long long)length);
  PetscCall(open_part(external, location, &part));
  RtCheck(offset <= part->bytes && bytes <= part->bytes - offset,
          "the tensor '%s' reaches to byte %llu of '%s', which has only %zu: is the file complete?", tensor->name,
          (unsigned long long)offset + bytes, location, part->bytes);
  PetscCall(PetscMalloc1(bytes + 1, (char **)data));
  got = fseeko(part->file, (off_t)offset, SEEK_SET) ? 0 : fread(*data, 1, bytes, part->file);
  if (got != bytes) {
    PetscCall(PetscFree(*data));
    RtFail("the external data '%s' cannot be read to its end", location);
  }
  PetscFunctionReturn(0);
}
