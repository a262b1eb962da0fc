#include "compress/compressor.h"

/* `retort compress`: the teacher with its layers cut to low rank, as a model of its own. */
#include "compress/cut.h"
#include "core/message.h"
#include "model/model.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static PetscErrorCode write_model(const RtJob *job, const char *path, const char *dataset, const char *teacher,
                                  RtGraph *graph)
{
  char *record;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_model_record(job, RT_CONTENT_COMPRESSED, 0, dataset, teacher, "", "", &record));
  PetscCall(rt_model_sign(graph, "teacher of low rank", record));
  PetscCall(PetscFree(record));
  if (job->rank == 0) error = rt_onnx_write(graph, path, NULL);
  RtAgree(job->comm, error);
  rt_message_print("compress: %s", path);
  PetscFunctionReturn(0);
}

static PetscErrorCode compress(const RtJob *job, const RtDataset *dataset, const char *path, bool *stopped)
{
  const RtDatasetInfo *info = rt_dataset_info(dataset);
  int64_t rank[RT_OPTIONS_LIST];
  char hash[RT_HASH_TEXT];
  RtGraph *teacher = NULL, *graph = NULL;
  RtCut cut = {.job = job,
               .dataset = rt_options_bool(job->options, "compress", "weighted") ? dataset : NULL,
               .most = rt_options_int(job->options, "compress", "samples"),
               .degree = {.parameters = rt_options_int(job->options, "compress", "parameters"),
                          .energy = rt_options_real(job->options, "compress", "energy"),
                          .ranks = rt_options_ints(job->options, "compress", "ranks", rank),
                          .rank = rank,
                          .names = "retort compress"}};
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_model_read(job, "teacher", info, &teacher, hash));
  cut.teacher = teacher;
  error = rt_cut_make(&cut, "compress", &graph, stopped);
  if (!error && !*stopped) error = write_model(job, path, info->hash, hash, graph);
  PetscCall(rt_graph_destroy(&graph));
  PetscCall(rt_graph_destroy(&teacher));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Before any work: can the file be written, and is it another one than the teacher's? */
static PetscErrorCode check_path(const char *teacher, const char *path)
{
  char folder[PETSC_MAX_PATH_LEN];
  struct stat from, to;
  char *end;

  PetscFunctionBegin;
  RtCheck(strlen(path) < sizeof(folder), "-o: the path is too long");
  PetscCall(PetscStrncpy(folder, path, sizeof(folder)));
  end = strrchr(folder, '/');
  if (end == folder)
    end[1] = 0;
  else if (end)
    *end = 0;
  RtCheck(!access(end ? folder : ".", W_OK), "%s: cannot be written: %s", path, strerror(errno));
  RtCheck(stat(path, &to) || !S_ISDIR(to.st_mode), "-o %s is a folder; name a file", path);
  RtCheck(stat(teacher, &from) || stat(path, &to) || from.st_dev != to.st_dev || from.st_ino != to.st_ino,
          "-o %s is the teacher itself; name another file", path);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_compressor_run(const RtJob *job, bool *stopped)
{
  const RtOptions *o = job->options;
  const char *data, *path;
  char teacher[PETSC_MAX_PATH_LEN];
  RtDataset *dataset = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  PetscCall(rt_job_need(job, "o", "the ONNX file to write", &path));
  if (!rt_options_int(o, "compress", "parameters") && rt_options_real(o, "compress", "energy") == 0 &&
      !rt_options_given(o, "compress", "ranks"))
    RtUsage("compress needs to know how far to cut: -compress_parameters, -compress_energy or -compress_ranks");
  if (rt_options_given(o, "compress", "ranks") &&
      (rt_options_int(o, "compress", "parameters") || rt_options_real(o, "compress", "energy") > 0))
    RtUsage("compress: ranks, and parameters or energy, all say how far to cut: leave one out");
  PetscCall(rt_job_need(job, "data_train", "samples to weigh the layers with, from `retort import`", &data));
  PetscCall(rt_model_path(job, "teacher", teacher));
  RtAgree(job->comm, job->rank ? 0 : check_path(teacher, path));
  PetscCall(rt_dataset_open(job->comm, data, &dataset));
  error = compress(job, dataset, path, stopped);
  PetscCall(rt_dataset_close(&dataset));
  PetscCall(error);
  PetscFunctionReturn(0);
}
