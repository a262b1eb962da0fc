#include <retort/plan.h>

#include "core/memory.h"
#include "graph/bound.h"

#include <string.h>

/* Those that are asked for, or the logits. */
static PetscErrorCode copy_taps(RtPlan *plan)
{
  const RtTap logits = {rt_tap_logits(plan->graph), plan->params.training};

  PetscFunctionBegin;
  plan->taps = PetscMax(1, plan->params.taps);
  PetscCall(PetscMalloc1(plan->taps, &plan->tap));
  PetscCall(PetscArraycpy(plan->tap, plan->params.taps ? plan->params.tap : &logits, plan->taps));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_plan_create(const RtGraph *graph, const RtPlanParams *params, RtPlan **plan)
{
  RtPlan *p;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&p));
  p->graph = graph;
  p->params = *params;
  p->params.threads = PetscMax(1, params->threads);
  error = copy_taps(p);
  if (!error) error = rt_bound_create(p);
  if (!error) error = rt_bound_fuse(p);
  if (!error) error = rt_bound_prune(p);
  if (!error && params->training) error = rt_bound_differentiate(p);
  for (int s = 0; !error && s < p->steps; s++) {
    RtStep *step = &p->step[s];

    if (step->skip) continue;
    if (step->op->setup) error = step->op->setup(step);
    step->packed = p->packed_size;
    p->packed_size += rt_memory_align(step->packed_size);
  }
  if (!error) error = rt_bound_place(p);
  if (!error && p->packed_size) error = rt_memory_create(p->packed_size, &p->packed);
  if (error) {
    PetscCall(rt_plan_destroy(&p));
    PetscCall(error);
  }
  *plan = p;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_plan_destroy(RtPlan **plan)
{
  RtPlan *p = *plan;

  PetscFunctionBegin;
  if (!p) PetscFunctionReturn(0);
  for (int s = 0; p->step && s < p->steps; s++) {
    RtStep *step = &p->step[s];

    if (step->data) PetscCall(step->op->destroy(step));
    PetscCall(PetscFree(step->in));
    PetscCall(PetscFree(step->out));
    PetscCall(PetscFree(step->din));
    PetscCall(PetscFree(step->dadd));
  }
  for (int i = 0; p->tensor && i < p->graph->values; i++) PetscCall(PetscFree(p->tensor[i].folded));
  PetscCall(PetscFree(p->tap));
  PetscCall(PetscFree(p->reached));
  PetscCall(PetscFree(p->ready));
  PetscCall(PetscFree(p->step));
  PetscCall(PetscFree(p->tensor));
  PetscCall(rt_memory_destroy(&p->packed));
  PetscCall(PetscFree(*plan));
  PetscFunctionReturn(0);
}

int rt_plan_shape(const RtPlan *plan, int value, int64_t dim[RT_MAX_DIM])
{
  for (int i = 0; i < plan->tensor[value].ndim; i++) dim[i] = plan->tensor[value].dim[i];
  return plan->tensor[value].ndim;
}

RtType rt_plan_type(const RtPlan *plan, int value)
{
  return plan->tensor[value].type;
}

bool rt_plan_truth(const RtPlan *plan, int value)
{
  return plan->tensor[value].truth;
}

PetscErrorCode rt_plan_set_parameters(RtPlan *plan, const float *parameter)
{
  PetscFunctionBegin;
  plan->parameter = parameter;
  for (int s = 0; s < plan->steps; s++) {
    const RtStep *step = &plan->step[s];

    if (!step->skip && step->packed_size) PetscCall(step->op->pack(step, parameter, plan->packed + step->packed));
  }
  PetscFunctionReturn(0);
}

size_t rt_plan_bytes(const RtPlan *plan)
{
  return plan->slab;
}

PetscErrorCode rt_work_create(RtPlan *plan, RtWork **work)
{
  RtWork *w;

  PetscFunctionBegin;
  PetscCheck(plan->works < plan->params.threads, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE, "more works than threads");
  PetscCall(PetscNew(&w));
  w->plan = plan;
  w->slot = plan->works++;
  w->packed = plan->packed;
  w->state = plan->graph->state;
  if (plan->params.training && plan->graph->state_flat) PetscCall(PetscCalloc1(plan->graph->state_flat, &w->change));
  PetscCall(rt_memory_create(plan->slab, &w->slab));
  *work = w;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_work_destroy(RtWork **work)
{
  PetscFunctionBegin;
  if (!*work) PetscFunctionReturn(0);
  PetscCall(PetscFree((*work)->change));
  PetscCall(rt_memory_destroy(&(*work)->slab));
  PetscCall(PetscFree(*work));
  PetscFunctionReturn(0);
}

void *rt_work_input(RtWork *work, int input)
{
  return rt_op_data(work, &work->plan->tensor[work->plan->graph->input[input]]);
}

const void *rt_work_tap(const RtWork *work, int tap)
{
  return rt_op_data(work, &work->plan->tensor[work->plan->tap[tap].value]);
}

float *rt_work_dtap(RtWork *work, int tap)
{
  return rt_op_dout(work, &work->plan->tensor[work->plan->tap[tap].value]);
}

int rt_plan_shared(const RtPlan *plan, int tap)
{
  int first = 0;

  while (plan->tensor[plan->tap[first].value].root != plan->tensor[plan->tap[tap].value].root) first++;
  return first;
}

bool rt_plan_reaches(const RtPlan *plan, int value)
{
  return plan->reached[value];
}

void rt_work_set_random(RtWork *work, uint64_t seed, int64_t epoch, const int64_t *sample)
{
  work->seed = seed;
  work->epoch = epoch;
  work->sample = sample;
}

const float *rt_work_change(const RtWork *work)
{
  return work->change;
}

static void start_forward(const RtPlan *plan, RtWork *work)
{
  work->parameter = plan->parameter;
  if (work->change) memset(work->change, 0, (size_t)plan->graph->state_flat * sizeof(float));
}

PetscErrorCode rt_plan_forward(const RtPlan *plan, RtWork *work)
{
  PetscFunctionBegin;
  start_forward(plan, work);
  for (int s = 0; s < plan->steps; s++)
    if (!plan->step[s].skip) PetscCall(plan->step[s].op->forward(&plan->step[s], work));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_plan_forward_watched(const RtPlan *plan, RtWork *work, RtPlanWatch watch, void *context)
{
  PetscFunctionBegin;
  start_forward(plan, work);
  for (int s = 0; s < plan->steps; s++) {
    const RtStep *step = &plan->step[s];

    if (step->skip) continue;
    PetscCall(step->op->forward(step, work));
    for (int k = 0; k < step->outputs; k++) {
      const RtTensor *out = step->out[k];

      if (out && out->type == RT_FLOAT)
        PetscCall(watch(context, step->name, (int)(out - plan->tensor), out->size, rt_op_data(work, out)));
    }
  }
  PetscFunctionReturn(0);
}

/* Add what a step put aside to gradients that other steps have begun. */
static void add_parts(const RtStep *step, RtWork *work)
{
  for (int k = 0; k < step->inputs; k++) {
    const RtTensor *root = step->in[k] ? step->in[k]->root : NULL;
    const float *part;
    float *sum;

    if (!root || !step->dadd[k]) continue;
    part = (const float *)(work->slab + step->din[k]);
    sum = root->place == RT_PLACE_PARAMETER ? work->gradient + root->offset : (float *)(work->slab + root->doffset);
    for (int64_t i = 0; i < root->size; i++) sum[i] += part[i];
  }
}

PetscErrorCode rt_plan_backward(const RtPlan *plan, RtWork *work, float *gradient)
{
  PetscFunctionBegin;
  PetscCall(rt_plan_backward_by_parts(plan, work, gradient, NULL, NULL));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_plan_backward_by_parts(const RtPlan *plan, RtWork *work, float *gradient, RtPlanReady ready,
                                         void *context)
{
  int64_t stands = plan->graph->flat;

  PetscFunctionBegin;
  work->gradient = gradient;
  for (int i = 0; i < plan->graph->values; i++) {
    const RtValue *value = &plan->graph->value[i];

    if (value->kind == RT_VALUE_PARAMETER && !plan->reached[i])
      memset(gradient + value->offset, 0, (size_t)value->size * sizeof(float));
  }
  for (int s = plan->steps - 1; s >= 0; s--) {
    const RtStep *step = &plan->step[s];
    bool wanted = false;

    if (step->skip) continue;
    for (int k = 0; k < step->inputs; k++) wanted = wanted || step->din[k] != RT_DIN_UNWANTED;
    if (!wanted) continue;
    PetscCall(step->op->backward(step, work));
    add_parts(step, work);
    if (!ready || plan->ready[s] >= stands) continue;
    stands = plan->ready[s];
    PetscCall(ready(context, stands));
  }
  PetscFunctionReturn(0);
}
