#include "core/half.h"

#include "core/simd.h"

#include <string.h>

static float float_of_bits(uint32_t bits)
{
  float value;

  memcpy(&value, &bits, sizeof(value));
  return value;
}

float rt_half_from_fp16(uint16_t bits)
{
  uint32_t sign = (uint32_t)(bits >> 15) << 31, exponent = bits >> 10 & 31, fraction = bits & 1023;

  if (exponent == 0) return (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000u | fraction << 13);
  return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

float rt_half_from_bf16(uint16_t bits)
{
  return float_of_bits((uint32_t)bits << 16);
}

RT_SIMD
void rt_half_to_bf16(int64_t count, const float *restrict from, uint16_t *restrict to)
{
  const uint32_t *word = (const uint32_t *)(const void *)from;

  for (int64_t i = 0; i < count; i++) {
    uint32_t w = word[i], rounded = (w + 0x7fff + (w >> 16 & 1)) >> 16;

    to[i] = (uint16_t)((w & 0x7fffffff) > 0x7f800000 ? (w >> 16 | 0x40) : rounded);
  }
}
