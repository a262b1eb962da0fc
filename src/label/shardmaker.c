#include "label/shardmaker.h"

#include "comm/agree.h"
#include "core/background.h"
#include "core/fault.h"
#include "core/memory.h"
#include "core/message.h"
#include "label/dealer.h"

#include <stdatomic.h>
#include <time.h>

enum {
  PIECE = 32 << 20 /* bytes of samples read at once, so that a request to stop need not wait for a whole shard */
};

static const double finishing = 1;   /* seconds that a shard in hand may still take after a request to stop */
static const double shortest = 0.02; /* seconds between two tries for shards that other jobs have in hand, at first */
static const double longest = 1;     /* … and later */

typedef struct Maker Maker;

/* Room for a shard in work. There are two: one has the shard in hand; into the other one the next shard is read while
   its last one, perhaps, is still being written. */
typedef struct {
  Maker *maker;
  int64_t shard;                     /* to make; below 0: none */
  RtSamples samples;                 /* its input, as long as the longest shard */
  int64_t read;                      /* what to wait for before it is there */
  double reading;                    /* seconds that took */
  int64_t last;                      /* the shard that these are of … */
  float *data[RT_LABELSTORE_FIELDS]; /* [fields][shard, views, width] */
  int64_t written;                   /* … and what to wait for before they may be overwritten */
  double writing;
} Slot;

struct Maker {
  const RtInference *teacher;
  RtDealer *dealer;
  RtBackground *background;
  Slot slot[2];
  Slot *next;         /* the one that is read ahead into */
  int64_t *sample;    /* [shard] numbers of the samples of the shard in hand */
  bool stop;          /* asked for, here or on another rank; or a shard could not be written */
  bool dropped;       /* the shard in hand */
  atomic_bool cancel; /* what is being read is not wanted any more */
  atomic_bool failed; /* a shard could not be written */
  atomic_llong made;
  RtProgress progress;
  int64_t rows;            /* samples times views, for each model, in the shard in hand */
  PetscErrorCode error;    /* of looking at it */
  double begun, before;    /* its inference, and the last look at how far that is */
  double taking;           /* seconds of it that went into taking the next one */
  double reading, writing; /* seconds that the last shard took */
  double compute, input, output, waited;
};

/* --- in the background ------------------------------------------------------------------------------------------- */

/* As MPI_Wtime, which only one thread may call. */
static double seconds(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static PetscErrorCode read_slot(void *context)
{
  Slot *s = context;
  const RtInference *t = s->maker->teacher;
  int64_t piece = PetscMax(PIECE / rt_samples_bytes(t->info, t->want), 1);
  double start = seconds();

  PetscFunctionBegin;
  for (int64_t at = 0; at < s->samples.count && !t->shares && !atomic_load(&s->maker->cancel); at += piece)
    PetscCall(rt_samples_read(t->dataset, at, PetscMin(piece, s->samples.count - at), &s->samples));
  s->reading = seconds() - start;
  PetscFunctionReturn(0);
}

static PetscErrorCode write_slot(void *context)
{
  Slot *s = context;
  Maker *m = s->maker;
  double start = seconds();
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_labelstore_write(m->teacher->dir, &m->teacher->store, s->last, (const float *const *)s->data,
                              m->teacher->record);
  rt_dealer_release(m->dealer, s->last);
  if (error)
    atomic_store(&m->failed, true);
  else
    atomic_fetch_add(&m->made, 1);
  s->writing = seconds() - start;
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* --- taking shards ----------------------------------------------------------------------------------------------- */

static PetscErrorCode look_around(Maker *m)
{
  PetscFunctionBegin;
  if (atomic_load(&m->failed) && !m->stop) PetscCall(rt_dealer_close(m->dealer));
  PetscCall(rt_dealer_look(m->dealer, &m->stop));
  rt_message_progress_show(&m->progress, rt_dealer_given(m->dealer) * m->teacher->store.shard);
  PetscFunctionReturn(0);
}

/* Wait for the background. drop: a request to stop is also one to read no further. total: seconds spent so. */
static PetscErrorCode await(Maker *m, int64_t ticket, bool drop, double *total)
{
  double start = seconds();

  PetscFunctionBegin;
  while (!rt_background_done(m->background, ticket)) {
    PetscCall(look_around(m));
    if (drop && m->stop) atomic_store(&m->cancel, true);
    nanosleep(&(struct timespec){0, 200000}, NULL);
  }
  *total += seconds() - start;
  PetscCall(rt_background_wait(m->background, ticket));
  PetscFunctionReturn(0);
}

/* Try to have a shard in the slot, and its samples read. */
static PetscErrorCode try_one(Maker *m, Slot *slot)
{
  const RtLabelstoreInfo *store = &m->teacher->store;

  PetscFunctionBegin;
  PetscCall(rt_dealer_next(m->dealer, &slot->shard));
  if (slot->shard < 0) PetscFunctionReturn(0);
  slot->samples.first = slot->shard * store->shard;
  slot->samples.count = rt_labelstore_count(store, slot->shard);
  PetscCall(rt_background_submit(m->background, read_slot, slot, &slot->read));
  PetscFunctionReturn(0);
}

/* Wait so long, or until there is a request to stop. */
static PetscErrorCode pause_for(Maker *m, double pause)
{
  double start = seconds();

  PetscFunctionBegin;
  while (!m->stop && seconds() - start < pause) {
    nanosleep(&(struct timespec){0, 10000000}, NULL);
    PetscCall(look_around(m));
  }
  m->waited += seconds() - start;
  PetscFunctionReturn(0);
}

/* Have a shard in the slot. It stays empty where all are made, or where this is to stop. */
static PetscErrorCode take(Maker *m, Slot *slot)
{
  double start = seconds(), waited = m->waited, pause = shortest;

  PetscFunctionBegin;
  PetscCall(look_around(m));
  while (slot->shard < 0 && !m->stop && !rt_dealer_empty(m->dealer)) {
    bool dealt = rt_dealer_dealt(m->dealer);

    PetscCall(try_one(m, slot));
    if (slot->shard < 0 && dealt && !rt_dealer_empty(m->dealer)) {
      PetscCall(pause_for(m, pause));
      pause = PetscMin(2 * pause, longest);
    }
    PetscCall(look_around(m));
  }
  m->input += seconds() - start - (m->waited - waited);
  PetscFunctionReturn(0);
}

/* --- making them ------------------------------------------------------------------------------------------------- */

/* Between two micro-batches of the shard in hand: is it to be dropped? The next one is taken as late as its samples
   allow, so that at the end a slow rank has no shard before it that others could have made. */
static PetscErrorCode look_at_shard(Maker *m, int64_t done)
{
  double now = seconds(), left = (now - m->begun - m->taking) / (double)done * (double)(m->rows - done), ahead;

  PetscFunctionBegin;
  PetscCall(look_around(m));
  m->dropped = m->stop && left > finishing;
  ahead = now - m->before + 2 * m->reading; /* and one micro-batch, as long as the last one took */
  if (!rt_background_done(m->background, m->next->written)) ahead += m->writing;
  m->before = now;
  if (m->stop || rt_dealer_dealt(m->dealer) || m->next->shard >= 0 || left > ahead) PetscFunctionReturn(0);
  PetscCall(try_one(m, m->next));
  m->before = seconds();
  m->taking += m->before - now;
  m->input += m->before - now;
  PetscFunctionReturn(0);
}

static bool watch(void *context, int64_t done)
{
  Maker *m = context;

  m->error = look_at_shard(m, done);
  return m->error || m->dropped;
}

/* The teacher's inference for a shard whose samples are there. */
static PetscErrorCode compute(Maker *m, Slot *slot)
{
  double start = seconds();
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_STEP));
  for (int64_t i = 0; i < slot->samples.count; i++) m->sample[i] = slot->samples.first + i;
  m->rows = slot->samples.count * m->teacher->store.views * m->teacher->teacher.models;
  m->begun = m->before = seconds();
  m->taking = 0;
  if (m->teacher->shares)
    error = rt_inference_mix(m->teacher, slot->shard, slot->data[0]);
  else
    error = rt_inference_run(m->teacher, &slot->samples, slot->samples.count, m->sample, slot->data, watch, m);
  m->compute += seconds() - start - m->taking;
  PetscCall(error);
  PetscCall(m->error);
  PetscFunctionReturn(0);
}

static PetscErrorCode make_shards(Maker *m)
{
  Slot *now = &m->slot[0];

  PetscFunctionBegin;
  m->next = &m->slot[1];
  PetscCall(take(m, now));
  while (now->shard >= 0) {
    PetscCall(await(m, now->read, true, &m->input));
    m->reading = now->reading;
    PetscCall(await(m, now->written, false, &m->output));
    m->writing = now->writing;
    m->dropped = m->stop;
    if (!m->dropped) PetscCall(compute(m, now));
    if (m->dropped) break;
    now->last = now->shard;
    PetscCall(rt_background_submit(m->background, write_slot, now, &now->written));
    now->shard = -1;
    if (m->next->shard < 0) PetscCall(take(m, m->next));
    now = m->next;
    m->next = &m->slot[now == &m->slot[0]];
  }
  for (int i = 0; i < 2; i++) PetscCall(await(m, m->slot[i].written, false, &m->output));
  PetscCall(rt_dealer_wait(m->dealer));
  PetscFunctionReturn(0);
}

/* --- the beginning and the end ----------------------------------------------------------------------------------- */

static PetscErrorCode open_slot(Maker *m, Slot *slot)
{
  const RtLabelstoreInfo *store = &m->teacher->store;
  int64_t samples = PetscMin(store->shard, store->samples), numbers;

  PetscFunctionBegin;
  slot->maker = m;
  slot->shard = -1;
  for (int f = 0; f < store->fields; f++) {
    RtCheck(!__builtin_mul_overflow(samples, (int64_t)store->views * store->field[f].width, &numbers) &&
                numbers < INT64_MAX / 8,
            "-label_shard %lld: the %s of a shard are too many for any memory", (long long)store->shard,
            store->field[f].name);
    PetscCall(rt_memory_create((size_t)numbers * sizeof(float), &slot->data[f]));
  }
  PetscCall(rt_samples_create(m->teacher->info, m->teacher->want, samples, &slot->samples));
  PetscFunctionReturn(0);
}

static PetscErrorCode open_maker(Maker *m)
{
  const RtLabelstoreInfo *store = &m->teacher->store;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(PetscMin(store->shard, store->samples), &m->sample));
  for (int i = 0; i < 2; i++) PetscCall(open_slot(m, &m->slot[i]));
  PetscCall(rt_background_create(&m->background));
  PetscFunctionReturn(0);
}

/* What the background still does is waited for, before anything of it goes. */
static PetscErrorCode close_maker(Maker *m)
{
  PetscFunctionBegin;
  atomic_store(&m->cancel, true);
  PetscCall(rt_background_destroy(&m->background));
  for (int i = 0; i < 2; i++) {
    PetscCall(rt_samples_free(&m->slot[i].samples));
    for (int f = 0; f < RT_LABELSTORE_FIELDS; f++) PetscCall(rt_memory_destroy(&m->slot[i].data[f]));
  }
  PetscCall(PetscFree(m->sample));
  PetscCall(rt_dealer_destroy(&m->dealer));
  PetscFunctionReturn(0);
}

/* Collective. meeting: for the ends of its parts, and nothing else. */
static PetscErrorCode make(Maker *m, const RtLabelstoreState *state, MPI_Comm meeting)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  RtAgree(meeting, open_maker(m));
  PetscCall(rt_message_meet(meeting, rt_dealer_create(m->teacher, state, &m->dealer)));
  rt_message_progress_start(&m->progress, "label", "samples", rt_dealer_count(m->dealer) * m->teacher->store.shard);
  error = make_shards(m);
  if (error) (void)rt_dealer_close(m->dealer);
  error = rt_message_meet(meeting, error);
  if (!m->stop) rt_message_progress_show(&m->progress, m->progress.total);
  rt_message_progress_clear(&m->progress);
  PetscFunctionReturn(error);
}

static PetscErrorCode sum_up(const Maker *m, RtShardmakerResult *result)
{
  int64_t shards[2] = {(int64_t)atomic_load(&m->made), rt_dealer_others(m->dealer)};
  double time[3] = {m->compute, m->input, m->output}, waited = m->waited;

  PetscFunctionBegin;
  PetscCall(rt_agree_count(m->teacher->job->comm, 2, shards));
  PetscCall(rt_agree_sum(m->teacher->job->comm, 3, time));
  PetscCall(rt_agree_largest(m->teacher->job->comm, 1, &waited));
  *result = (RtShardmakerResult){.made = shards[0],
                                 .others = shards[1],
                                 .compute = time[0],
                                 .input = time[1],
                                 .output = time[2],
                                 .waited = waited};
  PetscFunctionReturn(0);
}

PetscErrorCode rt_shardmaker_run(const RtInference *teacher, const RtLabelstoreState *state, RtShardmakerResult *result)
{
  Maker maker = {.teacher = teacher};
  MPI_Comm meeting;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_dup(teacher->job->comm, &meeting));
  error = make(&maker, state, meeting);
  if (!error) error = rt_message_meet(meeting, sum_up(&maker, result));
  PetscCall(close_maker(&maker));
  PetscCallMPI(MPI_Comm_free(&meeting));
  PetscCall(error);
  PetscFunctionReturn(0);
}
