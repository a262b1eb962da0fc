/* Whichever ranks fail, in whatever way: one message, from one of them, and one exit code on all. */
#include "support.h"

#include "core/message.h"

#include <fcntl.h>
#include <unistd.h>

static int rank, size;

/* Standard error (2) or output (1) goes into a file until `release`, which reads it. */
static int catch (int descriptor)
{
  char name[64];
  int keep, file;

  fflush(descriptor == 1 ? stdout : stderr);
  snprintf(name, sizeof(name), "caught%d-%d", descriptor, rank);
  keep = dup(descriptor);
  file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0666);
  dup2(file, descriptor);
  close(file);
  return keep;
}

static const char *release(int descriptor, int keep)
{
  static char text[4096];
  ssize_t length;

  fflush(descriptor == 1 ? stdout : stderr);
  lseek(descriptor, 0, SEEK_SET);
  length = read(descriptor, text, sizeof(text) - 1);
  text[length < 0 ? 0 : length] = 0;
  dup2(keep, descriptor);
  close(keep);
  return text;
}

/* RT_MUST would take away the error handler that this puts in place. */
static void start(void)
{
  if (rt_message_start(PETSC_COMM_WORLD)) MPI_Abort(PETSC_COMM_WORLD, 1);
}

static PetscErrorCode fail(int code)
{
  PetscFunctionBegin;
  if (code == RT_ERR_USAGE) RtUsage("rank %d was used wrongly", rank);
  RtFail("rank %d fails", rank);
}

static PetscErrorCode pass_on(int code)
{
  PetscFunctionBegin;
  PetscCall(fail(code));
  PetscFunctionReturn(0);
}

/* End with `error`; rank 0 must have said just `wanted`, all must return `code`. */
static void finish(PetscErrorCode error, int code, const char *wanted, const char *what)
{
  int keep = catch (STDERR_FILENO), got = rt_message_finish(error);
  const char *said = release(STDERR_FILENO, keep);

  RT_TEST_CHECK(got == code, "%s: exit code %d, not %d", what, got, code);
  RT_TEST_CHECK(!strcmp(said, rank == 0 ? wanted : ""), "%s: rank %d says '%s', not '%s'", what, rank, said, wanted);
}

static void test_finish(void)
{
  char wanted[80];

  for (int who = 0; who < size; who++)
    for (int kind = 0; kind < 2; kind++) {
      start();
      snprintf(wanted, sizeof(wanted), kind ? "retort: rank %d was used wrongly\n" : "retort: rank %d fails\n", who);
      finish(rank == who ? pass_on(kind ? RT_ERR_USAGE : RT_ERR_FAILED) : 0, kind ? RT_EXIT_USAGE : RT_EXIT_FAILED,
             wanted, "one rank");
    }
  start();
  finish(0, RT_EXIT_DONE, "", "no rank");
  start();
  finish(pass_on(RT_ERR_FAILED), RT_EXIT_FAILED, "retort: rank 0 fails\n", "all ranks");
  start();
  snprintf(wanted, sizeof(wanted), "retort: rank %d fails\n", size / 2);
  finish(rank < size / 2 ? 0 : pass_on(RT_ERR_FAILED), RT_EXIT_FAILED, wanted, "half of the ranks");
}

static PetscErrorCode agree(PetscErrorCode error, bool *after)
{
  PetscFunctionBegin;
  RtAgree(PETSC_COMM_WORLD, error);
  *after = true;
  PetscFunctionReturn(0);
}

static void test_agree(void)
{
  char wanted[80];
  bool after;

  for (int who = 0; who < size; who++)
    for (int kind = 0; kind < 2; kind++) {
      int code = kind ? RT_ERR_USAGE : RT_ERR_FAILED;
      PetscErrorCode error;

      start();
      after = false;
      error = agree(rank == who ? pass_on(code) : 0, &after);
      RT_TEST_CHECK(error == code && !after, "rank %d goes on with %d", rank, (int)error);
      snprintf(wanted, sizeof(wanted), kind ? "retort: rank %d was used wrongly\n" : "retort: rank %d fails\n", who);
      finish(error, kind ? RT_EXIT_USAGE : RT_EXIT_FAILED, wanted, "after an agreement");
    }
  start();
  after = false;
  RT_MUST(agree(0, &after));
  RT_TEST_CHECK(after, "an agreement that all is well");
  /* an internal error of the last rank: it keeps its own code */
  for (int who = 0; who < size; who++) {
    PetscErrorCode error = rt_message_agree(PETSC_COMM_WORLD, rank == who ? PETSC_ERR_MEM : 0);

    RT_TEST_CHECK(error == (rank == who ? PETSC_ERR_MEM : RT_ERR_FAILED), "%d after an internal error", (int)error);
  }
  finish(0, RT_EXIT_DONE, "", "after agreements");
}

/* Long text, and text that looks like a format. */
static void test_text(void)
{
  char wanted[3000] = "retort: ", name[600];
  const char *said;
  PetscErrorCode error;
  int keep;

  memset(name, 'n', sizeof(name) - 1);
  name[sizeof(name) - 1] = 0;
  memcpy(name, "%s%n%d", 6);
  start();
  error = PetscError(PETSC_COMM_SELF, 1, "test", "test", RT_ERR_FAILED, PETSC_ERROR_INITIAL, "%s", name);
  snprintf(wanted, sizeof(wanted), "retort: %s\n", name);
  finish(error, RT_EXIT_FAILED, wanted, "a long name");
  start();
  keep = catch (STDOUT_FILENO);
  rt_message_print("%d lines of %s", 3, "text");
  said = release(STDOUT_FILENO, keep);
  RT_TEST_CHECK(!strcmp(said, rank == 0 ? "3 lines of text\n" : ""), "rank %d prints '%s'", rank, said);
  keep = catch (STDERR_FILENO);
  rt_message_note("take care of %d", 7);
  said = release(STDERR_FILENO, keep);
  RT_TEST_CHECK(!strcmp(said, rank == 0 ? "retort: note: take care of 7\n" : ""), "rank %d notes '%s'", rank, said);
  finish(0, RT_EXIT_DONE, "", "after text");
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  finish(0, RT_EXIT_DONE, "", "at first"); /* rt_retort_initialize has started it */
  test_finish();
  test_agree();
  test_text();
  start();
  return 0;
}

RT_TEST_MAIN(test)
