/* A job: the options of a run, and what every verb needs to start. */
#ifndef RT_JOB_JOB_H
#define RT_JOB_JOB_H

#include "core/claims.h"
#include "job/files.h"
#include "job/options.h"

/* Bits of RtOption.verbs. */
enum {
  RT_VERB_TRAIN = 1 << 0,
  RT_VERB_LABEL = 1 << 1,
  RT_VERB_VERIFY = 1 << 2,
  RT_VERB_DISTILL = 1 << 3,
  RT_VERB_EVAL = 1 << 4,
  RT_VERB_RUN = 1 << 5,
  RT_VERB_COMPRESS = 1 << 6
};

/* Bits of RtOption.content. */
enum {
  RT_CONTENT_TEACHER = 1 << 0,
  RT_CONTENT_LABELS = 1 << 1,
  RT_CONTENT_STUDENT = 1 << 2,
  RT_CONTENT_EVAL = 1 << 3,
  RT_CONTENT_COMPRESSED = 1 << 4
};

typedef struct {
  MPI_Comm comm;
  int rank, size, threads;
  RtOptions *options;
  uint64_t seed;
  bool force;
  char dir[PETSC_MAX_PATH_LEN];
  RtClaims *claims; /* on rank 0, where this job has its run directory for itself */
} RtJob;

/* Collective. table: [count], must outlive the job. argc, argv: the words after the verb. Makes the run directory.
   Errors: as rt_options_create; no run directory is named, or it cannot be written. */
PetscErrorCode rt_job_create(MPI_Comm comm, const RtOption *table, int count, int argc, char **argv, RtJob *job);
/* Gives the run directory back. */
PetscErrorCode rt_job_destroy(RtJob *job);
/* Collective. Have the run directory for this job alone until rt_job_destroy, on all hosts that share the file system.
   What a dead job left is waited out, for -run_claim_seconds at most, and not at all on the host where it ran.
   stopped: a stop was asked for meanwhile. Errors: another job works there. */
PetscErrorCode rt_job_claim(RtJob *job, bool *stopped);

/* As rt_files_path, in the run directory. */
PetscErrorCode rt_job_path(const RtJob *job, RtFilesKind kind, const char *role, char *path);
/* The text of an option that must be given. what: for the message. Errors (usage): it is empty. */
PetscErrorCode rt_job_need(const RtJob *job, const char *option, const char *what, const char **text);

#endif
