#define _GNU_SOURCE
#include "core/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void rt_process_host(char host[RT_PROCESS_HOST])
{
  memset(host, 0, RT_PROCESS_HOST);
  (void)gethostname(host, RT_PROCESS_HOST - 1);
}

/* State and start of a process, from Linux's /proc. Its second field, the program's name, may hold anything. */
static bool look_up(int64_t pid, char *state, long long *start)
{
  char path[64], line[1024] = "", *rest;
  FILE *file;

  snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
  file = fopen(path, "r");
  if (!file) return false;
  rest = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
  fclose(file);
  return rest && sscanf(rest, ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lld",
                        state, start) == 2;
}

int64_t rt_process_start(void)
{
  long long start;
  char state;

  return look_up(getpid(), &state, &start) ? start : 0;
}

bool rt_process_gone(const char *host, int64_t pid, int64_t start)
{
  char here[RT_PROCESS_HOST], state;
  long long started;

  rt_process_host(here);
  if (strcmp(host, here) || pid <= 0) return false;
  if (kill((pid_t)pid, 0) && errno == ESRCH) return true;
  if (!look_up(pid, &state, &started)) return false;
  return state == 'Z' || (start && started != start); /* a zombie writes no more */
}
