/* For the build type Threads: races PLACE CARE. PLACE: omp, lanes that add to one number; background, a thread in the
   background that writes what the main one reads. With CARE 1 they take care; with 0 the thread sanitizer must see it.
 */
#include "support.h"

#include "core/background.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int sum;

static void add_in_lanes(bool careful)
{
#pragma omp parallel for num_threads(2)
  for (int lane = 0; lane < 2; lane++) {
    if (careful) {
#pragma omp atomic
      sum += lane;
    } else
      sum += lane;
  }
}

static PetscErrorCode write_number(void *number)
{
  PetscFunctionBegin;
  *(int *)number = 7;
  PetscFunctionReturn(0);
}

static void write_behind(bool careful)
{
  RtBackground *background;
  int64_t ticket;

  RT_MUST(rt_background_create(&background));
  RT_MUST(rt_background_submit(background, write_number, &sum, &ticket));
  if (careful)
    RT_MUST(rt_background_wait(background, ticket));
  else
    usleep(300000); /* long after: the destruction would set an order */
  sum += 1;
  RT_MUST(rt_background_destroy(&background));
}

static PetscErrorCode test(int argc, char **argv)
{
  const bool careful = argc > 2 && atoi(argv[2]);

  if (argc > 1 && !strcmp(argv[1], "omp"))
    add_in_lanes(careful);
  else
    write_behind(careful);
  RT_TEST_CHECK(!careful || sum == 1 || sum == 8, "the sum is %d", sum);
  return 0;
}

RT_TEST_MAIN(test)
