/* Exact sums: independent of order and of who adds, right to the last bit, and honest about numbers that are none. */
#include "support.h"

#include "comm/exact.h"

#include <math.h>

enum { COUNT = 4999 /* a prime: steps of any size reach all */ };

static double number[COUNT];

/* Numbers of all sizes and both signs. */
static void draw(double largest)
{
  float normal[COUNT], size[COUNT];

  rt_support_normal(COUNT, normal);
  rt_support_normal(COUNT, size);
  for (int i = 0; i < COUNT; i++) {
    number[i] = (double)normal[i] * exp2(12.0 * size[i]);
    number[i] = fmax(-largest, fmin(largest, number[i]));
  }
}

static bool same(double a, double b)
{
  return !memcmp(&a, &b, sizeof(a));
}

static double sum_of(int first, int step)
{
  RtExact exact = {0};

  for (int i = 0; i < COUNT; i++) rt_exact_add(&exact, number[(first + (int64_t)i * step) % COUNT]);
  return rt_exact_value(&exact);
}

static void test_order(void)
{
  for (int round = 0; round < 20; round++) {
    RtExact part[7] = {{0}}, merged = {0};
    double forward, plain = 0, most = 0;
    __float128 wide = 0;

    draw(0x1p59);
    for (int i = 0; i < COUNT; i++) {
      /* each number is rounded once, to 2^-40: this reference has 113 bits */
      wide += (__float128)nearbyint(number[i] * 0x1p40);
      plain += number[i];
      most = fmax(most, fabs(plain));
      rt_exact_add(&part[i % 7], number[i]);
    }
    forward = sum_of(0, 1);
    RT_TEST_CHECK(same(forward, (double)(wide * 0x1p-40)), "%.17g, not %.17g", forward, (double)(wide * 0x1p-40));
    RT_TEST_CHECK(fabs(forward - plain) <= COUNT * (0x1p-41 + most * 0x1p-52), "%.17g and %.17g", forward, plain);
    for (int step = 3; step < 40; step += 4) RT_TEST_CHECK(same(forward, sum_of(step * 11, step)), "order counts");
    for (int i = 0; i < 7; i++) rt_exact_merge(&merged, &part[(i * 3 + round) % 7]);
    RT_TEST_CHECK(same(forward, rt_exact_value(&merged)), "parts count");
  }
}

static void test_small(void)
{
  RtExact exact = {0};

  RT_TEST_CHECK(rt_exact_value(&exact) == 0, "nothing");
  rt_exact_add(&exact, 0x1p59);
  for (int i = 0; i < 1000; i++) rt_exact_add(&exact, 0x1p-40);
  rt_exact_add(&exact, -0x1p59);
  RT_TEST_CHECK(same(rt_exact_value(&exact), 1000 * 0x1p-40), "cancellation leaves %g", rt_exact_value(&exact));
  exact = (RtExact){0};
  for (int i = 0; i < 10; i++) rt_exact_add(&exact, 0.1);
  RT_TEST_CHECK(fabs(rt_exact_value(&exact) - 1) < 1e-11, "%.17g", rt_exact_value(&exact));
}

/* To the nearest multiple of 2^-40, ties to even. */
static void test_rounding(void)
{
  static const double number_and_sum[][2] = {{0.25, 0}, {0.5, 0},    {0.75, 1},  {1.25, 1}, {1.5, 2},
                                             {2.5, 2},  {-0.75, -1}, {-1.5, -2}, {-0.4, 0}};

  for (int i = 0; i < 9; i++) {
    RtExact exact = {0};

    rt_exact_add(&exact, number_and_sum[i][0] * 0x1p-40);
    RT_TEST_CHECK(rt_exact_value(&exact) == number_and_sum[i][1] * 0x1p-40, "%g becomes %g", number_and_sum[i][0],
                  rt_exact_value(&exact) * 0x1p40);
  }
}

/* As whole numbers, which are added over ranks and stored. */
static void test_words(void)
{
  for (int round = 0; round < 200; round++) {
    RtExact sum = {0}, back, total = {0};
    int64_t word[RT_EXACT_WORDS], all[RT_EXACT_WORDS] = {0};

    for (int rank = 0; rank < 5; rank++) {
      sum = (RtExact){0};
      draw(0x1p59);
      for (int i = 0; i < 20 + round; i++) rt_exact_add(&sum, round % 2 ? number[i] : -fabs(number[i]));
      if (round % 50 == 7) rt_exact_add(&sum, NAN);
      rt_exact_pack(&sum, word);
      rt_exact_unpack(&back, word);
      RT_TEST_CHECK(back.sum == sum.sum && back.invalid == sum.invalid, "not what was packed");
      for (int k = 0; k < RT_EXACT_WORDS; k++) all[k] += word[k];
      rt_exact_merge(&total, &sum);
    }
    rt_exact_unpack(&back, all);
    RT_TEST_CHECK(back.sum == total.sum && back.invalid == total.invalid, "sums of words are not words of the sum");
  }
}

static void test_invalid(void)
{
  static const double bad[] = {NAN, INFINITY, -INFINITY, 0x1p60, -0x1p60, 1e300};
  static const double good[] = {0, -0.0, 5e-324, 0x1.fffffffffffffp59, -0x1.fffffffffffffp59};

  for (int i = 0; i < 6; i++) {
    RtExact exact = {0}, other = {0};

    rt_exact_add(&exact, 1);
    rt_exact_add(&exact, bad[i]);
    rt_exact_add(&exact, 1);
    RT_TEST_CHECK(isnan(rt_exact_value(&exact)) && exact.invalid == 1, "%g is taken for a number", bad[i]);
    rt_exact_merge(&other, &exact);
    RT_TEST_CHECK(isnan(rt_exact_value(&other)), "%g is lost in a merge", bad[i]);
  }
  for (int i = 0; i < 5; i++) {
    RtExact exact = {0};

    rt_exact_add(&exact, good[i]);
    RT_TEST_CHECK(fabs(rt_exact_value(&exact) - good[i]) <= 0x1p-41, "%g becomes %g", good[i], rt_exact_value(&exact));
  }
}

static PetscErrorCode test(int argc, char **argv)
{
  RtExact exact[3] = {{0}};

  (void)argc;
  (void)argv;
  test_order();
  test_small();
  test_rounding();
  test_words();
  test_invalid();
  rt_exact_add(&exact[1], 2.5);
  PetscCall(rt_exact_allreduce(PETSC_COMM_SELF, 3, exact));
  RT_TEST_CHECK(rt_exact_value(&exact[0]) == 0 && rt_exact_value(&exact[1]) == 2.5, "alone");
  return 0;
}

RT_TEST_MAIN(test)
