/* Placing buffers in one slab: those in use at the same moment never share a byte, and little room is wasted. */
#include "support.h"

#include "graph/place.h"

enum { MOST = 60, MOMENTS = 40 };

typedef struct {
  size_t bytes;
  int first, last;
  int64_t offset;
} Wanted;

static size_t aligned(size_t bytes)
{
  return (bytes + 63) / 64 * 64;
}

/* Check by looking at all pairs; returns the bytes that are in use at the fullest moment. */
static size_t check(int count, const Wanted *w, size_t total)
{
  size_t fullest = 0;

  for (int i = 0; i < count; i++) {
    RT_TEST_CHECK(w[i].offset >= 0 && w[i].offset % 64 == 0, "offset %lld", (long long)w[i].offset);
    RT_TEST_CHECK((size_t)w[i].offset + w[i].bytes <= total, "%zu bytes at %lld in a slab of %zu", w[i].bytes,
                  (long long)w[i].offset, total);
    for (int j = 0; j < i; j++) {
      bool meet = w[i].first <= w[j].last && w[j].first <= w[i].last;
      bool overlap = w[i].offset < w[j].offset + (int64_t)w[j].bytes && w[j].offset < w[i].offset + (int64_t)w[i].bytes;

      RT_TEST_CHECK(!meet || !overlap || !w[i].bytes || !w[j].bytes, "buffers %d and %d overlap", i, j);
    }
  }
  for (int moment = 0; moment < MOMENTS; moment++) {
    size_t used = 0;

    for (int i = 0; i < count; i++)
      if (w[i].first <= moment && moment <= w[i].last) used += aligned(w[i].bytes);
    fullest = used > fullest ? used : fullest;
  }
  return fullest;
}

static size_t place(int count, Wanted *w)
{
  RtPlaceRequest request[MOST];
  size_t total = 0;

  for (int i = 0; i < count; i++) {
    w[i].offset = -1;
    request[i] = (RtPlaceRequest){.bytes = w[i].bytes, .first = w[i].first, .last = w[i].last, .offset = &w[i].offset};
  }
  RT_MUST(rt_place_assign(count, request, &total));
  return total;
}

static PetscErrorCode test(int argc, char **argv)
{
  Wanted w[MOST], again[MOST];
  size_t total, least, sum = 0, sum_least = 0;

  (void)argc;
  (void)argv;
  RT_TEST_CHECK(place(0, w) == 0, "nothing takes room");
  for (int round = 0; round < 2000; round++) {
    int count = 1 + rt_support_below(MOST);

    for (int i = 0; i < count; i++) {
      w[i].bytes = (size_t)rt_support_below(rt_support_below(4) ? 300 : 20000);
      w[i].first = rt_support_below(MOMENTS);
      w[i].last = PetscMin(MOMENTS - 1, w[i].first + rt_support_below(round % 3 ? 6 : MOMENTS));
    }
    total = place(count, w);
    least = check(count, w, total);
    RT_TEST_CHECK(total >= least, "%zu bytes for %zu", total, least);
    sum += total;
    sum_least += least;
    /* the same requests are placed alike */
    for (int i = 0; i < count; i++) again[i] = w[i];
    RT_TEST_CHECK(place(count, again) == total, "not the same again");
    for (int i = 0; i < count; i++) RT_TEST_CHECK(again[i].offset == w[i].offset, "buffer %d lies elsewhere", i);
  }
  RT_TEST_CHECK((double)sum < 1.25 * (double)sum_least, "%zu bytes where %zu are needed", sum, sum_least);
  /* a chain of layers, each in use with the next one: two are enough */
  for (int i = 0; i < MOMENTS - 1; i++) w[i] = (Wanted){.bytes = 1000, .first = i, .last = i + 1};
  RT_TEST_CHECK(place(MOMENTS - 1, w) == 2 * aligned(1000), "a chain takes %zu bytes", place(MOMENTS - 1, w));
  return 0;
}

RT_TEST_MAIN(test)
