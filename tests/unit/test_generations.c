/* Which checkpoints are kept: the last few up to the newest complete one, and the best; nothing else is touched. */
#include "support.h"

#include "core/file.h"
#include "train/generations.h"

static const char *const others[] = {"checkpoint/teacher-0000000007.nc",  "checkpoint/student.nc",
                                     "checkpoint/student-7.nc",           "checkpoint/.student-0000000007.nc.tmp",
                                     "checkpoint/student-00000000007.nc", "checkpoint/student-0000000007.nc.bak",
                                     "checkpoint/student-x-0000000007.nc"};
enum { OTHERS = sizeof(others) / sizeof(*others) };

/* Make the folder hold exactly these steps of the student, beside files that are nobody's to touch. */
static void fill(const char *dir, int count, const int64_t *step)
{
  char path[PETSC_MAX_PATH_LEN];

  RT_MUST(rt_file_join(dir, "checkpoint", path, sizeof(path)));
  RT_MUST(rt_file_mkdir(path));
  RT_MUST(rt_generations_remove(dir, "student"));
  for (int i = 0; i < count; i++) {
    RT_MUST(rt_generations_path(dir, "student", step[i], path));
    RT_MUST(rt_file_write(path, "x", 1));
  }
  for (int i = 0; i < OTHERS; i++) {
    RT_MUST(rt_file_join(dir, others[i], path, sizeof(path)));
    RT_MUST(rt_file_write(path, "x", 1));
  }
}

static void check_left(const char *what, int count, const int64_t *wanted)
{
  char path[PETSC_MAX_PATH_LEN];
  int64_t *step = NULL;
  int found;

  RT_MUST(rt_generations_list("run", "student", &found, &step));
  RT_TEST_CHECK(found == count, "%s: %d are left, not %d", what, found, count);
  for (int i = 0; i < PetscMin(found, count); i++)
    RT_TEST_CHECK(step[i] == wanted[i], "%s: step %lld, not %lld", what, (long long)step[i], (long long)wanted[i]);
  RT_MUST(PetscFree(step));
  for (int i = 0; i < OTHERS; i++) {
    RT_MUST(rt_file_join("run", others[i], path, sizeof(path)));
    RT_TEST_CHECK(rt_file_exists(path), "%s: %s is gone", what, path);
  }
}

#define STEPS(...)                                                                                                     \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[])                                               \
  {                                                                                                                    \
    __VA_ARGS__                                                                                                        \
  }

static void test_prune(void)
{
  fill("run", STEPS(30, 5, 20, 12345678901, 10, 40));
  check_left("all, in order", STEPS(5, 10, 20, 30, 40, 12345678901));
  RT_MUST(rt_generations_prune("run", "student", 12345678901, 3, 10));
  check_left("three and the best", STEPS(10, 30, 40, 12345678901));
  RT_MUST(rt_generations_prune("run", "student", 12345678901, 3, 40));
  check_left("the best is among the last", STEPS(30, 40, 12345678901));
  RT_MUST(rt_generations_prune("run", "student", 12345678901, 100, 0));
  check_left("fewer than are kept", STEPS(30, 40, 12345678901));
  RT_MUST(rt_generations_prune("run", "student", 40, 1, 40));
  check_left("later ones are of no use", STEPS(40));
  fill("run", STEPS(1, 2, 3, 4, 5));
  RT_MUST(rt_generations_prune("run", "student", 3, 2, 1));
  check_left("later ones do not count", STEPS(1, 2, 3));
  RT_MUST(rt_generations_prune("run", "student", 3, 0, 3));
  check_left("the newest always stays", STEPS(3));
}

static void test_none(void)
{
  int64_t *step = NULL;
  int count = 1;

  RT_MUST(rt_generations_list("nowhere", "student", &count, &step));
  RT_TEST_CHECK(count == 0, "%d in a folder that is not there", count);
  RT_MUST(PetscFree(step));
  RT_MUST(rt_generations_remove("nowhere", "student"));
  RT_MUST(rt_file_mkdir("blocked"));
  RT_MUST(rt_file_write("blocked/checkpoint", "x", 1));
  RT_TEST_SAYS(rt_generations_list("blocked", "student", &count, &step), RT_ERR_FAILED,
               "blocked/checkpoint|cannot be read|Not a directory");
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_prune();
  test_none();
  return 0;
}

RT_TEST_MAIN(test)
