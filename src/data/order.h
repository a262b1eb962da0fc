/* The order in which an epoch sees the samples where not all of them are in memory: a shuffle over windows. A pure
   function of the order and of (epoch, step, lane), the same on any number of ranks and threads. Not collective.

   The pool is cut into blocks of consecutive entries. An epoch permutes the blocks; one after the other they are its
   sequence. Lane l owns the positions [count a(l) / batch, count a(l + 1) / batch), rounded down, of the sequence, with
   a(l) = min(l rows, batch): as many as fit into the steps of an epoch at the lane's rows a step. A window is what a
   lane sees in so many steps; inside a window, positions are permuted. So a rank reads only what its own lanes see, in
   runs of a block, and all lanes come to their next window at the same step. */
#ifndef RT_DATA_ORDER_H
#define RT_DATA_ORDER_H

#include "core/random.h"

typedef struct {
  uint64_t seed;
  int64_t count, batch; /* samples of the pool, and of a global batch */
  int64_t rows;         /* of a lane: batch / lanes, rounded up; the last lanes may have fewer */
  int64_t steps;        /* in an epoch */
  int64_t span;         /* steps in a window */
  int64_t windows;      /* in an epoch; the last one may be shorter */
  int64_t block;        /* pool entries in a block; the last one may be shorter */
} RtOrder;

/* One epoch's order of blocks. */
typedef struct {
  uint64_t epoch;
  RtPermutation blocks; /* from places to blocks */
  int64_t short_first;  /* position at which the block begins that is shorter; count where none is */
} RtOrderEpoch;

/* window: samples of a lane, a multiple of its rows, at least one step's. */
void rt_order_create(uint64_t seed, int64_t count, int64_t batch, int lanes, int64_t window, int64_t block,
                     RtOrder *order);
void rt_order_epoch(const RtOrder *order, int64_t epoch, RtOrderEpoch *of);

/* Samples of a batch that lanes before this one have. */
int64_t rt_order_before(const RtOrder *order, int lane);
/* Positions [first, first + count) of the sequence that a lane sees in a window. */
void rt_order_window(const RtOrder *order, int64_t window, int lane, int64_t *first, int64_t *count);
/* Where a position of the sequence is in the pool. Returns how many positions from there on, at most `limit`, are
   consecutive entries of the pool. */
int64_t rt_order_run(const RtOrder *order, const RtOrderEpoch *of, int64_t position, int64_t limit, int64_t *pool);
/* place[r]: which position of its window, from 0, a lane sees in row r of a step; -1: padding. place: [rows]. */
void rt_order_places(const RtOrder *order, int64_t epoch, int64_t step, int lane, int64_t *place);

#endif
