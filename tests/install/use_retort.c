/* A program of a user: reads a model and prints its logits for one sample. use_retort MODEL NUMBER… */
#include <retort/retort.h>
#include <stdio.h>
#include <stdlib.h>

static PetscErrorCode print_logits(int argc, char **argv)
{
  RtPlanParams params = {.batch = 1, .training = false, .precision = RT_PRECISION_FP32};
  RtGraph *graph = NULL;
  RtPlan *plan = NULL;
  RtWork *work = NULL;
  int64_t dim[RT_MAX_DIM];
  const int *id;
  float *input;

  PetscFunctionBegin;
  RtCheck(argc > 2, "usage: use_retort MODEL NUMBER…");
  PetscCall(rt_onnx_read(argv[1], &graph, NULL));
  PetscCall(rt_plan_create(graph, &params, &plan));
  PetscCall(rt_plan_set_parameters(plan, rt_graph_parameter(graph)));
  PetscCall(rt_work_create(plan, &work));

  rt_graph_inputs(graph, &id);
  RtCheck(rt_plan_shape(plan, id[0], dim) == 2 && dim[1] == argc - 2, "%s: takes another number of inputs", argv[1]);
  input = (float *)rt_work_input(work, 0);
  for (int i = 2; i < argc; i++) input[i - 2] = (float)atof(argv[i]);
  PetscCall(rt_plan_forward(plan, work));

  rt_plan_shape(plan, rt_tap_logits(graph), dim);
  for (int64_t i = 0; i < dim[1]; i++) printf("%.6f\n", (double)((const float *)rt_work_tap(work, 0))[i]);

  PetscCall(rt_work_destroy(&work));
  PetscCall(rt_plan_destroy(&plan));
  PetscCall(rt_graph_destroy(&graph));
  PetscFunctionReturn(0);
}

int main(int argc, char **argv)
{
  PetscErrorCode error = rt_retort_initialize(&argc, &argv);

  if (error) return 1;
  return rt_retort_finalize(print_logits(argc, argv));
}
