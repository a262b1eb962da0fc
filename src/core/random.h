/* Randomness is a function: value = f(seed, purpose, counters), with nothing stored. Philox4x32-10, the counter-based
   generator of Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
#ifndef RT_CORE_RANDOM_H
#define RT_CORE_RANDOM_H

#include <retort/types.h>

typedef enum {
  RT_RANDOM_INIT = 1, /* initial weights */
  RT_RANDOM_SHUFFLE,  /* order of samples in an epoch */
  RT_RANDOM_HOLDOUT,  /* which samples are held out */
  RT_RANDOM_AUGMENT,  /* views of a sample */
  RT_RANDOM_DROPOUT,
  RT_RANDOM_WINDOW,   /* order of samples in a window */
  RT_RANDOM_REGRESSOR /* initial weights of what losses attach */
} RtRandomPurpose;

/* The four words of one counter. */
void rt_random_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);
/* Many counters: word k of counter (first + j, high[0], high[1], high[2]) goes to out[4 j + k], the first `count` words
   of them; `first` wraps at 2^32. The same words as rt_random_philox gives, several billion a second. */
void rt_random_fill(const uint32_t key[2], const uint32_t high[3], uint32_t first, int64_t count, uint32_t *out);
/* Key of a purpose under a seed. */
void rt_random_key(uint64_t seed, RtRandomPurpose purpose, uint32_t key[2]);
/* In [0, 1), 24 bits. */
static inline float rt_random_unit(uint32_t word)
{
  return (float)(word >> 8) * 0x1p-24f;
}
/* count standard normal numbers; the i-th depends on key, stream and i only. */
void rt_random_normal(const uint32_t key[2], uint64_t stream, int64_t count, float *out);

/* A permutation of 0 … n-1 that is a function: image of i under the permutation of (seed, purpose, epoch), by a Feistel
   network with cycle walking (Black, Rogaway: "Ciphers with arbitrary finite domains", CT-RSA 2002). */
typedef struct {
  uint32_t key[2];
  uint64_t epoch, n;
  int half_bits;
} RtPermutation;
void rt_random_permutation(RtPermutation *permutation, uint64_t seed, RtRandomPurpose purpose, uint64_t epoch,
                           uint64_t n);
uint64_t rt_random_permute(const RtPermutation *permutation, uint64_t i);
/* The i whose image this is. */
uint64_t rt_random_unpermute(const RtPermutation *permutation, uint64_t image);

#endif
