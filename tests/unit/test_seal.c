/* Seals: any byte that changes, and any cut, shows; the checksum is the known one. */
#include "support.h"

#include "core/file.h"
#include "netcdf/archive.h"
#include "netcdf/seal.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES = 3000000, LINE = 48 };

static char data[BYTES];

static bool stop(void)
{
  return true;
}

static RtSeal check(const char *path)
{
  RtSeal seal = RT_SEAL_UNKNOWN;

  RT_MUST(rt_seal_check(path, NULL, &seal));
  return seal;
}

static void change(const char *path, long at)
{
  FILE *file = fopen(path, "r+");
  int byte;

  fseek(file, at, SEEK_SET);
  byte = fgetc(file);
  fseek(file, at, SEEK_SET);
  fputc(byte ^ 4, file);
  fclose(file);
}

static void test_damage(void)
{
  static const long places[] = {0, 1, 1 << 20, BYTES / 2, BYTES - 1, BYTES + 20, BYTES + LINE - 2, BYTES + LINE - 1};
  static const long lengths[] = {BYTES + LINE + 1, BYTES + LINE - 1, BYTES + LINE - 25, BYTES + 10, BYTES + 4};
  RtSeal seal;

  RT_MUST(rt_file_write("a", data, BYTES));
  RT_TEST_CHECK(check("a") == RT_SEAL_NONE, "%d before it was sealed", (int)check("a"));
  RT_MUST(rt_seal_add("a", "a"));
  RT_TEST_CHECK(check("a") == RT_SEAL_WHOLE, "%d", (int)check("a"));
  RT_MUST(rt_seal_check("a", stop, &seal));
  RT_TEST_CHECK(seal == RT_SEAL_UNKNOWN, "%d after stopping", (int)seal);
  for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
    change("a", places[i]);
    RT_TEST_CHECK(check("a") == RT_SEAL_BROKEN, "byte %ld is wrong: %d", places[i], (int)check("a"));
    change("a", places[i]);
  }
  RT_TEST_CHECK(check("a") == RT_SEAL_WHOLE, "%d after all was put right", (int)check("a"));
  for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
    RT_TEST_CHECK(!truncate("a", lengths[i]), "truncate");
    RT_TEST_CHECK(check("a") == RT_SEAL_BROKEN, "%ld bytes long: %d", lengths[i], (int)check("a"));
  }
  RT_TEST_CHECK(!truncate("a", BYTES), "truncate");
  RT_TEST_CHECK(check("a") == RT_SEAL_NONE, "%d without its seal", (int)check("a"));
  RT_MUST(rt_file_write("b", "", 0));
  RT_TEST_CHECK(check("b") == RT_SEAL_NONE, "an empty file");
  RT_MUST(rt_seal_add("b", "b"));
  RT_TEST_CHECK(check("b") == RT_SEAL_WHOLE, "an empty file, sealed");
}

/* The CRC-32 of "123456789" is known: cbf43926 (Williams, A painless guide to CRC error detection algorithms). */
static void test_known(void)
{
  char *text = NULL;
  size_t bytes;

  RT_MUST(rt_file_write("known", "123456789", 9));
  RT_MUST(rt_seal_add("known", "known"));
  RT_MUST(rt_file_read("known", (void **)&text, &bytes));
  RT_TEST_CHECK(!strcmp(text, "123456789retort-seal crc32 cbf43926 00000000000000000009\n"), "%s", text);
  RT_MUST(PetscFree(text));
}

/* Every single bit of a NetCDF file, the seal among them; and the file can be read as before. */
static void test_bits(void)
{
  float number[100], again[100];
  char *content = NULL;
  size_t bytes, missed = 0;
  RtArchive *archive = NULL;
  RtArchiveArray array = {.name = "number",
                          .units = "1",
                          .long_name = "some numbers",
                          .dimension = {"place"},
                          .type = RT_ARCHIVE_FLOAT,
                          .data = number};

  rt_support_normal(100, number);
  RT_MUST(rt_archive_create("bits.nc", "A test", &archive));
  rt_archive_seal(archive);
  RT_MUST(rt_archive_dimension(archive, "place", 100));
  RT_MUST(rt_archive_put(archive, &array));
  RT_MUST(rt_archive_commit(&archive));
  RT_MUST(rt_file_read("bits.nc", (void **)&content, &bytes));
  for (size_t i = 0; i < bytes; i++) {
    FILE *file = fopen("bits.nc", "r+b");

    fseek(file, (long)i, SEEK_SET);
    fputc(content[i] ^ 1 << i % 8, file);
    fclose(file);
    missed += check("bits.nc") == RT_SEAL_WHOLE;
    file = fopen("bits.nc", "r+b");
    fseek(file, (long)i, SEEK_SET);
    fputc(content[i], file);
    fclose(file);
  }
  RT_TEST_CHECK(bytes > 1000 && !missed, "%zu of %zu altered bits are not noticed", missed, bytes);
  RT_TEST_CHECK(check("bits.nc") == RT_SEAL_WHOLE, "the file is not as it was");
  RT_MUST(rt_archive_open("bits.nc", &archive));
  RT_MUST(rt_archive_get(archive, "number", RT_ARCHIVE_FLOAT, 100, again));
  RT_TEST_CHECK(!memcmp(number, again, sizeof(number)), "other numbers");
  RT_MUST(rt_archive_close(&archive));
  RT_MUST(PetscFree(content));
}

static void test_errors(void)
{
  struct rlimit old, small;
  struct stat status;
  RtSeal seal;

  RT_TEST_SAYS(rt_seal_check("none", NULL, &seal), RT_ERR_FAILED, "none|No such file");
  RT_TEST_SAYS(rt_seal_check(".", NULL, &seal), RT_ERR_FAILED, "not a file");
  RT_TEST_SAYS(rt_seal_add("none", "none"), RT_ERR_FAILED, "none|No such file");
  RT_MUST(rt_file_write("c", data, 1000));
  getrlimit(RLIMIT_FSIZE, &old);
  small = old;
  small.rlim_cur = 1030;
  setrlimit(RLIMIT_FSIZE, &small);
  RT_TEST_SAYS(rt_seal_add("c", "its name"), RT_ERR_FAILED, "its name: cannot be written");
  setrlimit(RLIMIT_FSIZE, &old);
  RT_TEST_CHECK(!stat("c", &status) && status.st_size == 1000, "%ld bytes", (long)status.st_size);
}

static PetscErrorCode test(int argc, char **argv)
{
  char folder[] = "seal-XXXXXX";

  (void)argc;
  (void)argv;
  if (!mkdtemp(folder) || chdir(folder)) return 1;
  for (size_t i = 0; i < BYTES; i++) data[i] = (char)(i * 2654435761u >> 20);
  test_known();
  test_damage();
  test_bits();
  test_errors();
  return 0;
}

RT_TEST_MAIN(test)
