/* Learning rates against closed forms. */
#include "test.h"

#include "optim/schedule.h"

#include <math.h>

static void check(const RtSchedule *schedule, int64_t step, double expected)
{
  double rate = rt_schedule_rate(schedule, step);

  RT_TEST_CHECK(fabs(rate - expected) <= 1e-14, "%s, warm-up %d, total %d, step %d: %.17g, not %.17g", schedule->kind,
                (int)schedule->warmup, (int)schedule->total, (int)step, rate, expected);
}

static PetscErrorCode test(int argc, char **argv)
{
  const double pi = acos(-1);
  RtSchedule s = {.kind = "constant", .rate = 0.5, .total = 100, .final = 0.1, .factor = 0.2, .every = 30};

  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  for (int64_t i = 0; i < 100; i++) check(&s, i, 0.5);
  s.warmup = 4;
  check(&s, 0, 0.125);
  check(&s, 1, 0.25);
  check(&s, 3, 0.5);
  check(&s, 4, 0.5);
  check(&s, 99, 0.5);

  s.kind = "step";
  check(&s, 0, 0.125);
  check(&s, 29, 0.5);
  check(&s, 30, 0.1);
  check(&s, 59, 0.1);
  check(&s, 60, 0.02);
  check(&s, 99, 0.004);

  s.kind = "cosine";
  s.warmup = 0;
  for (int64_t i = 0; i < 100; i++) {
    check(&s, i, 0.5 * (0.1 + 0.9 * (1 + cos(pi * (double)i / 99)) / 2));
  }
  check(&s, 0, 0.5);
  check(&s, 99, 0.05);
  s.warmup = 10;
  for (int64_t i = 0; i < 10; i++) check(&s, i, 0.05 * (double)(i + 1));
  check(&s, 10, 0.5);
  check(&s, 99, 0.05);
  check(&s, 200, 0.05);
  s.total = 100 - 10; /* the middle between steps 10 and 89 is 49.5 */
  RT_TEST_CHECK(fabs(rt_schedule_rate(&s, 49) + rt_schedule_rate(&s, 50) - 0.55) < 1e-14, "the middle");
  s.final = 0;
  check(&s, 89, 0);

  /* A run that ends within its warm-up, at its end, and one step after it; and a run of one step. */
  for (s.total = 5; s.total <= 11; s.total++) {
    for (int64_t i = 0; i < s.total; i++) check(&s, i, i < 10 ? 0.05 * (double)(i + 1) : 0.5);
  }
  s.total = 12;
  check(&s, 10, 0.5);
  check(&s, 11, 0);
  s.total = 1;
  s.warmup = 0;
  check(&s, 0, 0.5);
  PetscFunctionReturn(0);
}
RT_TEST_MAIN(test)
