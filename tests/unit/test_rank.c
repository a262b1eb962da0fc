/* Ranks of layers, by energy and by a budget of weights, against trying them all. */
#include "support.h"

#include "compress/rank.h"

#include <math.h>

enum { MOST = 40 };

static double energy[3][MOST];

static RtRankLayer layer(int place, int64_t in, int64_t out)
{
  RtRankLayer l = {.in = in, .out = out, .count = PetscMin(in, out), .energy = energy[place]};
  float number[MOST + 4];

  rt_support_normal(MOST, number);
  energy[place][0] = 10;
  for (int i = 1; i < l.count; i++) energy[place][i] = energy[place][i - 1] * (1 - 0.6 * fmin(1, fabsf(number[i])));
  return l;
}

static void test_sizes(void)
{
  for (int64_t in = 1; in < 12; in++)
    for (int64_t out = 1; out < 12; out++) {
      RtRankLayer l = layer(0, in, out);
      int64_t thin = rt_rank_thin(&l);

      RT_TEST_CHECK(thin * (in + out) < in * out && (thin + 1) * (in + out) >= in * out, "%d x %d: %d", (int)in,
                    (int)out, (int)thin);
      RT_TEST_CHECK(thin < l.count, "a thin rank is the whole layer");
      RT_TEST_CHECK(rt_rank_weights(&l, l.count) == in * out && rt_rank_kept(&l, l.count) == 1, "whole layer");
      for (int64_t r = 1; r <= thin; r++) {
        RT_TEST_CHECK(rt_rank_weights(&l, r) == r * (in + out), "weights of rank %d", (int)r);
        RT_TEST_CHECK(rt_rank_kept(&l, r) > 0 && rt_rank_kept(&l, r) < 1, "kept at rank %d", (int)r);
      }
    }
}

static void test_energy(void)
{
  RtRankLayer l = layer(0, 30, 25), nothing = {.in = 9, .out = 9, .count = 9, .energy = energy[1]};

  for (double part = 0; part <= 1; part += 0.01) {
    int64_t rank = rt_rank_by_energy(&l, part);

    RT_TEST_CHECK(rank >= 1 && (rank <= rt_rank_thin(&l) || rank == l.count), "rank %d", (int)rank);
    RT_TEST_CHECK(rt_rank_kept(&l, rank) >= part * (1 - 1e-12), "%g: kept %g", part, rt_rank_kept(&l, rank));
    if (rank > 1 && rank <= rt_rank_thin(&l))
      RT_TEST_CHECK(rt_rank_kept(&l, rank - 1) < part, "%g: rank %d would do", part, (int)rank - 1);
  }
  RT_TEST_CHECK(rt_rank_by_energy(&l, 1) == 25, "all of the energy is the whole layer");
  memset(energy[1], 0, sizeof(energy[1]));
  RT_TEST_CHECK(rt_rank_by_energy(&nothing, 0.9) == 1 && rt_rank_kept(&nothing, 1) == 1, "a layer that gives nothing");
}

/* Sum of the kept parts. */
static double kept(int layers, const RtRankLayer *l, const int64_t *rank)
{
  double sum = 0;

  for (int i = 0; i < layers; i++) sum += rt_rank_kept(&l[i], rank[i]);
  return sum;
}

static void test_budget(void)
{
  RtRankLayer l[3] = {layer(0, 20, 16), layer(1, 14, 22), layer(2, 18, 18)}; /* a direction costs 36 weights in each */
  int64_t rank[3], whole = 20 * 16 + 14 * 22 + 18 * 18, before = 0, try[3];

  RT_TEST_CHECK(rt_rank_by_budget(3, l, 100, rank) == 108, "one direction each");
  RT_TEST_CHECK(rank[0] == 1 && rank[1] == 1 && rank[2] == 1, "what is possible");
  for (int64_t budget = 108; budget <= whole + 40; budget += 7) {
    int64_t used = 0;
    double found, best = 0;

    RT_TEST_CHECK(rt_rank_by_budget(3, l, budget, rank) == 108, "the fewest");
    for (int i = 0; i < 3; i++) used += rt_rank_weights(&l[i], rank[i]);
    RT_TEST_CHECK(used <= budget && used >= before, "%d of %d weights", (int)used, (int)budget);
    before = used;
    found = kept(3, l, rank);
    for (try[0] = 1; try[0] <= 9; try[0]++)
      for (try[1] = 1; try[1] <= 9; try[1]++)
        for (try[2] = 1; try[2] <= 9; try[2]++) {
          int64_t weights = 0;

          for (int i = 0; i < 3; i++) weights += rt_rank_weights(&l[i], try[i]);
          if (weights <= budget && try[0] <= rt_rank_thin(&l[0]) && try[1] <= rt_rank_thin(&l[1]) &&
              try[2] <= rt_rank_thin(&l[2]))
            best = fmax(best, kept(3, l, try));
        }
    RT_TEST_CHECK(found >= best - 1e-12, "%d weights keep %g, %g is possible", (int)budget, found, best);
  }
  for (int i = 0; i < 3; i++) RT_TEST_CHECK(rank[i] == l[i].count, "a budget for all is all");
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_sizes();
  test_energy();
  test_budget();
  return 0;
}

RT_TEST_MAIN(test)
