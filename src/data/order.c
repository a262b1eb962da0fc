#include "data/order.h"

static int64_t divide_up(int64_t a, int64_t b)
{
  return (a + b - 1) / b;
}

void rt_order_create(uint64_t seed, int64_t count, int64_t batch, int lanes, int64_t window, int64_t block,
                     RtOrder *order)
{
  *order = (RtOrder){.seed = seed, .count = count, .batch = batch, .rows = divide_up(batch, lanes), .block = block};
  order->steps = divide_up(count, batch);
  order->span = window / order->rows;
  order->windows = divide_up(order->steps, order->span);
}

void rt_order_epoch(const RtOrder *order, int64_t epoch, RtOrderEpoch *of)
{
  const int64_t blocks = divide_up(order->count, order->block);

  of->epoch = (uint64_t)epoch;
  rt_random_permutation(&of->blocks, order->seed, RT_RANDOM_SHUFFLE, of->epoch, (uint64_t)blocks);
  of->short_first = order->count;
  if (order->count % order->block)
    of->short_first = (int64_t)rt_random_unpermute(&of->blocks, (uint64_t)blocks - 1) * order->block;
}

int64_t rt_order_before(const RtOrder *order, int lane)
{
  return PetscMin(lane * order->rows, order->batch);
}

/* First position of the lane whose samples in a batch come after `before` others; the product of two large numbers is
   taken apart. */
static int64_t lane_first(const RtOrder *order, int64_t before)
{
  return order->count / order->batch * before + order->count % order->batch * before / order->batch;
}

void rt_order_window(const RtOrder *order, int64_t window, int lane, int64_t *first, int64_t *count)
{
  const int64_t before = rt_order_before(order, lane), after = rt_order_before(order, lane + 1);
  const int64_t size = order->span * (after - before), end = lane_first(order, after);

  *first = PetscMin(lane_first(order, before) + window * size, end);
  *count = PetscMin(size, end - *first);
}

int64_t rt_order_run(const RtOrder *order, const RtOrderEpoch *of, int64_t position, int64_t limit, int64_t *pool)
{
  const int64_t remainder = order->count % order->block;
  int64_t size = order->block, place;

  if (position >= of->short_first + remainder) position += size - remainder; /* as if that block were whole */
  place = position / size;
  position -= place * size;
  if (place * size == of->short_first) size = remainder;
  *pool = (int64_t)rt_random_permute(&of->blocks, (uint64_t)place) * order->block + position;
  return PetscMin(limit, size - position);
}

void rt_order_places(const RtOrder *order, int64_t epoch, int64_t step, int lane, int64_t *place)
{
  const int64_t window = step / order->span;
  const int64_t rows = rt_order_before(order, lane + 1) - rt_order_before(order, lane);
  const int64_t from = (step - window * order->span) * rows;
  int64_t first, count;
  RtPermutation inside;

  rt_order_window(order, window, lane, &first, &count);
  /* first is another one for each window of an epoch that has samples */
  rt_random_permutation(&inside, order->seed, RT_RANDOM_WINDOW,
                        (uint64_t)epoch * (uint64_t)order->count + (uint64_t)first, (uint64_t)count);
  for (int64_t r = 0; r < order->rows; r++)
    place[r] = r < rows && from + r < count ? (int64_t)rt_random_permute(&inside, (uint64_t)(from + r)) : -1;
}
