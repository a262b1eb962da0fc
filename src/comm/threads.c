#define _GNU_SOURCE
#include "comm/threads.h"

#include "core/background.h"
#include "core/message.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1024 };

/* Ranks of this node whose affinity is the same as ours. */
static PetscErrorCode sharers(MPI_Comm comm, const cpu_set_t *mine, int *count)
{
  MPI_Comm node;
  cpu_set_t *all;
  int size;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node));
  PetscCallMPI(MPI_Comm_size(node, &size));
  PetscCall(PetscMalloc1(size, &all));
  PetscCallMPI(MPI_Allgather(mine, sizeof(*mine), MPI_BYTE, all, sizeof(*mine), MPI_BYTE, node));
  *count = 0;
  for (int i = 0; i < size; i++) *count += CPU_EQUAL(&all[i], mine) != 0;
  PetscCall(PetscFree(all));
  PetscCallMPI(MPI_Comm_free(&node));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_threads_count(MPI_Comm comm, int *threads)
{
  const char *text = getenv("OMP_NUM_THREADS");
  cpu_set_t mine;
  char *end = NULL;
  int count;

  PetscFunctionBegin;
  CPU_ZERO(&mine);
  if (sched_getaffinity(0, sizeof(mine), &mine)) CPU_SET(0, &mine);
  PetscCall(sharers(comm, &mine, &count));
  *threads = PetscMax(1, CPU_COUNT(&mine) / count);
  if (text && text[0]) {
    long wanted = strtol(text, &end, 10);

    RtCheck(wanted >= 1 && wanted <= MOST && (!*end || *end == ','), "OMP_NUM_THREADS=%s is not a number of threads",
            text);
    *threads = (int)wanted;
  }
  if (*threads > 1 && !rt_background_possible()) {
    rt_message_note("with a debugging PETSc, or -malloc_debug, there is one thread instead of %d", *threads);
    *threads = 1;
  }
  PetscFunctionReturn(0);
}
