/* What lanes are fed with: inputs, answers and what a store keeps of the teacher for the samples of a step. All of the
   data is in memory, or windows of it (data/order.h), of which the next is read in the background while one is used.
   Not collective. */
#ifndef RT_DATA_FEED_H
#define RT_DATA_FEED_H

#include "data/sampler.h"
#include "data/samples.h"

#include <retort/labelstore.h>

/* Where the samples come from. */
typedef struct {
  const RtDatasetInfo *info;
  const RtAugment *augment;
  const RtSampler *sampler;
  int views; /* epoch e sees view e mod views; 0: each epoch a new view, from 1 on, where something is augmented */
  int width; /* numbers of the teacher for a sample, of all fields that are read; 0: they are not needed */
  const bool *want; /* [info->fields] fields that somebody reads; NULL: all may be read */
  /* All in memory: */
  const RtSamples *samples; /* the whole training set; NULL: windows */
  const float *teacher;     /* [samples, views, width] as the store has it, the fields one after the other */
  /* or windows: */
  const RtDataset *dataset;
  const RtLabelstoreInfo *store; /* of the teacher, all there; its fields are those that are read. NULL: logits */
  const char *labels;            /* its folder */
  int64_t window, block, piece;  /* as data/budget.h says */
  int open;                      /* the same */
} RtFeedSource;

typedef struct {
  const RtFeedSource *source;
  int64_t epochs, batch;
  bool repeat;                      /* every epoch is the first one again: its order and its view */
  int lanes, first_lane, own_lanes; /* of all ranks, and of this one */
  int rank, size;                   /* who evaluates which held-out samples */
} RtFeedParams;

typedef struct RtFeed RtFeed;

/* params->source must outlive the feed. Reads the held-out samples of this rank. */
PetscErrorCode rt_feed_create(const RtFeedParams *params, RtFeed **feed);
/* Accepts NULL. */
PetscErrorCode rt_feed_destroy(RtFeed **feed);

/* Whether a step needs something that is not there yet: the same on all ranks, which agree about errors then. Steps
   come in order, and may leave out the end of an epoch; the first one may be any. */
bool rt_feed_turns(const RtFeed *feed, int64_t epoch, int64_t step);
/* Before the lanes of such a step run, outside of threads: waits until it has been read. Errors: of reading. */
PetscErrorCode rt_feed_prepare(RtFeed *feed, int64_t epoch, int64_t step);

/* A lane's part of a step. Padding has the sample -1 and zeros. */
typedef struct {
  int64_t *sample; /* [rows] numbers in the dataset; rows: batch / lanes, rounded up */
  int reads;
  const RtFieldRead *read; /* [reads] fields among those that the source wants */
  void *const *to;         /* [reads] where they go: [rows, elements] as data/samples.h fills them; NULL: nowhere */
  float *const *teacher;   /* [fields][rows, their width] of the epoch's view; NULL where width is 0 */
} RtFeedRows;
/* Any thread, for own lanes. */
void rt_feed_lane(const RtFeed *feed, int64_t epoch, int64_t step, int lane, const RtFeedRows *rows);

/* The held-out samples that this rank evaluates: micro-batches rank, rank + size, … of all, one after the other. */
typedef struct {
  const RtSamples *samples;
  int64_t count;         /* of this rank */
  const int64_t *sample; /* [count] as `samples` names them */
  const float *teacher;  /* what the store has of view 0 of sample[i] stands at teacher + sample[i] * stride; NULL */
  int64_t stride;
} RtFeedHoldout;
const RtFeedHoldout *rt_feed_holdout(const RtFeed *feed);
/* Fields of the teacher that come with the samples. width: their numbers a sample. Returns how many. */
int rt_feed_fields(const RtFeedSource *source, int width[RT_LABELSTORE_FIELDS]);
/* A row of the store, [width], into row r of each field, [fields]; NULL: zeros. */
void rt_feed_split(const RtFeedSource *source, const float *row, int64_t r, float *const *field);
/* Samples in such a micro-batch. */
int64_t rt_feed_micro(const RtFeedSource *source);

#endif
