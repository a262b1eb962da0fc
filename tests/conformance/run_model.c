#include <retort/retort.h>

#include "model/onnx_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the conformance scripts need from the library. Steps follow each other on one command line, and the first that
   fails ends the program. A step is one of these lines: */
static const char usage[] =
    "run MODEL INPUT[,INPUT...] OUTPUT BATCH\n" /* forward on raw little-endian files; prints the hash and the number
                                                   of parameters, then type and shape of the output */
    "copy MODEL COPY LIMIT\n" /* read and write again; LIMIT: bytes of weights kept inside, or "-"; prints the hash */
    "try MODEL...\n";         /* read, bind, run and write each; errors are fine, crashes are not */

static int64_t count_elements(int ndim, const int64_t dim[])
{
  int64_t count = 1;

  for (int i = 0; i < ndim; i++) count *= dim[i];
  return count;
}

/* Fill the inputs from the files, or with zeros where files is NULL. */
static PetscErrorCode fill_inputs(const RtGraph *graph, const RtPlan *plan, RtWork *work, char *files)
{
  PetscFunctionBegin;
  for (int i = 0; i < graph->inputs; i++) {
    const RtValue *value = &graph->value[graph->input[i]];
    int64_t dim[RT_MAX_DIM], count = count_elements(rt_plan_shape(plan, graph->input[i], dim), dim);
    size_t bytes = (size_t)count * rt_types_size(value->type), got;
    const char *name = files ? strtok(i ? NULL : files, ",") : NULL;
    FILE *file;

    memset(rt_work_input(work, i), 0, bytes);
    if (!files) continue;
    file = name ? fopen(name, "rb") : NULL;
    RtCheck(file, "input %d: no file", i);
    got = fread(rt_work_input(work, i), 1, bytes, file);
    fclose(file);
    RtCheck(got == bytes, "%s: %zu bytes, %zu needed", name, got, bytes);
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode write_output(const RtGraph *graph, const RtPlan *plan, const RtWork *work, const char *path)
{
  static const char *const types[] = {"float32", "uint8", "int32", "int64"};
  int64_t dim[RT_MAX_DIM];
  int ndim = rt_plan_shape(plan, graph->output[0], dim);
  RtType type = rt_plan_type(plan, graph->output[0]);
  FILE *file = fopen(path, "wb");

  PetscFunctionBegin;
  RtCheck(file, "%s: cannot be written", path);
  fwrite(rt_work_tap(work, 0), rt_types_size(type), (size_t)count_elements(ndim, dim), file);
  fclose(file);
  printf("%s", types[type]);
  for (int i = 0; i < ndim; i++) printf(" %lld", (long long)dim[i]);
  printf("\n");
  PetscFunctionReturn(0);
}

/* files and out: NULL for a run with zeros whose output is dropped. */
static PetscErrorCode forward(RtGraph *graph, int64_t batch, char *files, const char *out)
{
  RtTap tap = {.value = graph->output[0]};
  RtPlanParams params = {.batch = batch, .taps = 1, .tap = &tap, .precision = RT_PRECISION_FP32};
  RtPlan *plan = NULL;
  RtWork *work = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_plan_create(graph, &params, &plan));
  error = rt_plan_set_parameters(plan, graph->parameter);
  if (!error) error = rt_work_create(plan, &work);
  if (!error) error = fill_inputs(graph, plan, work, files);
  if (!error) error = rt_plan_forward(plan, work);
  if (!error && out) error = write_output(graph, plan, work, out);
  PetscCall(rt_work_destroy(&work));
  PetscCall(rt_plan_destroy(&plan));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode run(char **argv)
{
  char hash[RT_HASH_TEXT];
  RtGraph *graph = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_onnx_read(argv[0], &graph, hash));
  printf("%s %lld\n", hash, (long long)graph->parameters);
  error = forward(graph, atoll(argv[3]), argv[1], argv[2]);
  PetscCall(rt_graph_destroy(&graph));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode copy(char **argv)
{
  char hash[RT_HASH_TEXT];
  RtGraph *graph = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_onnx_read(argv[0], &graph, NULL));
  if (strcmp(argv[2], "-"))
    error = rt_onnx_writer_write(graph, argv[1], (size_t)atoll(argv[2]), hash);
  else
    error = rt_onnx_write(graph, argv[1], hash);
  if (!error) printf("%s\n", hash);
  PetscCall(rt_graph_destroy(&graph));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static bool small_enough(const RtGraph *graph)
{
  double elements = 0;

  for (int i = 0; i < graph->inputs; i++) {
    const RtValue *value = &graph->value[graph->input[i]];
    double size = 1;

    for (int k = 1; k < value->ndim; k++) size *= (double)value->dim[k];
    elements += size;
  }
  return elements < 1e6;
}

static PetscErrorCode try_all(int argc, char **argv)
{
  PetscFunctionBegin;
  for (int i = 0; i < argc; i++) {
    RtGraph *graph = NULL;
    PetscErrorCode error, ran = 0;

    printf("%s ", argv[i]);
    fflush(stdout);
    error = rt_onnx_read(argv[i], &graph, NULL);
    if (!error && small_enough(graph)) {
      ran = forward(graph, 2, NULL, NULL);
      if (!ran) ran = rt_onnx_write(graph, "try.onnx", NULL);
    }
    PetscCall(rt_graph_destroy(&graph));
    printf("%s\n", error ? "refused" : ran ? "not run" : "run");
    PetscCheck(!error || error == RT_ERR_FAILED, PETSC_COMM_SELF, error, "%s: an internal error", argv[i]);
    PetscCheck(!ran || ran == RT_ERR_FAILED, PETSC_COMM_SELF, ran, "%s: an internal error", argv[i]);
  }
  PetscFunctionReturn(0);
}

int main(int argc, char **argv)
{
  PetscErrorCode error = rt_retort_initialize(&argc, &argv);
  int next = 1;

  if (error) return 1;
  while (!error && next < argc) {
    char **step = argv + next;

    if (!strcmp(step[0], "run") && next + 5 <= argc) {
      error = run(step + 1);
      next += 5;
    } else if (!strcmp(step[0], "copy") && next + 4 <= argc) {
      error = copy(step + 1);
      next += 4;
    } else if (!strcmp(step[0], "try")) {
      error = try_all(argc - next - 1, step + 1);
      next = argc;
    } else {
      fputs(usage, stderr);
      error = RT_ERR_USAGE;
    }
  }
  return rt_retort_finalize(error);
}
