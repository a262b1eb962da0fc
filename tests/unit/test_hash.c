/* SHA-256: the vectors of FIPS 180-4 and of NIST's examples, in any pieces, of memory and of files. */
#include "support.h"

#include "core/file.h"
#include "core/hash.h"

static const char million[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void test_vectors(void)
{
  static const struct {
    const char *text, *sum;
  } vector[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
  };
  char sum[RT_HASH_TEXT];
  RtHash *hash = NULL;

  for (int i = 0; i < 3; i++)
    for (size_t piece = 1; piece < 9; piece++) {
      RT_MUST(rt_hash_create(&hash));
      for (size_t at = 0; at < strlen(vector[i].text); at += piece)
        RT_MUST(rt_hash_add(hash, vector[i].text + at, PetscMin(piece, strlen(vector[i].text) - at)));
      RT_MUST(rt_hash_finish(&hash, sum));
      RT_TEST_CHECK(!hash && !strcmp(sum, vector[i].sum), "%s: %s", vector[i].text, sum);
    }
  RT_MUST(rt_hash_create(&hash));
  RT_MUST(rt_hash_destroy(&hash));
  RT_MUST(rt_hash_destroy(&hash));
}

static void test_file(void)
{
  static char text[3000000];
  char sum[RT_HASH_TEXT];
  RtHash *hash;

  memset(text, 'a', sizeof(text));
  RT_MUST(rt_file_write("million", text, 1000000));
  RT_MUST(rt_hash_file("million", sum));
  RT_TEST_CHECK(!strcmp(sum, million), "%s", sum);
  RT_MUST(rt_file_write("empty", NULL, 0));
  RT_MUST(rt_hash_file("empty", sum));
  RT_TEST_CHECK(!strcmp(sum, empty), "%s", sum);
  /* longer than one piece of reading */
  RT_MUST(rt_file_write("long", text, sizeof(text)));
  RT_MUST(rt_hash_file("long", sum));
  RT_MUST(rt_hash_create(&hash));
  RT_MUST(rt_hash_add(hash, text, sizeof(text)));
  RT_MUST(rt_hash_finish(&hash, text));
  RT_TEST_CHECK(!strcmp(sum, text), "%s, not %s", sum, text);
  RT_TEST_SAYS(rt_hash_file("none", sum), RT_ERR_FAILED, "none|No such file");
  RT_TEST_SAYS(rt_hash_file(".", sum), RT_ERR_FAILED, ".|directory");
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_vectors();
  test_file();
  return 0;
}

RT_TEST_MAIN(test)
