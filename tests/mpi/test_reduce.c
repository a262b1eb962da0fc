/* Sums of lanes over ranks and threads: bit for bit those of one plain recursion; the
   fast kind within rounding. Then every rank gets all parameters. */
#include "support.h"

#include "comm/reduce.h"

#include <math.h>

enum { MOST = 4096 + 16, STEPS = 3, LANES = 13 };

typedef struct {
  RtReduceKind kind;
  int lanes, threads;
  int64_t n;
} Case;

static float number[STEPS][LANES][MOST];

/* Gradient of one lane in one step; the last few numbers are padding. */
static void fill(int lane, int step, int64_t n, float *out)
{
  memcpy(out, number[step][lane], (size_t)n * sizeof(float));
  for (int64_t i = n - 3; i < n; i++) out[i] = 0;
}

/* The definition of the sum. */
static void define(int lanes, int level, int index, int step, int64_t n, float *out)
{
  float *right;

  if (level == 0) {
    fill(index, step, n, out);
    return;
  }
  define(lanes, level - 1, 2 * index, step, n, out);
  if ((2 * index + 1) << (level - 1) >= lanes) return;
  right = malloc((size_t)n * sizeof(float));
  define(lanes, level - 1, 2 * index + 1, step, n, right);
  for (int64_t i = 0; i < n; i++) out[i] = out[i] + right[i];
  free(right);
}

static float wanted[LANES + 1][STEPS][MOST];

static void prepare(int lanes)
{
  int level = 0;

  while (1 << level < lanes) level++;
  for (int step = 0; step < STEPS; step++) define(lanes, level, 0, step, MOST, wanted[lanes][step]);
}

/* Numbers of a lane do not depend on the length, but padding does. */
static float want(const Case *q, int step, int64_t i)
{
  return i < q->n - 3 ? wanted[q->lanes][step][i] : 0;
}

static void push_lanes(const Case *q, RtReduce *r, int step)
{
#pragma omp parallel for schedule(static, 1) num_threads(q->threads)
  for (int t = 0; t < q->threads; t++) {
    int first, count;

    rt_reduce_lanes(r, t, &first, &count);
    for (int lane = first; lane < first + count; lane++) {
      fill(lane, step, q->n, rt_reduce_buffer(r, t));
      rt_reduce_push(r, t, lane);
    }
  }
}

static void run(const Case *q, const char *what)
{
  RtReduce *r = NULL;
  int64_t first, count, off = 0;
  const float *sum;
  float *parameter;
  double worst = 0;

  RT_MUST(rt_reduce_create(PETSC_COMM_WORLD, q->n, q->lanes, q->threads, q->kind, &r));
  rt_reduce_own(r, &first, &count);
  parameter = rt_reduce_parameter(r);
  RT_TEST_CHECK(first % 16 == 0 && count % 16 == 0 && first >= 0 && first + count <= q->n, "%s: own part", what);
  for (int64_t i = 0; i < q->n; i++) off += parameter[i] != 0;
  RT_TEST_CHECK(off == 0, "%s: parameters are not zero at first", what);
  RT_MUST(rt_reduce_gather(r)); /* all have looked */
  for (int step = 0; step < STEPS; step++) {
    push_lanes(q, r, step);
    RT_MUST(rt_reduce_scatter(r, &sum));
    off = 0;
    for (int64_t i = 0; i < count; i++) {
      float w = want(q, step, first + i);

      off += memcmp(&sum[i], &w, sizeof(w)) != 0;
      worst = fmax(worst, fabs(sum[i] - w));
      parameter[first + i] += 0.5f * sum[i];
    }
    RT_TEST_CHECK(q->kind == RT_REDUCE_FAST ? worst < 1e-5 : off == 0, "%s: %lld of %lld sums are off, by %g", what,
                  (long long)off, (long long)count, worst);
    RT_MUST(rt_reduce_gather(r));
    worst = 0;
    for (int64_t i = 0; i < q->n; i++) {
      float total = 0;

      for (int s = 0; s <= step; s++) total += 0.5f * want(q, s, i);
      worst = fmax(worst, fabs(parameter[i] - total));
    }
    RT_TEST_CHECK(q->kind == RT_REDUCE_FAST ? worst < 1e-5 : worst == 0, "%s: parameters are off by %g", what, worst);
  }
  RT_MUST(rt_reduce_destroy(&r));
  RT_TEST_CHECK(!r, "destroy sets NULL");
}

static void test_kinds(int rank, int size)
{
  static const int lanes[] = {1, 2, 3, 7, 8, 13};
  static const int64_t length[] = {16, 48, MOST};
  static const char *const kind[] = {"tree", "fast"};

  for (int l = 0; l < 6; l++) {
    if (lanes[l] < size) continue;
    prepare(lanes[l]);
    for (int k = 0; k < 2; k++)
      for (int n = 0; n < 3; n++)
        for (int threads = 1; threads <= 4; threads++) {
          Case q = {.kind = k == 0 ? RT_REDUCE_TREE : RT_REDUCE_FAST, .lanes = lanes[l]};
          char what[80];

          if (n < 2 && (threads == 1 || threads == 3)) continue;
          q.n = length[n];
          q.threads = threads < 4 ? threads : 1 + (rank + l) % 3; /* at last, ranks of different numbers of threads */
          snprintf(what, sizeof(what), "%s, %d lanes, %d threads, length %d", kind[k], q.lanes, q.threads, (int)q.n);
          run(&q, what);
        }
  }
}

static void test_parts(int rank, int size)
{
  RtReduce *r;
  int64_t part[2], all[64][2], next = 0;

  RT_MUST(rt_reduce_create(PETSC_COMM_WORLD, 16 * 7, size, 1, RT_REDUCE_TREE, &r));
  rt_reduce_own(r, &part[0], &part[1]);
  MPI_Allgather(part, 2, MPI_INT64_T, all, 2, MPI_INT64_T, PETSC_COMM_WORLD);
  for (int p = 0; p < size; p++) {
    RT_TEST_CHECK(all[p][0] == next, "rank %d begins at %lld, not %lld", p, (long long)all[p][0], (long long)next);
    next += all[p][1];
  }
  RT_TEST_CHECK(next == 16 * 7, "parts end at %lld", (long long)next);
  RT_MUST(rt_reduce_destroy(&r));
  RT_MUST(rt_reduce_destroy(&r));
  RT_TEST_SAYS(rt_reduce_create(PETSC_COMM_SELF, 17, 1, 1, RT_REDUCE_TREE, &r), PETSC_ERR_ARG_SIZ, "multiple of 16");
  (void)rank;
}

static PetscErrorCode test(int argc, char **argv)
{
  int rank, size;

  (void)argc;
  (void)argv;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  rt_support_normal(STEPS * LANES * MOST, number[0][0]);
  test_kinds(rank, size);
  test_parts(rank, size);
  return 0;
}

RT_TEST_MAIN(test)
