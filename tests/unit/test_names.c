/* The table of names: what was put in is found, what was not is not, and look-ups stay short as it grows. */
#include "support.h"

#include "graph/names.h"

enum { COUNT = 20000 };

static PetscErrorCode test(int argc, char **argv)
{
  static char name[COUNT][16];
  RtNames *names;

  (void)argc, (void)argv;
  RT_MUST(rt_names_create(&names));
  RT_TEST_CHECK(rt_names_find(names, "") < 0 && rt_names_find(names, "0") < 0, "an empty table");
  for (int i = 0; i < COUNT; i++) {
    snprintf(name[i], sizeof(name[i]), "v%d", 7 * i);
    RT_MUST(rt_names_add(names, name[i], i));
  }
  for (int i = 0; i < 7 * COUNT; i++) {
    char text[16];
    int found;

    snprintf(text, sizeof(text), "v%d", i);
    found = rt_names_find(names, text);
    RT_TEST_CHECK(found == (i % 7 ? -1 : i / 7), "%s: %d", text, found);
  }
  RT_TEST_CHECK(rt_names_find(names, "v") < 0 && rt_names_find(names, "v0 ") < 0, "near names");
  RT_MUST(rt_names_destroy(&names));
  RT_MUST(rt_names_destroy(&names));
  RT_TEST_CHECK(!names, "destroy sets NULL");
  return 0;
}

RT_TEST_MAIN(test)
