/* Floats of 16 bits: every fp16 and bf16 there is, against the definition; rounding against the two neighbours. */
#include "support.h"

#include "core/half.h"

#include <math.h>

static uint32_t bits_of(float value)
{
  uint32_t bits;

  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

/* sign, exponent and fraction of a format, as IEEE 754 defines them. */
static double define(uint32_t bits, int fraction_bits, int exponent_bits)
{
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (int)(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const double fraction = ldexp(bits & ((1u << fraction_bits) - 1), -fraction_bits);
  double value = exponent ? ldexp(1 + fraction, exponent - bias) : ldexp(fraction, 1 - bias);

  if (exponent == (1 << exponent_bits) - 1) value = fraction > 0 ? NAN : INFINITY;
  return bits >> (fraction_bits + exponent_bits) ? -value : value;
}

static bool same(float found, double wanted)
{
  return isnan(wanted) ? isnan(found) != 0 : found == wanted && !signbit(found) == !signbit(wanted);
}

static void test_all(void)
{
  for (uint32_t bits = 0; bits < 1 << 16; bits++) {
    float fp16 = rt_half_from_fp16((uint16_t)bits), bf16 = rt_half_from_bf16((uint16_t)bits), back = 0;
    uint16_t rounded;

    RT_TEST_CHECK(same(fp16, define(bits, 10, 5)), "fp16 %04x is %g", bits, (double)fp16);
    RT_TEST_CHECK(same(bf16, define(bits, 7, 8)), "bf16 %04x is %g", bits, (double)bf16);
    rt_half_to_bf16(1, &bf16, &rounded);
    back = rt_half_from_bf16(rounded);
    RT_TEST_CHECK(rounded == bits || (isnan(bf16) && isnan(back)), "bf16 %04x comes back as %04x", bits, rounded);
  }
}

/* Each number goes to the nearer of the bf16 below and above; from the middle to the one whose last bit is 0. */
static void test_rounding(void)
{
  enum { COUNT = 4000 };
  static float from[COUNT];
  static uint16_t to[COUNT];

  rt_support_normal(COUNT, from);
  for (int i = 0; i < COUNT; i += 4) { /* the middle between two, and what is next to it */
    uint32_t bits = (bits_of(from[i]) & 0xffff0000u) + 0x8000u + (i % 16 == 4 ? 1 : i % 16 == 8 ? (uint32_t)-1 : 0);

    memcpy(&from[i], &bits, sizeof(bits));
  }
  from[1] = 3.4e38f;
  rt_half_to_bf16(COUNT, from, to);
  for (int i = 0; i < COUNT; i++) {
    const uint32_t bits = bits_of(from[i]);
    const float zero = rt_half_from_bf16((uint16_t)(bits >> 16)); /* towards zero, and away from it */
    const double away = define((bits >> 16) + 1, 7, 8), gap = fabs(from[i] - (double)zero);
    const double other = isinf(away) ? ldexp(1, 128) - fabs(from[i]) : fabs(away - from[i]);
    const bool up = gap > other || (gap == other && bits >> 16 & 1);

    RT_TEST_CHECK(to[i] == (uint16_t)((bits >> 16) + up), "%a becomes %04x", (double)from[i], to[i]);
  }
  RT_TEST_CHECK(to[1] == 0x7f80, "what is beyond the largest bf16 is infinite, not %04x", to[1]);
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc, (void)argv;
  test_all();
  test_rounding();
  return 0;
}

RT_TEST_MAIN(test)
