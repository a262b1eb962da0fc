/* How this program was started. Processes that were started together but do not find each other would all do the whole
   work, and in turn write over each other's files. RETORT_LAUNCH=any in the environment leaves these checks out. */
#ifndef RT_COMM_LAUNCH_H
#define RT_COMM_LAUNCH_H

#include <retort/types.h>

/* Before MPI is there. Where srun started us without PMIx, Open MPI may fail, with a page of text from each task. There
   the program goes on in a second process, while the first watches: where MPI does not begin, one line of one task
   stands for all, and the exit code is that of wrong usage. Everywhere else this does nothing. */
void rt_launch_before(void);
/* As soon as MPI is there: shows what it said meanwhile. */
void rt_launch_after(void);

/* Compare comm with what mpirun, mpiexec or the step of srun says that it started. Collective; every process checks for
   itself. Errors (usage): they differ; one process of those that were started has the message.
   A lone process in a job of several tasks, which no launcher has started, gets a note: it may be meant. */
PetscErrorCode rt_launch_check(MPI_Comm comm);

/* A note where a node's ranks have more threads than the processors that their affinity, and Slurm, leave them.
   Collective. threads: of this rank. */
PetscErrorCode rt_launch_crowd(MPI_Comm comm, int threads);

#endif
