#define _GNU_SOURCE
#include "netcdf/seal.h"

#include "core/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static const char word[] = "retort-seal crc32 ";

enum { WORD = sizeof(word) - 1, LINE = WORD + 8 + 1 + 20 + 1, PIECE = 1 << 17 /* stays in the cache */ };

/* line: LINE characters and a zero. */
static void make_line(char line[LINE + 1], uint32_t crc, int64_t bytes)
{
  snprintf(line, LINE + 1, "%s%08" PRIx32 " %020" PRId64 "\n", word, crc, bytes);
}

/* Read count bytes. false: there are not so many, or they cannot be read. */
static bool get(int file, char *out, size_t count)
{
  while (count > 0) {
    ssize_t got = read(file, out, count);

    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out += got;
    count -= (size_t)got;
  }
  return true;
}

/* CRC-32 of the first `bytes` bytes. false: they cannot all be read, or stop said so. buffer: [PIECE]. */
static bool sum(int file, int64_t bytes, bool (*stop)(void), char *buffer, uint32_t *crc)
{
  uLong state = crc32(0, NULL, 0);

  for (int64_t at = 0; at < bytes; at += PIECE) {
    size_t count = (size_t)PetscMin(PIECE, bytes - at);

    if ((stop && stop()) || !get(file, buffer, count)) return false;
    state = crc32(state, (const Bytef *)buffer, (uInt)count);
  }
  *crc = (uint32_t)state;
  return true;
}

static PetscErrorCode add(const char *name, int file, char *buffer)
{
  char line[LINE + 1];
  struct stat status;
  uint32_t crc;

  PetscFunctionBegin;
  RtCheck(!fstat(file, &status) && sum(file, (int64_t)status.st_size, NULL, buffer, &crc),
          "%s: cannot be read again after it was written", name);
  make_line(line, crc, (int64_t)status.st_size);
  PetscCall(rt_fault_at(RT_FAULT_WRITE));
  errno = ENOSPC; /* of a part of the line */
  if (pwrite(file, line, LINE, status.st_size) != LINE) {
    int reason = errno;

    (void)ftruncate(file, status.st_size);
    RtCheck(reason != ENOSPC && reason != EDQUOT,
            "%s: cannot be written: the disk is full; free some space and start again", name);
    RtFail("%s: cannot be written: %s", name, strerror(reason));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_seal_add(const char *path, const char *name)
{
  char *buffer;
  int file = open(path, O_RDWR | O_CLOEXEC);
  PetscErrorCode error;

  PetscFunctionBegin;
  RtCheck(file >= 0, "%s: cannot be written: %s", name, strerror(errno));
  PetscCall(PetscMalloc1(PIECE, &buffer));
  error = add(name, file, buffer);
  PetscCall(PetscFree(buffer));
  close(file);
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Where in the last bytes of a file the line begins; -1: nowhere. A line that is cut off may be no more than the
   beginning of its first word. */
static int find_line(const char *end, int count)
{
  for (int at = count - 4; at >= 0; at--)
    if (!memcmp(end + at, word, (size_t)PetscMin(WORD, count - at))) return at;
  return -1;
}

static PetscErrorCode check(int file, int64_t bytes, bool (*stop)(void), char *buffer, RtSeal *seal)
{
  char end[2 * LINE], wanted[LINE + 1];
  int count = (int)PetscMin(bytes, (int64_t)sizeof(end)), at;
  uint32_t crc;

  PetscFunctionBegin;
  *seal = RT_SEAL_BROKEN;
  if (pread(file, end, (size_t)count, bytes - count) != count) PetscFunctionReturn(0);
  at = find_line(end, count);
  if (at < 0) *seal = RT_SEAL_NONE;
  if (at < 0 || at != count - LINE) PetscFunctionReturn(0);
  if (!sum(file, bytes - LINE, stop, buffer, &crc)) {
    if (stop && stop()) *seal = RT_SEAL_UNKNOWN;
    PetscFunctionReturn(0);
  }
  make_line(wanted, crc, bytes - LINE);
  if (!memcmp(end + at, wanted, LINE)) *seal = RT_SEAL_WHOLE;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_seal_check(const char *path, bool (*stop)(void), RtSeal *seal)
{
  char *buffer;
  int file;
  struct stat status;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_OPEN));
  file = open(path, O_RDONLY | O_CLOEXEC);
  RtCheck(file >= 0, "%s: cannot be read: %s", path, strerror(errno));
  if (fstat(file, &status) || !S_ISREG(status.st_mode)) {
    close(file);
    RtFail("%s is not a file", path);
  }
  PetscCall(PetscMalloc1(PIECE, &buffer));
  error = check(file, (int64_t)status.st_size, stop, buffer, seal);
  PetscCall(PetscFree(buffer));
  close(file);
  PetscCall(error);
  PetscFunctionReturn(0);
}
