/* Sealed files: every altered bit, missing byte and added byte is noticed; NetCDF reads the file as before. */
#include "support.h"

#include "core/file.h"
#include "data/archive.h"
#include "data/seal.h"

#include <unistd.h>

static RtSealState state_of(const char *path)
{
  RtSealState state;

  RT_MUST(rt_seal_check(path, &state));
  return state;
}

/* The CRC-32 of "123456789" is known: cbf43926 (Williams, A painless guide to CRC error detection algorithms). */
static void test_known(void)
{
  char *text = NULL;
  size_t bytes;

  RT_MUST(rt_file_write("known", "123456789", 9));
  RT_TEST_CHECK(state_of("known") == RT_SEAL_ABSENT, "a file without seal has one");
  RT_MUST(rt_seal_put("known", "known"));
  RT_TEST_CHECK(state_of("known") == RT_SEAL_WHOLE, "a whole file is not");
  RT_MUST(rt_file_read("known", (void **)&text, &bytes));
  RT_TEST_CHECK(!strcmp(text, "123456789retort-seal crc32 cbf43926 00000000000000000009\n"), "%s", text);
  RT_MUST(PetscFree(text));
}

/* A small archive, sealed. Returns its content, which the caller frees. */
static char *make(const char *path, size_t *bytes)
{
  float number[100];
  char *content = NULL;
  RtArchive *archive = NULL;
  RtArchiveArray array = {.name = "number",
                          .units = "1",
                          .long_name = "some numbers",
                          .dimension = {"place"},
                          .type = RT_ARCHIVE_FLOAT,
                          .data = number};

  rt_support_normal(100, number);
  RT_MUST(rt_archive_create(path, "A test", &archive));
  rt_archive_seal(archive);
  RT_MUST(rt_archive_dimension(archive, "place", 100));
  RT_MUST(rt_archive_put(archive, &array));
  RT_MUST(rt_archive_put_text(archive, NULL, "words", "some words"));
  RT_MUST(rt_archive_commit(&archive));
  RT_MUST(rt_file_read(path, (void **)&content, bytes));
  return content;
}

static void test_archive(void)
{
  RtArchive *archive = NULL;
  float number[100];
  char *content, *text = NULL;
  size_t bytes;

  content = make("a.nc", &bytes);
  RT_TEST_CHECK(state_of("a.nc") == RT_SEAL_WHOLE, "a whole archive is not");
  RT_MUST(rt_archive_open("a.nc", &archive));
  RT_MUST(rt_archive_get(archive, "number", RT_ARCHIVE_FLOAT, 100, number));
  RT_MUST(rt_archive_get_text(archive, "words", &text));
  RT_TEST_CHECK(!strcmp(text, "some words"), "%s", text);
  RT_MUST(PetscFree(text));
  RT_MUST(rt_archive_close(&archive));
  RT_MUST(PetscFree(content));
}

/* Every single bit of the file, the seal among them. */
static void test_bits(void)
{
  char *content;
  size_t bytes, missed = 0;

  content = make("bits.nc", &bytes);
  for (size_t i = 0; i < bytes; i++) {
    FILE *file = fopen("bits.nc", "r+b");
    char altered = (char)(content[i] ^ 1 << i % 8);

    fseek(file, (long)i, SEEK_SET);
    fwrite(&altered, 1, 1, file);
    fclose(file);
    missed += state_of("bits.nc") == RT_SEAL_WHOLE;
    file = fopen("bits.nc", "r+b");
    fseek(file, (long)i, SEEK_SET);
    fwrite(&content[i], 1, 1, file);
    fclose(file);
  }
  RT_TEST_CHECK(bytes > 1000 && !missed, "%zu of %zu altered bits are not noticed", missed, bytes);
  RT_TEST_CHECK(state_of("bits.nc") == RT_SEAL_WHOLE, "the file is not as it was");
  RT_MUST(PetscFree(content));
}

static void test_lengths(void)
{
  char *content;
  size_t bytes, missed = 0;

  content = make("longer.nc", &bytes);
  RT_MUST(rt_file_write("longer.nc", content, bytes + 1)); /* the zero that ends the buffer */
  RT_TEST_CHECK(state_of("longer.nc") != RT_SEAL_WHOLE, "an added byte is not noticed");
  for (size_t length = bytes; length-- > 0;) {
    RT_TEST_CHECK(!truncate("longer.nc", (off_t)length), "truncate");
    missed += state_of("longer.nc") == RT_SEAL_WHOLE;
  }
  RT_TEST_CHECK(!missed, "%zu of %zu lengths are not noticed", missed, bytes);
  RT_MUST(PetscFree(content));
}

static void test_mistakes(void)
{
  RtSealState state;

  RT_TEST_SAYS(rt_seal_check("absent", &state), RT_ERR_FAILED, "absent|cannot be read|No such file");
  RT_MUST(rt_file_mkdir("folder"));
  RT_TEST_SAYS(rt_seal_check("folder", &state), RT_ERR_FAILED, "folder|cannot be read");
  RT_TEST_SAYS(rt_seal_put("absent", "its name"), RT_ERR_FAILED, "its name|cannot be written|No such file");
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_known();
  test_archive();
  test_bits();
  test_lengths();
  test_mistakes();
  return 0;
}

RT_TEST_MAIN(test)
