/* The lanes of a rank: its threads share them, and each lane's gradient is computed alone by one thread. */
#include "core/simd.h"
#include "run/trainer_state.h"

#include <math.h>
#include <omp.h>
#include <string.h>

int64_t rt_lane_view(const RtTrainerInput *input, int64_t epoch)
{
  if (input->views > 0) return epoch % input->views;
  return input->augment->active ? epoch + 1 : 0;
}

/* The lane's part of the batch: inputs, answers, the teacher's logits of the same view. */
static void load(const RtTrainer *t, RtTrainerLane *lane, int64_t epoch, int64_t step, int number)
{
  const RtTrainerInput *in = t->input;
  int64_t first = step * t->params->batch, at = number * t->rows, rows = PetscMin(t->rows, t->params->batch - at);
  int64_t view = rt_lane_view(in, epoch);

  for (int64_t r = 0; r < t->rows; r++) lane->sample[r] = -1; /* padding of the last lane and the last batch */
  if (rows > 0) rt_sampler_get(in->sampler, epoch, first + at, rows, lane->sample);
  rt_samples_fill(in->samples, in->augment, t->rows, lane->sample, view, rt_work_input(lane->work, 0));
  rt_samples_answers(in->samples, t->rows, lane->sample, lane->label, lane->target);
  for (int64_t r = 0; in->teacher && r < t->rows; r++) {
    const float *from = in->teacher + (lane->sample[r] * in->views + view) * t->width;

    if (lane->sample[r] < 0)
      memset(lane->teacher + r * t->width, 0, (size_t)t->width * sizeof(float));
    else
      memcpy(lane->teacher + r * t->width, from, (size_t)t->width * sizeof(float));
  }
  rt_work_set_random(lane->work, t->params->seed, epoch, lane->sample);
}

static PetscErrorCode compute(RtTrainer *t, RtTrainerLane *lane, int64_t samples, float *gradient)
{
  RtLossBatch batch = {.rows = t->rows,
                       .width = t->width,
                       .sample = lane->sample,
                       .teacher = lane->teacher,
                       .label = lane->label,
                       .target = lane->target,
                       .scale = 1.0 / (double)samples};
  RtLossSums sums = {0};
  double value[RT_SUMS];

  PetscFunctionBegin;
  PetscCall(rt_plan_forward(t->plan, lane->work));
  batch.student = rt_work_logits(lane->work);
  PetscCall(t->params->loss->evaluate(&t->params->loss_params, &batch, rt_work_dlogits(lane->work), &sums));
  PetscCall(rt_plan_backward(t->plan, lane->work, gradient));
  value[RT_SUM_TOTAL] = sums.total;
  value[RT_SUM_SOFT] = sums.soft;
  value[RT_SUM_HARD] = sums.hard;
  value[RT_SUM_CORRECT] = sums.correct;
  value[RT_SUM_COUNT] = sums.count;
  for (int s = 0; s < RT_SUMS; s++) rt_exact_add(&lane->sum[s], value[s]);
  lane->finite = lane->finite && fabs(sums.total) < 0x1p60; /* what exact sums can hold */
  PetscFunctionReturn(0);
}

static PetscErrorCode run_thread(RtTrainer *t, int thread, int64_t epoch, int64_t step)
{
  RtTrainerLane *lane = &t->lane[thread];
  int64_t samples = PetscMin(t->params->batch, t->input->sampler->count - step * t->params->batch);
  int first, count;

  PetscFunctionBegin;
  rt_reduce_lanes(t->reduce, thread, &first, &count);
  lane->finite = true;
  for (int number = first; number < first + count; number++) {
    double start = MPI_Wtime(), loaded;

    load(t, lane, epoch, step, number);
    loaded = MPI_Wtime();
    PetscCall(compute(t, lane, samples, rt_reduce_buffer(t->reduce, thread)));
    rt_reduce_push(t->reduce, thread, number);
    lane->time[RT_TIME_INPUT] += loaded - start;
    lane->time[RT_TIME_COMPUTE] += MPI_Wtime() - loaded;
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_lane_run(RtTrainer *t, int64_t epoch, int64_t step)
{
  PetscErrorCode failed = 0;

  PetscFunctionBegin;
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
