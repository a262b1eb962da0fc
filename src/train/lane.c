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

/* The lane's part of the batch: inputs, answers, and what the teacher says of the same view. */
static PetscErrorCode load(RtTrainer *t, int worker, int64_t epoch, int64_t step, int number)
{
  RtTrainerLane *lane = &t->lane[worker];
  const RtTeacher *teacher = t->params->teacher;
  const RtFeedRows rows = {.sample = lane->sample,
                           .reads = t->reads,
                           .read = t->read,
                           .to = lane->to,
                           .teacher = lane->stored ? lane->store : NULL};

  PetscFunctionBegin;
  rt_feed_lane(t->feed, epoch, step, number, &rows);
  rt_work_set_random(lane->work, t->params->seed, epoch, lane->sample);
  if (teacher) PetscCall(teacher->fill(teacher->context, worker, lane->teacher));
  PetscFunctionReturn(0);
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

static RtObjectiveRows rows_of(const RtTrainer *t, const RtTrainerLane *lane, int64_t epoch, int64_t step)
{
  return (RtObjectiveRows){.rows = t->rows,
                           .sample = lane->sample,
                           .tap = lane->tap,
                           .teacher = lane->teacher,
                           .label = lane->label,
                           .target = lane->target,
                           .step = t->full ? 0 : epoch * t->steps + step,
                           .total = t->schedule.total,
                           .epoch = t->steps};
}

/* Values of the terms, and their gradients where backward begins. met: NULL where lanes have not met. */
static PetscErrorCode loss(RtTrainer *t, RtTrainerLane *lane, const RtObjectiveMet *met, int64_t epoch, int64_t step,
                           RtObjectiveSums *sums)
{
  const RtObjectiveRows rows = rows_of(t, lane, epoch, step);

  PetscFunctionBegin;
  *sums = (RtObjectiveSums){0};
  PetscCall(rt_objective_evaluate(&t->objective, &rows, met, &lane->objective, sums));
  rt_objective_put(&t->objective, t->plan, lane->work, t->rows, 1.0 / (double)samples_of(t, step), &lane->objective);
  PetscFunctionReturn(0);
}

static void add_sums(const RtTrainer *t, const RtObjectiveSums *sums, RtTrainerLane *thread)
{
  rt_exact_add(&thread->step[RT_SUM_TOTAL], sums->total);
  rt_exact_add(&thread->step[RT_SUM_CORRECT], sums->correct);
  rt_exact_add(&thread->step[RT_SUM_COUNT], sums->count);
  for (int k = 0; k < t->objective.terms->count; k++) rt_exact_add(&thread->step[t->sum_of[k]], sums->term[k]);
  thread->finite = thread->finite && rt_objective_finite(&t->objective, sums);
}

/* Loss and backward of a lane whose forward pass is done; its gradient goes on its way. */
static PetscErrorCode finish(RtTrainer *t, RtTrainerLane *lane, int64_t epoch, int64_t step, int thread, int number)
{
  Told told = {t->reduce, thread, number};
  RtObjectiveSums sums;
  RtObjectiveMet met;

  PetscFunctionBegin;
  if (t->meeting) met = rt_meeting_met(t->meeting, number);
  PetscCall(loss(t, lane, t->meeting ? &met : NULL, epoch, step, &sums));
  PetscCall(rt_plan_backward_by_parts(t->plan, lane->work, rt_reduce_buffer(t->reduce, thread), ready, &told));
  rt_reduce_push(t->reduce, thread, number);
  rt_state_push(t, lane, thread, number);
  add_sums(t, &sums, &t->lane[thread]);
  PetscFunctionReturn(0);
}

/* What is done with lanes at once: all, or what comes before the meeting and after it. */
typedef enum { WHOLE, BEFORE, AFTER } Part;

static PetscErrorCode run_thread(RtTrainer *t, Part part, int thread, int64_t epoch, int64_t step)
{
  RtTrainerLane *own = &t->lane[thread];
  int first, count, first_lane, lanes;

  PetscFunctionBegin;
  rt_reduce_lanes(t->reduce, thread, &first, &count);
  rt_lanes_share(t->params->lanes, t->rank, t->size, &first_lane, &lanes);
  if (part != AFTER) {
    own->finite = true;
    memset(own->step, 0, sizeof(own->step));
  }
  for (int number = first; number < first + count; number++) {
    const int worker = t->kept ? number - first_lane : thread;
    RtTrainerLane *lane = &t->lane[worker];
    double start = MPI_Wtime(), loaded = start;

    if (part != AFTER || !t->kept) {
      PetscCall(load(t, worker, epoch, step, number));
      loaded = MPI_Wtime();
      PetscCall(rt_plan_forward(t->plan, lane->work));
    }
    if (part == BEFORE) {
      const RtObjectiveRows rows = rows_of(t, lane, epoch, step);

      rt_meeting_bring(t->meeting, number, &rows);
    } else {
      PetscCall(finish(t, lane, epoch, step, thread, number));
    }
    own->time[RT_TIME_INPUT] += loaded - start;
    own->time[RT_TIME_COMPUTE] += MPI_Wtime() - loaded;
  }
  PetscFunctionReturn(0);
}

void rt_lane_accept(RtTrainer *t)
{
  for (int i = 0; i < t->params->threads; i++)
    for (int s = 0; s < t->sums; s++) rt_exact_merge(&t->lane[i].sum[s], &t->lane[i].step[s]);
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
  RtObjectiveSums sums;

  PetscFunctionBegin;
  where[0] = 0;
  PetscCall(load(t, 0, epoch, step, number));
  PetscCall(rt_plan_forward_watched(t->plan, lane->work, watch, where));
  PetscCall(loss(t, lane, NULL, epoch, step, &sums));
  if (!where[0] && !rt_objective_finite(&t->objective, &sums)) snprintf(where, 160, "the loss");
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

static PetscErrorCode run_threads(RtTrainer *t, Part part, int64_t epoch, int64_t step)
{
  PetscErrorCode failed = 0;

  PetscFunctionBegin;
#pragma omp parallel num_threads(t->params->threads) if (t->params->threads > 1)
  {
    /* the system may give fewer threads than were asked for */
    for (int thread = omp_get_thread_num(); thread < t->params->threads; thread += omp_get_num_threads()) {
      PetscErrorCode error = run_thread(t, part, thread, epoch, step);

      if (error) {
#pragma omp atomic write
        failed = error;
      }
    }
  }
  PetscFunctionReturn(failed);
}

/* Collective. Between forward and backward. */
static PetscErrorCode meet(RtTrainer *t, int64_t epoch, int64_t step)
{
  const RtObjectiveRows now = rows_of(t, &t->lane[0], epoch, step);
  double start = MPI_Wtime();

  PetscFunctionBegin;
  PetscCall(rt_meeting_hold(t->meeting, &now));
  t->time[RT_TIME_COMPUTE] += MPI_Wtime() - start;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_lane_run(RtTrainer *t, int64_t epoch, int64_t step)
{
  PetscFunctionBegin;
  if (rt_feed_turns(t->feed, epoch, step)) PetscCall(wait_for_input(t, epoch, step));
  if (!t->meeting) {
    PetscCall(run_threads(t, WHOLE, epoch, step));
    PetscFunctionReturn(0);
  }
  RtAgree(t->comm, run_threads(t, BEFORE, epoch, step)); /* no rank meets others that never come */
  PetscCall(meet(t, epoch, step));
  PetscCall(run_threads(t, AFTER, epoch, step));
  PetscFunctionReturn(0);
}
