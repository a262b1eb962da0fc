/* Claims: one process has one at a time; a dead owner's, and one that is not touched, is taken over, by just one. */
#include "support.h"

#include "core/claims.h"
#include "core/process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RACERS = 6, ROUNDS = 60 };

static const double long_time = 1e5;

static bool there(const char *name)
{
  return !access(name, F_OK);
}

static void wait_for(double seconds)
{
  nanosleep(&(struct timespec){(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))}, NULL);
}

/* A claim as some process may have left it, last touched so many seconds ago. */
static void leave(const char *path, const char *text, long ago)
{
  struct timespec times[2];
  FILE *file = fopen(path, "w");

  fputs(text, file);
  fclose(file);
  clock_gettime(CLOCK_REALTIME, &times[0]);
  times[0].tv_sec -= ago;
  times[1] = times[0];
  utimensat(AT_FDCWD, path, times, 0);
}

static bool take(RtClaims *claims, const char *name)
{
  bool mine;

  RT_MUST(rt_claims_take(claims, name, &mine));
  return mine;
}

static void test_one_at_a_time(void)
{
  RtClaims *a, *b;

  RT_MUST(rt_claims_create(".", long_time, &a));
  RT_MUST(rt_claims_create(".", long_time, &b));
  RT_TEST_CHECK(take(a, "x") && there(".x.claim"), "a free one");
  RT_TEST_CHECK(!take(b, "x"), "one that a has");
  RT_TEST_CHECK(take(b, "y") && !take(a, "y"), "another name");
  rt_claims_release(b, "x"); /* not its own */
  RT_TEST_CHECK(!take(b, "x"), "b gave back what a has");
  rt_claims_release(a, "x");
  RT_TEST_CHECK(!there(".x.claim") && take(b, "x"), "one that was given back");
  RT_MUST(rt_claims_destroy(&b));
  RT_TEST_CHECK(!there(".x.claim") && !there(".y.claim") && !b, "the end gives all back");
  RT_MUST(rt_claims_destroy(&b));
  RT_MUST(rt_claims_destroy(&a));
}

/* An owner that works touches its claim; one that does not loses it, and does not take it from the next owner. */
static void test_age(void)
{
  RtClaims *owner, *other;
  char text[300];

  RT_MUST(rt_claims_create(".", 1, &owner));
  RT_MUST(rt_claims_create(".", 1, &other));
  RT_TEST_CHECK(take(owner, "x"), "free");
  wait_for(1.6);
  RT_TEST_CHECK(!take(other, "x"), "an owner that works lost it");
  rt_claims_release(owner, "x");

  leave(".x.claim", "elsewhere 77 5 0123456789abcdef\n", 0);
  RT_TEST_CHECK(!take(other, "x"), "another host's, touched just now");
  wait_for(1.2);
  RT_TEST_CHECK(take(other, "x"), "another host's, not touched for longer");
  rt_claims_release(other, "x");
  leave(".x.claim", "", 0);
  RT_TEST_CHECK(!take(other, "x"), "one that is just being made");
  leave(".x.claim", "", 100);
  RT_TEST_CHECK(take(other, "x"), "one whose making ended midway");
  rt_claims_release(other, "x");

  /* asleep, then taken over: the file is not the same any more */
  RT_TEST_CHECK(take(owner, "x"), "free");
  rename(".x.claim", "gone");
  RT_TEST_CHECK(take(other, "x"), "free for another one");
  rt_claims_release(owner, "x");
  RT_TEST_CHECK(there(".x.claim") && !take(owner, "x"), "a former owner removed the claim of the next");
  unlink("gone");

  /* this process, but in an earlier life of its number */
  RT_MUST(rt_claims_destroy(&other));
  RT_MUST(rt_claims_destroy(&owner));
  RT_MUST(rt_claims_create(".", long_time, &owner));
  rt_process_host(text);
  snprintf(text + strlen(text), 100, " %ld %lld 0123456789abcdef\n", (long)getpid(), (long long)rt_process_start() - 1);
  leave(".x.claim", text, 0);
  RT_TEST_CHECK(rt_process_start() == 0 || take(owner, "x"), "a number that another process has now");
  RT_MUST(rt_claims_destroy(&owner));
}

/* Run in a process of its own that ends without a word. */
static void in_child(void (*run)(void))
{
  pid_t child;
  int status;

  fflush(NULL);
  child = fork();
  if (!child) {
    run();
    _exit(rt_test_failures);
  }
  waitpid(child, &status, 0);
  RT_TEST_CHECK(!status, "the child ended with %d", status);
}

static void take_and_die(void)
{
  RtClaims *claims;

  RT_MUST(rt_claims_create(".", long_time, &claims));
  RT_TEST_CHECK(take(claims, "x"), "free");
}

static void test_dead(void)
{
  RtClaims *claims;

  in_child(take_and_die);
  RT_TEST_CHECK(there(".x.claim"), "the dead process left nothing");
  RT_MUST(rt_claims_create(".", long_time, &claims));
  RT_TEST_CHECK(take(claims, "x"), "a dead owner of this host holds its claim");
  RT_MUST(rt_claims_destroy(&claims));
}

static void test_sweep(void)
{
  RtClaims *claims;

  in_child(take_and_die);
  leave(".old.claim", "elsewhere 77 5 0123456789abcdef\n", 100);
  leave(".new.claim", "elsewhere 77 5 0123456789abcdef\n", 0);
  leave(".half.claim-0123456789abcdef", "elsewhere 77 5 0123456789abcdef\n", 100);
  leave(".other", "elsewhere 77 5 0123456789abcdef\n", 100);
  leave("a.claim", "elsewhere 77 5 0123456789abcdef\n", 100);
  RT_MUST(rt_claims_create(".", long_time, &claims));
  RT_TEST_CHECK(take(claims, "mine"), "free");
  RT_MUST(rt_claims_sweep(".", 50));
  RT_MUST(rt_claims_sweep("nowhere", 50));
  RT_TEST_CHECK(!there(".x.claim") && !there(".old.claim") && !there(".half.claim-0123456789abcdef"),
                "stale ones stay");
  RT_TEST_CHECK(there(".new.claim") && there(".mine.claim") && there(".other") && there("a.claim"), "others went");
  RT_MUST(rt_claims_destroy(&claims));
  unlink(".new.claim");
}

/* --- races ------------------------------------------------------------------------------------------------------- */

/* What the racers share. */
typedef struct {
  atomic_int arrived[2 * ROUNDS], winners[ROUNDS];
} Race;

static Race *race;

static void meet(int place)
{
  atomic_fetch_add(&race->arrived[place], 1);
  while (atomic_load(&race->arrived[place]) < RACERS) sched_yield();
}

static void run_race(void)
{
  RtClaims *claims;
  char name[16];

  RT_MUST(rt_claims_create(".", long_time, &claims));
  for (int round = 0; round < ROUNDS; round++) {
    snprintf(name, sizeof(name), "r%d", round);
    meet(2 * round);
    if (take(claims, name)) atomic_fetch_add(&race->winners[round], 1);
    meet(2 * round + 1);
    rt_claims_release(claims, name);
  }
  RT_MUST(rt_claims_destroy(&claims));
}

/* Free names, dead owners', and old ones, by turns: each is had by just one of the processes that want it. */
static void test_races(void)
{
  pid_t child[RACERS];
  char path[32], dead[300];
  int status;

  rt_process_host(dead);
  in_child(take_and_die);
  for (int round = 0; round < ROUNDS; round++) {
    snprintf(path, sizeof(path), ".r%d.claim", round);
    if (round % 3 == 1) RT_TEST_CHECK(!link(".x.claim", path), "link");
    if (round % 3 == 2) leave(path, "elsewhere 77 5 0123456789abcdef\n", 2 * (long)long_time);
  }
  race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memset(race, 0, sizeof(*race));
  fflush(NULL);
  for (int i = 0; i < RACERS; i++) {
    child[i] = fork();
    if (!child[i]) {
      run_race();
      _exit(rt_test_failures);
    }
  }
  for (int i = 0; i < RACERS; i++) {
    waitpid(child[i], &status, 0);
    RT_TEST_CHECK(!status, "a racer ended with %d", status);
  }
  for (int round = 0; round < ROUNDS; round++)
    RT_TEST_CHECK(race->winners[round] == 1, "round %d has %d winners", round, (int)race->winners[round]);
  munmap(race, sizeof(*race));
  unlink(".x.claim");
}

static void test_errors(void)
{
  RtClaims *claims;
  bool mine;

  RT_MUST(rt_claims_create("/proc", long_time, &claims));
  RT_TEST_SAYS(rt_claims_take(claims, "x", &mine), RT_ERR_FAILED, "/proc/.x.claim|cannot be written");
  RT_MUST(rt_claims_destroy(&claims));
}

static PetscErrorCode test(int argc, char **argv)
{
  char folder[] = "claims-XXXXXX";

  (void)argc;
  (void)argv;
  if (!mkdtemp(folder) || chdir(folder)) return 1;
  test_one_at_a_time();
  test_age();
  test_dead();
  test_sweep();
  test_races();
  test_errors();
  return 0;
}

RT_TEST_MAIN(test)
