/* How much memory a rank trains with, said before it does. */
#include "comm/agree.h"
#include "comm/lanes.h"
#include "core/message.h"
#include "core/size.h"
#include "train/trainer_state.h"

enum { PARAMETERS, GRADIENTS, MOMENTS, SUMS, SAMPLES, MEETING, PARTS };

/* Bytes of samples and of the teacher's logits that this rank holds: all, or windows of its lanes, twice. */
static int64_t sample_bytes(const RtTrainer *t)
{
  const RtFeedSource *s = t->input;
  const int64_t sample = rt_samples_bytes(s->info, s->want), logits = s->width * (int64_t)sizeof(float);
  int first, lanes;

  if (s->samples) return rt_size_times(s->info->samples, sample + PetscMax(s->views, 1) * logits);
  rt_lanes_share(t->params->lanes, t->rank, t->size, &first, &lanes);
  return rt_size_times(2 * s->window * lanes, sample + logits);
}

/* Where lanes meet: rows of all, and the buffers of lanes that wait for backward. */
static int64_t meeting_bytes(const RtTrainer *t)
{
  return t->meeting ? rt_meeting_bytes(t->meeting) + t->workers * (int64_t)rt_plan_bytes(t->plan) : 0;
}

PetscErrorCode rt_footprint_print(RtTrainer *t)
{
  const RtReduceMemory reduce = rt_reduce_memory(t->reduce);
  const double number = sizeof(float), flat = (double)t->graph->flat * number;
  double most[PARTS] = {(t->best ? 3 : 2) * flat,
                        (double)reduce.gradients,
                        t->params->optimizer->moments * (double)rt_reduce_owned(t->reduce) * number,
                        (double)reduce.sums,
                        (double)sample_bytes(t),
                        (double)meeting_bytes(t)};
  char text[PARTS][RT_SIZE_TEXT];
  int idle = t->params->threads - reduce.threads;

  PetscFunctionBegin;
  PetscCall(rt_agree_largest(t->comm, PARTS, most));
  PetscCall(rt_agree_max(t->comm, 1, &idle));
  for (int i = 0; i < PARTS; i++) rt_size_text((int64_t)most[i], text[i]);
  rt_message_print("%s: memory of a rank: parameters %s, gradients %s, sums %s, moments %s, samples %s%s%s",
                   t->params->role, text[PARAMETERS], text[GRADIENTS], text[SUMS], text[MOMENTS], text[SAMPLES],
                   t->meeting ? ", meeting " : "", t->meeting ? text[MEETING] : "");
  if (idle)
    rt_message_note("-reduce_memory is short: up to %d of the threads of a rank have no lanes; more makes it faster",
                    idle);
  PetscFunctionReturn(0);
}
