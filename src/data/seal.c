#include "data/seal.h"

#include "core/fault.h"
#include "data/netcdf.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { PIECE = 1 << 17, /* bytes: stays in the cache between read and sum */ LENGTH = 48 };

static const char start[] = "retort-seal crc32 ";

/* line: LENGTH characters and a zero. */
static void write_line(char line[LENGTH + 1], uint32_t sum, int64_t bytes)
{
  snprintf(line, LENGTH + 1, "%s%08" PRIx32 " %020" PRId64 "\n", start, sum, bytes);
}

/* Read `bytes` bytes from where the file stands. Returns how many there were, -1 for an error. */
static ssize_t read_all(int file, char *buffer, size_t bytes)
{
  size_t have = 0;

  while (have < bytes) {
    ssize_t got = read(file, buffer + have, bytes - have);

    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    have += (size_t)got;
  }
  return (ssize_t)have;
}

/* CRC-32 of the first `bytes` bytes. Returns zero, or the system's reason. */
static int sum_up(int file, int64_t bytes, uint32_t *sum)
{
  char buffer[PIECE];
  uLong crc = crc32(0, NULL, 0);

  for (int64_t at = 0; at < bytes;) {
    size_t wanted = (size_t)PetscMin(bytes - at, PIECE);
    ssize_t got = read_all(file, buffer, wanted);

    if (got < 0) return errno;
    if ((size_t)got < wanted) return EIO;
    crc = crc32(crc, (const Bytef *)buffer, (uInt)got);
    at += got;
  }
  *sum = (uint32_t)crc;
  return 0;
}

/* Where the file stands. Returns zero, or the system's reason. */
static int put_line(int file, const char *line)
{
  for (size_t done = 0; done < LENGTH;) {
    ssize_t put = write(file, line + done, LENGTH - done);

    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    done += (size_t)put;
  }
  return 0;
}

PetscErrorCode rt_seal_put(const char *path, const char *name)
{
  char line[LENGTH + 1];
  struct stat status;
  uint32_t sum = 0;
  int file, reason;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_WRITE));
  file = open(path, O_RDWR);
  reason = file < 0 || fstat(file, &status) ? errno : sum_up(file, status.st_size, &sum);
  if (!reason) {
    write_line(line, sum, status.st_size);
    reason = put_line(file, line);
  }
  if (file >= 0) close(file);
  if (reason) PetscCall(rt_netcdf_fail(name, true, reason, reason));
  PetscFunctionReturn(0);
}

/* Zero, or the system's reason. */
static int check(int file, RtSealState *state)
{
  char line[LENGTH], wanted[LENGTH + 1];
  struct stat status;
  uint32_t sum = 0;
  int64_t bytes;
  int reason;

  *state = RT_SEAL_ABSENT; /* most files have none, and are not read to their end for that */
  if (fstat(file, &status)) return errno;
  bytes = (int64_t)status.st_size - LENGTH;
  if (bytes < 0) return 0;
  if (pread(file, line, LENGTH, bytes) != LENGTH) return errno ? errno : EIO;
  if (memcmp(line, start, sizeof(start) - 1)) return 0;
  reason = sum_up(file, bytes, &sum);
  if (reason) return reason;
  write_line(wanted, sum, bytes);
  *state = memcmp(line, wanted, LENGTH) ? RT_SEAL_BROKEN : RT_SEAL_WHOLE;
  return 0;
}

PetscErrorCode rt_seal_check(const char *path, RtSealState *state)
{
  int file, reason;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_OPEN));
  errno = 0;
  file = open(path, O_RDONLY);
  RtCheck(file >= 0, "%s: cannot be read: %s", path, strerror(errno));
  reason = check(file, state);
  close(file);
  RtCheck(!reason, "%s: cannot be read: %s", path, strerror(reason));
  PetscFunctionReturn(0);
}
