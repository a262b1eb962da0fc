/* Floats of 16 bits: fp16 (IEEE 754 half precision) and bf16 (the upper half of a float). Not collective. */
#ifndef RT_CORE_HALF_H
#define RT_CORE_HALF_H

#include <retort/types.h>

/* Exact; of a NaN the sign and what fits of the rest stay. */
float rt_half_from_fp16(uint16_t bits);
float rt_half_from_bf16(uint16_t bits);
/* Round to the nearest bf16, ties to even; NaN stays NaN. to: [count]. */
void rt_half_to_bf16(int64_t count, const float *restrict from, uint16_t *restrict to);

#endif
