/* Learning rates as a function of the step. Not collective. */
#ifndef RT_OPTIM_SCHEDULE_H
#define RT_OPTIM_SCHEDULE_H

#include <retort/types.h>

typedef struct {
  const char *kind; /* constant, step, cosine */
  double rate;      /* at the end of the warm-up */
  int64_t warmup;   /* steps of linear growth from rate / warmup to rate */
  int64_t total;    /* steps of the run */
  double final;     /* cosine: the last rate as a part of `rate` */
  double factor;    /* step: multiply by this … */
  int64_t every;    /* … after each so many steps */
} RtSchedule;

/* Rate of step 0 … total - 1. */
double rt_schedule_rate(const RtSchedule *schedule, int64_t step);

#endif
