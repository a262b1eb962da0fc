#include "import/element.h"

#include "core/half.h"

#include <math.h>
#include <string.h>

size_t rt_element_size(RtElement element)
{
  switch (element.kind) {
  case RT_ELEMENT_UINT8:
  case RT_ELEMENT_INT8:
  case RT_ELEMENT_BOOL:
    return 1;
  case RT_ELEMENT_UINT16:
  case RT_ELEMENT_INT16:
  case RT_ELEMENT_HALF:
    return 2;
  case RT_ELEMENT_UINT32:
  case RT_ELEMENT_INT32:
  case RT_ELEMENT_FLOAT:
    return 4;
  default:
    return 8;
  }
}

bool rt_element_whole(RtElement element)
{
  return element.kind < RT_ELEMENT_HALF;
}

/* The bits of element i as an unsigned number. */
static uint64_t bits_of(RtElement element, const unsigned char *raw, int64_t i)
{
  size_t size = rt_element_size(element);
  const unsigned char *byte = raw + (size_t)i * size;
  uint16_t two;
  uint32_t four;
  uint64_t eight;

  switch (size) {
  case 1:
    return *byte;
  case 2:
    memcpy(&two, byte, sizeof two);
    return element.swap ? __builtin_bswap16(two) : two;
  case 4:
    memcpy(&four, byte, sizeof four);
    return element.swap ? __builtin_bswap32(four) : four;
  default:
    memcpy(&eight, byte, sizeof eight);
    return element.swap ? __builtin_bswap64(eight) : eight;
  }
}

static float float_of(RtElement element, uint64_t bits)
{
  uint32_t four = (uint32_t)bits;
  float single;
  double wide;

  switch (element.kind) {
  case RT_ELEMENT_INT8:
    return (float)(int8_t)bits;
  case RT_ELEMENT_BOOL:
    return bits ? 1 : 0;
  case RT_ELEMENT_INT16:
    return (float)(int16_t)bits;
  case RT_ELEMENT_INT32:
    return (float)(int32_t)four;
  case RT_ELEMENT_INT64:
    return (float)(int64_t)bits;
  case RT_ELEMENT_HALF:
    return rt_half_from_fp16((uint16_t)bits);
  case RT_ELEMENT_FLOAT:
    memcpy(&single, &four, sizeof single);
    return single;
  case RT_ELEMENT_DOUBLE:
    memcpy(&wide, &bits, sizeof wide);
    return (float)wide;
  default:
    return (float)bits;
  }
}

static int64_t int_of(RtElement element, uint64_t bits)
{
  switch (element.kind) {
  case RT_ELEMENT_INT8:
    return (int8_t)bits;
  case RT_ELEMENT_BOOL:
    return bits ? 1 : 0;
  case RT_ELEMENT_INT16:
    return (int16_t)bits;
  case RT_ELEMENT_INT32:
    return (int32_t)(uint32_t)bits;
  case RT_ELEMENT_INT64:
    return (int64_t)bits;
  default:
    return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
  }
}

void rt_element_floats(RtElement element, const void *raw, int64_t count, float *out)
{
  if (element.kind == RT_ELEMENT_FLOAT && !element.swap)
    memcpy(out, raw, (size_t)count * sizeof *out);
  else
    for (int64_t i = 0; i < count; i++) out[i] = float_of(element, bits_of(element, raw, i));
}

void rt_element_ints(RtElement element, const void *raw, int64_t count, int64_t *out)
{
  for (int64_t i = 0; i < count; i++) out[i] = int_of(element, bits_of(element, raw, i));
}
