#define _GNU_SOURCE
#include "core/fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 16 };

typedef enum { FAIL, KILL, TERM, SLOW, ACTIONS } Action;

static const char *const action_name[ACTIONS] = {"fail", "kill", "term", "slow"};
static const char *const point_name[RT_FAULT_POINTS] = {"open", "write", "send", "step"};
static const int slowness = 5;

typedef struct {
  Action action;
  RtFaultPoint point;
  long number;
} Fault;

/* Signals and files are those of the process, and so is what spoils them. */
static struct {
  int count, rank;
  const char *log; /* file; NULL: none is wanted */
  Fault fault[MOST];
  atomic_long passed[RT_FAULT_POINTS];
  double before[RT_FAULT_POINTS]; /* seconds, of the last pass of a slow rank */
} state;

static int find(const char *word, const char *const *name, int count)
{
  for (int i = 0; i < count; i++)
    if (!strcmp(word, name[i])) return i;
  return -1;
}

/* The names, joined by `|`. text: [64]. */
static const char *join(const char *const *name, int count, char text[64])
{
  text[0] = 0;
  for (int i = 0; i < count; i++) snprintf(text + strlen(text), 64 - strlen(text), "%s%s", i ? "|" : "", name[i]);
  return text;
}

/* Add a line to the log in one piece, as all ranks write there. */
static void note(const char *what, const char *action, RtFaultPoint point, long number)
{
  int file = state.log ? open(state.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
  char line[96];
  ssize_t written;

  if (file < 0) return;
  snprintf(line, sizeof(line), "%s %s:%s:%ld:%d\n", what, action, point_name[point], number, state.rank);
  written = write(file, line, strlen(line));
  (void)written; /* a line that is missing fails the test */
  close(file);
}

static PetscErrorCode note_passes(void)
{
  PetscFunctionBegin;
  for (int p = 0; p < RT_FAULT_POINTS; p++) note("passed", "all", (RtFaultPoint)p, atomic_load(&state.passed[p]));
  PetscFunctionReturn(0);
}

/* One fault; it is kept where it is this rank's. */
static PetscErrorCode read_one(const char *text, int rank)
{
  char action[8], point[8], rest, actions[64], points[64];
  int of_rank = 0, fields, a, p;
  long number;

  PetscFunctionBegin;
  fields = sscanf(text, "%7[a-z]:%7[a-z]:%ld:%d%c", action, point, &number, &of_rank, &rest);
  a = fields >= 3 ? find(action, action_name, ACTIONS) : -1;
  p = fields >= 3 ? find(point, point_name, RT_FAULT_POINTS) : -1;
  if (a < 0 || p < 0 || fields > 4 || number < 1 || of_rank < 0)
    RtUsage("RETORT_FAULT: '%s' is not %s : %s : NUMBER [: RANK]", text, join(action_name, ACTIONS, actions),
            join(point_name, RT_FAULT_POINTS, points));
  if (of_rank != rank) PetscFunctionReturn(0);
  if (state.count == MOST) RtUsage("RETORT_FAULT: more than %d faults", MOST);
  state.fault[state.count++] = (Fault){.action = (Action)a, .point = (RtFaultPoint)p, .number = number};
  PetscFunctionReturn(0);
}

PetscErrorCode rt_fault_start(int rank)
{
  const char *text = getenv("RETORT_FAULT");
  char copy[512], *next = copy, *one;

  PetscFunctionBegin;
  memset(&state, 0, sizeof(state));
  state.rank = rank;
  state.log = getenv("RETORT_FAULT_LOG");
  if (state.log) PetscCall(PetscRegisterFinalize(note_passes));
  if (!text) PetscFunctionReturn(0);
  if (strlen(text) >= sizeof(copy)) RtUsage("RETORT_FAULT: the text is too long");
  strcpy(copy, text);
  while ((one = strsep(&next, ",")))
    if (one[0]) PetscCall(read_one(one, rank));
  PetscFunctionReturn(0);
}

static double seconds(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Sleep as long as `slowness` - 1 times what passed since the last time. */
static void be_slow(RtFaultPoint point)
{
  double now = seconds(), more = state.before[point] > 0 ? (slowness - 1) * (now - state.before[point]) : 0;

  nanosleep(&(struct timespec){(time_t)more, (long)(1e9 * (more - (double)(time_t)more))}, NULL);
  state.before[point] = seconds();
}

PetscErrorCode rt_fault_at(RtFaultPoint point)
{
  long number;

  PetscFunctionBegin;
  if (PetscLikely(!state.count && !state.log)) PetscFunctionReturn(0);
  number = atomic_fetch_add(&state.passed[point], 1) + 1;
  for (int i = 0; i < state.count; i++) {
    const Fault *fault = &state.fault[i];

    if (fault->point != point || number < fault->number) continue;
    if (fault->action == SLOW) be_slow(point);
    if (number > fault->number) continue;
    note("fired", action_name[fault->action], point, number);
    if (fault->action == KILL) raise(SIGKILL);
    if (fault->action == TERM) kill(getpid(), SIGTERM); /* not raise: a thread in the background has no signals */
    RtCheck(fault->action != FAIL, "RETORT_FAULT: failed at %s %ld, as asked", point_name[point], number);
  }
  PetscFunctionReturn(0);
}
