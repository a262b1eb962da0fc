#include "job/job.h"

#include "comm/threads.h"
#include "core/file.h"
#include "core/message.h"

#include <stdio.h>
#include <string.h>

/* Rank 0 makes the folder and removes what killed processes left half written; all learn how that went. */
static PetscErrorCode make_folder(RtJob *job)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_job_path(job, "checkpoint", path));
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

PetscErrorCode rt_job_destroy(RtJob *job)
{
  PetscFunctionBegin;
  PetscCall(rt_options_destroy(&job->options));
  if (job->comm) PetscCallMPI(MPI_Comm_free(&job->comm));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_job_path(const RtJob *job, const char *name, char *path)
{
  PetscFunctionBegin;
  PetscCall(rt_file_join(job->dir, name, path, PETSC_MAX_PATH_LEN));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_job_need(const RtJob *job, const char *option, const char *what, const char **text)
{
  PetscFunctionBegin;
  *text = rt_options_text(job->options, NULL, option);
  if (!(*text)[0]) RtUsage("-%s is missing: %s; give it in the job file or on the command line", option, what);
  PetscFunctionReturn(0);
}
