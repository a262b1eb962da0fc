/* Rounded to a tolerance, ties to even. Absolute: to multiples of the largest power of two that is no more than twice
   the tolerance. Relative: to the fewest significant bits that keep it (Kouznetsov, "A note on precision-preserving
   compression of scientific data", Geosci. Model Dev. 14, 2021: as NetCDF's BitRound). */
#include "core/simd.h"
#include "store/form.h"

#include <math.h>

enum { ABSOLUTE, RELATIVE };

static const char *tolerate(const double *option, double *absolute, double *relative)
{
  *absolute = option[ABSOLUTE];
  *relative = option[RELATIVE];
  return !(*absolute > 0) == !(*relative > 0) ? "rounded takes one tolerance above 0, absolute or relative" : NULL;
}

RT_SIMD static void round_absolute(double step, int64_t count, float *value)
{
  const double inverse = 1 / step; /* powers of two: both products are exact */

  for (int64_t i = 0; i < count; i++) {
    const double multiple = rint((double)value[i] * inverse) * step;

    value[i] = (float)multiple + 0.0f; /* no minus zero */
  }
}

/* drop: bits of the fraction, from 1 to 23. */
RT_SIMD static void round_relative(int drop, int64_t count, uint32_t *bits)
{
  const uint32_t half = (1u << (drop - 1)) - 1, mask = ~((1u << drop) - 1);

  for (int64_t i = 0; i < count; i++) bits[i] = (bits[i] + half + (bits[i] >> drop & 1)) & mask;
}

static void encode(const RtLabelstoreField *field, int64_t count, float *value)
{
  if (field->absolute > 0) {
    round_absolute(exp2(floor(log2(2 * field->absolute))), count, value);
  } else {
    const int drop = 24 - (int)ceil(-log2(field->relative)); /* 23 - drop bits: off by 2^(drop - 24) at most */

    if (drop > 0) round_relative(PetscMin(drop, 23), count, (uint32_t *)(void *)value);
  }
}

const RtForm rt_form_rounded = {
    .name = "rounded",
    .help = "rounded to a tolerance",
    .serves = "every loss",
    .traits = RT_FORM_OWN | RT_FORM_PACKED,
    .option = {{.name = "absolute", .initial = "0", .most = 1e30, .help = "a number may be off by so much"},
               {.name = "relative", .initial = "0", .most = 0.5, .help = "or by this part of itself"}},
    .tolerate = tolerate,
    .encode = encode};
