/* Large buffers: zero, aligned, their own, and given back. */
#include "support.h"

#include "core/memory.h"

static PetscErrorCode test(int argc, char **argv)
{
  static const size_t size[] = {0, 1, 63, 64, 65, 4096, 1 << 20, 4 << 20, (4 << 20) + 1, 40 << 20};
  char *buffer[10], *none = NULL;

  (void)argc;
  (void)argv;
  for (int i = 0; i < 10; i++) {
    size_t sum = 0;

    RT_MUST(rt_memory_create(size[i], &buffer[i]));
    RT_TEST_CHECK((uintptr_t)buffer[i] % 64 == 0, "%zu bytes begin inside a cache line", size[i]);
    for (size_t k = 0; k < size[i]; k++) sum += buffer[i][k] != 0;
    RT_TEST_CHECK(sum == 0, "%zu of %zu bytes are not zero", sum, size[i]);
    memset(buffer[i], i + 1, size[i]);
  }
  for (int i = 0; i < 10; i++) {
    size_t sum = 0;

    for (size_t k = 0; k < size[i]; k++) sum += buffer[i][k] != i + 1;
    RT_TEST_CHECK(sum == 0, "%zu of %zu bytes were changed by another buffer", sum, size[i]);
    RT_MUST(rt_memory_destroy(&buffer[i]));
    RT_TEST_CHECK(!buffer[i], "destroy sets NULL");
  }
  RT_MUST(rt_memory_destroy(&none));
  RT_TEST_CHECK(rt_memory_align(0) == 0 && rt_memory_align(1) == 64 && rt_memory_align(64) == 64 &&
                    rt_memory_align(65) == 128,
                "rounding up to a cache line");
  return 0;
}

RT_TEST_MAIN(test)
