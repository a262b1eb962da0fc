/* What keeps numbers that are not finite out of a model, and the norm of gradients within bounds. */
#include "comm/agree.h"
#include "comm/lanes.h"
#include "core/message.h"
#include "core/simd.h"
#include "core/stop.h"
#include "train/trainer_state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
  PATIENCE = 20,  /* bad steps in a row that may be skipped */
  EXACT = 4096,   /* squares that a double sums exactly */
  PARTS = 8,      /* sums at once */
  BAD = INT32_MAX /* a loss, where the gradient's peak stands */
};

/* The reader looks at the rate as PETSc and the job file write it. */
static void advise(const RtTrainer *t, char text[160])
{
  char saved[64] = "no checkpoint was written yet";

  if (t->saved_step > 0)
    snprintf(saved, sizeof(saved), "the last checkpoint is of step %lld", (long long)t->saved_step);
  if (t->full) {
    snprintf(text, 160, "look at the data, and at the weights that the optimizer starts from; %s", saved);
    return;
  }
  snprintf(text, 160, "lower the learning rate (%g), limit the gradient (clip), or look at the data; %s",
           rt_schedule_rate(&t->schedule, t->step), saved);
}

/* The rank whose lane that is. */
static int owner_of(const RtTrainer *t, int lane)
{
  int rank = 0, first, count;

  for (rt_lanes_share(t->params->lanes, rank, t->size, &first, &count); lane >= first + count;
       rt_lanes_share(t->params->lanes, rank, t->size, &first, &count))
    rank++;
  return rank;
}

/* The lanes of the step run again, one by one: the same numbers come out. */
PetscErrorCode rt_guard_explain(RtTrainer *t, int64_t epoch, int64_t step)
{
  char where[160] = "", advice[160];
  int first, count, bad, least;
  float *gradient;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  rt_lanes_share(t->params->lanes, t->rank, t->size, &first, &count);
  PetscCall(PetscMalloc1(t->graph->flat, &gradient));
  for (bad = first; bad < first + count && !error; bad++) {
    error = rt_lane_examine(t, epoch, step, bad, gradient, where);
    if (where[0]) break;
  }
  PetscCall(PetscFree(gradient));
  RtAgree(t->comm, error);
  least = where[0] ? -bad : INT32_MIN;
  PetscCall(rt_agree_max(t->comm, 1, &least));
  advise(t, advice);
  if (least == INT32_MIN)
    RtFail("%s: the sum of the gradients is not finite in epoch %lld, step %lld; %s", t->params->role,
           (long long)epoch + 1, (long long)step + 1, advice);
  PetscCallMPI(MPI_Bcast(where, (int)sizeof(where), MPI_CHAR, owner_of(t, -least), t->comm));
  RtFail("%s: not finite in epoch %lld, step %lld, lane %d: %s; %s", t->params->role, (long long)epoch + 1,
         (long long)step + 1, -least, where, advice);
}

/* Sum of squares of `count` numbers that are at most 1, each rounded to a multiple of 2^-40: so many of them that all
   sums are exact and their order does not matter. */
RT_SIMD static double squares(int64_t count, const float *number, double factor)
{
  const double rounder = 0x1.8p52 * 0x1p-40;
  double part[PARTS] = {0}, sum = 0;
  int64_t whole = count - count % PARTS;

  for (int64_t i = 0; i < whole; i += PARTS)
    for (int k = 0; k < PARTS; k++) {
      double x = number[i + k] * factor;

      part[k] += (x * x + rounder) - rounder;
    }
  for (int64_t i = whole; i < count; i++) {
    double x = number[i] * factor;

    sum += (x * x + rounder) - rounder;
  }
  for (int k = 0; k < PARTS; k++) sum += part[k];
  return sum;
}

/* Collective. Euclidean norm of the whole gradient, the same bits on any number of ranks. peak: bits of its largest
   magnitude, which becomes the unit. */
static PetscErrorCode norm(RtTrainer *t, const float *gradient, int peak, double *value)
{
  int64_t count = rt_reduce_owned(t->reduce);
  RtExact sum = {0};
  float largest;

  PetscFunctionBegin;
  memcpy(&largest, &peak, sizeof(largest));
  *value = 0;
  if (largest == 0) PetscFunctionReturn(0);
  if (t->params->reduce == RT_REDUCE_FAST && t->rank) count = 0; /* all have all */
  for (int64_t i = 0; i < count; i += EXACT)
    rt_exact_add(&sum, squares(PetscMin(EXACT, count - i), gradient + i, 1 / (double)largest));
  PetscCall(rt_exact_allreduce(t->comm, 1, &sum));
  *value = sqrt(rt_exact_value(&sum)) * largest;
  PetscFunctionReturn(0);
}

/* Over all ranks: somebody asked to stop, bits of the gradient's peak, the parameter that is not finite, a
   checkpoint that could not be written. */
static PetscErrorCode look(RtTrainer *t, int word[4])
{
  PetscFunctionBegin;
  word[0] = rt_stop_asked();
  word[1] = rt_reduce_peak(t->reduce);
  word[2] = t->bad_value;
  for (int i = 0; i < t->params->threads; i++)
    if (!t->lane[i].finite) word[1] = BAD;
  word[3] = rt_checkpoint_failed(t);
  PetscCall(rt_agree_max(t->comm, 4, word));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_guard_look(RtTrainer *t, bool *stop, bool *finite)
{
  int word[4];

  PetscFunctionBegin;
  PetscCall(look(t, word));
  if (word[3]) PetscCall(rt_checkpoint_wait(t)); /* returns the error */
  *stop = word[0];
  *finite = word[1] < RT_REDUCE_INFINITE;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_guard_judge(RtTrainer *t, const float *gradient, RtVerdict *verdict)
{
  int word[4];
  double length;

  PetscFunctionBegin;
  PetscCall(look(t, word));
  if (word[2] >= 0) PetscCall(rt_guard_parameters(t)); /* of the step before */
  if (word[3]) PetscCall(rt_checkpoint_wait(t));       /* returns the error */
  *verdict = (RtVerdict){.stop = word[0], .scale = 1};
  if (word[1] >= RT_REDUCE_INFINITE) {
    t->skips++;
    verdict->skip = t->params->skip_bad && t->skips <= PATIENCE;
    if (!verdict->skip) PetscCall(rt_guard_explain(t, t->step / t->steps, t->step % t->steps));
    PetscFunctionReturn(0);
  }
  t->skips = 0;
  if (t->params->clip <= 0) PetscFunctionReturn(0);
  PetscCall(norm(t, gradient, word[1], &length));
  if (length > t->params->clip) verdict->scale = t->params->clip / length;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_guard_parameters(RtTrainer *t)
{
  int worst = t->bad_value;
  char advice[160];

  PetscFunctionBegin;
  PetscCall(rt_agree_max(t->comm, 1, &worst));
  if (worst < 0) PetscFunctionReturn(0);
  advise(t, advice);
  RtFail("%s: '%s' is not finite after the update of epoch %lld, step %lld; %s", t->params->role,
         t->graph->value[worst].name, (long long)((t->step - 1) / t->steps) + 1,
         (long long)((t->step - 1) % t->steps) + 1, advice);
}
