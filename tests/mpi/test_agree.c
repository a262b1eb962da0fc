/* Small agreements of all ranks, exact sums over ranks, and the number of threads of a rank. */
#include "support.h"

#include "comm/agree.h"
#include "comm/exact.h"
#include "comm/threads.h"

#include <math.h>

static void test_agree(int rank, int size)
{
  int most[3] = {rank, -rank, 7};
  double sum[2] = {rank + 0.5, 1}, largest[2] = {-1.0 - rank, rank == size - 1 ? 1e300 : 0};
  int64_t *count;
  const int64_t length = 100000;

  RT_MUST(rt_agree_max(PETSC_COMM_WORLD, 3, most));
  RT_TEST_CHECK(most[0] == size - 1 && most[1] == 0 && most[2] == 7, "%d %d %d", most[0], most[1], most[2]);
  RT_MUST(rt_agree_sum(PETSC_COMM_WORLD, 2, sum));
  RT_TEST_CHECK(fabs(sum[0] - size * size / 2.0) < 1e-12 && sum[1] == size, "%g %g", sum[0], sum[1]);
  RT_MUST(rt_agree_largest(PETSC_COMM_WORLD, 2, largest));
  RT_TEST_CHECK(largest[0] == -1 && largest[1] == 1e300, "%g %g", largest[0], largest[1]);
  RT_MUST(PetscMalloc1(length, &count));
  for (int64_t i = 0; i < length; i++) count[i] = i + ((int64_t)rank << 60);
  RT_MUST(rt_agree_count(PETSC_COMM_WORLD, length, count));
  for (int64_t i = 0; i < length; i += 999)
    RT_TEST_CHECK(count[i] == size * i + ((int64_t)(size * (size - 1) / 2) << 60), "%lld", (long long)count[i]);
  RT_MUST(PetscFree(count));
}

/* All ranks get what one rank would have summed, to the last bit. */
static void test_exact(int rank, int size)
{
  enum { COUNT = 1000, SUMS = 3 };
  RtExact sum[SUMS] = {{0}}, one[SUMS] = {{0}};
  float number[COUNT];

  rt_support_normal(COUNT, number);
  for (int i = 0; i < COUNT; i++)
    for (int s = 0; s < SUMS; s++) {
      double x = s == 2 && i == 77 ? NAN : number[i] * exp2(i % 80 - 40 + s);

      rt_exact_add(&one[s], x);
      if (i % size == rank) rt_exact_add(&sum[s], x);
    }
  RT_MUST(rt_exact_allreduce(PETSC_COMM_WORLD, SUMS, sum));
  for (int s = 0; s < SUMS; s++)
    RT_TEST_CHECK(sum[s].sum == one[s].sum && sum[s].invalid == one[s].invalid, "sum %d: %.17g, not %.17g", s,
                  rt_exact_value(&sum[s]), rt_exact_value(&one[s]));
  RT_TEST_CHECK(isnan(rt_exact_value(&sum[2])) && !isnan(rt_exact_value(&sum[1])), "NaN of one rank");
}

static void test_threads(int rank)
{
  char *before = getenv("OMP_NUM_THREADS"), *keep = before ? strdup(before) : NULL;
  int threads = 0;

  (void)rank;
#if defined(PETSC_USE_DEBUG) && !defined(PETSC_HAVE_THREADSAFETY)
  const int three = 1;
#else
  const int three = 3;
#endif
  setenv("OMP_NUM_THREADS", "3", 1);
  RT_MUST(rt_threads_count(PETSC_COMM_WORLD, &threads));
  RT_TEST_CHECK(threads == three, "%d threads", threads);
  setenv("OMP_NUM_THREADS", "3,2", 1);
  RT_MUST(rt_threads_count(PETSC_COMM_WORLD, &threads));
  RT_TEST_CHECK(threads == three, "%d threads", threads);
  unsetenv("OMP_NUM_THREADS");
  RT_MUST(rt_threads_count(PETSC_COMM_WORLD, &threads));
  RT_TEST_CHECK(threads >= 1, "%d threads", threads);
  setenv("OMP_NUM_THREADS", "", 1);
  RT_MUST(rt_threads_count(PETSC_COMM_WORLD, &threads));
  for (int i = 0; i < 4; i++) {
    setenv("OMP_NUM_THREADS", (const char *[]){"0", "many", "2x", "-1"}[i], 1);
    RT_TEST_SAYS(rt_threads_count(PETSC_COMM_WORLD, &threads), RT_ERR_FAILED, "OMP_NUM_THREADS=");
  }
  if (keep)
    setenv("OMP_NUM_THREADS", keep, 1);
  else
    unsetenv("OMP_NUM_THREADS");
  free(keep);
}

static PetscErrorCode test(int argc, char **argv)
{
  int rank, size;

  (void)argc;
  (void)argv;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  test_agree(rank, size);
  test_exact(rank, size);
  test_threads(rank);
  return 0;
}

RT_TEST_MAIN(test)
