#include "label/here.h"

#include "model/binding.h"

struct RtHere {
  RtHereParams params;
  RtTeacher teacher;
  RtFieldRead *read;
  RtPlan *plan;
  int taps, workers;
  RtWork **work; /* [workers] */
};

static void *input(void *context, int worker, int i)
{
  const RtHere *h = context;

  return rt_work_input(h->work[worker], i);
}

static PetscErrorCode fill(void *context, int worker, const float **row)
{
  const RtHere *h = context;

  PetscFunctionBegin;
  PetscCall(rt_plan_forward(h->plan, h->work[worker]));
  for (int i = 0; i < h->taps; i++) row[i] = rt_work_tap(h->work[worker], i);
  PetscFunctionReturn(0);
}

/* Numbers in a row of a tap. */
static PetscErrorCode measure(const RtHere *h, const char *name, int value, int64_t rows, int *width)
{
  int64_t dim[RT_MAX_DIM], count = 1;
  int ndim = rt_plan_shape(h->plan, value, dim);

  PetscFunctionBegin;
  for (int k = 1; k < ndim; k++) count *= dim[k]; /* the plan has checked that it fits */
  RtCheck(ndim >= 2 && dim[0] == rows && rt_plan_type(h->plan, value) == RT_FLOAT && count <= INT32_MAX / 16,
          "the teacher's tap '%s' has no row of floats for each sample", name);
  *width = (int)count;
  PetscFunctionReturn(0);
}

static PetscErrorCode start(void *context, int64_t rows, int workers, int *taps, int width[RT_TERMS])
{
  RtHere *h = context;
  RtPlanParams plan = {.batch = rows, .threads = workers, .precision = h->params.precision};
  const char *name[RT_TERMS];
  RtTap tap[RT_TERMS] = {{0}};

  PetscFunctionBegin;
  plan.taps = h->taps = *taps = rt_terms_teachers(h->params.terms, name);
  plan.tap = tap;
  for (int i = 0; i < h->taps; i++) PetscCall(rt_tap_find(h->params.graph, name[i], "teacher", &tap[i].value));
  PetscCall(rt_plan_create(h->params.graph, &plan, &h->plan));
  for (int i = 0; i < h->taps; i++) PetscCall(measure(h, name[i], tap[i].value, rows, &width[i]));
  h->workers = workers;
  PetscCall(PetscCalloc1(workers, &h->work));
  for (int w = 0; w < workers; w++) PetscCall(rt_work_create(h->plan, &h->work[w]));
  PetscCall(rt_plan_set_parameters(h->plan, h->params.graph->parameter));
  PetscFunctionReturn(0);
}

static PetscErrorCode bind(RtHere *h)
{
  PetscFunctionBegin;
  PetscCall(PetscMalloc1(h->params.graph->inputs, &h->read));
  PetscCall(rt_binding_reads(h->params.graph, h->params.info, "teacher", h->read));
  h->teacher = (RtTeacher){
      .context = h, .reads = h->params.graph->inputs, .read = h->read, .start = start, .input = input, .fill = fill};
  PetscFunctionReturn(0);
}

PetscErrorCode rt_here_create(const RtHereParams *params, RtHere **here)
{
  RtHere *h;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&h));
  h->params = *params;
  error = bind(h);
  if (error) PetscCall(rt_here_destroy(&h));
  PetscCall(error);
  *here = h;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_here_destroy(RtHere **here)
{
  RtHere *h = *here;

  PetscFunctionBegin;
  if (!h) PetscFunctionReturn(0);
  for (int w = 0; h->work && w < h->workers; w++) PetscCall(rt_work_destroy(&h->work[w]));
  PetscCall(rt_plan_destroy(&h->plan));
  PetscCall(PetscFree(h->work));
  PetscCall(PetscFree(h->read));
  PetscCall(PetscFree(*here));
  PetscFunctionReturn(0);
}

const RtTeacher *rt_here_teacher(const RtHere *here)
{
  return &here->teacher;
}
