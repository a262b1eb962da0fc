#include "label/here.h"

#include "core/memory.h"
#include "core/simd.h"
#include "model/binding.h"

struct RtHere {
  RtHereParams params;
  RtTeacher teacher;
  RtFieldRead *read;
  RtPlan *plan;
  int taps, workers;
  RtWork **work;  /* [workers] */
  float *average; /* [graph->flat] parameters that go after the student's; NULL: none */
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
  if (h->params.decay > 0) {
    PetscCall(rt_memory_create((size_t)(h->params.graph->flat + 1) * sizeof(float), &h->average));
    PetscCall(PetscArraycpy(h->average, h->params.graph->parameter, h->params.graph->flat));
  }
  PetscCall(rt_plan_set_parameters(h->plan, h->average ? h->average : h->params.graph->parameter));
  PetscFunctionReturn(0);
}

RT_SIMD static void approach(int64_t count, float part, const float *to, float *from)
{
  for (int64_t i = 0; i < count; i++) from[i] += part * (to[i] - from[i]);
}

static PetscErrorCode follow(void *context, int64_t step, const float *parameter)
{
  const RtHere *h = context;
  const double decay = PetscMin(1 - 1 / (double)(step + 2), h->params.decay);

  PetscFunctionBegin;
  approach(h->params.graph->flat, (float)(1 - decay), parameter, h->average);
  PetscCall(rt_plan_set_parameters(h->plan, h->average));
  PetscFunctionReturn(0);
}

static float *kept(void *context, int64_t *count)
{
  const RtHere *h = context;

  *count = h->params.graph->flat;
  return h->average;
}

static PetscErrorCode taken(void *context)
{
  const RtHere *h = context;

  PetscFunctionBegin;
  PetscCall(rt_plan_set_parameters(h->plan, h->average));
  PetscFunctionReturn(0);
}

static PetscErrorCode bind(RtHere *h)
{
  PetscFunctionBegin;
  PetscCall(PetscMalloc1(h->params.graph->inputs, &h->read));
  PetscCall(rt_binding_reads(h->params.graph, h->params.info, h->params.role, h->read));
  h->teacher = (RtTeacher){
      .context = h, .reads = h->params.graph->inputs, .read = h->read, .start = start, .input = input, .fill = fill};
  if (h->params.decay > 0) {
    h->teacher.follow = follow;
    h->teacher.kept = kept;
    h->teacher.taken = taken;
  }
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
  PetscCall(rt_memory_destroy(&h->average));
  PetscCall(PetscFree(*here));
  PetscFunctionReturn(0);
}

const RtTeacher *rt_here_teacher(const RtHere *here)
{
  return &here->teacher;
}
