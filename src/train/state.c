/* Running statistics of a model that is trained. They go the way of gradients: a tree over lanes, parts that ranks own,
   and a gather. */
#include "core/memory.h"
#include "train/trainer_state.h"

#include <string.h>

PetscErrorCode rt_state_start(RtTrainer *t)
{
  RtReduceParams params = {.n = t->graph->state_flat,
                           .lanes = t->params->lanes,
                           .threads = rt_reduce_memory(t->reduce).threads, /* those that have lanes */
                           .kind = t->params->reduce};

  PetscFunctionBegin;
  PetscCall(rt_memory_create((size_t)(params.n + 1) * sizeof(float), &t->best_state));
  if (params.n) PetscCall(rt_reduce_create(t->comm, &params, &t->state));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_state_finish(RtTrainer *t)
{
  PetscFunctionBegin;
  PetscCall(rt_reduce_destroy(&t->state));
  PetscCall(rt_memory_destroy(&t->best_state));
  PetscFunctionReturn(0);
}

void rt_state_push(RtTrainer *t, const RtTrainerLane *lane, int thread, int number)
{
  const size_t bytes = (size_t)t->graph->state_flat * sizeof(float);
  float *to;

  if (!t->state) return;
  to = rt_reduce_buffer(t->state, thread);
  if (lane->sample[0] >= 0)
    memcpy(to, rt_work_change(lane->work), bytes);
  else
    memset(to, 0, bytes); /* no sample has come to this lane */
  rt_reduce_push(t->state, thread, number);
}

PetscErrorCode rt_state_step(RtTrainer *t, bool skip)
{
  const int64_t step = t->step % t->steps;
  const int64_t samples = PetscMin(t->params->batch, t->input->sampler->count - step * t->params->batch);
  const int lanes = (int)((samples + t->rows - 1) / t->rows);
  const float *sum;
  float *state;

  PetscFunctionBegin;
  if (!t->state) PetscFunctionReturn(0);
  state = rt_reduce_parameter(t->state);
  PetscCall(rt_reduce_scatter(t->state, &sum));
  if (skip) PetscFunctionReturn(0);
  for (int k = 0; k < rt_reduce_ranges(t->state); k++) {
    int64_t first, count;

    rt_reduce_own(t->state, k, &first, &count);
    rt_graph_change_state(t->graph, first, count, sum, lanes);
    memcpy(state + first, t->graph->state + first, (size_t)count * sizeof(float));
    sum += count;
  }
  PetscCall(rt_reduce_gather(t->state));
  PetscCall(PetscArraycpy(t->graph->state, state, t->graph->state_flat));
  PetscFunctionReturn(0);
}
