/* Jobs in the background: their order, waiting for them, their errors. */
#include "support.h"

#include "core/background.h"

#include <time.h>

enum { JOBS = 3 * RT_BACKGROUND_JOBS };

static int order[JOBS], done;

static PetscErrorCode note(void *context)
{
  if (done == 0) nanosleep(&(struct timespec){0, 20000000}, NULL); /* so that the ring fills up */
  order[done++] = *(int *)context;
  return 0;
}

static PetscErrorCode fail(void *context)
{
  (void)context;
  return RT_ERR_FAILED;
}

static PetscErrorCode test(int argc, char **argv)
{
  RtBackground *background;
  int64_t ticket = 0, bad, good;
  int number[JOBS];

  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  RT_MUST(rt_background_create(&background));
  for (int i = 0; i < JOBS; i++) {
    number[i] = i;
    RT_MUST(rt_background_submit(background, note, &number[i], &ticket));
  }
  RT_TEST_CHECK(ticket == JOBS, "%lld", (long long)ticket);
  RT_MUST(rt_background_wait(background, ticket));
  RT_TEST_CHECK(rt_background_done(background, ticket) && done == JOBS, "%d done", done);
  for (int i = 0; i < JOBS; i++) RT_TEST_CHECK(order[i] == i, "job %d came as number %d", order[i], i);

  /* an error is handed out once, by the first to wait */
  done = 0;
  RT_MUST(rt_background_submit(background, fail, NULL, &bad));
  RT_MUST(rt_background_submit(background, note, &number[7], &good));
  RT_TEST_FAILS(rt_background_wait(background, bad));
  RT_MUST(rt_background_wait(background, good));

  done = 0;
  RT_MUST(rt_background_submit(background, note, &number[5], NULL));
  RT_MUST(rt_background_destroy(&background));
  RT_TEST_CHECK(done == 1 && order[0] == 5 && !background, "destroying does not wait");
  RT_MUST(rt_background_destroy(&background));
  PetscFunctionReturn(0);
}

RT_TEST_MAIN(test)
