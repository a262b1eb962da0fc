/* Correction of class biases, against a plain search: add a number to some logits, take the largest, count. */
#include "support.h"

#include "eval/bias.h"

#include <math.h>

enum { WIDTH = 7, COUNT = 400 };

static float logits[COUNT][WIDTH];
static int32_t label[COUNT];

static int predict(const float *z, const bool *named, double bias)
{
  int best = 0;
  double top = -INFINITY;

  for (int k = 0; k < WIDTH; k++) {
    double value = z[k] + (named[k] ? bias : 0);

    if (value > top) {
      top = value;
      best = k;
    }
  }
  return best;
}

static int64_t count_right(const bool *named, double bias)
{
  int64_t right = 0;

  for (int i = 0; i < COUNT; i++) right += predict(logits[i], named, bias) == label[i];
  return right;
}

static void test_search(const bool *named, double fixed, bool any)
{
  static int64_t confusion[WIDTH * WIDTH];
  RtBias bias = {.width = WIDTH, .named = named, .fixed = fixed, .confusion = confusion};
  int best, plain = RT_BIAS_STEPS / 2;

  memset(confusion, 0, sizeof(confusion));
  for (int i = 0; i < COUNT; i++) rt_bias_add(&bias, logits[i], label[i]);
  RT_TEST_CHECK(bias.count == COUNT && bias.correct == count_right(named, fixed), "%lld right with %g, not %lld",
                (long long)bias.correct, fixed, (long long)count_right(named, fixed));
  for (int s = 0; s < RT_BIAS_STEPS; s++)
    RT_TEST_CHECK(bias.correct_at[s] == count_right(named, rt_bias_value(s)), "%lld right with %g",
                  (long long)bias.correct_at[s], rt_bias_value(s));
  for (int i = 0; i < COUNT; i++) confusion[label[i] * WIDTH + predict(logits[i], named, fixed)]--;
  for (int i = 0; i < WIDTH * WIDTH; i++) RT_TEST_CHECK(confusion[i] == 0, "confusion at %d", i);
  best = rt_bias_best(&bias);
  for (int s = 0; s < RT_BIAS_STEPS; s++) {
    if (bias.correct_at[s] > bias.correct_at[plain] ||
        (bias.correct_at[s] == bias.correct_at[plain] && abs(s - RT_BIAS_STEPS / 2) < abs(plain - RT_BIAS_STEPS / 2)))
      plain = s;
  }
  RT_TEST_CHECK(bias.correct_at[best] == bias.correct_at[plain] &&
                    abs(best - RT_BIAS_STEPS / 2) == abs(plain - RT_BIAS_STEPS / 2),
                "best is %g, not %g", rt_bias_value(best), rt_bias_value(plain));
  RT_TEST_CHECK(any == (best != RT_BIAS_STEPS / 2), "best is %g", rt_bias_value(best));
}

static PetscErrorCode test(int argc, char **argv)
{
  const bool some[WIDTH] = {false, true, false, false, true}, none[WIDTH] = {false};
  const bool all[WIDTH] = {true, true, true, true, true, true, true};
  int at_zero;

  (void)argc;
  (void)argv;
  at_zero = RT_BIAS_STEPS / 2;
  RT_TEST_CHECK(rt_bias_value(0) == -20 && rt_bias_value(at_zero) == 0 && rt_bias_value(RT_BIAS_STEPS - 1) == 20,
                "from -20 to 20");
  for (int i = 0; i < COUNT; i++) {
    rt_support_normal(WIDTH, logits[i]);
    label[i] = rt_support_below(WIDTH);
    logits[i][label[i]] += 2;
    /* the named classes come out too low by 3.04 */
    for (int k = 0; k < WIDTH; k++) logits[i][k] -= some[k] ? 3.04f : 0;
  }
  test_search(some, 0, true);
  test_search(some, 3, true);
  test_search(none, 5, false);
  test_search(all, -5, false);
  return 0;
}

RT_TEST_MAIN(test)
