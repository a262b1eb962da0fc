#include "label/dealer.h"

#include "comm/counter.h"
#include "core/claims.h"
#include "core/file.h"
#include "core/message.h"
#include "core/stop.h"

#include <stdio.h>
#include <time.h>

static const double look_every = 0.1; /* seconds between two looks at what other ranks say */

struct RtDealer {
  const RtInference *teacher;
  const RtLabelstoreState *state;
  RtClaims *claims;
  RtCounter counter, ended; /* of places in todo, and of ranks that have no more to do */
  bool open;                /* the counters */
  int64_t count, *todo;     /* [count] shards, as the check found */
  int64_t asides, *aside;   /* [asides] those that other jobs have in hand */
  int64_t given, others;
  bool dealt, stop;
  double looked; /* when */
};

/* Every rank makes the folder that its shards go to: it may be on another node's disk. */
static PetscErrorCode prepare(RtDealer *d)
{
  const RtInference *t = d->teacher;
  int64_t shards = rt_labelstore_shards(&t->store);

  PetscFunctionBegin;
  PetscCall(PetscMalloc2(shards, &d->todo, shards, &d->aside));
  for (int64_t s = 0; s < shards; s++)
    if (d->state[s] != RT_LABELSTORE_THERE) d->todo[d->count++] = s;
  PetscCall(rt_file_mkdir(t->dir));
  PetscCall(rt_claims_create(t->dir, rt_options_real(t->job->options, "label", "claim_seconds"), &d->claims));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dealer_create(const RtInference *teacher, const RtLabelstoreState *state, RtDealer **dealer)
{
  RtDealer *d;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&d));
  d->teacher = teacher;
  d->state = state;
  error = rt_message_agree(teacher->job->comm, prepare(d));
  if (error) PetscCall(rt_dealer_destroy(&d));
  PetscCall(error);
  PetscCall(rt_counter_create(teacher->job->comm, &d->counter));
  PetscCall(rt_counter_create(teacher->job->comm, &d->ended));
  d->open = true;
  *dealer = d;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dealer_destroy(RtDealer **dealer)
{
  RtDealer *d = *dealer;

  PetscFunctionBegin;
  if (!d) PetscFunctionReturn(0);
  PetscCall(rt_claims_destroy(&d->claims));
  if (d->open) PetscCall(rt_counter_destroy(&d->ended));
  if (d->open) PetscCall(rt_counter_destroy(&d->counter));
  PetscCall(PetscFree2(d->todo, d->aside));
  PetscCall(PetscFree(*dealer));
  PetscFunctionReturn(0);
}

static void name_shard(int64_t shard, char name[48])
{
  snprintf(name, 48, "shard-%06lld", (long long)shard);
}

/* mine: it is claimed, and still to be made. made: another has made it. Neither: another has it in hand. */
static PetscErrorCode try_shard(RtDealer *d, int64_t shard, bool *mine, bool *made)
{
  const RtInference *t = d->teacher;
  const bool damaged = d->state[shard] == RT_LABELSTORE_DAMAGED; /* at the start; then a look must be thorough */
  RtLabelstoreState now = RT_LABELSTORE_MISSING;
  char name[48], why[RT_LABELSTORE_TEXT];

  PetscFunctionBegin;
  *mine = *made = false;
  name_shard(shard, name);
  if (!damaged) PetscCall(rt_labelstore_look(t->dir, &t->store, shard, false, &now, why));
  if (now != RT_LABELSTORE_THERE) {
    PetscCall(rt_claims_take(d->claims, name, mine));
    if (!*mine) PetscFunctionReturn(0);
    PetscCall(rt_labelstore_look(t->dir, &t->store, shard, damaged, &now, why));
  }
  *made = now == RT_LABELSTORE_THERE;
  d->others += *made;
  if (*mine && *made) rt_claims_release(d->claims, name);
  *mine = !*made;
  PetscFunctionReturn(0);
}

/* The next shard of the counter. */
static PetscErrorCode next_dealt(RtDealer *d, int64_t *shard)
{
  int64_t next;
  bool mine, made;

  PetscFunctionBegin;
  PetscCall(rt_counter_next(&d->counter, &next));
  d->dealt = next >= d->count;
  d->given = PetscMin(next, d->count);
  if (d->dealt) PetscFunctionReturn(0);
  PetscCall(try_shard(d, d->todo[next], &mine, &made));
  if (mine) *shard = d->todo[next];
  if (!mine && !made) d->aside[d->asides++] = d->todo[next];
  PetscFunctionReturn(0);
}

/* Each of those that were put aside, until one is ours. */
static PetscErrorCode next_aside(RtDealer *d, int64_t *shard)
{
  int64_t kept = 0;

  PetscFunctionBegin;
  for (int64_t i = 0; i < d->asides; i++) {
    bool mine = false, made = false;

    if (*shard < 0) PetscCall(try_shard(d, d->aside[i], &mine, &made));
    if (mine) *shard = d->aside[i];
    if (!mine && !made) d->aside[kept++] = d->aside[i];
  }
  d->asides = kept;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dealer_next(RtDealer *dealer, int64_t *shard)
{
  PetscFunctionBegin;
  *shard = -1;
  if (dealer->dealt)
    PetscCall(next_aside(dealer, shard));
  else
    PetscCall(next_dealt(dealer, shard));
  PetscFunctionReturn(0);
}

void rt_dealer_release(RtDealer *dealer, int64_t shard)
{
  char name[48];

  name_shard(shard, name);
  rt_claims_release(dealer->claims, name);
}

bool rt_dealer_dealt(const RtDealer *dealer)
{
  return dealer->dealt;
}

bool rt_dealer_empty(const RtDealer *dealer)
{
  return dealer->dealt && !dealer->asides;
}

int64_t rt_dealer_count(const RtDealer *dealer)
{
  return dealer->count;
}

int64_t rt_dealer_given(const RtDealer *dealer)
{
  return dealer->given;
}

int64_t rt_dealer_others(const RtDealer *dealer)
{
  return dealer->others;
}

PetscErrorCode rt_dealer_look(RtDealer *dealer, bool *stop)
{
  double now = MPI_Wtime();
  int64_t next;

  PetscFunctionBegin;
  PetscCall(rt_counter_serve(&dealer->counter));
  if (!dealer->stop && rt_stop_asked()) PetscCall(rt_dealer_close(dealer));
  *stop = dealer->stop;
  if (now - dealer->looked < look_every) PetscFunctionReturn(0);
  dealer->looked = now;
  PetscCall(rt_counter_peek(&dealer->counter, &next));
  if (next >= RT_COUNTER_CLOSED)
    *stop = dealer->stop = true;
  else
    dealer->given = PetscMin(next, dealer->count);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dealer_close(RtDealer *dealer)
{
  PetscFunctionBegin;
  dealer->stop = true;
  PetscCall(rt_counter_close(&dealer->counter));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_dealer_wait(RtDealer *dealer)
{
  int64_t ended;
  bool stop = false;

  PetscFunctionBegin;
  PetscCall(rt_counter_next(&dealer->ended, &ended));
  while (ended < dealer->teacher->job->size && !stop) {
    PetscCall(rt_counter_peek(&dealer->ended, &ended));
    PetscCall(rt_dealer_look(dealer, &stop));
    if (ended < dealer->teacher->job->size) nanosleep(&(struct timespec){0, 10000000}, NULL);
  }
  PetscFunctionReturn(0);
}
