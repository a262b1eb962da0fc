/* Loss and accuracy of the samples that are held out of training. */
#include "comm/agree.h"
#include "core/stop.h"
#include "train/trainer_state.h"

#include <math.h>

typedef struct {
  RtTrainer *t;
  const RtFeedHoldout *held;
  RtExact (*sum)[RT_SUMS]; /* [threads] */
} Sink;

/* Answers, and what the teacher says of the plain samples. */
static PetscErrorCode ask_teacher(Sink *sink, int thread, int64_t rows, const int64_t *sample)
{
  RtTrainer *t = sink->t;
  const RtTeacher *teacher = t->params->teacher;
  const RtFeedHoldout *held = sink->held;
  RtTrainerLane *lane = &t->lane[thread];

  PetscFunctionBegin;
  rt_samples_answers(held->samples, rows, sample, lane->label, lane->target);
  for (int64_t i = 0; held->teacher && i < rows; i++)
    rt_feed_split(t->input, held->teacher + sample[i] * held->stride, i, lane->store);
  if (!teacher) PetscFunctionReturn(0);
  for (int64_t i = 0; i < t->rows; i++) lane->sample[i] = i < rows ? sample[i] : -1;
  for (int k = 0; k < teacher->reads; k++)
    rt_samples_fill(held->samples, teacher->read[k], NULL, t->rows, lane->sample, 0,
                    teacher->input(teacher->context, thread, k));
  PetscCall(teacher->fill(teacher->context, thread, lane->teacher));
  PetscFunctionReturn(0);
}

/* The rows of one micro-batch, in pieces that fit the lane's buffers; terms that couple rows do so within a piece,
   which has a lane's length on any number of ranks. */
static PetscErrorCode add_rows(void *context, int thread, int64_t at, int64_t rows, const int64_t *sample,
                               const float *const *row)
{
  Sink *sink = context;
  RtTrainer *t = sink->t;
  RtTrainerLane *lane = &t->lane[thread];
  const RtObjective *o = &t->objective;

  PetscFunctionBegin;
  (void)at;
  for (int64_t r = 0; r < rows; r += t->rows) {
    const float *tap[RT_OBJECTIVE_TAPS], *self[RT_TERMS];
    RtObjectiveRows piece = {.rows = PetscMin(t->rows, rows - r),
                             .sample = sample + r,
                             .tap = tap,
                             .teacher = o->self ? self : lane->teacher,
                             .label = lane->label,
                             .target = lane->target,
                             .step = t->full ? 0 : PetscMax(0, t->step - 1),
                             .total = t->schedule.total,
                             .epoch = t->steps};
    RtObjectiveSums sums = {0};

    for (int i = 0; i < o->taps; i++) tap[i] = row[i] + r * o->width[i];
    PetscCall(ask_teacher(sink, thread, piece.rows, sample + r));
    if (o->self) rt_objective_own(o, tap, self);
    PetscCall(rt_meeting_alone(o, &piece, &lane->alone));
    PetscCall(rt_objective_evaluate(o, &piece, &lane->alone.met, &lane->objective, &sums));
    rt_exact_add(&sink->sum[thread][RT_SUM_TOTAL], sums.total);
    rt_exact_add(&sink->sum[thread][RT_SUM_CORRECT], sums.correct);
    rt_exact_add(&sink->sum[thread][RT_SUM_COUNT], sums.count);
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_holdout_evaluate(RtTrainer *t, double *loss, double *accuracy, bool *stopped)
{
  bool left_out = false;
  const RtFeedHoldout *held = rt_feed_holdout(t->feed);
  RtPredictorRange range = {
      .samples = held->samples, .count = held->count, .sample = held->sample, .stride = 1, .watch_context = &left_out};
  double all = (double)t->input->sampler->held;
  Sink sink = {.t = t, .held = held};
  int threads = t->params->threads, any;

  PetscFunctionBegin;
  *loss = *accuracy = NAN;
  *stopped = false;
  if (!t->predictor) PetscFunctionReturn(0);
  if (t->step > t->began || !rt_stop_late()) range.watch = rt_predictor_stop;
  PetscCall(PetscCalloc1(threads, &sink.sum));
  PetscCall(rt_predictor_set(t->predictor, t->parameter));
  PetscCall(rt_predictor_run(t->predictor, &range, add_rows, &sink));
  for (int i = 1; i < threads; i++)
    for (int s = 0; s < RT_SUMS; s++) rt_exact_merge(&sink.sum[0][s], &sink.sum[i][s]);
  any = left_out;
  PetscCall(rt_agree_max(t->comm, 1, &any));
  PetscCall(rt_exact_allreduce(t->comm, RT_SUMS, sink.sum[0]));
  *loss = rt_exact_value(&sink.sum[0][RT_SUM_TOTAL]) / all;
  if (t->input->info->classes) *accuracy = rt_exact_value(&sink.sum[0][RT_SUM_CORRECT]) / all;
  PetscCall(PetscFree(sink.sum));
  *stopped = any;
  PetscFunctionReturn(0);
}
