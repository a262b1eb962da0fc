#include "run/shardmaker.h"

#include "comm/agree.h"
#include "comm/counter.h"
#include "core/background.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/message.h"
#include "data/claims.h"
#include "run/stop.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum {
  PIECE = 32 << 20 /* bytes of samples read at once, so that a request to stop need not wait for a whole shard */
};

static const double finishing = 1;    /* seconds that a shard in hand may still take after a request to stop */
static const double look_every = 0.1; /* seconds between two looks at what other ranks say */
static const double shortest = 0.02;  /* seconds between two tries for shards that other jobs have in hand, at first */
static const double longest = 1;      /* … and later */

typedef struct Maker Maker;

/* Room for a shard in work. There are two: one has the shard in hand; into the other one the next shard is read while
   its last one, perhaps, is still being written. */
typedef struct {
  Maker *maker;
  int64_t shard;     /* to make; below 0: none */
  RtSamples samples; /* its input, as long as the longest shard */
  int64_t read;      /* what to wait for before it is there */
  double reading;    /* seconds that took */
  int64_t last;      /* the shard whose logits these are … */
  float *logits;     /* [shard, views, classes] */
  int64_t written;   /* … and what to wait for before they may be overwritten */
  double writing;
} Slot;

struct Maker {
  const RtInference *teacher;
  const RtLabelstoreState *state;
  RtCounter counter;
  RtClaims *claims;
  RtBackground *background;
  Slot slot[2];
  Slot *next;             /* the one that is read ahead into */
  int64_t *sample;        /* [shard] numbers of the samples of the shard in hand */
  int64_t count, *todo;   /* [count] shards to make, as the check found */
  int64_t asides, *aside; /* [asides] those that other jobs have in hand */
  bool dealt;             /* the counter has no more */
  bool stop;              /* asked for, here or on another rank; or a shard could not be written */
  bool dropped;           /* the shard in hand */
  atomic_bool cancel;     /* what is being read is not wanted any more */
  atomic_bool failed;     /* a shard could not be written */
  atomic_llong made;
  int64_t others;
  RtProgress progress;
  double looked;           /* when we last looked at what others say */
  int64_t rows;            /* samples times views in the shard in hand */
  PetscErrorCode error;    /* of looking at it */
  double begun, before;    /* its inference, and the last look at how far that is */
  double taking;           /* seconds of it that went into taking the next one */
  double reading, writing; /* seconds that the last shard took */
  double compute, input, output, waited;
};

/* --- in the background -----------------------------------------------------------------------------------------------
 */

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
  const RtDatasetInfo *info = s->samples.info;
  size_t bytes = (size_t)info->size * rt_types_size(info->type);
  int64_t piece = PetscMax((int64_t)(PIECE / bytes), 1);
  double start = seconds();

  PetscFunctionBegin;
  for (int64_t at = 0; at < s->samples.count && !atomic_load(&s->maker->cancel); at += piece)
    PetscCall(rt_dataset_read(s->maker->teacher->dataset, s->samples.first + at, PetscMin(piece, s->samples.count - at),
                              (char *)s->samples.input + (size_t)at * bytes, NULL, NULL));
  s->reading = seconds() - start;
  PetscFunctionReturn(0);
}

static void name_shard(int64_t shard, char name[48])
{
  snprintf(name, 48, "shard-%06lld", (long long)shard);
}

static PetscErrorCode write_slot(void *context)
{
  Slot *s = context;
  Maker *m = s->maker;
  char name[48];
  double start = seconds();
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_labelstore_write(m->teacher->dir, &m->teacher->store, s->last, s->logits, m->teacher->record);
  name_shard(s->last, name);
  rt_claims_release(m->claims, name);
  if (error)
    atomic_store(&m->failed, true);
  else
    atomic_fetch_add(&m->made, 1);
  s->writing = seconds() - start;
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* --- what others say -------------------------------------------------------------------------------------------------
 */

static PetscErrorCode look_around(Maker *m)
{
  int64_t dealt;
  double now = seconds();

  PetscFunctionBegin;
  PetscCall(rt_counter_serve(&m->counter));
  if (!m->stop && (rt_stop_asked() || atomic_load(&m->failed))) {
    m->stop = true;
    PetscCall(rt_counter_close(&m->counter));
  }
  if (now - m->looked < look_every) PetscFunctionReturn(0);
  m->looked = now;
  PetscCall(rt_counter_peek(&m->counter, &dealt));
  if (dealt >= RT_COUNTER_CLOSED)
    m->stop = true;
  else
    rt_message_progress_show(&m->progress, PetscMin(dealt, m->count) * m->teacher->store.shard);
  PetscFunctionReturn(0);
}

/* Wait for the background. drop: the request to stop, where there is one, is also one to read no further.
   total: seconds spent so. */
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

/* --- taking shards
 * ---------------------------------------------------------------------------------------------------- */

/* mine: it is claimed, and still to be made. made: another has made it. Neither: another has it in hand. */
static PetscErrorCode try_shard(Maker *m, int64_t shard, bool *mine, bool *made)
{
  const RtInference *t = m->teacher;
  const bool damaged = m->state[shard] == RT_LABELSTORE_DAMAGED; /* at the start; then a look must be thorough */
  RtLabelstoreState now = RT_LABELSTORE_MISSING;
  char name[48], why[RT_LABELSTORE_TEXT];

  PetscFunctionBegin;
  *mine = *made = false;
  name_shard(shard, name);
  if (!damaged) PetscCall(rt_labelstore_look(t->dir, &t->store, shard, false, &now, why));
  if (now != RT_LABELSTORE_THERE) {
    PetscCall(rt_claims_take(m->claims, name, mine));
    if (!*mine) PetscFunctionReturn(0);
    PetscCall(rt_labelstore_look(t->dir, &t->store, shard, damaged, &now, why));
  }
  *made = now == RT_LABELSTORE_THERE;
  m->others += *made;
  if (*mine && *made) rt_claims_release(m->claims, name);
  *mine = !*made;
  PetscFunctionReturn(0);
}

/* Put a claimed shard into a slot and have its samples read. */
static PetscErrorCode begin(Maker *m, Slot *slot, int64_t shard)
{
  const RtLabelstoreInfo *store = &m->teacher->store;

  PetscFunctionBegin;
  slot->shard = shard;
  slot->samples.first = shard * store->shard;
  slot->samples.count = rt_labelstore_count(store, shard);
  PetscCall(rt_background_submit(m->background, read_slot, slot, &slot->read));
  PetscFunctionReturn(0);
}

/* Try the next shard of the counter. */
static PetscErrorCode take_dealt(Maker *m, Slot *slot)
{
  int64_t next;
  bool mine, made;

  PetscFunctionBegin;
  PetscCall(rt_counter_next(&m->counter, &next));
  m->dealt = next >= m->count;
  if (m->dealt) PetscFunctionReturn(0);
  PetscCall(try_shard(m, m->todo[next], &mine, &made));
  if (mine) PetscCall(begin(m, slot, m->todo[next]));
  if (!mine && !made) m->aside[m->asides++] = m->todo[next];
  PetscFunctionReturn(0);
}

/* Try each of those that were put aside, until one is ours. */
static PetscErrorCode take_aside(Maker *m, Slot *slot)
{
  int64_t kept = 0;

  PetscFunctionBegin;
  for (int64_t i = 0; i < m->asides; i++) {
    int64_t shard = m->aside[i];
    bool mine = false, made = false;

    if (slot->shard < 0) PetscCall(try_shard(m, shard, &mine, &made));
    if (mine) PetscCall(begin(m, slot, shard));
    if (!mine && !made) m->aside[kept++] = shard;
  }
  m->asides = kept;
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
  while (slot->shard < 0 && !m->stop && (!m->dealt || m->asides)) {
    PetscCall(look_around(m));
    if (m->stop) break;
    if (!m->dealt) {
      PetscCall(take_dealt(m, slot));
      continue;
    }
    PetscCall(take_aside(m, slot));
    if (slot->shard >= 0 || !m->asides) continue;
    PetscCall(pause_for(m, pause));
    pause = PetscMin(2 * pause, longest);
  }
  m->input += seconds() - start - (m->waited - waited);
  PetscFunctionReturn(0);
}

/* --- making them
 * ------------------------------------------------------------------------------------------------------ */

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
  if (m->stop || m->dealt || m->next->shard >= 0 || left > ahead) PetscFunctionReturn(0);
  PetscCall(take_dealt(m, m->next));
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
  m->rows = slot->samples.count * m->teacher->store.views;
  m->begun = m->before = seconds();
  m->taking = 0;
  error = rt_inference_run(m->teacher, &slot->samples, slot->samples.count, m->sample, slot->logits, watch, m);
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
  PetscFunctionReturn(0);
}

/* --- the beginning and the end
 * ---------------------------------------------------------------------------------------- */

static PetscErrorCode open_slot(Maker *m, Slot *slot)
{
  const RtInference *t = m->teacher;
  int64_t longest_shard = PetscMin(t->store.shard, t->store.samples), logits;

  PetscFunctionBegin;
  slot->maker = m;
  slot->shard = -1;
  slot->samples.info = t->info;
  RtCheck(!__builtin_mul_overflow(longest_shard, (int64_t)t->store.views * t->store.classes, &logits) &&
              logits < INT64_MAX / 8,
          "-label_shard %lld: the logits of a shard are too many for any memory", (long long)t->store.shard);
  PetscCall(
      rt_memory_create((size_t)(longest_shard * t->info->size) * rt_types_size(t->info->type), &slot->samples.input));
  PetscCall(rt_memory_create((size_t)logits * sizeof(float), &slot->logits));
  PetscFunctionReturn(0);
}

/* All that a rank needs. Every rank makes the folder that its shards go to: it may be on another node's disk. */
static PetscErrorCode open_maker(Maker *m)
{
  const RtInference *t = m->teacher;
  int64_t shards = rt_labelstore_shards(&t->store);

  PetscFunctionBegin;
  PetscCall(PetscMalloc3(shards, &m->todo, shards, &m->aside, PetscMin(t->store.shard, t->store.samples), &m->sample));
  for (int64_t s = 0; s < shards; s++)
    if (m->state[s] != RT_LABELSTORE_THERE) m->todo[m->count++] = s;
  for (int i = 0; i < 2; i++) PetscCall(open_slot(m, &m->slot[i]));
  PetscCall(rt_file_mkdir(t->dir));
  PetscCall(rt_claims_create(t->dir, rt_options_real(t->job->options, "label", "claim_seconds"), &m->claims));
  PetscCall(rt_background_create(&m->background));
  PetscFunctionReturn(0);
}

/* What the background still does is waited for; then claims that are left are given back. */
static PetscErrorCode close_maker(Maker *m)
{
  PetscFunctionBegin;
  atomic_store(&m->cancel, true);
  PetscCall(rt_background_destroy(&m->background));
  PetscCall(rt_claims_destroy(&m->claims));
  for (int i = 0; i < 2; i++) {
    PetscCall(rt_memory_destroy(&m->slot[i].samples.input));
    PetscCall(rt_memory_destroy(&m->slot[i].logits));
  }
  PetscCall(PetscFree3(m->todo, m->aside, m->sample));
  PetscFunctionReturn(0);
}

static PetscErrorCode sum_up(const Maker *m, RtShardmakerResult *result)
{
  int64_t shards[2] = {(int64_t)atomic_load(&m->made), m->others};
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

/* Collective. meeting: for the end, and nothing else. */
static PetscErrorCode run(Maker *m, MPI_Comm meeting)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_counter_create(m->teacher->job->comm, &m->counter));
  rt_message_progress_start(&m->progress, "label", "samples", m->count * m->teacher->store.shard);
  error = make_shards(m);
  if (error) (void)rt_counter_close(&m->counter);
  error = rt_message_meet(meeting, error);
  rt_message_progress_show(&m->progress, m->stop ? 0 : m->progress.total);
  rt_message_progress_clear(&m->progress);
  PetscCall(rt_counter_destroy(&m->counter));
  PetscFunctionReturn(error);
}

PetscErrorCode rt_shardmaker_run(const RtInference *teacher, const RtLabelstoreState *state, RtShardmakerResult *result)
{
  Maker maker = {.teacher = teacher, .state = state};
  MPI_Comm meeting;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_dup(teacher->job->comm, &meeting));
  error = rt_message_agree(meeting, open_maker(&maker));
  if (!error) error = run(&maker, meeting);
  PetscCall(close_maker(&maker));
  PetscCallMPI(MPI_Comm_free(&meeting));
  PetscCall(error);
  PetscCall(sum_up(&maker, result));
  PetscFunctionReturn(0);
}
