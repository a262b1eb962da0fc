#include "data/feed.h"

#include "data/window.h"

#include <string.h>

struct RtFeed {
  RtFeedParams params;
  int64_t rows; /* of a lane */
  RtWindow *window;
  RtFeedHoldout holdout;
  int64_t *held; /* [holdout.count] */
  RtSamples held_samples;
  float *held_teacher; /* [holdout.count, width] */
};

int64_t rt_feed_micro(const RtFeedSource *source)
{
  return PetscMin(256, source->sampler->held);
}

int rt_feed_fields(const RtFeedSource *source, int width[RT_LABELSTORE_FIELDS])
{
  width[0] = source->width;
  for (int f = 0; source->store && f < source->store->fields; f++) width[f] = source->store->field[f].width;
  return !source->width ? 0 : source->store ? source->store->fields : 1;
}

void rt_feed_split(const RtFeedSource *source, const float *row, int64_t r, float *const *field)
{
  int width[RT_LABELSTORE_FIELDS], fields = rt_feed_fields(source, width);

  for (int f = 0; f < fields; f++) {
    if (row)
      memcpy(field[f] + r * width[f], row, (size_t)width[f] * sizeof(float));
    else
      memset(field[f] + r * width[f], 0, (size_t)width[f] * sizeof(float));
    if (row) row += width[f];
  }
}

/* Numbers of the held-out samples of this rank. */
static PetscErrorCode share_holdout(RtFeed *f)
{
  const RtSampler *sampler = f->params.source->sampler;
  const int64_t micro = rt_feed_micro(f->params.source);
  int64_t count = 0;

  PetscFunctionBegin;
  for (int pass = 0; pass < 2; pass++) {
    if (pass) PetscCall(PetscMalloc1(count, &f->held));
    count = 0;
    for (int64_t at = f->params.rank * micro; at < sampler->held; at += f->params.size * micro)
      for (int64_t i = at; i < PetscMin(at + micro, sampler->held); i++, count++)
        if (pass) f->held[count] = sampler->held_out[i];
  }
  f->holdout.count = count;
  f->holdout.sample = f->held;
  PetscFunctionReturn(0);
}

/* Read them into a list of their own. */
static PetscErrorCode read_holdout(RtFeed *f)
{
  const RtFeedSource *s = f->params.source;
  const int64_t count = f->holdout.count;

  PetscFunctionBegin;
  PetscCall(rt_samples_reserve(s->info, s->want, count, &f->held_samples));
  if (s->width) PetscCall(PetscMalloc1(count * s->width, &f->held_teacher));
  for (int64_t i = 0; i < count; i++) {
    f->held_samples.number[i] = f->held[i];
    f->held[i] = i;
  }
  PetscCall(rt_window_list(f->window, &f->held_samples, f->held_teacher));
  f->holdout.samples = &f->held_samples;
  f->holdout.teacher = f->held_teacher;
  f->holdout.stride = s->width;
  PetscFunctionReturn(0);
}

static PetscErrorCode start(RtFeed *f)
{
  const RtFeedSource *s = f->params.source;

  PetscFunctionBegin;
  PetscCall(share_holdout(f));
  if (s->samples) {
    f->holdout.samples = s->samples;
    f->holdout.teacher = s->teacher;
    f->holdout.stride = (int64_t)s->views * s->width;
  } else {
    PetscCall(rt_window_create(&f->params, &f->window));
    PetscCall(read_holdout(f));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_feed_create(const RtFeedParams *params, RtFeed **feed)
{
  PetscErrorCode error;
  RtFeed *f;

  PetscFunctionBegin;
  PetscCall(PetscNew(&f));
  f->params = *params;
  f->rows = (params->batch + params->lanes - 1) / params->lanes;
  error = start(f);
  if (error) PetscCall(rt_feed_destroy(&f));
  PetscCall(error);
  *feed = f;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_feed_destroy(RtFeed **feed)
{
  PetscFunctionBegin;
  if (!*feed) PetscFunctionReturn(0);
  PetscCall(rt_window_destroy(&(*feed)->window));
  PetscCall(PetscFree((*feed)->held));
  PetscCall(PetscFree((*feed)->held_teacher));
  PetscCall(rt_samples_free(&(*feed)->held_samples));
  PetscCall(PetscFree(*feed));
  PetscFunctionReturn(0);
}

const RtFeedHoldout *rt_feed_holdout(const RtFeed *feed)
{
  return &feed->holdout;
}

bool rt_feed_turns(const RtFeed *feed, int64_t epoch, int64_t step)
{
  return feed->window && rt_window_turns(feed->window, epoch, step);
}

PetscErrorCode rt_feed_prepare(RtFeed *feed, int64_t epoch, int64_t step)
{
  PetscFunctionBegin;
  if (feed->window) PetscCall(rt_window_prepare(feed->window, epoch, step));
  PetscFunctionReturn(0);
}

/* Which view of a sample an epoch sees. */
static int64_t view_of(const RtFeedSource *source, int64_t epoch)
{
  if (source->views > 0) return epoch % source->views;
  return source->augment->active ? epoch + 1 : 0;
}

/* Positions of the shuffled whole. */
static void choose(const RtFeed *f, int64_t epoch, int64_t step, int lane, int64_t *sample)
{
  int64_t at = lane * f->rows, rows = PetscMin(f->rows, f->params.batch - at);

  for (int64_t r = 0; r < f->rows; r++) sample[r] = -1; /* padding of the last lane and the last batch */
  if (rows > 0) rt_sampler_get(f->params.source->sampler, epoch, step * f->params.batch + at, rows, sample);
}

void rt_feed_lane(const RtFeed *feed, int64_t epoch, int64_t step, int lane, const RtFeedRows *rows)
{
  const RtFeedSource *s = feed->params.source;
  const int64_t order = feed->params.repeat ? 0 : epoch, view = view_of(s, order), width = s->width;
  const RtSamples *samples = s->samples;
  const float *teacher = s->teacher ? s->teacher + view * width : NULL;
  int64_t stride = s->views * width;

  if (samples)
    choose(feed, order, step, lane, rows->sample);
  else {
    samples = rt_window_lane(feed->window, order, step, lane, rows->sample, &teacher);
    stride = width;
  }
  for (int i = 0; i < rows->reads; i++)
    if (rows->to[i]) rt_samples_fill(samples, rows->read[i], s->augment, feed->rows, rows->sample, view, rows->to[i]);
  for (int64_t r = 0; rows->teacher && r < feed->rows; r++)
    rt_feed_split(s, rows->sample[r] < 0 ? NULL : teacher + rows->sample[r] * stride, r, rows->teacher);
  for (int64_t r = 0; samples->number && r < feed->rows; r++)
    if (rows->sample[r] >= 0) rows->sample[r] = samples->number[rows->sample[r]];
}
