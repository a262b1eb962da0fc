#include "graph/bound.h"
#include "graph/place.h"

/* Moments of a run: step s runs forward at s, the loss stands at `steps`, step s runs backward at 2 steps - s. */
typedef struct {
  RtPlan *plan;
  int *first, *last; /* [values] of each root's elements; last < 0: not used */
  int *dfirst;       /* [values] of each root's gradient; < 0: none */
  int requests;
  RtPlaceRequest *request;
} Lifetimes;

static void use(Lifetimes *l, const RtTensor *tensor, int moment)
{
  int id = (int)(tensor->root - l->plan->tensor);

  if (l->last[id] < 0) l->first[id] = moment;
  l->first[id] = PetscMin(l->first[id], moment);
  l->last[id] = PetscMax(l->last[id], moment);
}

static void request(Lifetimes *l, size_t bytes, int first, int last, int64_t *offset)
{
  l->request[l->requests++] = (RtPlaceRequest){.bytes = bytes, .first = first, .last = last, .offset = offset};
}

/* When the elements of each value are read and written. */
static void find_uses(Lifetimes *l)
{
  const RtPlan *plan = l->plan;
  int loss = plan->steps, end = 2 * plan->steps + 1;

  for (int i = 0; i < plan->graph->inputs; i++) {
    /* The caller writes before the run. All inputs are kept whole until the last reader. */
    const RtTensor *tensor = &plan->tensor[plan->graph->input[i]];

    use(l, tensor, 0);
  }
  for (int s = 0; s < plan->steps; s++) {
    const RtStep *step = &plan->step[s];
    int backward = 2 * plan->steps - s;
    bool trained = false;

    if (step->skip) continue;
    for (int k = 0; k < step->inputs; k++) trained = trained || step->din[k] != RT_DIN_UNWANTED;
    for (int k = 0; k < step->inputs; k++) {
      if (!step->in[k]) continue;
      use(l, step->in[k], s);
      if (trained && (step->needs & RT_NEEDS_INPUT)) use(l, step->in[k], backward);
    }
    for (int k = 0; k < step->outputs; k++) {
      if (!step->out[k]) continue;
      use(l, step->out[k], s);
      if (trained && (step->needs & RT_NEEDS_OUTPUT)) use(l, step->out[k], backward);
    }
  }
  for (int i = 0; i < plan->taps; i++) use(l, &plan->tensor[plan->tap[i].value], plan->params.training ? loss : end);
}

static void request_values(Lifetimes *l)
{
  const RtPlan *plan = l->plan;

  find_uses(l);
  for (int i = 0; i < plan->graph->values; i++) {
    RtTensor *tensor = &plan->tensor[i];

    if (tensor->root != tensor || tensor->place != RT_PLACE_WORK || l->last[i] < 0) continue;
    request(l, (size_t)tensor->size * rt_types_size(tensor->type), l->first[i], l->last[i], &tensor->offset);
  }
}

static void request_gradients(Lifetimes *l)
{
  const RtPlan *plan = l->plan;

  for (int i = 0; i < plan->taps; i++)
    if (plan->tap[i].gradient) l->dfirst[plan->tensor[plan->tap[i].value].root - plan->tensor] = plan->steps;
  for (int s = plan->steps - 1; s >= 0; s--) {
    RtStep *step = &plan->step[s];
    int moment = 2 * plan->steps - s;

    if (step->skip) continue;
    for (int k = 0; k < step->inputs; k++) {
      RtTensor *root = step->in[k] ? step->in[k]->root : NULL;

      if (step->din[k] < 0) continue;
      if (step->dadd[k]) {
        request(l, (size_t)root->size * sizeof(float), moment, moment, &step->din[k]);
      } else {
        l->dfirst[root - plan->tensor] = moment;
      }
    }
    if (step->keep_size) request(l, step->keep_size, s, moment, &step->keep);
  }
  for (int s = 0; s < plan->steps; s++) {
    const RtStep *step = &plan->step[s];

    for (int k = 0; !step->skip && k < step->outputs; k++) {
      RtTensor *root = step->out[k] ? step->out[k]->root : NULL;
      int id = root ? (int)(root - plan->tensor) : 0;

      if (!root || root != step->out[k] || l->dfirst[id] < 0) continue;
      request(l, (size_t)root->size * sizeof(float), l->dfirst[id], 2 * plan->steps - s, &root->doffset);
    }
  }
}

PetscErrorCode rt_bound_place(RtPlan *plan)
{
  Lifetimes l = {.plan = plan};
  int values = plan->graph->values, slots = 2 * values, total;
  size_t scratch = 0;
  int64_t scratch_offset = 0;

  PetscFunctionBegin;
  for (int s = 0; s < plan->steps; s++) slots += plan->step[s].inputs + plan->step[s].outputs + 2;
  PetscCall(PetscMalloc4(values, &l.first, values, &l.last, values, &l.dfirst, slots, &l.request));
  for (int i = 0; i < values; i++) l.first[i] = l.last[i] = l.dfirst[i] = -1;
  for (int s = 0; s < plan->steps; s++)
    if (!plan->step[s].skip) scratch = PetscMax(scratch, plan->step[s].scratch_size);
  request_values(&l);
  if (plan->params.training) request_gradients(&l);
  total = 2 * plan->steps + 1;
  request(&l, scratch, 0, total, &scratch_offset);
  PetscCall(rt_place_assign(l.requests, l.request, &plan->slab));
  for (int s = 0; s < plan->steps; s++) {
    RtStep *step = &plan->step[s];

    step->scratch = scratch_offset;
    /* the first part of a gradient lies where the gradient lies */
    for (int k = 0; k < step->inputs; k++)
      if (step->din[k] >= 0 && !step->dadd[k]) step->din[k] = step->in[k]->root->doffset;
  }
  PetscCall(PetscFree4(l.first, l.last, l.dfirst, l.request));
  PetscFunctionReturn(0);
}
