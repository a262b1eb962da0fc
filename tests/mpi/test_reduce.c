/* Sums of lanes over ranks and threads: bit for bit those of one plain recursion; the
   fast kind within rounding. Then every rank gets all parameters. */
#include "support.h"

#include "comm/reduce.h"

#include <math.h>

enum { MOST = 4096 + 16, STEPS = 3, LANES = 13 };

typedef struct {
  RtReduceKind kind;
  int lanes, threads;
  int64_t n, range, segment, piece, memory;
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

/* Backward: the buffer is filled from its end to its start, in pieces of `piece` numbers; 0: at once. */
static void fill_lane(const Case *q, RtReduce *r, int thread, int lane, int step)
{
  float *buffer = rt_reduce_buffer(r, thread), *whole = malloc((size_t)q->n * sizeof(float));

  fill(lane, step, q->n, whole);
  for (int64_t from = q->n; q->piece && from > 0;) {
    int64_t begin = PetscMax(0, from - q->piece);

    memcpy(buffer + begin, whole + begin, (size_t)(from - begin) * sizeof(float));
    from = begin;
    if (rt_reduce_ready(r, thread, lane, from)) abort(); /* RT_MUST is not for threads */
  }
  if (!q->piece) memcpy(buffer, whole, (size_t)q->n * sizeof(float));
  free(whole);
  rt_reduce_push(r, thread, lane);
}

static void push_lanes(const Case *q, RtReduce *r, int step)
{
#pragma omp parallel for schedule(static, 1) num_threads(q->threads)
  for (int t = 0; t < q->threads; t++) {
    int first, count;

    rt_reduce_lanes(r, t, &first, &count);
    for (int lane = first; lane < first + count; lane++) fill_lane(q, r, t, lane, step);
  }
}

static PetscErrorCode create(const Case *q, RtReduce **r)
{
  RtReduceParams params = {.n = q->n,
                           .lanes = q->lanes,
                           .threads = q->threads,
                           .kind = q->kind,
                           .range = q->range,
                           .segment = q->segment,
                           .memory = q->memory};
  int64_t cut[MOST / 16];

  for (int64_t at = 0; at < q->n && q->range; at += 48) cut[params.cuts++] = at;
  params.cut = cut;
  return rt_reduce_create(PETSC_COMM_WORLD, &params, r);
}

/* The sums of the own parts, which become half an update of the parameters. */
static void check_sums(const Case *q, RtReduce *r, int step, const float *sum, const char *what)
{
  float *parameter = rt_reduce_parameter(r), largest = 0, all;
  int64_t off = 0, at = 0;
  double worst = 0;
  int peak;

  for (int k = 0; k < rt_reduce_ranges(r); k++) {
    int64_t first, count;

    rt_reduce_own(r, k, &first, &count);
    for (int64_t i = 0; i < count; i++, at++) {
      float w = want(q, step, first + i);

      off += memcmp(&sum[at], &w, sizeof(w)) != 0;
      worst = fmax(worst, fabs(sum[at] - w));
      largest = fmaxf(largest, fabsf(sum[at]));
      parameter[first + i] += 0.5f * sum[at];
    }
  }
  RT_TEST_CHECK(q->kind == RT_REDUCE_FAST ? worst < 1e-5 : off == 0, "%s: %lld of %lld sums are off, by %g", what,
                (long long)off, (long long)at, worst);
  peak = rt_reduce_peak(r);
  memcpy(&all, &peak, sizeof(all));
  RT_TEST_CHECK(all == largest, "%s: the largest is %g, not %g", what, largest, all);
}

static void run(const Case *q, const char *what)
{
  RtReduce *r = NULL;
  int64_t off = 0;
  const float *sum;
  float *parameter;
  double worst = 0;

  RT_MUST(create(q, &r));
  parameter = rt_reduce_parameter(r);
  for (int64_t i = 0; i < q->n; i++) off += parameter[i] != 0;
  RT_TEST_CHECK(off == 0, "%s: parameters are not zero at first", what);
  RT_MUST(rt_reduce_gather(r)); /* all have looked */
  for (int step = 0; step < STEPS; step++) {
    push_lanes(q, r, step);
    RT_MUST(rt_reduce_scatter(r, &sum));
    check_sums(q, r, step, sum, what);
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

/* Ranges, messages and pieces of backward of many lengths; every second case says what stands, the others do not. */
static void vary(Case *q, int i)
{
  static const int64_t range[] = {0, 48, 160, 1000, 3000}, segment[] = {0, 16, 64, 512}, piece[] = {0, 100, 37, 1024};

  q->range = range[i % 5];
  q->segment = segment[i / 2 % 4];
  q->piece = i % 2 ? piece[i / 3 % 4] : 0;
}

static void test_kinds(int rank, int size)
{
  static const int lanes[] = {1, 2, 3, 7, 8, 13};
  static const int64_t length[] = {16, 48, MOST};
  static const char *const kind[] = {"tree", "fast"};
  int cases = 0;

  for (int l = 0; l < 6; l++) {
    if (lanes[l] < size) continue;
    prepare(lanes[l]);
    for (int k = 0; k < 2; k++)
      for (int n = 0; n < 3; n++)
        for (int threads = 1; threads <= (n == 2 ? 16 : 4); threads++) {
          Case q = {.kind = k == 0 ? RT_REDUCE_TREE : RT_REDUCE_FAST, .lanes = lanes[l]};
          char what[160];

          if (n < 2 && (threads == 1 || threads == 3)) continue;
          q.n = length[n];
          q.threads =
              threads % 4 ? threads % 4 : 1 + (rank + l) % 3; /* at last, ranks of different numbers of threads */
          vary(&q, cases++);
          snprintf(what, sizeof(what), "%s, %d lanes, %d threads, length %d, ranges %d, segments %d, pieces %d",
                   kind[k], q.lanes, q.threads, (int)q.n, (int)q.range, (int)q.segment, (int)q.piece);
          run(&q, what);
        }
  }
}

static int64_t held(const RtReduce *r)
{
  const RtReduceMemory memory = rt_reduce_memory(r);

  return memory.gradients + memory.sums;
}

/* Less and less memory: never more is held than is allowed, the sums stay the same to the bit, until it is too little
   on one rank, which all say. */
static void test_memory(int size)
{
  Case q = {.kind = RT_REDUCE_TREE, .lanes = 13, .threads = 3, .n = MOST, .range = 1000, .piece = 100};
  int64_t all = 0, least = 0;
  int fits = 0, fewest = q.threads;
  RtReduce *r;

  prepare(q.lanes);
  RT_MUST(create(&q, &r));
  all = held(r);
  MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT64_T, MPI_MAX, PETSC_COMM_WORLD);
  RT_MUST(rt_reduce_destroy(&r));
  for (q.memory = all; !least; q.memory -= PetscMax(1, all / 32)) {
    char what[80];
    int threads;

    snprintf(what, sizeof(what), "%lld of %lld bytes", (long long)q.memory, (long long)all);
    if (create(&q, &r)) {
      least = q.memory;
      RT_MUST(rt_reduce_destroy(&r));
      RT_TEST_SAYS(create(&q, &r), RT_ERR_FAILED, "-reduce_memory");
      RT_MUST(rt_reduce_destroy(&r));
      continue;
    }
    threads = rt_reduce_memory(r).threads;
    fewest = PetscMin(fewest, threads);
    RT_TEST_CHECK(held(r) <= q.memory, "%s: %lld are held", what, (long long)held(r));
    RT_TEST_CHECK(q.memory < all || threads == q.threads, "%s: %d threads have lanes", what, threads);
    RT_MUST(rt_reduce_destroy(&r));
    run(&q, what);
    fits++;
  }
  /* One rank with one thread: lanes 0 to 7, 8 to 11 and 12 wait while their right siblings come: four buffers of the
     thirteen lanes. Three threads have more. */
  RT_TEST_CHECK(fits > 0, "%d sizes fit", fits);
  RT_TEST_CHECK(fewest == 1 || size > 2, "%d threads at least", fewest);
  if (size == 1) RT_TEST_CHECK(least >= 3 * MOST * 4 && least < 4 * MOST * 4, "%lld are too little", (long long)least);
}

/* Where one more byte is too many, messages are shorter, and every number still comes to its place. */
static void test_messages(int rank, int size)
{
  RtReduceParams params = {.n = 1 << 19, .lanes = size, .threads = 1};
  int64_t bound, off = 0, first, count;
  const float *sum;
  float *buffer;
  RtReduce *r;

  RT_MUST(rt_reduce_create(PETSC_COMM_WORLD, &params, &r));
  bound = held(r) - 1;
  MPI_Allreduce(MPI_IN_PLACE, &bound, 1, MPI_INT64_T, MPI_MIN, PETSC_COMM_WORLD);
  params.memory = bound;
  RT_MUST(rt_reduce_destroy(&r));
  RT_MUST(rt_reduce_create(PETSC_COMM_WORLD, &params, &r));
  RT_TEST_CHECK(held(r) <= bound, "%lld of %lld bytes are held", (long long)held(r), (long long)bound);
  buffer = rt_reduce_buffer(r, 0);
  for (int64_t i = 0; i < params.n; i++) buffer[i] = (float)(i % 8192 + rank);
  rt_reduce_push(r, 0, rank);
  RT_MUST(rt_reduce_scatter(r, &sum));
  rt_reduce_own(r, 0, &first, &count);
  for (int64_t i = 0; i < count; i++)
    off += sum[i] != (float)(size * ((first + i) % 8192) + size * (size - 1) / 2); /* exact in float */
  RT_TEST_CHECK(off == 0, "%lld of %lld sums are off", (long long)off, (long long)count);
  RT_MUST(rt_reduce_destroy(&r));
}

/* The parts of all ranks cover the buffer, range by range. */
static void test_parts(int size)
{
  static const int64_t cut[] = {0, 48, 64, 96};
  RtReduceParams params = {.n = 16 * 7, .lanes = size, .threads = 1, .range = 32, .cuts = 4, .cut = cut};
  int64_t part[2], all[64][2], next = 0;
  RtReduce *r;

  RT_MUST(rt_reduce_create(PETSC_COMM_WORLD, &params, &r));
  RT_TEST_CHECK(rt_reduce_ranges(r) == (size > 1 ? 2 : 1), "%d ranges", rt_reduce_ranges(r)); /* 0 to 64, to 112 */
  for (int k = 0; k < rt_reduce_ranges(r); k++) {
    rt_reduce_own(r, k, &part[0], &part[1]);
    MPI_Allgather(part, 2, MPI_INT64_T, all, 2, MPI_INT64_T, PETSC_COMM_WORLD);
    for (int p = 0; p < size; p++) {
      RT_TEST_CHECK(all[p][0] == next && next % 16 == 0, "rank %d begins at %lld, not %lld", p, (long long)all[p][0],
                    (long long)next);
      next += all[p][1];
    }
  }
  RT_TEST_CHECK(next == 16 * 7, "parts end at %lld", (long long)next);
  RT_MUST(rt_reduce_destroy(&r));
  RT_MUST(rt_reduce_destroy(&r));
  params.n = 17;
  RT_TEST_SAYS(rt_reduce_create(PETSC_COMM_SELF, &params, &r), PETSC_ERR_ARG_SIZ, "multiple of 16");
}

/* A number that is not finite shows in the peak of the rank that owns it. */
static void test_peak(int size)
{
  RtReduceParams params = {.n = 64, .lanes = size, .threads = 1};
  const float *sum;
  int64_t first, count;
  RtReduce *r;

  RT_MUST(rt_reduce_create(PETSC_COMM_WORLD, &params, &r));
  for (int step = 0; step < 3; step++) {
    int lane, lanes;

    rt_reduce_lanes(r, 0, &lane, &lanes);
    for (int l = lane; l < lane + lanes; l++) {
      float *buffer = rt_reduce_buffer(r, 0);

      for (int i = 0; i < 64; i++) buffer[i] = 1;
      if (step == 1 && l == size - 1) buffer[7] = NAN;
      rt_reduce_push(r, 0, l);
    }
    RT_MUST(rt_reduce_scatter(r, &sum));
    rt_reduce_own(r, 0, &first, &count);
    RT_TEST_CHECK((rt_reduce_peak(r) >= RT_REDUCE_INFINITE) == (step == 1 && first <= 7 && 7 < first + count),
                  "step %d: peak %x", step, rt_reduce_peak(r));
  }
  RT_MUST(rt_reduce_destroy(&r));
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
  if (size <= LANES) test_memory(size);
  if (size > 1) test_messages(rank, size);
  test_parts(size);
  test_peak(size);
  return 0;
}

RT_TEST_MAIN(test)
