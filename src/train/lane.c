/* The lanes of a rank: its threads share them, and each lane's gradient is computed alone by one thread. */
#include "comm/lanes.h"
#include "core/message.h"
#include "train/trainer_state.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

PetscErrorCode rt_lane_feed(RtTrainer *t)
{
  RtFeedParams params = {.source = t->input,
                         .epochs = t->full ? INT32_MAX : t->params->epochs,
                         .repeat = t->full,
                         .batch = t->params->batch,
                         .lanes = t->params->lanes,
                         .rank = t->rank,
                         .size = t->size};

  PetscFunctionBegin;
  rt_lanes_share(params.lanes, t->rank, t->size, &params.first_lane, &params.own_lanes);
  PetscCall(rt_feed_create(&params, &t->feed));
  PetscFunctionReturn(0);
}

/* Samples of a global batch: the last one may be shorter. */
static int64_t samples_of(const RtTrainer *t, int64_t step)
{
  return PetscMin(t->params->batch, t->input->sampler->count - step * t->params->batch);
}

/* The lane's part of the batch: inputs, answers, the teacher's logits of the same view. */
static void load(const RtTrainer *t, RtTrainerLane *lane, int64_t epoch, int64_t step, int number)
{
  const RtFeedRows rows = {
      .sample = lane->sample, .reads = t->reads, .read = t->read, .to = lane->to, .teacher = lane->teacher};

  rt_feed_lane(t->feed, epoch, step, number, &rows);
  rt_work_set_random(lane->work, t->params->seed, epoch, lane->sample);
}

/* A lane in hand, for what backward tells. */
typedef struct {
  RtReduce *reduce;
  int thread, number;
} Told;

static PetscErrorCode ready(void *context, int64_t from)
{
  const Told *told = context;

  PetscFunctionBegin;
  PetscCall(rt_reduce_ready(told->reduce, told->thread, told->number, from));
  PetscFunctionReturn(0);
}

static PetscErrorCode loss(RtTrainer *t, RtTrainerLane *lane, int64_t samples, RtLossSums *sums)
{
  RtLossBatch batch = {.rows = t->rows,
                       .width = t->width,
                       .sample = lane->sample,
                       .teacher = lane->teacher,
                       .label = lane->label,
                       .target = lane->target,
                       .scale = 1.0 / (double)samples};

  PetscFunctionBegin;
  batch.student = rt_work_tap(lane->work, 0);
  *sums = (RtLossSums){0};
  PetscCall(t->params->loss->evaluate(&t->params->loss_params, &batch, rt_work_dtap(lane->work, 0), sums));
  PetscFunctionReturn(0);
}

static PetscErrorCode compute(RtTrainer *t, RtTrainerLane *lane, int64_t samples, int thread, int number)
{
  Told told = {t->reduce, thread, number};
  RtLossSums sums;
  double value[RT_SUMS] = {0};

  PetscFunctionBegin;
  PetscCall(rt_plan_forward(t->plan, lane->work));
  PetscCall(loss(t, lane, samples, &sums));
  PetscCall(rt_plan_backward_by_parts(t->plan, lane->work, rt_reduce_buffer(t->reduce, thread), ready, &told));
  value[RT_SUM_TOTAL] = sums.total;
  value[RT_SUM_SOFT] = sums.soft;
  value[RT_SUM_HARD] = sums.hard;
  value[RT_SUM_CORRECT] = sums.correct;
  value[RT_SUM_COUNT] = sums.count;
  for (int s = 0; s < RT_SUMS; s++) rt_exact_add(&lane->step[s], value[s]);
  lane->finite = lane->finite && fabs(sums.total) < 0x1p60; /* what exact sums can hold */
  PetscFunctionReturn(0);
}

static PetscErrorCode run_thread(RtTrainer *t, int thread, int64_t epoch, int64_t step)
{
  RtTrainerLane *lane = &t->lane[thread];
  int first, count;

  PetscFunctionBegin;
  rt_reduce_lanes(t->reduce, thread, &first, &count);
  lane->finite = true;
  memset(lane->step, 0, sizeof(lane->step));
  for (int number = first; number < first + count; number++) {
    double start = MPI_Wtime(), loaded;

    load(t, lane, epoch, step, number);
    loaded = MPI_Wtime();
    PetscCall(compute(t, lane, samples_of(t, step), thread, number));
    rt_reduce_push(t->reduce, thread, number);
    lane->time[RT_TIME_INPUT] += loaded - start;
    lane->time[RT_TIME_COMPUTE] += MPI_Wtime() - loaded;
  }
  PetscFunctionReturn(0);
}

void rt_lane_accept(RtTrainer *t)
{
  for (int i = 0; i < t->params->threads; i++)
    for (int s = 0; s < RT_SUMS; s++) rt_exact_merge(&t->lane[i].sum[s], &t->lane[i].step[s]);
}

static bool all_finite(int64_t count, const float *number)
{
  bool finite = true;

  for (int64_t i = 0; i < count; i++) finite = finite && isfinite(number[i]);
  return finite;
}

static PetscErrorCode watch(void *context, const char *node, int value, int64_t size, const float *data)
{
  char *where = context;

  PetscFunctionBegin;
  (void)value;
  if (!where[0] && !all_finite(size, data)) snprintf(where, 160, "the output of layer '%.100s'", node);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_lane_examine(RtTrainer *t, int64_t epoch, int64_t step, int number, float *gradient, char where[160])
{
  RtTrainerLane *lane = &t->lane[0];
  RtLossSums sums;

  PetscFunctionBegin;
  where[0] = 0;
  load(t, lane, epoch, step, number);
  PetscCall(rt_plan_forward_watched(t->plan, lane->work, watch, where));
  PetscCall(loss(t, lane, samples_of(t, step), &sums));
  if (!where[0] && !(fabs(sums.total) < 0x1p60)) snprintf(where, 160, "the loss");
  if (where[0]) PetscFunctionReturn(0);
  PetscCall(rt_plan_backward(t->plan, lane->work, gradient));
  for (int v = t->graph->values - 1; v >= 0 && !where[0]; v--) { /* from the output on */
    const RtValue *value = &t->graph->value[v];

    if (value->kind == RT_VALUE_PARAMETER && !all_finite(value->size, gradient + value->offset))
      snprintf(where, 160, "the gradient of '%.100s'", value->name);
  }
  PetscFunctionReturn(0);
}

/* Collective. The next windows of all ranks have been read. */
static PetscErrorCode wait_for_input(RtTrainer *t, int64_t epoch, int64_t step)
{
  double start = MPI_Wtime();

  PetscFunctionBegin;
  RtAgree(t->comm, rt_feed_prepare(t->feed, epoch, step));
  t->time[RT_TIME_INPUT] += MPI_Wtime() - start;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_lane_run(RtTrainer *t, int64_t epoch, int64_t step)
{
  PetscErrorCode failed = 0;

  PetscFunctionBegin;
  if (rt_feed_turns(t->feed, epoch, step)) PetscCall(wait_for_input(t, epoch, step));
#pragma omp parallel num_threads(t->params->threads) if (t->params->threads > 1)
  {
    /* the system may give fewer threads than were asked for */
    for (int thread = omp_get_thread_num(); thread < t->params->threads; thread += omp_get_num_threads()) {
      PetscErrorCode error = run_thread(t, thread, epoch, step);

      if (error) {
#pragma omp atomic write
        failed = error;
      }
    }
  }
  PetscCall(failed);
  PetscFunctionReturn(0);
}
