/* Sizes as people write them: a number of bytes, or one with a binary prefix (K, M, G, T: 2^10, 2^20, 2^30, 2^40).
   Not collective. */
#ifndef RT_CORE_SIZE_H
#define RT_CORE_SIZE_H

#include <retort/types.h>

enum { RT_SIZE_TEXT = 32 };

/* "4096", "500M", "1.5g" into bytes; a fraction of a byte is dropped. Returns false for any other text, and for more
   than 2^53 bytes. */
bool rt_size_parse(const char *text, int64_t *bytes);
/* Bytes rounded to four digits, with a prefix: 1.5K. Returns text. */
const char *rt_size_text(int64_t bytes, char text[RT_SIZE_TEXT]);

/* a * b and a + b, both not negative; INT64_MAX where that is too large. */
static inline int64_t rt_size_times(int64_t a, int64_t b)
{
  int64_t product;

  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}
static inline int64_t rt_size_plus(int64_t a, int64_t b)
{
  int64_t sum;

  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

#endif
