/* Loss and accuracy of the samples that are held out of training. */
#include "comm/agree.h"
#include "core/stop.h"
#include "train/trainer_state.h"

#include <math.h>
#include <string.h>

typedef struct {
  RtTrainer *t;
  const RtFeedHoldout *held;
  RtExact (*sum)[RT_SUMS]; /* [threads] */
  float *unused;           /* [threads][rows, width] gradients that nobody wants */
  int64_t rows;
} Sink;

/* The rows of one micro-batch, in pieces that fit the lane's buffers. */
static PetscErrorCode add_rows(void *context, int thread, int64_t at, int64_t rows, const int64_t *sample,
                               const float *const *row)
{
  const float *logits = row[0];
  Sink *sink = context;
  RtTrainer *t = sink->t;
  RtTrainerLane *lane = &t->lane[thread];

  PetscFunctionBegin;
  (void)at;
  for (int64_t r = 0; r < rows; r += t->rows) {
    int64_t count = PetscMin(t->rows, rows - r);
    RtLossBatch batch = {.rows = count,
                         .width = t->width,
                         .sample = sample + r,
                         .student = logits + r * t->width,
                         .teacher = lane->teacher,
                         .label = lane->label,
                         .target = lane->target};
    RtLossSums sums = {0};

    rt_samples_answers(sink->held->samples, count, sample + r, lane->label, lane->target);
    for (int64_t i = 0; sink->held->teacher && i < count; i++)
      memcpy(lane->teacher + i * t->width, sink->held->teacher + sample[r + i] * sink->held->stride,
             (size_t)t->width * sizeof(float));
    PetscCall(
        t->params->loss->evaluate(&t->params->loss_params, &batch, sink->unused + thread * t->rows * t->width, &sums));
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
  PetscCall(PetscMalloc1(threads * t->rows * t->width, &sink.unused));
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
  PetscCall(PetscFree(sink.unused));
  *stopped = any;
  PetscFunctionReturn(0);
}
