/* Sizes as people write them. */
#include "test.h"

#include "core/size.h"

#include <string.h>

static void reads(const char *text, int64_t wanted)
{
  int64_t bytes = -1;

  RT_TEST_CHECK(rt_size_parse(text, &bytes) == (wanted >= 0), "'%s'", text);
  RT_TEST_CHECK(bytes == wanted, "'%s' is %lld", text, (long long)bytes);
}

static void writes(int64_t bytes, const char *wanted)
{
  char text[RT_SIZE_TEXT];

  RT_TEST_CHECK(!strcmp(rt_size_text(bytes, text), wanted), "%lld is '%s', not '%s'", (long long)bytes, text, wanted);
}

static PetscErrorCode test(int argc, char **argv)
{
  static const char *const wrong[] = {"",   "G",   "-1",  "+1",  "4 G",   "4GB",  "4Gi",
                                      "4x", "4G ", "nan", "inf", "1e999", "9000T"};

  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  reads("0", 0);
  reads("4096", 4096);
  reads("500M", 500LL << 20);
  reads("500m", 500LL << 20);
  reads("4G", 4LL << 30);
  reads("1.5K", 1536);
  reads("0.3K", 307);
  reads("2T", 2LL << 40);
  reads("1e6", 1000000);
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) reads(wrong[i], -1);
  writes(0, "0");
  writes(1023, "1023");
  writes(1536, "1.5K");
  writes(4LL << 30, "4G");
  writes(5000LL << 40, "5000T");
  writes(123456789, "117.7M");
  RT_TEST_CHECK(rt_size_times(1LL << 40, 1LL << 40) == INT64_MAX && rt_size_times(3, 4) == 12, "times");
  RT_TEST_CHECK(rt_size_plus(INT64_MAX, 1) == INT64_MAX && rt_size_plus(3, 4) == 7, "plus");
  PetscFunctionReturn(0);
}
RT_TEST_MAIN(test)
