#define _GNU_SOURCE
#include "core/fault.h"

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
  int count;
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

/* One fault; it is kept where it is this rank's. */
static PetscErrorCode read_one(const char *text, int rank)
{
  char action[8], point[8], rest;
  int of_rank = 0, fields, a, p;
  long number;

  PetscFunctionBegin;
  fields = sscanf(text, "%7[a-z]:%7[a-z]:%ld:%d%c", action, point, &number, &of_rank, &rest);
  a = fields >= 3 ? find(action, action_name, ACTIONS) : -1;
  p = fields >= 3 ? find(point, point_name, RT_FAULT_POINTS) : -1;
  if (a < 0 || p < 0 || fields > 4 || number < 1 || of_rank < 0)
    RtUsage("RETORT_FAULT: '%s' is not fail|kill|term|slow : open|write|send|step : NUMBER [: RANK]", text);
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
  if (PetscLikely(!state.count)) PetscFunctionReturn(0);
  number = atomic_fetch_add(&state.passed[point], 1) + 1;
  for (int i = 0; i < state.count; i++) {
    const Fault *fault = &state.fault[i];

    if (fault->point != point || number < fault->number) continue;
    if (fault->action == SLOW) be_slow(point);
    if (number > fault->number) continue;
    if (fault->action == KILL) raise(SIGKILL);
    if (fault->action == TERM) kill(getpid(), SIGTERM); /* not raise: a thread in the background has no signals */
    RtCheck(fault->action != FAIL, "RETORT_FAULT: failed at %s %ld, as asked", point_name[point], number);
  }
  PetscFunctionReturn(0);
}
