/* The order of samples where they are read in windows: each sample of the pool once an epoch, whoever has which lanes;
   what the definition in data/order.h says, computed here by another way; and whether it shuffles well. */
#include "support.h"

#include "data/order.h"

static const struct {
  int64_t count, batch;
  int lanes;
  int64_t steps, block; /* of a window */
} cases[] = {
    {1000, 64, 8, 3, 5},  {997, 60, 7, 4, 11},  {997, 60, 7, 1, 1},   {1001, 7, 5, 9, 16},
    {17, 60, 7, 1, 4},    {1, 1, 1, 1, 1},      {50, 100, 3, 1, 7},   {4096, 256, 8, 16, 32},
    {333, 10, 10, 5, 50}, {333, 10, 1, 7, 400}, {2000, 90, 4, 3, 33}, {1234, 256, 16, 2, 1},
};
enum { CASES = sizeof(cases) / sizeof(*cases), EPOCHS = 3 };

static RtOrder make(int k, uint64_t seed)
{
  const int64_t rows = (cases[k].batch + cases[k].lanes - 1) / cases[k].lanes;
  RtOrder order;

  rt_order_create(seed, cases[k].count, cases[k].batch, cases[k].lanes, cases[k].steps * rows, cases[k].block, &order);
  return order;
}

/* The pool entry at a place of a lane's window. */
static int64_t entry(const RtOrder *order, int64_t epoch, int64_t window, int lane, int64_t place)
{
  int64_t first, count, pool;
  RtOrderEpoch of;

  rt_order_epoch(order, epoch, &of);
  rt_order_window(order, window, lane, &first, &count);
  RT_TEST_CHECK(place < count, "place %d of %d", (int)place, (int)count);
  (void)rt_order_run(order, &of, first + place, 1, &pool);
  return pool;
}

/* --- each sample once --------------------------------------------------------------------------------------------- */

/* The steps of one epoch. seen: [count] how often each was seen. */
static void walk(int k, const RtOrder *order, int64_t epoch, int *seen)
{
  int64_t place[256];

  for (int64_t step = 0; step < order->steps; step++) {
    int64_t samples = 0;

    for (int lane = 0; lane < cases[k].lanes; lane++) {
      bool padding = false;

      rt_order_places(order, epoch, step, lane, place);
      for (int64_t r = 0; r < order->rows; r++) {
        padding = padding || place[r] < 0;
        RT_TEST_CHECK(padding == (place[r] < 0), "case %d: a sample after padding", k);
        if (place[r] < 0) continue;
        seen[entry(order, epoch, step / order->span, lane, place[r])]++;
        samples++;
      }
    }
    RT_TEST_CHECK(samples == PetscMin(cases[k].batch, cases[k].count - step * cases[k].batch),
                  "case %d: step %d has %d samples", k, (int)step, (int)samples);
  }
}

static PetscErrorCode test_once(void)
{
  PetscFunctionBegin;
  for (int k = 0; k < CASES; k++) {
    const RtOrder order = make(k, 3);

    RT_TEST_CHECK(order.steps == (cases[k].count + cases[k].batch - 1) / cases[k].batch, "case %d: steps", k);
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
      int *seen;

      PetscCall(PetscCalloc1((size_t)cases[k].count, &seen));
      walk(k, &order, epoch, seen);
      for (int64_t i = 0; i < cases[k].count; i++)
        RT_TEST_CHECK(seen[i] == 1, "case %d, epoch %d: entry %d is seen %d times", k, (int)epoch, (int)i, seen[i]);
      PetscCall(PetscFree(seen));
    }
  }
  PetscFunctionReturn(0);
}

/* --- the definition ----------------------------------------------------------------------------------------------- */

/* The whole sequence of an epoch, block after block. */
static void sequence(int k, uint64_t seed, int64_t epoch, int64_t *out)
{
  const int64_t block = cases[k].block, count = cases[k].count, blocks = (count + block - 1) / block;
  RtPermutation permutation;
  int64_t at = 0;

  rt_random_permutation(&permutation, seed, RT_RANDOM_SHUFFLE, (uint64_t)epoch, (uint64_t)blocks);
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t first = (int64_t)rt_random_permute(&permutation, (uint64_t)b) * block;

    for (int64_t i = first; i < PetscMin(first + block, count); i++) out[at++] = i;
  }
  RT_TEST_CHECK(at == count, "case %d: the sequence has %d entries", k, (int)at);
}

static int64_t part(int k, int lane)
{
  const int64_t rows = (cases[k].batch + cases[k].lanes - 1) / cases[k].lanes;

  return cases[k].count * PetscMin(lane * rows, cases[k].batch) / cases[k].batch;
}

/* The windows of a lane are its part of the sequence, cut after so many steps; runs are runs of the sequence. */
static void check_lane(int k, const RtOrder *order, int64_t epoch, int lane, const int64_t *wanted)
{
  const int64_t rows = PetscMin((lane + 1) * order->rows, order->batch) - PetscMin(lane * order->rows, order->batch);
  int64_t next = part(k, lane);
  RtOrderEpoch of;

  rt_order_epoch(order, epoch, &of);
  for (int64_t w = 0; w < order->windows; w++) {
    int64_t first, count, pool, run;

    rt_order_window(order, w, lane, &first, &count);
    RT_TEST_CHECK(first == next || !count, "case %d: window %d of lane %d begins at %d, not %d", k, (int)w, lane,
                  (int)first, (int)next);
    RT_TEST_CHECK(count <= cases[k].steps * PetscMax(rows, 0), "case %d: a window of %d", k, (int)count);
    for (int64_t i = first; i < first + count; i += run) {
      run = rt_order_run(order, &of, i, first + count - i, &pool);
      for (int64_t j = 0; j < run; j++)
        RT_TEST_CHECK(pool + j == wanted[i + j], "case %d: position %d is entry %d, not %d", k, (int)(i + j),
                      (int)(pool + j), (int)wanted[i + j]);
      RT_TEST_CHECK(run > 0, "case %d: an empty run", k);
    }
    next += count;
  }
  RT_TEST_CHECK(next == part(k, lane + 1), "case %d: lane %d ends at %d, not %d", k, lane, (int)next,
                (int)part(k, lane + 1));
}

static PetscErrorCode test_definition(void)
{
  PetscFunctionBegin;
  for (int k = 0; k < CASES; k++) {
    const RtOrder order = make(k, 11);
    int64_t *wanted;

    PetscCall(PetscMalloc1((size_t)cases[k].count, &wanted));
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
      sequence(k, 11, epoch, wanted);
      for (int lane = 0; lane < cases[k].lanes; lane++) check_lane(k, &order, epoch, lane, wanted);
    }
    PetscCall(PetscFree(wanted));
  }
  PetscFunctionReturn(0);
}

/* Large numbers: the parts of lanes do not overflow, and follow one another. */
static void test_large(void)
{
  const int64_t count = ((int64_t)1 << 50) + 12345;
  int64_t next = 0, first, taken;
  RtOrder order;

  rt_order_create(1, count, 99999999, 1000, 100000 * 50, 1000, &order);
  for (int lane = 0; lane < 1000; lane++) {
    __int128 wanted = (__int128)count * PetscMin((int64_t)lane * 100000, 99999999) / 99999999;

    rt_order_window(&order, 0, lane, &first, &taken);
    RT_TEST_CHECK(first == (int64_t)wanted && first >= next, "lane %d begins at %lld", lane, (long long)first);
    next = first;
  }
}

/* --- the shuffle -------------------------------------------------------------------------------------------------- */

/* A pure function: asked again, in another order, it says the same. Seeds and epochs differ. */
static void test_function(void)
{
  enum { K = 7, ROWS = 32 };
  const RtOrder order = make(K, 3), again = make(K, 3), other = make(K, 4);
  int64_t a[ROWS], b[ROWS];
  int same_epoch = 0, same_seed = 0, in_order = 0, total = 0;

  for (int64_t step = 15; step >= 0; step--)
    for (int lane = 7; lane >= 0; lane--) {
      rt_order_places(&order, 1, step, lane, a);
      rt_order_places(&again, 1, step, lane, b);
      RT_TEST_CHECK(!memcmp(a, b, sizeof(a)), "the order is no function");
      for (int64_t r = 0; r < ROWS; r++, total++) {
        const int64_t x = entry(&order, 1, 0, lane, a[r]);

        rt_order_places(&order, 2, step, lane, b);
        same_epoch += x == entry(&order, 2, 0, lane, b[r]);
        rt_order_places(&other, 1, step, lane, b);
        same_seed += x == entry(&other, 1, 0, lane, b[r]);
        in_order += r && a[r] == a[r - 1] + 1;
      }
    }
  RT_TEST_CHECK(same_epoch < total / 100, "%d of %d entries are at the same place in two epochs", same_epoch, total);
  RT_TEST_CHECK(same_seed < total / 100, "%d of %d entries are at the same place under two seeds", same_seed, total);
  RT_TEST_CHECK(in_order < total / 100, "%d of %d entries follow their neighbour", in_order, total);
}

/* Blocks from all over the pool meet in a window, and samples from all over the window in a step. */
static void test_mixing(void)
{
  const RtOrder order = make(7, 5); /* windows of 512 in blocks of 32: 16 of 128 blocks each; 32 rows a step */
  int64_t place[32], least = order.count, most = 0;
  int fewest = 32;

  for (int lane = 0; lane < 8; lane++)
    for (int64_t step = 0; step < 16; step++) {
      bool from[128] = {false};
      int blocks = 0;

      rt_order_places(&order, 0, step, lane, place);
      for (int r = 0; r < 32; r++) {
        const int64_t pool = entry(&order, 0, 0, lane, place[r]);

        blocks += !from[pool / 32];
        from[pool / 32] = true;
        if (lane == 0) least = PetscMin(least, pool);
        if (lane == 0) most = PetscMax(most, pool);
      }
      fewest = PetscMin(fewest, blocks);
    }
  RT_TEST_CHECK(fewest >= 9, "32 samples of a step come from %d of 16 blocks", fewest); /* 13.9 are expected */
  RT_TEST_CHECK(most - least > order.count / 2, "the window of a lane spans %d of %d", (int)(most - least),
                (int)order.count);
}

static PetscErrorCode test(int argc, char **argv)
{
  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  PetscCall(test_once());
  PetscCall(test_definition());
  test_large();
  test_function();
  test_mixing();
  PetscFunctionReturn(0);
}
RT_TEST_MAIN(test)
