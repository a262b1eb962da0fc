#include "train/trainer.h"

#include "comm/agree.h"
#include "comm/lanes.h"
#include "core/fault.h"
#include "core/memory.h"
#include "core/message.h"
#include "core/stop.h"
#include "model/binding.h"
#include "train/trainer_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_offsets(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

  return (x > y) - (x < y);
}

/* What lanes read. */
static PetscErrorCode start_reads(RtTrainer *t)
{
  const RtDatasetInfo *info = t->input->info;
  const RtTeacher *teacher = t->params->teacher;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(t->graph->inputs + 2 + (teacher ? teacher->reads : 0), &t->read));
  PetscCall(rt_binding_reads(t->graph, info, t->params->role, t->read));
  t->reads = t->graph->inputs;
  if (info->label >= 0) t->read[t->reads++] = (RtFieldRead){info->label, RT_INT32};
  if (info->target >= 0) t->read[t->reads++] = (RtFieldRead){info->target, RT_FLOAT};
  for (int i = 0; teacher && i < teacher->reads; i++) t->read[t->reads++] = teacher->read[i];
  PetscFunctionReturn(0);
}

/* Room for what comes with the samples of a teacher. */
static PetscErrorCode start_store(const RtTrainer *t, RtTrainerLane *lane)
{
  int width[RT_LABELSTORE_FIELDS], fields = rt_feed_fields(t->input, width);
  float *at;

  PetscFunctionBegin;
  if (!fields) PetscFunctionReturn(0);
  PetscCall(PetscMalloc1(t->rows * t->input->width, &lane->stored));
  at = lane->stored;
  for (int f = 0; f < fields; at += t->rows * width[f++]) lane->teacher[f] = lane->store[f] = at;
  PetscFunctionReturn(0);
}

static PetscErrorCode start_lanes(RtTrainer *t)
{
  const RtDatasetInfo *info = t->input->info;
  const RtTeacher *teacher = t->params->teacher;

  PetscFunctionBegin;
  PetscCall(start_reads(t));
  PetscCall(PetscCalloc1(t->workers, &t->lane));
  for (int i = 0; i < t->workers; i++) {
    RtTrainerLane *lane = &t->lane[i];
    int reads = t->graph->inputs;

    PetscCall(rt_work_create(t->plan, &lane->work));
    PetscCall(PetscMalloc1(t->rows, &lane->sample));
    if (info->classes) PetscCall(PetscMalloc1(t->rows, &lane->label));
    if (info->targets) PetscCall(PetscMalloc1(t->rows * info->targets, &lane->target));
    PetscCall(start_store(t, lane));
    PetscCall(rt_objective_work_create(&t->objective, t->rows, &lane->objective));
    if (t->meeting && t->predictor) PetscCall(rt_meeting_alone_create(&t->objective, t->rows, &lane->alone));
    for (int k = 0; k < t->objective.taps; k++) lane->tap[k] = rt_work_tap(lane->work, k);
    if (t->objective.self) rt_objective_own(&t->objective, lane->tap, lane->teacher);
    PetscCall(PetscMalloc1(t->reads, &lane->to));
    for (int k = 0; k < t->graph->inputs; k++) lane->to[k] = rt_work_input(lane->work, k);
    if (lane->label) lane->to[reads++] = lane->label;
    if (lane->target) lane->to[reads++] = lane->target;
    for (int k = 0; teacher && k < teacher->reads; k++) lane->to[reads++] = teacher->input(teacher->context, i, k);
  }
  PetscFunctionReturn(0);
}

/* For -log_view. A second training run in one process finds what the first has registered. */
static PetscErrorCode register_events(RtTrainer *t)
{
  static const char *const name[RT_PHASES] = {"RtLanes", "RtSum", "RtJudge", "RtUpdate", "RtSpread"};
  PetscClassId trainer;

  PetscFunctionBegin;
  for (int e = 0; e < RT_PHASES; e++) {
    PetscCall(PetscLogEventGetId(name[e], &t->event[e]));
    if (t->event[e] >= 0) continue;
    PetscCall(PetscClassIdRegister("Trainer", &trainer));
    PetscCall(PetscLogEventRegister(name[e], trainer, &t->event[e]));
  }
  PetscFunctionReturn(0);
}

/* Ranges of the gradient may begin at parameters. */
static PetscErrorCode start_reduce(RtTrainer *t)
{
  RtReduceParams params = {.n = t->graph->flat,
                           .lanes = t->params->lanes,
                           .threads = t->params->threads,
                           .kind = t->params->reduce,
                           .memory = t->params->reduce_memory};
  int64_t *cut;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(t->graph->values, &cut));
  for (int i = 0; i < t->graph->values; i++)
    if (t->graph->value[i].kind == RT_VALUE_PARAMETER) cut[params.cuts++] = t->graph->value[i].offset;
  qsort(cut, (size_t)params.cuts, sizeof(*cut), compare_offsets);
  params.cut = cut;
  error = rt_reduce_create(t->comm, &params, &t->reduce);
  PetscCall(PetscFree(cut));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* The terms, bound to the student's plan and the teacher; whether lanes meet, and whether they keep their buffers. */
static PetscErrorCode start_objective(RtTrainer *t, RtPlanParams *plan)
{
  const RtTrainerParams *p = t->params;
  const bool meets = rt_terms_meet(&p->terms);
  int width[RT_LABELSTORE_FIELDS], teachers = rt_feed_fields(t->input, width), first, own;
  RtMeetingParams meeting = {
      .comm = t->comm, .objective = &t->objective, .lanes = p->lanes, .threads = p->threads, .rows = t->rows};

  PetscFunctionBegin;
  rt_lanes_share(p->lanes, t->rank, t->size, &first, &own);
  PetscCall(rt_objective_create(&p->terms, t->graph, p->self, &t->objective));
  rt_history_name(t);
  plan->taps = t->objective.taps;
  plan->tap = t->objective.tap;
  if (meets) plan->threads = PetscMax(own, p->threads);
  PetscCall(rt_plan_create(t->graph, plan, &t->plan));
  t->kept = meets && (!p->meeting_memory || (double)own * (double)rt_plan_bytes(t->plan) <= (double)p->meeting_memory);
  t->workers = t->kept ? plan->threads : p->threads;
  if (p->teacher) PetscCall(p->teacher->start(p->teacher->context, t->rows, t->workers, &teachers, width));
  PetscCall(rt_objective_bind(t->plan, t->rows, teachers, width, &t->objective));
  if (meets) PetscCall(rt_meeting_create(&meeting, &t->meeting));
  PetscFunctionReturn(0);
}

static PetscErrorCode start(RtTrainer *t)
{
  const RtTrainerParams *p = t->params;
  RtPlanParams plan = {.training = true,
                       .threads = p->threads,
                       .precision = p->precision,
                       .batch = (p->batch + p->lanes - 1) / p->lanes};
  int value[RT_OBJECTIVE_TAPS];

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(t->comm, &t->rank));
  t->rows = plan.batch;
  t->steps = (t->input->sampler->count + p->batch - 1) / p->batch;
  PetscCall(start_objective(t, &plan));
  t->schedule = p->schedule;
  t->schedule.total = p->epochs * t->steps;
  t->schedule.warmup = (int64_t)llround(p->warmup_epochs * (double)t->steps);
  t->schedule.every = PetscMax(1, (int64_t)llround(p->every_epochs * (double)t->steps));
  PetscCall(start_reduce(t));
  PetscCall(rt_state_start(t));
  for (int m = 0; m < p->optimizer->moments; m++)
    PetscCall(rt_memory_create((size_t)(rt_reduce_owned(t->reduce) + 1) * sizeof(float), &t->moment[m]));
  t->parameter = rt_reduce_parameter(t->reduce);
  PetscCall(PetscArraycpy(t->parameter, t->graph->parameter, t->graph->flat));
  if (t->input->sampler->held > 0) {
    for (int i = 0; i < t->objective.taps; i++) value[i] = t->objective.tap[i].value;
    PetscCall(rt_predictor_create(t->graph, t->objective.taps, value, rt_feed_micro(t->input), p->precision, p->threads,
                                  &t->predictor));
    if (p->select_best) PetscCall(rt_memory_create((size_t)t->graph->flat * sizeof(float), &t->best));
  }
  PetscCall(PetscCalloc1(p->epochs * t->columns, &t->history));
  t->phase = RT_PHASES;
  t->bad_value = -1;
  t->best_accuracy = -1;
  t->best_loss = INFINITY;
  PetscCall(register_events(t));
  PetscCall(rt_checkpoint_start(t));
  PetscCall(start_lanes(t));
  if (!p->optimizer->update) PetscCall(rt_fullbatch_create(t));
  PetscCall(rt_lane_feed(t));
  PetscCall(rt_footprint_print(t));
  PetscFunctionReturn(0);
}

static PetscErrorCode finish(RtTrainer *t)
{
  PetscFunctionBegin;
  PetscCall(rt_checkpoint_finish(t));
  for (int i = 0; t->lane && i < t->workers; i++) {
    PetscCall(rt_work_destroy(&t->lane[i].work));
    PetscCall(rt_objective_work_destroy(&t->lane[i].objective));
    PetscCall(rt_meeting_alone_destroy(&t->lane[i].alone));
    PetscCall(PetscFree(t->lane[i].sample));
    PetscCall(PetscFree(t->lane[i].label));
    PetscCall(PetscFree(t->lane[i].target));
    PetscCall(PetscFree(t->lane[i].stored));
    PetscCall(PetscFree(t->lane[i].to));
  }
  PetscCall(PetscFree(t->lane));
  PetscCall(PetscFree(t->read));
  PetscCall(rt_feed_destroy(&t->feed));
  PetscCall(rt_meeting_destroy(&t->meeting));
  PetscCall(rt_fullbatch_destroy(t));
  PetscCall(rt_reduce_destroy(&t->reduce));
  PetscCall(rt_state_finish(t));
  PetscCall(rt_predictor_destroy(&t->predictor));
  PetscCall(rt_plan_destroy(&t->plan));
  for (int m = 0; m < 2; m++) PetscCall(rt_memory_destroy(&t->moment[m]));
  PetscCall(rt_memory_destroy(&t->best));
  PetscCall(PetscFree(t->history));
  PetscFunctionReturn(0);
}

/* The lanes keep their own time, by thread. */
PetscErrorCode rt_trainer_enter(RtTrainer *t, int phase)
{
  double now = MPI_Wtime(), seconds = now - t->phase_start;

  PetscFunctionBegin;
  if (t->phase == RT_PHASE_UPDATE) t->time[RT_TIME_COMPUTE] += seconds;
  if (t->phase == RT_PHASE_SUM || t->phase == RT_PHASE_JUDGE || t->phase == RT_PHASE_SPREAD)
    t->time[RT_TIME_COMMUNICATION] += seconds;
  if (t->phase == RT_PHASE_LANES) { /* what backward has begun to send */
    double inside = rt_reduce_seconds(t->reduce);

    t->time[RT_TIME_COMMUNICATION] += inside;
    t->time[RT_TIME_COMPUTE] -= inside / t->params->threads; /* the lanes keep the mean over threads */
  }
  if (t->phase < RT_PHASES) PetscCall(PetscLogEventEnd(t->event[t->phase], 0, 0, 0, 0));
  if (phase < RT_PHASES) PetscCall(PetscLogEventBegin(t->event[phase], 0, 0, 0, 0));
  t->phase = phase;
  t->phase_start = now;
  PetscFunctionReturn(0);
}

/* A teacher that goes after the student. */
static PetscErrorCode follow(const RtTrainer *t)
{
  const RtTeacher *teacher = t->params->teacher;

  PetscFunctionBegin;
  if (teacher && teacher->follow) PetscCall(teacher->follow(teacher->context, t->step, t->parameter));
  PetscFunctionReturn(0);
}

/* One step. The allreduce stands around the optimizer: each rank gets the sum of its own parts of the gradient, updates
   these parts of the parameters, and then all get all parameters. */
static PetscErrorCode train_step(RtTrainer *t, int64_t epoch, RtVerdict *verdict)
{
  const float *gradient;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_STEP));
  PetscCall(rt_plan_set_parameters(t->plan, t->parameter));
  PetscCall(rt_trainer_enter(t, RT_PHASE_LANES));
  PetscCall(rt_lane_run(t, epoch, t->step % t->steps)); /* load, forward, loss, backward; allreduce begins to sum */
  PetscCall(rt_trainer_enter(t, RT_PHASE_SUM));
  PetscCall(rt_reduce_scatter(t->reduce, &gradient)); /* allreduce: sum */
  PetscCall(rt_trainer_enter(t, RT_PHASE_JUDGE));
  PetscCall(rt_guard_judge(t, gradient, verdict));
  PetscCall(rt_state_step(t, verdict->skip)); /* running statistics */
  PetscCall(rt_trainer_enter(t, RT_PHASE_UPDATE));
  if (!verdict->skip) {
    rt_lane_accept(t);
    rt_update_own(t, gradient, verdict->scale); /* step */
    PetscCall(rt_trainer_enter(t, RT_PHASE_SPREAD));
    PetscCall(rt_reduce_gather(t->reduce)); /* allreduce: spread */
    PetscCall(rt_trainer_enter(t, RT_PHASE_UPDATE));
    rt_update_limit(t);
    PetscCall(follow(t));
  } else if (t->rank == 0) {
    rt_exact_add(&t->sum[RT_SUM_SKIPPED], 1);
  }
  PetscCall(rt_trainer_enter(t, RT_PHASES));
  t->step++;
  PetscFunctionReturn(0);
}

/* Sums of the epoch over threads and ranks, into one record of the history. seconds: of its steps in this process. */
static PetscErrorCode sum_up(RtTrainer *t, int64_t epoch, double seconds, double *record)
{
  const RtTrainerParams *p = t->params;
  int64_t steps = t->step - PetscMax(t->began, epoch * t->steps);
  double count;

  PetscFunctionBegin;
  for (int i = 0; i < p->threads; i++) {
    for (int s = 0; s < t->sums; s++) rt_exact_merge(&t->sum[s], &t->lane[i].sum[s]);
    for (int k = 0; k < RT_TIMES; k++) t->time[k] += t->lane[i].time[k] / p->threads;
    memset(t->lane[i].sum, 0, sizeof(t->lane[i].sum));
    memset(t->lane[i].time, 0, sizeof(t->lane[i].time));
  }
  PetscCall(rt_exact_allreduce(t->comm, t->sums, t->sum));
  PetscCall(rt_agree_sum(t->comm, RT_TIMES, t->time));
  count = rt_exact_value(&t->sum[RT_SUM_COUNT]);
  record[RT_HISTORY_TRAIN_LOSS] = rt_exact_value(&t->sum[RT_SUM_TOTAL]) / count;
  record[RT_HISTORY_TRAIN_SOFT] = record[RT_HISTORY_TRAIN_HARD] = NAN;
  for (int k = 0; k < p->terms.count; k++) record[t->column_of[k]] = rt_exact_value(&t->sum[t->sum_of[k]]) / count;
  record[RT_HISTORY_TRAIN_ACCURACY] = t->input->info->classes ? rt_exact_value(&t->sum[RT_SUM_CORRECT]) / count : NAN;
  record[RT_HISTORY_RATE] = rt_schedule_rate(&t->schedule, (epoch + 1) * t->steps - 1);
  record[RT_HISTORY_SECONDS] = seconds;
  record[RT_HISTORY_COMPUTE] = t->time[RT_TIME_COMPUTE] / t->size;
  record[RT_HISTORY_COMMUNICATION] = t->time[RT_TIME_COMMUNICATION] / t->size;
  record[RT_HISTORY_INPUT] = t->time[RT_TIME_INPUT] / t->size;
  record[RT_HISTORY_THROUGHPUT] = (double)PetscMin(t->input->sampler->count, steps * p->batch) / seconds;
  record[RT_HISTORY_SKIPPED] = rt_exact_value(&t->sum[RT_SUM_SKIPPED]);
  record[RT_HISTORY_PASSES] = 1;
  memset(t->sum, 0, sizeof(t->sum));
  memset(t->time, 0, sizeof(t->time));
  PetscFunctionReturn(0);
}

/* One line an epoch, for people. */
static void print_epoch(const RtTrainer *t, int64_t epoch, const double *record)
{
  char accuracy[64] = "", held[96] = "";
  double rate = record[RT_HISTORY_THROUGHPUT];

  if (!isnan(record[RT_HISTORY_TRAIN_ACCURACY]))
    snprintf(accuracy, sizeof(accuracy), "  accuracy %.4f", record[RT_HISTORY_TRAIN_ACCURACY]);
  if (!isnan(record[RT_HISTORY_HOLDOUT_ACCURACY]))
    snprintf(held, sizeof(held), "  held out %.4f", record[RT_HISTORY_HOLDOUT_ACCURACY]);
  else if (!isnan(record[RT_HISTORY_HOLDOUT_LOSS]))
    snprintf(held, sizeof(held), "  held out loss %.5g", record[RT_HISTORY_HOLDOUT_LOSS]);
  rt_message_print("%s %s %*lld/%lld  loss %.5f%s%s  %.*f%s samples/s  %.1f s", t->params->role,
                   t->full ? "iteration" : "epoch", t->params->epochs > 99 ? 3 : 2, (long long)epoch + 1,
                   (long long)t->params->epochs, record[RT_HISTORY_TRAIN_LOSS], accuracy, held, rate < 1e4 ? 0 : 1,
                   rate < 1e4 ? rate : rate / 1e3, rate < 1e4 ? "" : "k", record[RT_HISTORY_SECONDS]);
}

/* Best by accuracy, then by loss; for regression by loss. */
static void remember_best(RtTrainer *t, int64_t epoch, double loss, double accuracy)
{
  bool better = isnan(accuracy) ? loss < t->best_loss
                                : accuracy > t->best_accuracy || (accuracy == t->best_accuracy && loss < t->best_loss);

  if (!t->best || !better) return;
  memcpy(t->best, t->parameter, (size_t)t->graph->flat * sizeof(float));
  memcpy(t->best_state, t->graph->state, (size_t)t->graph->state_flat * sizeof(float));
  t->best_epoch = epoch + 1;
  t->best_accuracy = accuracy;
  t->best_loss = loss;
}

PetscErrorCode rt_trainer_end_epoch(RtTrainer *t, int64_t epoch, bool *stopped)
{
  double *record = t->history + epoch * t->columns, seconds = MPI_Wtime() - t->epoch_start, loss, accuracy;
  bool left_out;

  PetscFunctionBegin;
  PetscCall(rt_guard_parameters(t));
  PetscCall(rt_holdout_evaluate(t, &loss, &accuracy, &left_out));
  *stopped = *stopped || left_out;
  if (left_out) PetscFunctionReturn(0);
  PetscCall(sum_up(t, epoch, seconds, record));
  if (t->full) rt_fullbatch_record(t, record);
  record[RT_HISTORY_HOLDOUT_LOSS] = loss;
  record[RT_HISTORY_HOLDOUT_ACCURACY] = accuracy;
  remember_best(t, epoch, loss, accuracy);
  t->records = epoch + 1;
  print_epoch(t, epoch, record);
  PetscCall(rt_history_write(t));
  PetscCall(rt_checkpoint_step(t));
  PetscFunctionReturn(0);
}

/* Steps until the epoch ends or somebody asks to stop. */
static PetscErrorCode train_epoch(RtTrainer *t, int64_t epoch, bool *stopped)
{
  RtProgress progress;
  RtVerdict verdict = {0};
  char title[96];

  PetscFunctionBegin;
  snprintf(title, sizeof(title), "%s epoch %lld/%lld", t->params->role, (long long)epoch + 1,
           (long long)t->params->epochs);
  rt_message_progress_start(&progress, title, "samples", t->steps * t->params->batch);
  t->epoch_start = MPI_Wtime();
  while (t->step < (epoch + 1) * t->steps && !verdict.stop) {
    PetscCall(train_step(t, epoch, &verdict));
    rt_message_progress_show(&progress, (t->step - epoch * t->steps) * t->params->batch);
    if (!verdict.stop && t->step < (epoch + 1) * t->steps) PetscCall(rt_checkpoint_step(t));
  }
  rt_message_progress_clear(&progress);
  *stopped = verdict.stop && t->step < t->params->epochs * t->steps;
  PetscFunctionReturn(0);
}

static PetscErrorCode train_epochs(RtTrainer *t, bool *stopped)
{
  PetscFunctionBegin;
  for (int64_t epoch = t->records; epoch < t->params->epochs && !*stopped; epoch++) {
    PetscCall(train_epoch(t, epoch, stopped));
    if (t->step == (epoch + 1) * t->steps) PetscCall(rt_trainer_end_epoch(t, epoch, stopped));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode train(RtTrainer *t, RtTrainerResult *result)
{
  const RtTrainerParams *p = t->params;
  bool found;

  PetscFunctionBegin;
  PetscCall(rt_checkpoint_read(t, &found));
  t->saved_step = t->step;
  if (found)
    rt_message_print("%s: going on after %s %lld, step %lld of %lld", p->role, t->full ? "iteration" : "epoch",
                     (long long)t->records, (long long)(t->step - t->records * t->steps), (long long)t->steps);
  t->began = t->step;
  PetscCall(t->full ? rt_fullbatch_train(t, &result->stopped) : train_epochs(t, &result->stopped));
  if (result->stopped) PetscCall(rt_checkpoint_write(t));
  PetscCall(rt_checkpoint_wait(t));
  result->epochs = t->records;
  result->best_epoch = t->best_epoch ? t->best_epoch : t->records;
  result->accuracy = t->best_epoch ? t->best_accuracy
                     : t->predictor && t->records
                         ? t->history[(t->records - 1) * t->columns + RT_HISTORY_HOLDOUT_ACCURACY]
                         : NAN;
  if (result->stopped) PetscFunctionReturn(0);
  PetscCall(PetscArraycpy(t->graph->parameter, t->best_epoch ? t->best : t->parameter, t->graph->flat));
  if (t->best_epoch) PetscCall(PetscArraycpy(t->graph->state, t->best_state, t->graph->state_flat));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_trainer_check(const RtTrainerParams *params, int ranks, const RtGraph *graph)
{
  PetscFunctionBegin;
  RtCheck(ranks <= params->lanes,
          "%d ranks are more than the %d lanes that share a batch; use fewer ranks or set more lanes", ranks,
          params->lanes);
  if (!params->optimizer->update) PetscCall(rt_fullbatch_check(params, graph));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_trainer_run(MPI_Comm comm, const RtTrainerParams *params, const RtFeedSource *input, RtGraph *graph,
                              RtTrainerResult *result)
{
  RtTrainer t = {.params = params, .input = input, .graph = graph};
  MPI_Comm meeting;
  PetscErrorCode error;

  PetscFunctionBegin;
  *result = (RtTrainerResult){0};
  PetscCallMPI(MPI_Comm_size(comm, &t.size));
  PetscCall(rt_trainer_check(params, t.size, graph));
  PetscCallMPI(MPI_Comm_dup(comm, &t.comm));
  PetscCallMPI(MPI_Comm_dup(comm, &meeting));
  error = rt_message_meet(meeting, start(&t));
  if (!error) error = rt_message_meet(meeting, train(&t, result)); /* communicators are freed by all */
  PetscCall(finish(&t));
  PetscCallMPI(MPI_Comm_free(&meeting));
  PetscCallMPI(MPI_Comm_free(&t.comm));
  PetscCall(error);
  PetscFunctionReturn(0);
}
