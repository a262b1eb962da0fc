#include "compress/start.h"

#include "core/file.h"
#include "core/message.h"
#include "job/record.h"
#include "model/model.h"

#include <retort/onnx.h>
#include <string.h>

static PetscErrorCode path_of(const RtJob *job, char *path)
{
  PetscFunctionBegin;
  PetscCall(rt_job_path(job, RT_FILES_START, "student", path));
  PetscFunctionReturn(0);
}

/* On rank 0: is there one of this record? One that cannot be read is not worth a message: it is made again. */
static PetscErrorCode look(const RtJob *job, const char *path, const char *record, bool *there)
{
  RtGraph *graph = NULL;
  const char *made;
  char text[8], name[64], before[96], now[96];
  bool other;

  PetscFunctionBegin;
  *there = false;
  if (!rt_file_exists(path)) PetscFunctionReturn(0);
  if (rt_onnx_read(path, &graph, NULL)) {
    rt_message_take(text, sizeof(text));
    PetscFunctionReturn(0);
  }
  made = rt_model_made_with(graph);
  other = made && rt_record_differ(made, record, rt_options_defaults(job->options), name, before, now);
  *there = made && !other;
  PetscCall(rt_graph_destroy(&graph));
  if (other)
    RtFail("%s was written with %s %s, now it is %s; go on with the old value, or start over with -run_force", path,
           name, before[0] ? before : "absent", now[0] ? now : "absent");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_start_read(const RtJob *job, const char *record, RtGraph **graph)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error = 0;
  int there = 0;
  bool found = false;

  PetscFunctionBegin;
  *graph = NULL;
  PetscCall(path_of(job, path));
  if (job->rank == 0 && !job->force) error = look(job, path, record, &found);
  RtAgree(job->comm, error);
  there = found;
  PetscCallMPI(MPI_Bcast(&there, 1, MPI_INT, 0, job->comm));
  if (!there) PetscFunctionReturn(0);
  error = rt_message_agree(job->comm, rt_onnx_read(path, graph, NULL));
  if (error) PetscCall(rt_graph_destroy(graph));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode write_file(const char *path, const RtGraph *graph)
{
  char folder[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  PetscCall(PetscStrncpy(folder, path, sizeof(folder)));
  *strrchr(folder, '/') = 0;
  PetscCall(rt_file_mkdir(folder));
  PetscCall(rt_onnx_write(graph, path, NULL));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_start_write(const RtJob *job, const char *record, RtGraph *graph)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(path_of(job, path));
  PetscCall(rt_model_sign(graph, "student", record));
  if (job->rank == 0) error = write_file(path, graph);
  RtAgree(job->comm, error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_start_remove(const RtJob *job)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(path_of(job, path));
  if (job->rank == 0) error = rt_file_remove(path);
  RtAgree(job->comm, error);
  PetscFunctionReturn(0);
}
