/* What C tests share. A test is a program: it returns 0 if all checks held and 1 otherwise. */
#ifndef RT_TEST_H
#define RT_TEST_H

#include "graph/parts.h"

#include <retort/retort.h>
#include <stdio.h>

static int rt_test_failures;

/* Check a condition; say where and why it failed, and go on. */
#define RT_TEST_CHECK(condition, ...)                                                                                  \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                                  \
      fprintf(stderr, __VA_ARGS__);                                                                                    \
      fprintf(stderr, "\n");                                                                                           \
      rt_test_failures++;                                                                                              \
    }                                                                                                                  \
  } while (0)

/* Check that a call fails with a message for the user, not with a crash or an internal error. */
#define RT_TEST_FAILS(call)                                                                                            \
  do {                                                                                                                 \
    PetscErrorCode error_ = (call);                                                                                    \
    RT_TEST_CHECK(error_ == RT_ERR_FAILED || error_ == RT_ERR_USAGE, "returned %d", (int)error_);                      \
  } while (0)

/* The body of a test: static PetscErrorCode test(int argc, char **argv). */
#define RT_TEST_MAIN(test)                                                                                             \
  int main(int argc, char **argv)                                                                                      \
  {                                                                                                                    \
    PetscErrorCode error = rt_retort_initialize(&argc, &argv);                                                         \
    int code, failures;                                                                                                \
                                                                                                                       \
    if (error) return 1;                                                                                               \
    error = test(argc, argv);                                                                                          \
    failures = rt_test_failures;                                                                                       \
    code = rt_retort_finalize(error);                                                                                  \
    return code || failures ? 1 : 0;                                                                                   \
  }

#endif
