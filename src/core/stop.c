#define _GNU_SOURCE
#include "core/stop.h"

#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t asked;
static volatile sig_atomic_t interrupts;
static double deadline;

static void on_signal(int number)
{
  if (number == SIGINT && interrupts++ > 0) _exit(128 + SIGINT);
  asked = 1;
}

void rt_stop_catch(void)
{
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGINT, &action, NULL);
}

void rt_stop_start(double after)
{
  deadline = after > 0 ? MPI_Wtime() + after : 0;
  rt_stop_catch(); /* PETSc has installed handlers of its own */
}

bool rt_stop_late(void)
{
  return deadline > 0 && MPI_Wtime() > deadline;
}

bool rt_stop_asked(void)
{
  return asked || rt_stop_late();
}
