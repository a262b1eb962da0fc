#include "data/window.h"

#include "core/background.h"
#include "core/memory.h"
#include "data/gather.h"
#include "data/order.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Consecutive entries of the pool that go to consecutive places. */
typedef struct {
  int64_t pool, count, place;
} Run;

/* One window of each own lane, one lane after the other. */
typedef struct {
  RtWindow *window;
  int64_t number; /* from the start of the run: epoch * windows + window of the epoch */
  int64_t ticket; /* of its reading */
  RtSamples list;
  float *teacher; /* [list.count, width] */
} Set;

struct RtWindow {
  const RtFeedParams *params;
  const RtFeedSource *source;
  RtOrder order;
  RtGather *gather;
  RtBackground *background;
  Set set[2];  /* window n is in set n % 2 */
  int64_t now; /* window that the lanes use; -1: none yet */
  Run *run;    /* of the set that is being read */
  atomic_bool stopping;
};

/* Place at which a lane's window begins in a set. */
static int64_t lane_place(const RtWindow *w, int lane)
{
  return w->order.span * (rt_order_before(&w->order, lane) - rt_order_before(&w->order, w->params->first_lane));
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
  const Run *x = a, *y = b;

  return (x->pool > y->pool) - (x->pool < y->pool);
}

/* What the own lanes see in a window, in the order of the file: so each chunk of it is unpacked once. */
static int64_t find_runs(const RtWindow *w, int64_t epoch, int64_t window)
{
  const RtFeedParams *p = w->params;
  RtOrderEpoch of;
  int64_t runs = 0;

  rt_order_epoch(&w->order, epoch, &of);
  for (int lane = p->first_lane; lane < p->first_lane + p->own_lanes; lane++) {
    int64_t position, count, place = lane_place(w, lane);

    rt_order_window(&w->order, window, lane, &position, &count);
    while (count > 0) {
      Run *run = &w->run[runs++];

      run->count = rt_order_run(&w->order, &of, position, count, &run->pool);
      run->place = place;
      position += run->count;
      place += run->count;
      count -= run->count;
    }
  }
  qsort(w->run, (size_t)runs, sizeof(Run), compare);
  return runs;
}

/* In the background. */
static PetscErrorCode read_set(void *context)
{
  Set *set = context;
  RtWindow *w = set->window;
  const int64_t epoch = w->params->repeat ? 0 : set->number / w->order.windows, views = PetscMax(1, w->source->views);
  const int64_t runs = find_runs(w, epoch, set->number % w->order.windows);

  PetscFunctionBegin;
  for (int64_t i = 0; i < runs && !atomic_load(&w->stopping); i++) {
    const Run *run = &w->run[i];

    rt_sampler_pool(w->source->sampler, run->pool, run->count, set->list.number + run->place);
    PetscCall(rt_gather_read(w->gather, run->place, run->count, &set->list, (int)(epoch % views), set->teacher));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode submit(RtWindow *w, int64_t number)
{
  Set *set = &w->set[number % 2];

  PetscFunctionBegin;
  set->number = number;
  if (number < w->params->epochs * w->order.windows)
    PetscCall(rt_background_submit(w->background, read_set, set, &set->ticket));
  PetscFunctionReturn(0);
}

/* From the start of the run. */
static int64_t number_of(const RtWindow *w, int64_t epoch, int64_t step)
{
  return epoch * w->order.windows + step / w->order.span;
}

bool rt_window_turns(const RtWindow *window, int64_t epoch, int64_t step)
{
  return number_of(window, epoch, step) != window->now;
}

PetscErrorCode rt_window_prepare(RtWindow *window, int64_t epoch, int64_t step)
{
  const int64_t number = number_of(window, epoch, step);

  PetscFunctionBegin;
  if (!rt_window_turns(window, epoch, step)) PetscFunctionReturn(0);
  if (window->now < 0) {
    PetscCall(submit(window, number));
  } else if (window->set[number % 2].number != number) { /* the end of an epoch is left out */
    PetscCall(rt_background_wait(window->background, window->set[(window->now + 1) % 2].ticket));
    PetscCall(submit(window, number));
  }
  PetscCall(submit(window, number + 1)); /* into the memory of the one before */
  PetscCall(rt_background_wait(window->background, window->set[number % 2].ticket));
  window->now = number;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_window_list(RtWindow *window, RtSamples *list, float *logits)
{
  PetscFunctionBegin;
  PetscCall(rt_gather_read(window->gather, 0, list->count, list, 0, logits));
  PetscFunctionReturn(0);
}

const RtSamples *rt_window_lane(const RtWindow *window, int64_t epoch, int64_t step, int lane, int64_t *place,
                                const float **teacher)
{
  const Set *set = &window->set[window->now % 2];
  const int64_t first = lane_place(window, lane);

  rt_order_places(&window->order, epoch, step, lane, place);
  for (int64_t r = 0; r < window->order.rows; r++)
    if (place[r] >= 0) place[r] += first;
  *teacher = set->teacher;
  return &set->list;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static PetscErrorCode start(RtWindow *w)
{
  const RtFeedSource *s = w->source;
  const RtFeedParams *p = w->params;
  int64_t places, runs = 0;

  PetscFunctionBegin;
  rt_order_create(s->sampler->seed, s->sampler->count, p->batch, p->lanes, s->window, s->block, &w->order);
  places = lane_place(w, p->first_lane + p->own_lanes);
  /* a lane's window may begin and end inside of blocks, and contain the short one */
  for (int lane = p->first_lane; lane < p->first_lane + p->own_lanes; lane++)
    runs += (lane_place(w, lane + 1) - lane_place(w, lane)) / s->block + 3;
  PetscCall(PetscMalloc1(runs, &w->run));
  PetscCall(
      rt_gather_create(s->dataset, s->want, s->width ? s->store : NULL, s->labels, s->piece, s->open, &w->gather));
  for (int i = 0; i < 2; i++) {
    w->set[i].window = w;
    PetscCall(rt_samples_reserve(s->info, s->want, places, &w->set[i].list));
    if (s->width) PetscCall(rt_memory_create((size_t)(places * s->width) * sizeof(float), &w->set[i].teacher));
  }
  PetscCall(rt_background_create(&w->background));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_window_create(const RtFeedParams *params, RtWindow **window)
{
  PetscErrorCode error;
  RtWindow *w;

  PetscFunctionBegin;
  PetscCall(PetscNew(&w));
  w->params = params;
  w->source = params->source;
  w->now = -1;
  atomic_init(&w->stopping, false);
  error = start(w);
  if (error) PetscCall(rt_window_destroy(&w));
  PetscCall(error);
  *window = w;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_window_destroy(RtWindow **window)
{
  RtWindow *w = *window;

  PetscFunctionBegin;
  if (!w) PetscFunctionReturn(0);
  atomic_store(&w->stopping, true);
  PetscCall(rt_background_destroy(&w->background));
  for (int i = 0; i < 2; i++) {
    PetscCall(rt_samples_free(&w->set[i].list));
    PetscCall(rt_memory_destroy(&w->set[i].teacher));
  }
  PetscCall(rt_gather_destroy(&w->gather));
  PetscCall(PetscFree(w->run));
  PetscCall(PetscFree(*window));
  PetscFunctionReturn(0);
}
