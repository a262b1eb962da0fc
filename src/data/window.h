/* The windows of a feed whose samples are not all in memory: those that this rank's lanes use now, and the next ones,
   which a thread reads in the background. Memory is allocated once. Not collective. */
#ifndef RT_DATA_WINDOW_H
#define RT_DATA_WINDOW_H

#include "data/feed.h"

typedef struct RtWindow RtWindow;

/* params and its source must outlive the windows. */
PetscErrorCode rt_window_create(const RtFeedParams *params, RtWindow **window);
/* Stops reading. Accepts NULL. */
PetscErrorCode rt_window_destroy(RtWindow **window);

/* Read a list whose numbers are there and ascend, before the first rt_window_prepare. logits: [list->count, width] of
   view 0, or NULL. Errors: of reading. */
PetscErrorCode rt_window_list(RtWindow *window, RtSamples *list, float *logits);

/* As rt_feed_turns and rt_feed_prepare. */
bool rt_window_turns(const RtWindow *window, int64_t epoch, int64_t step);
PetscErrorCode rt_window_prepare(RtWindow *window, int64_t epoch, int64_t step);

/* Any thread. place: [rows] places in the list that is returned of what the lane sees in this step, which was prepared;
   -1: padding. teacher: [list->count, width] logits of the epoch's view; NULL where width is 0. Both are valid until
   the next rt_window_prepare. */
const RtSamples *rt_window_lane(const RtWindow *window, int64_t epoch, int64_t step, int lane, int64_t *place,
                                const float **teacher);

#endif
