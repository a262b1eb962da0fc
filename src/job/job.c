#include "job/job.h"

#include "comm/threads.h"
#include "core/file.h"
#include "core/message.h"
#include "core/stop.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Rank 0 makes the folder and removes what killed processes left half written; all learn how that went. */
static PetscErrorCode make_folder(RtJob *job)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_job_path(job, RT_FILES_CHECKPOINT, NULL, path));
  if (job->rank == 0) error = rt_file_mkdir(job->dir);
  if (job->rank == 0 && !error) error = rt_file_sweep(job->dir);
  if (job->rank == 0 && !error) error = rt_file_sweep(path);
  RtAgree(job->comm, error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_job_create(MPI_Comm comm, const RtOption *table, int count, int argc, char **argv, RtJob *job)
{
  const char *dir = NULL;

  PetscFunctionBegin;
  memset(job, 0, sizeof(*job));
  PetscCallMPI(MPI_Comm_dup(comm, &job->comm));
  PetscCallMPI(MPI_Comm_rank(job->comm, &job->rank));
  PetscCallMPI(MPI_Comm_size(job->comm, &job->size));
  PetscCall(rt_options_create(job->comm, table, count, argc, argv, &job->options));
  PetscCall(rt_threads_count(job->comm, &job->threads));
  job->seed = (uint64_t)rt_options_int(job->options, NULL, "run_seed");
  job->force = rt_options_bool(job->options, NULL, "run_force");
  PetscCall(rt_job_need(job, "run_dir", "the directory of the run", &dir));
  RtCheck(strlen(dir) < sizeof(job->dir) - 64, "-run_dir: the path is too long");
  PetscCall(PetscStrncpy(job->dir, dir, sizeof(job->dir)));
  PetscCall(make_folder(job));
  PetscFunctionReturn(0);
}

static const char run_claim[] = "run";

static PetscErrorCode refuse(const RtJob *job, const RtClaimsHolder *holder)
{
  char since[64] = "some time";
  struct tm local;

  PetscFunctionBegin;
  if (holder->since && localtime_r(&holder->since, &local))
    strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S %Z", &local);
  RtFail("%s: another job works there, process %lld on host %s since %s; wait for its end, or take another -run_dir",
         job->dir, (long long)holder->pid, holder->host, since);
}

/* On rank 0. A claim that is touched while we look is a living job's; one that is not grows stale. */
static PetscErrorCode claim(RtJob *job, bool *stopped)
{
  RtClaimsHolder before = {.pid = 0}, now;
  bool mine = false, seen = false;

  PetscFunctionBegin;
  PetscCall(rt_claims_create(job->dir, rt_options_real(job->options, NULL, "run_claim_seconds"), &job->claims));
  for (;;) {
    PetscCall(rt_claims_take(job->claims, run_claim, &mine));
    *stopped = !mine && rt_stop_asked();
    if (mine || *stopped) PetscFunctionReturn(0);
    if (rt_claims_look(job->claims, run_claim, &now)) {
      if (seen && (now.touched != before.touched || now.pid != before.pid)) PetscCall(refuse(job, &now));
      if (!seen) {
        rt_message_note("%s: process %lld on host %s worked there last; looking for up to %g s whether it still does",
                        job->dir, (long long)now.pid, now.host,
                        rt_options_real(job->options, NULL, "run_claim_seconds"));
        before = now;
      }
      seen = true;
    }
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
  }
}

PetscErrorCode rt_job_claim(RtJob *job, bool *stopped)
{
  PetscErrorCode error = 0;
  int answer = 0;

  PetscFunctionBegin;
  if (job->rank == 0) error = claim(job, stopped);
  RtAgree(job->comm, error);
  answer = *stopped;
  PetscCallMPI(MPI_Bcast(&answer, 1, MPI_INT, 0, job->comm));
  *stopped = answer;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_job_destroy(RtJob *job)
{
  PetscFunctionBegin;
  PetscCall(rt_claims_destroy(&job->claims));
  PetscCall(rt_options_destroy(&job->options));
  if (job->comm) PetscCallMPI(MPI_Comm_free(&job->comm));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_job_path(const RtJob *job, RtFilesKind kind, const char *role, char *path)
{
  PetscFunctionBegin;
  PetscCall(rt_files_path(job->dir, kind, role, path));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_job_need(const RtJob *job, const char *option, const char *what, const char **text)
{
  PetscFunctionBegin;
  *text = rt_options_text(job->options, NULL, option);
  if (!(*text)[0]) RtUsage("-%s is missing: %s; give it in the job file or on the command line", option, what);
  PetscFunctionReturn(0);
}
