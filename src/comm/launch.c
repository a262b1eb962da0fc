#define _GNU_SOURCE
#include "comm/launch.h"

#include "comm/agree.h"
#include "core/message.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define REMEDY "start with srun --mpi=pmix, or with the mpirun of the MPI library that Retort was built with"

/* What the launcher says in the environment. Around mpirun in a batch job stands a step of srun, which started mpirun's
   helpers and not us: so mpirun is asked first. */
static const struct {
  const char *mark, *size, *rank;
} launcher[] = {
    {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}, /* Open MPI's mpirun */
    {"PMI_SIZE", "PMI_SIZE", "PMI_RANK"},                                     /* mpiexec of MPICH and its kin */
    {"SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},                /* srun */
};

/* Streams are those of the process, and so is what hides them. */
static struct {
  int out, err; /* what they were */
  int kept;     /* what was written meanwhile; -1: they are not hidden */
  int channel;  /* to the process that watches */
} hidden = {.kept = -1};

/* The whole number in a variable of the environment, -1 if there is none. */
static int number(const char *name)
{
  const char *text = getenv(name);
  char *end = NULL;
  long value = text ? strtol(text, &end, 10) : -1;

  return text && end != text && !*end && value >= 0 && value < 1 << 30 ? (int)value : -1;
}

/* How many processes were started together, and which of them this is. Returns false where nobody says so. */
static bool started(int *size, int *rank)
{
  for (size_t i = 0; i < sizeof(launcher) / sizeof(*launcher); i++) {
    if (!getenv(launcher[i].mark)) continue;
    *size = number(launcher[i].size);
    *rank = number(launcher[i].rank);
    return *size > 0 && *rank >= 0;
  }
  return false;
}

static bool wanted(void)
{
  const char *text = getenv("RETORT_LAUNCH");

  return !text || strcmp(text, "any");
}

/* The first process waits for the one in which the program goes on, ends as that does, and speaks for it where MPI has
   not begun. */
static void watch(pid_t program, int channel)
{
  static const char text[] = "retort: MPI does not begin under srun without PMIx: " REMEDY "\n";
  char begun = 0;
  int status = 0;

  signal(SIGTERM, SIG_IGN); /* the program gets them as well */
  signal(SIGUSR1, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  while (read(channel, &begun, 1) < 0 && errno == EINTR) continue;
  while (waitpid(program, &status, 0) < 0 && errno == EINTR) continue;
  if (!begun) {
    if (number("SLURM_PROCID") == 0 && write(STDERR_FILENO, text, sizeof(text) - 1) < 0) _exit(RT_EXIT_FAILED);
    _exit(RT_EXIT_USAGE);
  }
  if (WIFSIGNALED(status)) {
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
  }
  _exit(WEXITSTATUS(status));
}

/* Other MPI libraries than Open MPI begin in each task alone, which rt_launch_check finds. Open MPI may know a way of
   its own without PMIx, so this can only be seen by trying; where it fails it exits at once, and nothing can follow. */
void rt_launch_before(void)
{
#ifdef OPEN_MPI
  int channel[2];
  pid_t program;

  if (!wanted() || getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_NAMESPACE")) return;
  if (!getenv("SLURM_STEP_ID") || number("SLURM_STEP_NUM_TASKS") < 1) return;
  hidden.kept = memfd_create("retort", MFD_CLOEXEC);
  if (hidden.kept < 0) return;
  if (pipe2(channel, O_CLOEXEC) || (program = fork()) < 0) {
    hidden.kept = -1;
    return;
  }
  if (program > 0) {
    close(channel[1]);
    watch(program, channel[0]);
  }
  close(channel[0]);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  hidden.channel = channel[1];
  hidden.out = dup(STDOUT_FILENO);
  hidden.err = dup(STDERR_FILENO);
  dup2(hidden.kept, STDOUT_FILENO);
  dup2(hidden.kept, STDERR_FILENO);
#endif
}

void rt_launch_after(void)
{
  static const char begun = 1;
  char text[4096];
  ssize_t length;

  if (hidden.kept < 0) return;
  dup2(hidden.out, STDOUT_FILENO);
  dup2(hidden.err, STDERR_FILENO);
  close(hidden.out);
  close(hidden.err);
  lseek(hidden.kept, 0, SEEK_SET);
  while ((length = read(hidden.kept, text, sizeof(text))) > 0)
    if (write(STDERR_FILENO, text, (size_t)length) < 0) break;
  close(hidden.kept);
  hidden.kept = -1;
  while (write(hidden.channel, &begun, 1) < 0 && errno == EINTR) continue;
  close(hidden.channel);
}

PetscErrorCode rt_launch_check(MPI_Comm comm)
{
  int tasks = 1, task = 0, size, job;

  PetscFunctionBegin;
  if (!wanted()) PetscFunctionReturn(0);
  PetscCallMPI(MPI_Comm_size(comm, &size));
  if (started(&tasks, &task) && tasks != size) {
    if (task > 0) PetscFunctionReturn(RT_ERR_USAGE); /* without a message: the first one has it */
    if (size == 1)
      RtUsage("%d processes were started together, but MPI finds each of them alone: " REMEDY
              " (RETORT_LAUNCH=any: leave it so)",
              tasks);
    RtUsage("%d processes were started together, but MPI finds %d: " REMEDY " (RETORT_LAUNCH=any: leave it so)", tasks,
            size);
  }
  job = number("SLURM_NTASKS");
  if (tasks == 1 && size == 1 && getenv("SLURM_JOB_ID") && job > 1)
    rt_message_note("this Slurm job has %d tasks, but one process runs: srun --mpi=pmix or mpirun starts all", job);
  PetscFunctionReturn(0);
}

/* Processors that Slurm gave the job on a node, the most of any; -1 outside of Slurm. The text is like 16(x3),8. */
static int allocated(void)
{
  const char *text = getenv("SLURM_JOB_CPUS_PER_NODE");
  int most = -1;

  while (text && *text) {
    int count = atoi(text);

    if (count < 1) return -1;
    most = PetscMax(most, count);
    text = strchr(text, ',');
    if (text) text++;
  }
  return most;
}

PetscErrorCode rt_launch_crowd(MPI_Comm comm, int threads)
{
  enum { SHIFT = 1 << 16 };
  typedef struct {
    cpu_set_t affinity;
    int threads;
  } Rank;
  Rank mine = {.threads = threads}, *all;
  MPI_Comm node;
  cpu_set_t processors;
  int size, busy = 0, count, slurm = allocated(), worst;

  PetscFunctionBegin;
  if (sched_getaffinity(0, sizeof(mine.affinity), &mine.affinity)) CPU_SET(0, &mine.affinity);
  PetscCallMPI(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node));
  PetscCallMPI(MPI_Comm_size(node, &size));
  PetscCall(PetscMalloc1(size, &all));
  PetscCallMPI(MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, all, sizeof(mine), MPI_BYTE, node));
  CPU_ZERO(&processors);
  for (int i = 0; i < size; i++) {
    CPU_OR(&processors, &processors, &all[i].affinity);
    busy += all[i].threads;
  }
  PetscCall(PetscFree(all));
  PetscCallMPI(MPI_Comm_free(&node));
  count = PetscMax(1, CPU_COUNT(&processors));
  if (slurm > 0) count = PetscMin(count, slurm);
  worst = busy > count ? PetscMin(busy - count, SHIFT / 4) * SHIFT + PetscMin(count, SHIFT - 1) : 0;
  PetscCall(rt_agree_max(comm, 1, &worst)); /* of all nodes */
  if (worst && wanted())
    rt_message_note(
        "a node has %d threads on %d processors: fewer ranks there, or a smaller OMP_NUM_THREADS, is faster",
        worst / SHIFT + worst % SHIFT, worst % SHIFT);
  PetscFunctionReturn(0);
}
