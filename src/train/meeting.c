#include "train/meeting.h"

#include "comm/lanes.h"
#include "core/fault.h"

#include <string.h>

struct RtMeeting {
  RtMeetingParams params;
  int rank, size, first_lane, own_lanes;
  int *lane_count, *lane_first; /* [size] lanes of each rank */
  int64_t *sample;              /* [lanes, rows] */
  float *student[RT_TERMS];     /* [lanes, rows, width] of each term that meets */
  float *teacher[RT_TERMS];
  /* Rows without padding. */
  int64_t batch, first, own;
  int64_t *place;                                       /* [batch] where each row stands among lanes and rows */
  double *value, *gradient, *room;                      /* of own rows; what losses work with */
  double *met_value[RT_TERMS], *met_gradient[RT_TERMS]; /* [own lanes, rows], [own lanes, rows, width] */
  double *all;                                          /* what `share` sends */
};

static bool meets(const RtMeeting *m, int k)
{
  return m->params.objective->terms->term[k].loss->meet;
}

static int width_of(const RtMeeting *m, int k)
{
  return m->params.objective->width[m->params.objective->student[k]];
}

static int teacher_width(const RtMeeting *m, int k)
{
  const RtObjective *o = m->params.objective;

  return o->teacher_width[o->teacher[k]];
}

/* Shape of a term's batch. */
static void describe(const RtObjective *o, int k, int64_t rows, int64_t own, int threads, RtLossBatch *batch)
{
  *batch = (RtLossBatch){.rows = rows,
                         .own = own,
                         .width = o->width[o->student[k]],
                         .teacher_width = o->teacher_width[o->teacher[k]],
                         .option = o->terms->term[k].option,
                         .threads = threads};
}

/* What the term that needs most works with. */
static int64_t room_for(const RtObjective *o, int64_t rows, int64_t own, int threads)
{
  int64_t most = 0;

  for (int k = 0; k < o->terms->count; k++) {
    const RtLoss *loss = o->terms->term[k].loss;
    RtLossBatch batch;

    if (!loss->meet || !loss->room) continue;
    describe(o, k, rows, own, threads, &batch);
    most = PetscMax(most, loss->room(&batch));
  }
  return most;
}

static PetscErrorCode start(RtMeeting *m)
{
  const RtMeetingParams *p = &m->params;
  const int64_t all = p->lanes * p->rows, own = m->own_lanes * p->rows;
  int64_t widest = 1;

  PetscFunctionBegin;
  PetscCall(PetscMalloc2(m->size, &m->lane_count, m->size, &m->lane_first));
  for (int r = 0; r < m->size; r++) rt_lanes_share(p->lanes, r, m->size, &m->lane_first[r], &m->lane_count[r]);
  PetscCall(PetscMalloc2(all, &m->sample, all, &m->place));
  for (int k = 0; k < p->objective->terms->count; k++) {
    if (!meets(m, k)) continue;
    widest = PetscMax(widest, width_of(m, k));
    PetscCall(PetscMalloc2(all * width_of(m, k), &m->student[k], all * teacher_width(m, k), &m->teacher[k]));
    PetscCall(PetscMalloc2(own, &m->met_value[k], own * width_of(m, k), &m->met_gradient[k]));
  }
  PetscCall(PetscMalloc3(own, &m->value, own * widest, &m->gradient, all, &m->all));
  PetscCall(PetscMalloc1(room_for(p->objective, all, own, p->threads), &m->room));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_meeting_create(const RtMeetingParams *params, RtMeeting **meeting)
{
  RtMeeting *m;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&m));
  m->params = *params;
  PetscCallMPI(MPI_Comm_rank(params->comm, &m->rank));
  PetscCallMPI(MPI_Comm_size(params->comm, &m->size));
  rt_lanes_share(params->lanes, m->rank, m->size, &m->first_lane, &m->own_lanes);
  error = start(m);
  if (error) PetscCall(rt_meeting_destroy(&m));
  PetscCall(error);
  *meeting = m;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_meeting_destroy(RtMeeting **meeting)
{
  RtMeeting *m = *meeting;

  PetscFunctionBegin;
  if (!m) PetscFunctionReturn(0);
  for (int k = 0; k < RT_TERMS; k++) {
    PetscCall(PetscFree2(m->student[k], m->teacher[k]));
    PetscCall(PetscFree2(m->met_value[k], m->met_gradient[k]));
  }
  PetscCall(PetscFree2(m->lane_count, m->lane_first));
  PetscCall(PetscFree2(m->sample, m->place));
  PetscCall(PetscFree3(m->value, m->gradient, m->all));
  PetscCall(PetscFree(m->room));
  PetscCall(PetscFree(*meeting));
  PetscFunctionReturn(0);
}

int64_t rt_meeting_bytes(const RtMeeting *meeting)
{
  const RtMeetingParams *p = &meeting->params;
  const int64_t all = p->lanes * p->rows, own = meeting->own_lanes * p->rows;
  int64_t numbers = room_for(p->objective, all, own, p->threads);

  for (int k = 0; k < p->objective->terms->count; k++)
    if (meets(meeting, k))
      numbers += own * (1 + width_of(meeting, k)) + all * (width_of(meeting, k) + teacher_width(meeting, k)) / 2;
  return numbers * (int64_t)sizeof(double);
}

void rt_meeting_bring(RtMeeting *meeting, int lane, const RtObjectiveRows *rows)
{
  const RtMeeting *m = meeting;
  const RtObjective *o = m->params.objective;
  const int64_t at = lane * m->params.rows, count = m->params.rows;

  memcpy(m->sample + at, rows->sample, (size_t)count * sizeof(*m->sample));
  for (int k = 0; k < o->terms->count; k++) {
    const size_t width = (size_t)width_of(m, k);

    if (!meets(m, k)) continue;
    memcpy(m->student[k] + (size_t)at * width, rows->tap[o->student[k]], (size_t)count * width * sizeof(float));
    memcpy(m->teacher[k] + (size_t)at * (size_t)teacher_width(m, k), rows->teacher[o->teacher[k]],
           (size_t)count * (size_t)teacher_width(m, k) * sizeof(float));
  }
}

/* Collective. What each rank has of its lanes, for all; one lane is one element, however long it is. */
static PetscErrorCode gather(const RtMeeting *m, void *data, int64_t numbers, MPI_Datatype type)
{
  MPI_Datatype row, lane;

  PetscFunctionBegin;
  if (m->size == 1) PetscFunctionReturn(0);
  PetscCallMPI(MPI_Type_contiguous((int)numbers, type, &row));
  PetscCallMPI(MPI_Type_contiguous((int)m->params.rows, row, &lane));
  PetscCallMPI(MPI_Type_commit(&lane));
  PetscCallMPI(MPI_Allgatherv(MPI_IN_PLACE, 0, lane, data, m->lane_count, m->lane_first, lane, m->params.comm));
  PetscCallMPI(MPI_Type_free(&lane));
  PetscCallMPI(MPI_Type_free(&row));
  PetscFunctionReturn(0);
}

/* Rows that are samples, in the order of lanes. */
static void list_rows(RtMeeting *m)
{
  const int64_t rows = m->params.rows, own_first = m->first_lane * rows, own_end = own_first + m->own_lanes * rows;

  m->batch = m->first = m->own = 0;
  for (int64_t i = 0; i < m->params.lanes * rows; i++) {
    if (m->sample[i] < 0) continue;
    m->place[m->batch++] = i;
    if (i < own_first) m->first++;
    if (i >= own_first && i < own_end) m->own++;
  }
}

/* Bring the rows together, over the padding between them. */
static void close_up(const RtMeeting *m, float *data, int64_t width)
{
  for (int64_t r = 0; r < m->batch; r++)
    if (m->place[r] != r) memmove(data + r * width, data + m->place[r] * width, (size_t)width * sizeof(float));
}

/* Collective. The numbers of all rows; they travel by lanes, so padding travels too. */
static PetscErrorCode share(void *context, int count, double *value)
{
  RtMeeting *m = context;

  PetscFunctionBegin;
  for (int k = 0; k < count; k++) {
    for (int64_t r = m->first; r < m->first + m->own; r++) m->all[m->place[r]] = value[r * count + k];
    PetscCall(gather(m, m->all, 1, MPI_DOUBLE));
    for (int64_t r = 0; r < m->batch; r++) value[r * count + k] = m->all[m->place[r]];
  }
  PetscFunctionReturn(0);
}

/* Own rows back to their places, zeros at padding. */
static void spread(const RtMeeting *m, int k)
{
  const int64_t rows = m->own_lanes * m->params.rows, width = width_of(m, k), begin = m->first_lane * m->params.rows;

  memset(m->met_value[k], 0, (size_t)rows * sizeof(double));
  memset(m->met_gradient[k], 0, (size_t)(rows * width) * sizeof(double));
  for (int64_t r = 0; r < m->own; r++) {
    const int64_t to = m->place[m->first + r] - begin;

    m->met_value[k][to] = m->value[r];
    memcpy(m->met_gradient[k] + to * width, m->gradient + r * width, (size_t)width * sizeof(double));
  }
}

PetscErrorCode rt_meeting_hold(RtMeeting *meeting, const RtObjectiveRows *now)
{
  RtMeeting *m = meeting;
  const RtObjective *o = m->params.objective;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_SEND));
  PetscCall(gather(m, m->sample, 1, MPI_INT64_T));
  list_rows(m);
  for (int k = 0; k < o->terms->count; k++) {
    RtLossBatch batch;

    if (!meets(m, k)) continue;
    PetscCall(gather(m, m->student[k], width_of(m, k), MPI_FLOAT));
    PetscCall(gather(m, m->teacher[k], teacher_width(m, k), MPI_FLOAT));
    close_up(m, m->student[k], width_of(m, k));
    close_up(m, m->teacher[k], teacher_width(m, k));
    describe(o, k, m->batch, m->own, m->params.threads, &batch);
    rt_terms_now(&o->terms->term[k], now->step, now->total, now->epoch, &batch.weight, &batch.temperature);
    batch.first = m->first;
    batch.student = m->student[k];
    batch.teacher = m->teacher[k];
    batch.room = m->room;
    batch.share = share;
    batch.context = m;
    PetscCall(o->terms->term[k].loss->meet(&batch, m->value, m->gradient));
    spread(m, k);
  }
  PetscFunctionReturn(0);
}

RtObjectiveMet rt_meeting_met(const RtMeeting *meeting, int lane)
{
  RtObjectiveMet met = {{NULL}, {NULL}};
  const int64_t at = (lane - meeting->first_lane) * meeting->params.rows;

  for (int k = 0; k < meeting->params.objective->terms->count; k++) {
    if (!meets(meeting, k)) continue;
    met.value[k] = meeting->met_value[k] + at;
    met.gradient[k] = meeting->met_gradient[k] + at * width_of(meeting, k);
  }
  return met;
}

/* All rows are here. */
static PetscErrorCode keep(void *context, int count, double *value)
{
  PetscFunctionBegin;
  (void)context, (void)count, (void)value;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_meeting_alone_create(const RtObjective *objective, int64_t rows, RtMeetingAlone *alone)
{
  PetscFunctionBegin;
  *alone = (RtMeetingAlone){.room = NULL};
  for (int k = 0; k < objective->terms->count; k++) {
    if (!objective->terms->term[k].loss->meet) continue;
    PetscCall(PetscMalloc1(rows, &alone->met.value[k]));
    PetscCall(PetscMalloc1(rows * objective->width[objective->student[k]], &alone->met.gradient[k]));
  }
  PetscCall(PetscMalloc1(room_for(objective, rows, rows, 1), &alone->room));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_meeting_alone_destroy(RtMeetingAlone *alone)
{
  PetscFunctionBegin;
  for (int k = 0; k < RT_TERMS; k++) {
    PetscCall(PetscFree(alone->met.value[k]));
    PetscCall(PetscFree(alone->met.gradient[k]));
  }
  PetscCall(PetscFree(alone->room));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_meeting_alone(const RtObjective *objective, const RtObjectiveRows *rows, RtMeetingAlone *alone)
{
  PetscFunctionBegin;
  for (int k = 0; k < objective->terms->count; k++) {
    const RtTerm *term = &objective->terms->term[k];
    RtLossBatch batch;

    if (!term->loss->meet) continue;
    describe(objective, k, rows->rows, rows->rows, 1, &batch);
    rt_terms_now(term, rows->step, rows->total, rows->epoch, &batch.weight, &batch.temperature);
    batch.student = rows->tap[objective->student[k]];
    batch.teacher = rows->teacher[objective->teacher[k]];
    batch.room = alone->room;
    batch.share = keep;
    PetscCall(term->loss->meet(&batch, alone->met.value[k], alone->met.gradient[k]));
  }
  PetscFunctionReturn(0);
}
