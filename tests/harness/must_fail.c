/* A test that must fail: it proves that a broken check is seen. */
#include "test.h"

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  RT_TEST_CHECK(1 + 1 == 3, "as it should");
  return 0;
}

RT_TEST_MAIN(test)
