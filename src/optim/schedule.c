#include "optim/schedule.h"

#include <math.h>
#include <string.h>

/* Part of the base rate, 1 to final, along half a cosine from the end of the warm-up to the last step. */
static double cosine(const RtSchedule *schedule, int64_t step)
{
  const int64_t last = schedule->total - 1;
  double way = 0;

  if (step > schedule->warmup && last > schedule->warmup) {
    way = step < last ? (double)(step - schedule->warmup) / (double)(last - schedule->warmup) : 1;
  }
  return schedule->final + (1 - schedule->final) * 0.5 * (1 + cos(3.14159265358979323846 * way));
}

/* Warm-up and decay are factors: steps of "step" are counted from the start of the run; the cosine starts when the
   warm-up ends, reaches `final` at step total - 1, and stays there. */
double rt_schedule_rate(const RtSchedule *schedule, int64_t step)
{
  double rate = schedule->rate;

  if (step < schedule->warmup) rate *= (double)(step + 1) / (double)schedule->warmup;
  if (!strcmp(schedule->kind, "cosine")) rate *= cosine(schedule, step);
  if (!strcmp(schedule->kind, "step") && schedule->every > 0) {
    rate *= pow(schedule->factor, (double)(step / schedule->every));
  }
  return rate;
}
