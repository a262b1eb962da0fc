#include "import/source.h"

#include "core/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>
#include <zlib.h>

enum { RATIO = 1040 }; /* deflate makes nothing smaller than 1/1032 of its size */

struct RtSource {
  char name[2 * PETSC_MAX_PATH_LEN];
  gzFile file; /* plain and gzip */
  zip_t *archive;
  zip_file_t *member;
  int64_t limit;
  bool exact;
};

const char *rt_source_name(const RtSource *source)
{
  return source->name;
}

int64_t rt_source_limit(const RtSource *source, bool *exact)
{
  *exact = source->exact;
  return source->limit;
}

static PetscErrorCode file_size(const char *path, int64_t *size)
{
  struct stat file;

  PetscFunctionBegin;
  RtCheck(!stat(path, &file), "%s: cannot be read: %s", path, strerror(errno));
  RtCheck(S_ISREG(file.st_mode), "%s is not a file", path);
  *size = (int64_t)file.st_size;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_source_open(const char *path, RtSource **source)
{
  RtSource *made;
  gzFile file;
  int64_t size;

  PetscFunctionBegin;
  PetscCall(file_size(path, &size));
  file = gzopen(path, "rb");
  RtCheck(file, "%s: cannot be read: %s", path, strerror(errno ? errno : ENOMEM));
  gzbuffer(file, 1 << 18);
  PetscCall(PetscNew(&made));
  snprintf(made->name, sizeof made->name, "%s", path);
  made->file = file;
  made->exact = gzdirect(file);
  made->limit = made->exact ? size : size < INT64_MAX / RATIO ? size * RATIO : INT64_MAX;
  *source = made;
  PetscFunctionReturn(0);
}

static PetscErrorCode open_archive(const char *path, zip_t **archive)
{
  zip_error_t reason;
  int64_t size;
  int code;

  PetscFunctionBegin;
  PetscCall(file_size(path, &size));
  *archive = zip_open(path, ZIP_RDONLY, &code);
  if (!*archive) {
    char text[200];

    zip_error_init_with_code(&reason, code);
    snprintf(text, sizeof text, "%s", zip_error_strerror(&reason));
    zip_error_fini(&reason);
    RtFail("%s: cannot be read as a zip archive: %s", path, text);
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_source_open_member(const char *path, const char *member, RtSource **source)
{
  RtSource *made;
  zip_stat_t status;
  zip_t *archive;
  zip_file_t *file;
  int64_t bytes;

  PetscFunctionBegin;
  PetscCall(file_size(path, &bytes));
  PetscCall(open_archive(path, &archive));
  file = zip_fopen(archive, member, 0);
  if (!file || zip_stat(archive, member, 0, &status) || !(status.valid & ZIP_STAT_SIZE)) {
    char text[200];

    snprintf(text, sizeof text, "%s", zip_strerror(archive));
    if (file) zip_fclose(file);
    zip_discard(archive);
    RtFail("%s: the member '%s' cannot be read: %s", path, member, text);
  }
  PetscCall(PetscNew(&made));
  snprintf(made->name, sizeof made->name, "%s:%s", path, member);
  made->archive = archive;
  made->member = file;
  /* The size stands in the archive's directory; believe no more of it than the file can hold. */
  made->limit = bytes < INT64_MAX / RATIO ? bytes * RATIO : INT64_MAX;
  made->exact = status.size <= (uint64_t)made->limit;
  if (made->exact) made->limit = (int64_t)status.size;
  *source = made;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_source_close(RtSource **source)
{
  PetscFunctionBegin;
  if (!*source) PetscFunctionReturn(0);
  if ((*source)->file) gzclose((*source)->file);
  if ((*source)->member) zip_fclose((*source)->member);
  if ((*source)->archive) zip_discard((*source)->archive);
  PetscCall(PetscFree(*source));
  PetscFunctionReturn(0);
}

/* One call of the library; *got is 0 at the end. */
static PetscErrorCode read_once(RtSource *source, void *data, size_t size, size_t *got)
{
  unsigned piece = size < 1u << 30 ? (unsigned)size : 1u << 30;
  zip_int64_t count;
  int code = 0, more;

  PetscFunctionBegin;
  if (source->member) {
    count = zip_fread(source->member, data, piece);
    RtCheck(count >= 0, "%s is damaged or cut off: %s", source->name, zip_file_strerror(source->member));
    *got = (size_t)count;
    PetscFunctionReturn(0);
  }
  more = gzread(source->file, data, piece);
  if (more < (int)piece) gzerror(source->file, &code);
  RtCheck(code != Z_ERRNO, "%s: cannot be read: %s", source->name, strerror(errno));
  RtCheck(code != Z_BUF_ERROR, "%s is cut off: the compressed data ends early", source->name);
  RtCheck(code >= 0 && more >= 0, "%s is damaged: the compressed data cannot be unpacked", source->name);
  *got = (size_t)more;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_source_read_some(RtSource *source, void *data, size_t size, size_t *got)
{
  size_t more;

  PetscFunctionBegin;
  *got = 0;
  while (*got < size) {
    PetscCall(read_once(source, (char *)data + *got, size - *got, &more));
    if (!more) break;
    *got += more;
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_source_read(RtSource *source, void *data, size_t size)
{
  size_t got;

  PetscFunctionBegin;
  PetscCall(rt_source_read_some(source, data, size, &got));
  RtCheck(got == size, "%s is cut off: it ends before all that its header announces", source->name);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_source_end(RtSource *source)
{
  size_t got;
  char byte;

  PetscFunctionBegin;
  PetscCall(rt_source_read_some(source, &byte, 1, &got));
  RtCheck(!got, "%s has more bytes than its header announces", source->name);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_source_members(const char *path, int *count, char ***names)
{
  zip_t *archive;
  zip_int64_t total;

  PetscFunctionBegin;
  PetscCall(open_archive(path, &archive));
  total = zip_get_num_entries(archive, 0);
  *count = total < 1000000 ? (int)total : 1000000;
  PetscCall(PetscCalloc1((size_t)*count + 1, names));
  for (int i = 0; i < *count; i++) {
    const char *name = zip_get_name(archive, (zip_uint64_t)i, 0);

    PetscCall(PetscStrallocpy(name ? name : "", &(*names)[i]));
  }
  zip_discard(archive);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_source_free_members(int count, char ***names)
{
  PetscFunctionBegin;
  for (int i = 0; *names && i < count; i++) PetscCall(PetscFree((*names)[i]));
  PetscCall(PetscFree(*names));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_source_describe(const char *first, const char *second, char *text, size_t length)
{
  const char *path[2] = {first, second};
  char hash[RT_HASH_TEXT];
  size_t used = 0;

  PetscFunctionBegin;
  text[0] = 0;
  for (int i = 0; i < 2 && path[i]; i++) {
    const char *slash = strrchr(path[i], '/');

    PetscCall(rt_hash_file(path[i], hash));
    used += (size_t)snprintf(text + used, length - used, "%s%.255s sha256:%s", i ? ", " : "",
                             slash ? slash + 1 : path[i], hash);
    PetscCheck(used < length, PETSC_COMM_SELF, PETSC_ERR_ARG_SIZ, "text is too short");
  }
  PetscFunctionReturn(0);
}
