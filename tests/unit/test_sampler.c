/* Which samples are trained on and held out, and the order in which an epoch sees them. */
#include "test.h"

#include "data/sampler.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 1000, CLASSES = 10 };

static int32_t label[SAMPLES];

static PetscErrorCode give_labels(const void *context, int64_t first, int64_t count, int32_t *out)
{
  (void)context;
  memcpy(out, label + first, (size_t)count * sizeof(*out));
  return 0;
}

static RtSampler create(RtSamplerParams params)
{
  RtSampler sampler = {0};
  PetscErrorCode error = rt_sampler_create(&params, SAMPLES, CLASSES, give_labels, NULL, &sampler);

  if (!error) error = rt_sampler_list(&sampler);
  RT_TEST_CHECK(!error, "returned %d", (int)error);
  return sampler;
}

static bool ascending(const int64_t *sample, int64_t count)
{
  for (int64_t i = 0; i < count; i++) {
    if (sample[i] < 0 || sample[i] >= SAMPLES || (i && sample[i] <= sample[i - 1])) return false;
  }
  return true;
}

static bool contains(const int64_t *sample, int64_t count, int64_t which)
{
  for (int64_t i = 0; i < count; i++) {
    if (sample[i] == which) return true;
  }
  return false;
}

/* Holdout and pool are apart, together all; they depend on holdout_seed and not on seed; a smaller limit takes a part
   of a larger one's pool, and so does leaving classes out. */
static PetscErrorCode test_pool(void)
{
  const int omit[] = {3, 7, 3};
  RtSampler all = create((RtSamplerParams){.seed = 1, .holdout_seed = 5, .holdout = 200});
  RtSampler other_seed = create((RtSamplerParams){.seed = 2, .holdout_seed = 5, .holdout = 200});
  RtSampler other_holdout = create((RtSamplerParams){.seed = 1, .holdout_seed = 6, .holdout = 200});
  RtSampler limited = create((RtSamplerParams){.seed = 1, .holdout_seed = 5, .holdout = 200, .limit = 300});
  RtSampler less = create((RtSamplerParams){.seed = 1, .holdout_seed = 5, .holdout = 200, .limit = 30});
  RtSampler without = create((RtSamplerParams){1, 5, 200, 300, 3, omit});
  RtSampler beyond = create((RtSamplerParams){.seed = 1, .holdout_seed = 5, .holdout = 200, .limit = 5000});
  RtSampler plain = create((RtSamplerParams){.seed = 1});
  int64_t kept = 0;

  PetscFunctionBegin;
  RT_TEST_CHECK(all.count == 800 && all.held == 200 && plain.count == SAMPLES && plain.held == 0, "counts");
  RT_TEST_CHECK(ascending(all.pool, 800) && ascending(all.held_out, 200) && ascending(plain.pool, SAMPLES), "order");
  for (int64_t i = 0; i < 200; i++) RT_TEST_CHECK(!contains(all.pool, 800, all.held_out[i]), "held out and trained on");
  RT_TEST_CHECK(!memcmp(all.held_out, other_seed.held_out, 200 * sizeof(int64_t)), "the seed moves the holdout");
  RT_TEST_CHECK(memcmp(all.held_out, other_holdout.held_out, 200 * sizeof(int64_t)) != 0, "holdout_seed does nothing");
  RT_TEST_CHECK(limited.count == 300 && less.count == 30 && beyond.count == 800, "limits");
  RT_TEST_CHECK(!memcmp(all.held_out, limited.held_out, 200 * sizeof(int64_t)), "the limit moves the holdout");
  for (int64_t i = 0; i < 300; i++) {
    const int64_t sample = limited.pool[i];
    const bool left_out = label[sample] == 3 || label[sample] == 7;

    RT_TEST_CHECK(contains(all.pool, 800, sample), "sample %d is not of the pool", (int)sample);
    RT_TEST_CHECK(contains(without.pool, without.count, sample) == !left_out, "sample %d", (int)sample);
    kept += !left_out;
  }
  for (int64_t i = 0; i < 30; i++) RT_TEST_CHECK(contains(limited.pool, 300, less.pool[i]), "limits are not nested");
  RT_TEST_CHECK(without.count == kept && kept < 300 && without.held == 200, "%d without two classes", (int)kept);
  RT_TEST_CHECK(!memcmp(all.held_out, without.held_out, 200 * sizeof(int64_t)), "classes are left out of the holdout");
  PetscCall(rt_sampler_destroy(&all));
  PetscCall(rt_sampler_destroy(&other_seed));
  PetscCall(rt_sampler_destroy(&other_holdout));
  PetscCall(rt_sampler_destroy(&limited));
  PetscCall(rt_sampler_destroy(&less));
  PetscCall(rt_sampler_destroy(&without));
  PetscCall(rt_sampler_destroy(&beyond));
  PetscCall(rt_sampler_destroy(&plain));
  PetscCall(rt_sampler_destroy(&plain));
  PetscFunctionReturn(0);
}

static int compare(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

  return (x > y) - (x < y);
}

/* Any part of the pool is a part of the list, also where whole groups of samples are left out. */
static PetscErrorCode test_parts(void)
{
  enum { MANY = 5000 };
  RtSamplerParams params[] = {{.holdout_seed = 3, .holdout = 7}, {.holdout_seed = 3, .holdout = 200, .limit = 12}};
  int64_t part[40];

  PetscFunctionBegin;
  for (int k = 0; k < 2; k++) {
    RtSampler sampler;

    PetscCall(rt_sampler_create(&params[k], MANY, 0, NULL, NULL, &sampler));
    PetscCall(rt_sampler_list(&sampler));
    for (int64_t first = 0; first <= sampler.count; first += 3) {
      int64_t count = PetscMin(40, sampler.count - first);

      rt_sampler_pool(&sampler, first, count, part);
      RT_TEST_CHECK(!memcmp(part, sampler.pool + first, (size_t)count * sizeof(*part)), "entries from %d", (int)first);
    }
    PetscCall(rt_sampler_destroy(&sampler));
  }
  PetscFunctionReturn(0);
}

/* Every epoch sees each sample once, in an order of its own; pieces are pieces of the whole; past the end is -1. */
static PetscErrorCode test_epochs(void)
{
  RtSampler sampler = create((RtSamplerParams){.seed = 1, .holdout = 100});
  RtSampler other = create((RtSamplerParams){.seed = 2, .holdout = 100});
  int64_t order[4][SAMPLES], piece[70];

  PetscFunctionBegin;
  for (int k = 0; k < 4; k++) rt_sampler_get(k < 3 ? &sampler : &other, k % 3, 0, SAMPLES, order[k]);
  for (int64_t first = 0; first < SAMPLES; first += 70) {
    int64_t count = SAMPLES - first < 70 ? SAMPLES - first : 70;

    rt_sampler_get(&sampler, 1, first, count, piece);
    RT_TEST_CHECK(!memcmp(piece, order[1] + first, (size_t)count * sizeof(*piece)), "positions from %d", (int)first);
  }
  for (int k = 0; k < 4; k++) {
    for (int j = 0; j < k; j++) {
      int same = 0;

      for (int i = 0; i < 900; i++) same += order[k][i] == order[j][i];
      RT_TEST_CHECK(same < 10, "orders %d and %d agree at %d places", k, j, same);
    }
  }
  for (int k = 0; k < 4; k++) {
    for (int i = 900; i < SAMPLES; i++) RT_TEST_CHECK(order[k][i] == -1, "position %d past the end", i);
    qsort(order[k], 900, sizeof(int64_t), compare);
    RT_TEST_CHECK(!memcmp(order[k], sampler.pool, 900 * sizeof(int64_t)), "epoch %d is not the pool", k);
  }
  PetscCall(rt_sampler_destroy(&sampler));
  PetscCall(rt_sampler_destroy(&other));
  PetscFunctionReturn(0);
}

static void test_errors(void)
{
  const int all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, wrong[] = {10}, negative[] = {-1};
  RtSampler sampler;
  RtSamplerParams p = {.holdout = SAMPLES};

  RT_TEST_FAILS(rt_sampler_create(&p, SAMPLES, CLASSES, give_labels, NULL, &sampler));
  p = (RtSamplerParams){.omitted = 10, .omit = all};
  RT_TEST_FAILS(rt_sampler_create(&p, SAMPLES, CLASSES, give_labels, NULL, &sampler));
  p = (RtSamplerParams){.omitted = 1, .omit = wrong};
  RT_TEST_FAILS(rt_sampler_create(&p, SAMPLES, CLASSES, give_labels, NULL, &sampler));
  p = (RtSamplerParams){.omitted = 1, .omit = negative};
  RT_TEST_FAILS(rt_sampler_create(&p, SAMPLES, CLASSES, give_labels, NULL, &sampler));
  RT_TEST_FAILS(rt_sampler_create(&p, SAMPLES, 0, NULL, NULL, &sampler));
  p = (RtSamplerParams){0};
  RT_TEST_FAILS(rt_sampler_create(&p, 0, CLASSES, give_labels, NULL, &sampler));
}

static PetscErrorCode test(int argc, char **argv)
{
  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  for (int i = 0; i < SAMPLES; i++) label[i] = i % CLASSES;
  PetscCall(test_pool());
  PetscCall(test_parts());
  PetscCall(test_epochs());
  test_errors();
  PetscFunctionReturn(0);
}
RT_TEST_MAIN(test)
