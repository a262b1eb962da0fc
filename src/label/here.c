#include "label/here.h"

#include "core/memory.h"
#include "core/simd.h"
#include "model/binding.h"

#include <string.h>

struct RtHere {
  RtHereParams params;
  RtTeacher teacher;
  RtFieldRead *read; /* of all models, one after the other */
  RtPlan *plan[RT_MIXTURE];
  int taps, workers;
  int64_t rows;
  RtWork **work;  /* [workers][models] */
  double **sum;   /* [workers][rows, width] of a mixture; NULL without */
  float **mixed;  /* … and what comes of it */
  float *average; /* [flat] parameters that go after the student's; NULL: none */
};

static RtWork *work_of(const RtHere *h, int worker, int model)
{
  return h->work[worker * h->params.teacher->models + model];
}

static void *input(void *context, int worker, int i)
{
  const RtHere *h = context;
  int model = 0;

  while (i >= h->params.teacher->graph[model]->inputs) i -= h->params.teacher->graph[model++]->inputs;
  return rt_work_input(work_of(h, worker, model), i);
}

static PetscErrorCode fill(void *context, int worker, const float **row)
{
  const RtHere *h = context;
  const RtMixture *mix = h->params.teacher;

  PetscFunctionBegin;
  for (int m = 0; m < mix->models; m++) {
    PetscCall(rt_plan_forward(h->plan[m], work_of(h, worker, m)));
    if (h->sum) rt_mixture_add(mix, m, h->rows, mix->width, rt_work_tap(work_of(h, worker, m), 0), h->sum[worker]);
  }
  for (int i = 0; i < h->taps; i++) row[i] = h->sum ? h->mixed[worker] : rt_work_tap(work_of(h, worker, 0), i);
  if (h->sum) rt_mixture_end(h->rows * mix->width, h->sum[worker], h->mixed[worker]);
  PetscFunctionReturn(0);
}

/* Numbers in a row of a tap. */
static PetscErrorCode measure(const RtHere *h, int model, const char *name, int value, int *width)
{
  int64_t dim[RT_MAX_DIM], count = 1;
  int ndim = rt_plan_shape(h->plan[model], value, dim);

  PetscFunctionBegin;
  for (int k = 1; k < ndim; k++) count *= dim[k]; /* the plan has checked that it fits */
  RtCheck(ndim >= 2 && dim[0] == h->rows && rt_plan_type(h->plan[model], value) == RT_FLOAT && count <= INT32_MAX / 16,
          "the teacher's tap '%s' has no row of floats for each sample", name);
  *width = (int)count;
  PetscFunctionReturn(0);
}

/* One model: of a mixture, the only tap is the logits. */
static PetscErrorCode start_model(RtHere *h, int model, int workers, int width[RT_TERMS])
{
  const RtGraph *graph = h->params.teacher->graph[model];
  RtPlanParams plan = {.batch = h->rows, .threads = workers, .precision = h->params.precision, .taps = h->taps};
  const char *name[RT_TERMS];
  RtTap tap[RT_TERMS] = {{0}};

  PetscFunctionBegin;
  (void)rt_terms_teachers(h->params.terms, name);
  plan.tap = tap;
  for (int i = 0; i < h->taps; i++) PetscCall(rt_tap_find(graph, name[i], "teacher", &tap[i].value));
  PetscCall(rt_plan_create(graph, &plan, &h->plan[model]));
  for (int i = 0; i < h->taps; i++) PetscCall(measure(h, model, name[i], tap[i].value, &width[i]));
  for (int w = 0; w < workers; w++)
    PetscCall(rt_work_create(h->plan[model], &h->work[w * h->params.teacher->models + model]));
  PetscCall(rt_plan_set_parameters(h->plan[model], graph->parameter));
  PetscFunctionReturn(0);
}

/* The first and only model begins as the student does. */
static PetscErrorCode start_average(RtHere *h)
{
  const RtGraph *graph = h->params.teacher->graph[0];

  PetscFunctionBegin;
  PetscCall(rt_memory_create((size_t)(graph->flat + 1) * sizeof(float), &h->average));
  PetscCall(PetscArraycpy(h->average, graph->parameter, graph->flat));
  PetscCall(rt_plan_set_parameters(h->plan[0], h->average));
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
  approach(h->params.teacher->graph[0]->flat, (float)(1 - decay), parameter, h->average);
  PetscCall(rt_plan_set_parameters(h->plan[0], h->average));
  PetscFunctionReturn(0);
}

static float *kept(void *context, int64_t *count)
{
  const RtHere *h = context;

  *count = h->params.teacher->graph[0]->flat;
  return h->average;
}

static PetscErrorCode taken(void *context)
{
  const RtHere *h = context;

  PetscFunctionBegin;
  PetscCall(rt_plan_set_parameters(h->plan[0], h->average));
  PetscFunctionReturn(0);
}

static PetscErrorCode start(void *context, int64_t rows, int workers, int *taps, int width[RT_TERMS])
{
  RtHere *h = context;
  const RtMixture *mix = h->params.teacher;
  const char *name[RT_TERMS];

  PetscFunctionBegin;
  h->taps = *taps = rt_terms_teachers(h->params.terms, name);
  h->rows = rows;
  h->workers = workers;
  PetscCall(PetscCalloc1(workers * mix->models, &h->work));
  for (int m = 0; m < mix->models; m++) PetscCall(start_model(h, m, workers, width));
  if (h->params.decay > 0) PetscCall(start_average(h));
  if (mix->models == 1) PetscFunctionReturn(0);
  PetscCheck(h->taps == 1 && !strcmp(name[0], "logits"), PETSC_COMM_SELF, PETSC_ERR_ARG_WRONG, "Taps of a mixture");
  PetscCall(PetscCalloc2(workers, &h->sum, workers, &h->mixed));
  for (int w = 0; w < workers; w++)
    PetscCall(PetscMalloc2(rows * mix->width, &h->sum[w], rows * mix->width, &h->mixed[w]));
  PetscFunctionReturn(0);
}

static PetscErrorCode bind(RtHere *h)
{
  const RtMixture *mix = h->params.teacher;
  int reads = 0;

  PetscFunctionBegin;
  for (int m = 0; m < mix->models; m++) reads += mix->graph[m]->inputs;
  PetscCall(PetscMalloc1(reads, &h->read));
  reads = 0;
  for (int m = 0; m < mix->models; reads += mix->graph[m++]->inputs)
    PetscCall(rt_binding_reads(mix->graph[m], h->params.info, h->params.role, h->read + reads));
  h->teacher = (RtTeacher){.context = h, .reads = reads, .read = h->read, .start = start, .input = input, .fill = fill};
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
  for (int w = 0; h->work && w < h->workers * h->params.teacher->models; w++) PetscCall(rt_work_destroy(&h->work[w]));
  for (int w = 0; h->sum && w < h->workers; w++) PetscCall(PetscFree2(h->sum[w], h->mixed[w]));
  PetscCall(PetscFree2(h->sum, h->mixed));
  for (int m = 0; m < RT_MIXTURE; m++) PetscCall(rt_plan_destroy(&h->plan[m]));
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
