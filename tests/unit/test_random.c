/* Counter-based random numbers: published vectors, moments, and permutations that are permutations. */
#include "test.h"

#include "core/random.h"

#include <math.h>
#include <string.h>

/* The known answers that come with Random123 (Philox4x32-10). */
static void test_vectors(void)
{
  static const struct {
    uint32_t counter[4], key[2], out[4];
  } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };

  for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
    uint32_t out[4], filled[4];

    rt_random_philox(known[i].key, known[i].counter, out);
    RT_TEST_CHECK(!memcmp(out, known[i].out, sizeof(out)), "vector %zu", i);
    rt_random_fill(known[i].key, known[i].counter + 1, known[i].counter[0], 4, filled);
    RT_TEST_CHECK(!memcmp(filled, known[i].out, sizeof(out)), "vector %zu, filled", i);
  }
}

/* Many words at once are the words one by one, for every count, and across the wrap of the low word. */
static void test_fill(void)
{
  enum { MOST = 700 };
  uint32_t key[2], high[3] = {7, 8, 9}, expected[MOST + 4], out[MOST + 1];
  const uint32_t first = ~0u - 20;

  rt_random_key(5, RT_RANDOM_DROPOUT, key);
  for (uint32_t j = 0; j < MOST / 4 + 1; j++) {
    uint32_t counter[4] = {first + j, high[0], high[1], high[2]};

    rt_random_philox(key, counter, expected + 4 * j);
  }
  for (int64_t count = 0; count <= MOST; count++) {
    out[count] = 12345;
    rt_random_fill(key, high, first, count, out);
    RT_TEST_CHECK(!memcmp(out, expected, (size_t)count * sizeof(*out)), "count %d", (int)count);
    RT_TEST_CHECK(out[count] == 12345, "count %d: written past the end", (int)count);
  }
}

static void test_keys(void)
{
  uint32_t key[6][2];
  const uint64_t seed[3] = {1, 2, (uint64_t)1 << 32 | 1};

  for (int i = 0; i < 3; i++) {
    rt_random_key(seed[i], RT_RANDOM_INIT, key[2 * i]);
    rt_random_key(seed[i], RT_RANDOM_DROPOUT, key[2 * i + 1]);
  }
  for (int i = 0; i < 6; i++) {
    for (int j = 0; j < i; j++) RT_TEST_CHECK(memcmp(key[i], key[j], sizeof(key[i])) != 0, "keys %d and %d", i, j);
  }
  RT_TEST_CHECK(rt_random_unit(0) == 0 && rt_random_unit(~0u) < 1 && rt_random_unit(1u << 31) == 0.5f, "unit");
}

static PetscErrorCode test_normal(void)
{
  enum { COUNT = 400000 };
  const double expected[5] = {0, 1, 0, 3, 0.6826895};
  double moment[5] = {0}, neighbour = 0;
  float *value, part[11];
  uint32_t key[2];

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(COUNT, &value));
  rt_random_key(3, RT_RANDOM_INIT, key);
  rt_random_normal(key, 2, COUNT, value);
  for (int i = 0; i < COUNT; i++) {
    double x = value[i];

    moment[0] += x / COUNT;
    moment[1] += x * x / COUNT;
    moment[2] += x * x * x / COUNT;
    moment[3] += x * x * x * x / COUNT;
    moment[4] += (fabs(x) < 1) / (double)COUNT;
    if (i) neighbour += x * value[i - 1] / COUNT;
  }
  for (int k = 0; k < 5; k++) RT_TEST_CHECK(fabs(moment[k] - expected[k]) < 0.05, "moment %d: %g", k, moment[k]);
  RT_TEST_CHECK(fabs(neighbour) < 0.01, "neighbours correlate: %g", neighbour);
  for (int count = 0; count <= 11; count++) {
    rt_random_normal(key, 2, count, part);
    RT_TEST_CHECK(!memcmp(part, value, (size_t)count * sizeof(*part)), "the first %d differ", count);
  }
  rt_random_normal(key, 3, 11, part);
  RT_TEST_CHECK(memcmp(part, value, sizeof(part)) != 0, "two streams are the same");
  PetscCall(PetscFree(value));
  PetscFunctionReturn(0);
}

static PetscErrorCode test_bijection(void)
{
  const uint64_t size[] = {1, 2, 3, 5, 31, 32, 33, 64, 65, 100, 1000, 1024, 1025, 60000, 131073};

  PetscFunctionBegin;
  for (size_t k = 0; k < sizeof(size) / sizeof(*size); k++) {
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
      const uint64_t n = size[k];
      RtPermutation permutation;
      uint64_t fixed = 0;
      bool *seen;

      PetscCall(PetscCalloc1(n, &seen));
      rt_random_permutation(&permutation, 11, RT_RANDOM_SHUFFLE, epoch, n);
      for (uint64_t i = 0; i < n; i++) {
        uint64_t image = rt_random_permute(&permutation, i);

        RT_TEST_CHECK(image < n && !seen[image], "n %d, %d goes to %d", (int)n, (int)i, (int)image);
        if (image < n) seen[image] = true;
        if (image == i) fixed++;
        RT_TEST_CHECK(rt_random_unpermute(&permutation, image) == i, "n %d, %d does not come back", (int)n, (int)i);
      }
      RT_TEST_CHECK(n < 100 || fixed < 10, "n %d: %d elements stay in place", (int)n, (int)fixed);
      PetscCall(PetscFree(seen));
    }
  }
  PetscFunctionReturn(0);
}

/* Numbers that do not fit into 32 bits, and the whole range of 64. */
static void test_huge(void)
{
  const uint64_t size[] = {(uint64_t)1 << 40, ((uint64_t)1 << 63) + 1, ~(uint64_t)0};

  for (size_t k = 0; k < sizeof(size) / sizeof(*size); k++) {
    RtPermutation permutation;
    uint64_t image[64];

    rt_random_permutation(&permutation, 1, RT_RANDOM_SHUFFLE, 0, size[k]);
    for (uint64_t i = 0; i < 64; i++) {
      image[i] = rt_random_permute(&permutation, i);
      RT_TEST_CHECK(image[i] < size[k], "size %d, image of %d", (int)k, (int)i);
      for (uint64_t j = 0; j < i; j++) RT_TEST_CHECK(image[i] != image[j], "size %d: an image twice", (int)k);
    }
  }
}

/* Where an element goes over many epochs or seeds is uniform, and so is where a pair of neighbours goes:
   chi-square with 99.99 % bounds. */
static void test_uniform(uint64_t n, bool by_seed, double pair_bound, double bound)
{
  enum { DRAWS = 40000, MOST = 23 };
  int place[MOST][MOST] = {{0}}, pair[MOST][MOST] = {{0}};
  double square = 0;

  for (uint64_t draw = 0; draw < DRAWS; draw++) {
    RtPermutation permutation;
    uint64_t image[MOST];

    rt_random_permutation(&permutation, by_seed ? draw : 1, RT_RANDOM_SHUFFLE, by_seed ? 0 : draw, n);
    for (uint64_t i = 0; i < n; i++) {
      image[i] = rt_random_permute(&permutation, i);
      place[i][image[i]]++;
    }
    pair[image[0]][image[1]]++;
  }
  for (uint64_t i = 0; i < n; i++) {
    double mean = (double)DRAWS / (double)n, chi = 0;

    for (uint64_t j = 0; j < n; j++) chi += pow(place[i][j] - mean, 2) / mean;
    RT_TEST_CHECK(chi < bound, "n %d, element %d: chi-square %g", (int)n, (int)i, chi);
  }
  for (uint64_t i = 0; i < n; i++) {
    double mean = (double)DRAWS / (double)(n * (n - 1));

    for (uint64_t j = 0; j < n; j++) square += i == j ? 0 : pow(pair[i][j] - mean, 2) / mean;
  }
  RT_TEST_CHECK(square < pair_bound, "n %d, pair of neighbours: chi-square %g", (int)n, square);
}

static PetscErrorCode test(int argc, char **argv)
{
  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  test_vectors();
  test_fill();
  test_keys();
  PetscCall(test_normal());
  PetscCall(test_bijection());
  test_huge();
  test_uniform(5, false, 51, 23.5);  /* 19 and 4 degrees of freedom */
  test_uniform(23, true, 632, 55.8); /* 505 and 22 */
  test_uniform(23, false, 632, 55.8);
  PetscFunctionReturn(0);
}
RT_TEST_MAIN(test)
