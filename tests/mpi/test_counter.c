/* The shared counter: every number from 0 is taken exactly once, and each rank sees its own in ascending order; and
   none after it was closed. */
#include "support.h"

#include "comm/counter.h"

enum { NUMBERS = 2000 };

static void take(RtCounter *counter, int64_t limit, int64_t *taken, int64_t *own)
{
  int64_t number, before = -1;

  do {
    RT_MUST(rt_counter_next(counter, &number));
    RT_TEST_CHECK(number > before, "%lld after %lld", (long long)number, (long long)before);
    before = number;
    if (number < limit) taken[number]++;
    if (number < limit) (*own)++;
  } while (number < limit);
}

static void check(const int64_t *taken, int64_t limit, const char *what)
{
  static int64_t all[NUMBERS];

  MPI_Allreduce(taken, all, (int)limit, MPI_INT64_T, MPI_SUM, PETSC_COMM_WORLD);
  for (int64_t i = 0; i < limit; i++)
    RT_TEST_CHECK(all[i] == 1, "%s: number %lld is taken %lld times", what, (long long)i, (long long)all[i]);
}

static PetscErrorCode test(int argc, char **argv)
{
  static int64_t taken[2][NUMBERS];
  RtCounter counter[2];
  int64_t own = 0, number;
  int rank, size;

  (void)argc;
  (void)argv;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  RT_MUST(rt_counter_create(PETSC_COMM_WORLD, &counter[0]));
  take(&counter[0], NUMBERS, taken[0], &own);
  check(taken[0], NUMBERS, "one counter");
  RT_MUST(rt_counter_destroy(&counter[0]));
  /* two counters at once do not mix */
  memset(taken, 0, sizeof(taken));
  for (int c = 0; c < 2; c++) RT_MUST(rt_counter_create(PETSC_COMM_WORLD, &counter[c]));
  take(&counter[rank % 2], 100, taken[rank % 2], &own);
  take(&counter[1 - rank % 2], 100, taken[1 - rank % 2], &own);
  for (int c = 0; c < 2; c++) check(taken[c], 100, "two counters");
  for (int c = 0; c < 2; c++) RT_MUST(rt_counter_destroy(&counter[c]));
  /* a rank gets numbers although the others do not take part: they wait in a barrier */
  RT_MUST(rt_counter_create(PETSC_COMM_WORLD, &counter[0]));
  for (int64_t i = 0; rank == size - 1 && i < 50; i++) {
    RT_MUST(rt_counter_next(&counter[0], &number));
    RT_TEST_CHECK(number == i, "%lld, not %lld", (long long)number, (long long)i);
  }
  MPI_Barrier(PETSC_COMM_WORLD);
  RT_MUST(rt_counter_peek(&counter[0], &number));
  RT_TEST_CHECK(number == 50, "%lld is next, not 50", (long long)number);
  MPI_Barrier(PETSC_COMM_WORLD);
  /* closed by one, closed for all, and once more does no harm */
  if (rank == 0) RT_MUST(rt_counter_close(&counter[0]));
  do {
    RT_MUST(rt_counter_serve(&counter[0]));
    RT_MUST(rt_counter_peek(&counter[0], &number));
  } while (number == 50);
  RT_TEST_CHECK(number >= RT_COUNTER_CLOSED, "%lld after closing", (long long)number);
  RT_MUST(rt_counter_close(&counter[0]));
  RT_MUST(rt_counter_next(&counter[0], &number));
  RT_TEST_CHECK(number >= RT_COUNTER_CLOSED, "%lld after closing twice", (long long)number);
  RT_MUST(rt_counter_destroy(&counter[0]));
  return 0;
}

RT_TEST_MAIN(test)
