/* What memory the data of a training run takes: the windows and all beside them stay within what there is, and use it.
 */
#include "support.h"

#include "data/budget.h"

static const int64_t mib = 1 << 20;

/* The largest memory for windows that the header promises to stay within: two windows a lane of inputs, answers, logits
   and numbers, with the held-out samples and a bit a sample. */
static int64_t taken(const RtBudget *b, int64_t window)
{
  const int64_t rows = (b->batch + b->lanes - 1) / b->lanes, steps = window / rows;

  return 2 * steps * b->batch * (b->sample + b->logits + 8) + b->held * (b->sample + b->logits + 24) + b->samples / 8;
}

static int64_t window_of(const RtBudget *b)
{
  int64_t window = 0;

  RT_MUST(rt_budget_window(b, b->samples - b->held, &window));
  return window;
}

static void test_fits(void)
{
  RtBudget b = {.samples = 1000, .held = 100, .sample = 788, .logits = 40, .views = 3, .batch = 64, .lanes = 8};
  const int64_t data = 1000 * (788 + 3 * 40);

  b.memory = data - 1;
  RT_TEST_CHECK(!rt_budget_fits(&b), "more than there is fits");
  b.memory = data + 1000 * 9;
  RT_TEST_CHECK(rt_budget_fits(&b), "the data and its lists do not fit");
  b.logits = 0;
  b.memory = 1000 * 788 + 1000 * 9;
  RT_TEST_CHECK(rt_budget_fits(&b), "without soft labels");
  b.samples = (int64_t)1 << 60;
  b.memory = INT64_MAX - 1;
  RT_TEST_CHECK(!rt_budget_fits(&b), "an overflow fits");
}

static void test_window(void)
{
  RtBudget b = {.memory = 64 * mib,
                .samples = 1000000,
                .held = 5000,
                .sample = 788,
                .logits = 40,
                .views = 8,
                .batch = 250,
                .lanes = 7};
  int64_t before = 0;

  RT_TEST_CHECK(!rt_budget_fits(&b), "it fits");
  for (b.memory = 32 * mib; b.memory <= 1024 * mib; b.memory *= 2) {
    const int64_t window = window_of(&b), block = rt_budget_block(&b, window);

    RT_TEST_CHECK(window % 36 == 0 && window > before, "a window of %lld", (long long)window);
    RT_TEST_CHECK(taken(&b, window) <= b.memory, "%lld are taken of %lld", (long long)taken(&b, window),
                  (long long)b.memory);
    RT_TEST_CHECK(taken(&b, window) > b.memory * 8 / 10, "only %lld are taken of %lld", (long long)taken(&b, window),
                  (long long)b.memory);
    RT_TEST_CHECK(block >= window / 16 && block <= PetscMax(window / 4, 1), "blocks of %lld in windows of %lld",
                  (long long)block, (long long)window);
    RT_TEST_CHECK(rt_budget_piece(&b) * 16 <= b.memory && rt_budget_open(&b) >= 1, "pieces, open shards");
    before = window;
  }
  /* a pool that is small beside the dataset: no more than an epoch */
  RT_MUST(rt_budget_window(&b, 1000, &before));
  RT_TEST_CHECK(before == 4 * 36, "a window of %lld for 4 steps", (long long)before);
}

static void test_too_small(void)
{
  RtBudget b = {.memory = mib, .samples = 100000, .held = 400, .sample = 788, .batch = 256, .lanes = 8};
  int64_t window;

  RT_TEST_SAYS(rt_budget_window(&b, 99600, &window), RT_ERR_FAILED, "-data_memory 1M|400 held-out|-data_holdout");
  b.held = 300;
  RT_MUST(rt_budget_window(&b, 99700, &window));
  b.batch = 500;
  RT_TEST_SAYS(rt_budget_window(&b, 99700, &window), RT_ERR_FAILED, "-data_memory 1M|two batches of 500|smaller batch");
  b.sample = (int64_t)1 << 55;
  RT_TEST_SAYS(rt_budget_window(&b, 99700, &window), RT_ERR_FAILED, "too small");
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_fits();
  test_window();
  test_too_small();
  return 0;
}
RT_TEST_MAIN(test)
