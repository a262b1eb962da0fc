#include "core/random.h"
#include "core/simd.h"
#include <math.h>

enum { ROUNDS = 10, FEISTEL_ROUNDS = 8, LEAST_HALF_BITS = 3 };

static const uint64_t multiplier0 = 0xD2511F53u, multiplier1 = 0xCD9E8D57u, low = 0xFFFFFFFFu;
static const uint64_t step = 0x9E3779B97F4A7C15u; /* of the round keys of a permutation */
static const uint32_t weyl0 = 0x9E3779B9u, weyl1 = 0xBB67AE85u;

void rt_random_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
  uint32_t k0 = key[0], k1 = key[1], c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];

  for (int round = 0; round < ROUNDS; round++) {
    uint64_t p0 = multiplier0 * c0, p1 = multiplier1 * c2;

    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += weyl0;
    k1 += weyl1;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/* Four words of one counter, each in the low half of 64 bits, so that a product is one instruction in all lanes. */
typedef struct {
  uint64_t word[4];
} Wide;

RT_SIMD_INLINE Wide turn(Wide c, uint32_t k0, uint32_t k1)
{
  uint64_t p0 = multiplier0 * (c.word[0] & low), p1 = multiplier1 * (c.word[2] & low);
  Wide next = {{(p1 >> 32) ^ c.word[1] ^ k0, p1 & low, (p0 >> 32) ^ c.word[3] ^ k1, p0 & low}};

  return next;
}

/* blocks of four words. The rounds stand in a row: so the loop over blocks is the inner one and becomes vectors. */
RT_SIMD static void fill(uint32_t k0, uint32_t k1, const uint32_t high[3], uint32_t first, int64_t blocks,
                         uint32_t *restrict out)
{
  const uint32_t h0 = high[0], h1 = high[1], h2 = high[2];

  for (int64_t j = 0; j < blocks; j++) {
    Wide c = {{(uint32_t)(first + (uint32_t)j), h0, h1, h2}};

    c = turn(c, k0, k1);
    c = turn(c, k0 + weyl0, k1 + weyl1);
    c = turn(c, k0 + 2 * weyl0, k1 + 2 * weyl1);
    c = turn(c, k0 + 3 * weyl0, k1 + 3 * weyl1);
    c = turn(c, k0 + 4 * weyl0, k1 + 4 * weyl1);
    c = turn(c, k0 + 5 * weyl0, k1 + 5 * weyl1);
    c = turn(c, k0 + 6 * weyl0, k1 + 6 * weyl1);
    c = turn(c, k0 + 7 * weyl0, k1 + 7 * weyl1);
    c = turn(c, k0 + 8 * weyl0, k1 + 8 * weyl1);
    c = turn(c, k0 + 9 * weyl0, k1 + 9 * weyl1);
    for (int k = 0; k < 4; k++) out[4 * j + k] = (uint32_t)c.word[k];
  }
}

void rt_random_fill(const uint32_t key[2], const uint32_t high[3], uint32_t first, int64_t count, uint32_t *out)
{
  int64_t blocks = count / 4;
  uint32_t counter[4] = {first + (uint32_t)blocks, high[0], high[1], high[2]}, word[4];

  fill(key[0], key[1], high, first, blocks, out);
  rt_random_philox(key, counter, word);
  for (int64_t i = 4 * blocks; i < count; i++) out[i] = word[i - 4 * blocks];
}

void rt_random_key(uint64_t seed, RtRandomPurpose purpose, uint32_t key[2])
{
  uint32_t from[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, counter[4] = {(uint32_t)purpose, 0, 0, 0}, word[4];

  rt_random_philox(from, counter, word);
  key[0] = word[0];
  key[1] = word[1];
}

void rt_random_normal(const uint32_t key[2], uint64_t stream, int64_t count, float *out)
{
  const double turn = 6.283185307179586476925286766559;

  for (int64_t i = 0; i < count; i += 4) {
    uint64_t block = (uint64_t)i / 4;
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)};
    uint32_t word[4];
    double normal[4];

    rt_random_philox(key, counter, word);
    for (int pair = 0; pair < 2; pair++) {
      /* Inside (0, 1), never 0: the logarithm stays finite. */
      double radius = sqrt(-2 * log(((double)word[2 * pair] + 0.5) * 0x1p-32));
      double angle = turn * ((double)word[2 * pair + 1] * 0x1p-32);

      normal[2 * pair] = radius * cos(angle);
      normal[2 * pair + 1] = radius * sin(angle);
    }
    for (int64_t j = 0; j < 4 && i + j < count; j++) out[i + j] = (float)normal[j];
  }
}

void rt_random_permutation(RtPermutation *permutation, uint64_t seed, RtRandomPurpose purpose, uint64_t epoch,
                           uint64_t n)
{
  uint32_t key[2], counter[4] = {(uint32_t)epoch, (uint32_t)(epoch >> 32), 0, 1}, word[4];

  rt_random_key(seed, purpose, key);
  rt_random_philox(key, counter, word);
  permutation->key[0] = word[0];
  permutation->key[1] = word[1];
  permutation->epoch = epoch;
  permutation->n = n;
  permutation->half_bits = LEAST_HALF_BITS;
  while (permutation->half_bits < 32 && n > (uint64_t)1 << (2 * permutation->half_bits)) permutation->half_bits++;
}

/* The finalizer of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014). */
static inline uint64_t mix(uint64_t x)
{
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/* The two halves of the numbers that the network permutes. They may differ by a bit: so these are fewer than 2 n, and
   the walk is short. */
typedef struct {
  int right_bits;
  uint64_t left_mask, right_mask, key;
} Network;

static inline Network network(const RtPermutation *permutation)
{
  const int right_bits = permutation->half_bits;
  const int left_bits = right_bits - (permutation->n <= (uint64_t)1 << (2 * right_bits - 1));

  return (Network){right_bits, ((uint64_t)1 << left_bits) - 1, ((uint64_t)1 << right_bits) - 1,
                   (uint64_t)permutation->key[1] << 32 | permutation->key[0]};
}

uint64_t rt_random_permute(const RtPermutation *permutation, uint64_t i)
{
  const Network net = network(permutation);

  do {
    uint64_t left = i >> net.right_bits, right = i & net.right_mask, round_key = net.key;

    for (int round = 0; round < FEISTEL_ROUNDS; round += 2) {
      left ^= mix(round_key + right) & net.left_mask;
      right ^= mix(round_key + step + left) & net.right_mask;
      round_key += 2 * step;
    }
    i = left << net.right_bits | right;
  } while (i >= permutation->n);
  return i;
}

uint64_t rt_random_unpermute(const RtPermutation *permutation, uint64_t image)
{
  const Network net = network(permutation);

  do {
    uint64_t left = image >> net.right_bits, right = image & net.right_mask;
    uint64_t round_key = net.key + FEISTEL_ROUNDS * step;

    for (int round = 0; round < FEISTEL_ROUNDS; round += 2) {
      round_key -= 2 * step;
      right ^= mix(round_key + step + left) & net.right_mask;
      left ^= mix(round_key + right) & net.left_mask;
    }
    image = left << net.right_bits | right;
  } while (image >= permutation->n);
  return image;
}
