/* Records: where two differ, and that they may grow. */
#include "support.h"

#include "job/record.h"

static void check_default(const char *before, const char *now, const char *defaults, const char *wanted)
{
  char name[64] = "", old_value[96] = "", new_value[96] = "", found[300] = "equal";

  if (rt_record_differ(before, now, defaults, name, old_value, new_value))
    snprintf(found, sizeof(found), "%s: %s -> %s", name, old_value, new_value);
  RT_TEST_CHECK(!strcmp(found, wanted), "'%s', not '%s'", found, wanted);
}

static void check_difference(const char *before, const char *now, const char *wanted)
{
  check_default(before, now, NULL, wanted);
}

/* What an older release had no option for counts as the option's default. */
static void test_growth(void)
{
  static const char defaults[] = "a=0\nab=\nterms_*_weight=1\nterms_*_loss=kl\n";

  check_default("b=2\n", "a=0\nb=2\n", defaults, "equal");
  check_default("b=2\n", "a=0\nab=\nb=2\n", defaults, "equal");
  check_default("b=2\n", "a=1\nb=2\n", defaults, "a: 0 -> 1");
  check_default("b=2\n", "ab=x\nb=2\n", defaults, "ab:  -> x");
  check_default("a=1\n", "a=0\n", defaults, "a: 1 -> 0");
  check_default("a=0\n", "", defaults, "a: 0 -> "); /* an option that is gone */
  check_default("gone=0\n", "a=0\n", defaults, "gone: 0 -> ");
  check_default("", "c=0\n", defaults, "c:  -> 0");
  /* a further option of a thing that was there; a thing that was not */
  check_default("terms_s_loss=kl\n", "terms_s_loss=kl\nterms_s_weight=1\n", defaults, "equal");
  check_default("terms_s_loss=kl\n", "terms_s_loss=kl\nterms_s_weight=2\n", defaults, "terms_s_weight: 1 -> 2");
  check_default("terms_s_loss=kl\n", "terms_s_loss=kl\nterms_t_loss=kl\n", defaults, "terms_t_loss:  -> kl");
  check_default("terms_st_loss=kl\n", "terms_st_loss=kl\nterms_s_loss=kl\n", defaults, "terms_s_loss:  -> kl");
  check_default("terms_s_loss=kl\n", "", defaults, "terms_s_loss: kl -> ");
}

static void test_differences(void)
{
  char before[400] = "a=", now[400] = "a=", name[64], values[2][96];

  check_difference("", "", "equal");
  check_difference("a=1\nb=2\n", "a=1\nb=2\n", "equal");
  check_difference("a=1\nb=2\n", "a=1\nb=3\n", "b: 2 -> 3");
  check_difference("ab=1\nb=2\n", "ab=1\nb=22\n", "b: 2 -> 22");
  check_difference("a=1\n", "a=1\nb=3\n", "b:  -> 3");
  check_difference("a=1\nb=2\n", "a=1\n", "b: 2 -> ");
  check_difference("", "a=1\n", "a:  -> 1");
  check_difference("a=x=y\n", "a=x=z\n", "a: x=y -> x=z");
  check_difference("a=\n", "a=1\n", "a:  -> 1");
  check_difference("a=1\nb=2\n", "b=2\na=1\n", "equal"); /* a row may move in the table */
  /* long lists that differ at their end */
  for (int i = 0; i < 60; i++) {
    strcat(before, "100,");
    strcat(now, "100,");
  }
  strcat(before, "1\n");
  strcat(now, "2\n");
  RT_TEST_CHECK(rt_record_differ(before, now, NULL, name, values[0], values[1]) && !strcmp(name, "a"),
                "long values: '%s'", name);
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_growth();
  test_differences();
  return 0;
}

RT_TEST_MAIN(test)
