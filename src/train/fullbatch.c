/* Training with the optimizer tao: full batch. One evaluation of the objective is a pass over the training set, step by
   step as for the other optimizers but without updates; an iteration takes one pass or more, as the line search wants.

   The objective is f(w) = mean loss over the training set + weight_decay / 2 · ‖weights without biases‖². It is the
   same function in every pass: each sample is seen as its plain view, and dropout is refused. TAO's unknowns are
   doubles, one for each float that a rank owns; they become floats where lanes take them. */
#include "comm/agree.h"
#include "core/fault.h"
#include "core/message.h"
#include "core/simd.h"
#include "core/stop.h"
#include "optim/tao.h"
#include "train/trainer_state.h"
#include <retort/operator.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { RESTARTS = 10 };

struct RtFullbatch {
  RtTao *tao;
  RtFeedSource plain;   /* the trainer's input without other views */
  double *x;            /* [owned] the point taken last, between the runs of TAO */
  double *unused;       /* [owned] a gradient that nobody wants */
  double step;          /* length of the last one */
  int64_t passes, pass; /* of this iteration; number of the next one, from 0 */
  double value;         /* of the last pass, whose sums the lanes hold and whose parameters stand in the trainer */
  bool finite;          /* once one was */
};

/* --- what does not go with it ------------------------------------------------------------------------------------- */

PetscErrorCode rt_fullbatch_check(const RtTrainerParams *p, const RtGraph *graph)
{
  PetscFunctionBegin;
  if (p->reduce == RT_REDUCE_FAST) RtUsage("-reduce fast does not go with the optimizer tao; take tree");
  if (p->clip > 0 || p->max_norm > 0 || p->skip_bad)
    RtUsage("%s: %s does not go with the optimizer tao, whose line search chooses the steps; leave it out", p->role,
            p->clip > 0       ? "clip"
            : p->max_norm > 0 ? "max_norm"
                              : "skip_bad");
  for (int i = 0; graph && i < graph->nodes; i++)
    if (graph->node[i].op->random && graph->node[i].op->random(graph, &graph->node[i]))
      RtUsage("%s: node '%s' drops out, but the optimizer tao needs the same loss in every pass; set the dropout to 0",
              p->role, rt_graph_node_name(graph, &graph->node[i]));
  for (int i = 0; graph && i < graph->nodes; i++)
    if (graph->node[i].op->state)
      RtUsage(
          "%s: node '%s' (%s) keeps running statistics, but the optimizer tao needs the same model in every pass of "
          "a line search; take another optimizer",
          p->role, rt_graph_node_name(graph, &graph->node[i]), graph->node[i].op->type);
  PetscCall(rt_tao_check());
  PetscFunctionReturn(0);
}

/* --- the objective ------------------------------------------------------------------------------------------------ */

/* The own parts of the parameters from TAO's doubles, then all parameters for all. */
static PetscErrorCode spread(RtTrainer *t, const double *x)
{
  int64_t first, count;

  PetscFunctionBegin;
  PetscCall(rt_trainer_enter(t, RT_PHASE_SPREAD));
  for (int k = 0; k < rt_reduce_ranges(t->reduce); k++, x += count) {
    rt_reduce_own(t->reduce, k, &first, &count);
    for (int64_t i = 0; i < count; i++) t->parameter[first + i] = (float)x[i];
  }
  PetscCall(rt_reduce_gather(t->reduce));
  PetscCall(rt_trainer_enter(t, RT_PHASES));
  PetscFunctionReturn(0);
}

RT_SIMD static void add(int64_t count, double weight, const float *restrict part, double *restrict gradient)
{
  for (int64_t i = 0; i < count; i++) gradient[i] += weight * (double)part[i];
}

/* The lanes' sums belong to one pass. */
static void forget(RtTrainer *t)
{
  for (int i = 0; i < t->params->threads; i++) memset(t->lane[i].sum, 0, sizeof(t->lane[i].sum));
}

/* All steps of an epoch without update: the mean gradient in double. Ends early where somebody asks to stop, or where
   numbers are not finite. */
static PetscErrorCode pass(RtTrainer *t, double *gradient, bool *stop, bool *finite)
{
  const int64_t owned = rt_reduce_owned(t->reduce), samples = t->input->sampler->count;
  RtProgress progress;
  char title[96];

  PetscFunctionBegin;
  snprintf(title, sizeof(title), "%s iteration %lld, pass %lld", t->params->role, (long long)t->records + 1,
           (long long)++t->full->passes);
  rt_message_progress_start(&progress, title, "samples", t->steps * t->params->batch);
  forget(t);
  PetscCall(PetscArrayzero(gradient, owned));
  for (int64_t step = 0; step < t->steps; step++) {
    int64_t first = step * t->params->batch, rows = PetscMin(t->params->batch, samples - first);
    const float *sum;

    PetscCall(rt_fault_at(RT_FAULT_STEP));
    PetscCall(rt_trainer_enter(t, RT_PHASE_LANES));
    PetscCall(rt_lane_run(t, t->full->pass, step));
    PetscCall(rt_trainer_enter(t, RT_PHASE_SUM));
    PetscCall(rt_reduce_scatter(t->reduce, &sum));
    PetscCall(rt_trainer_enter(t, RT_PHASE_JUDGE));
    PetscCall(rt_guard_look(t, stop, finite));
    if (!*finite && !t->full->finite) PetscCall(rt_guard_explain(t, t->full->pass, step));
    if (*stop || !*finite) break;
    PetscCall(rt_trainer_enter(t, RT_PHASE_UPDATE));
    rt_lane_accept(t);
    add(owned, (double)rows / (double)samples, sum, gradient);
    rt_message_progress_show(&progress, first + rows);
  }
  t->full->pass++;
  PetscCall(rt_trainer_enter(t, RT_PHASES));
  rt_message_progress_clear(&progress);
  PetscFunctionReturn(0);
}

/* Weight decay as an L2 term: the squares of the own weights go to `sum`, and the term's gradient is added. */
static void decay(RtTrainer *t, const double *x, double *gradient, RtExact *sum)
{
  const double rate = t->params->weight_decay;
  int64_t at = 0, own, count;

  for (int k = 0; k < rt_reduce_ranges(t->reduce); k++, at += count) {
    rt_reduce_own(t->reduce, k, &own, &count);
    for (int v = 0; v < t->graph->values; v++) {
      const RtValue *value = &t->graph->value[v];
      int64_t first = PetscMax(value->offset, own), end = PetscMin(value->offset + value->size, own + count);

      if (value->kind != RT_VALUE_PARAMETER || value->ndim < 2) continue;
      for (int64_t i = at + first - own; i < at + end - own; i++) {
        rt_exact_add(sum, x[i] * x[i]);
        gradient[i] += rate * x[i];
      }
    }
  }
}

/* Collective. The mean loss and the decay, the same bits on any number of ranks. */
static PetscErrorCode sum_value(RtTrainer *t, RtExact squares, double *value)
{
  RtExact sum[3] = {{0}};

  PetscFunctionBegin;
  for (int i = 0; i < t->params->threads; i++) {
    rt_exact_merge(&sum[0], &t->lane[i].sum[RT_SUM_TOTAL]);
    rt_exact_merge(&sum[1], &t->lane[i].sum[RT_SUM_COUNT]);
  }
  sum[2] = squares;
  PetscCall(rt_exact_allreduce(t->comm, 3, sum));
  *value = rt_exact_value(&sum[0]) / rt_exact_value(&sum[1]) + 0.5 * t->params->weight_decay * rt_exact_value(&sum[2]);
  PetscFunctionReturn(0);
}

static PetscErrorCode evaluate(void *context, const double *x, double *gradient, double *value, bool *stop)
{
  RtTrainer *t = context;
  RtExact squares = {0};
  bool finite = true;

  PetscFunctionBegin;
  PetscCall(spread(t, x));
  PetscCall(rt_plan_set_parameters(t->plan, t->parameter));
  PetscCall(pass(t, gradient, stop, &finite));
  *value = INFINITY; /* TAO's line search turns back */
  if (*stop || !finite) PetscFunctionReturn(0);
  if (t->params->weight_decay > 0) decay(t, x, gradient, &squares);
  PetscCall(sum_value(t, squares, value));
  t->full->value = *value;
  t->full->finite = true;
  PetscFunctionReturn(0);
}

/* --- iterations --------------------------------------------------------------------------------------------------- */

static PetscErrorCode accept(void *context, const RtTaoPoint *point, bool *stop)
{
  RtTrainer *t = context;
  int64_t records = t->records;
  double value;
  int asked;

  PetscFunctionBegin;
  if (point->value != t->full->value) { /* the line search has gone back to an earlier point */
    PetscCall(evaluate(t, point->x, t->full->unused, &value, stop));
    if (*stop) PetscFunctionReturn(0);
    RtCheck(
        isfinite(value),
        "%s: the optimizer tao took a point where the loss is not finite: leave -tao_ls_type to it, or take a method "
        "with smaller steps",
        t->params->role);
  }
  t->step += t->steps;
  t->full->step = point->step;
  PetscCall(rt_trainer_end_epoch(t, records, stop));
  if (t->records == records) t->step -= t->steps; /* stopped before its record: it comes again */
  asked = *stop || rt_stop_asked();
  PetscCall(rt_agree_max(t->comm, 1, &asked));
  *stop = asked;
  t->full->passes = 0;
  t->epoch_start = MPI_Wtime();
  PetscFunctionReturn(0);
}

void rt_fullbatch_record(const RtTrainer *t, double *record)
{
  record[RT_HISTORY_RATE] = t->full->step;
  record[RT_HISTORY_PASSES] = (double)t->full->passes;
  record[RT_HISTORY_THROUGHPUT] = (double)(t->full->passes * t->input->sampler->count) / record[RT_HISTORY_SECONDS];
}

PetscErrorCode rt_fullbatch_create(RtTrainer *t)
{
  RtTaoParams params = {.comm = t->comm, .restarts = RESTARTS, .context = t, .evaluate = evaluate, .accept = accept};
  struct RtFullbatch *full;

  PetscFunctionBegin;
  PetscCall(PetscNew(&full));
  t->full = full;
  full->plain = *t->input;
  full->plain.views = PetscMax(1, t->input->views);
  t->input = &full->plain;
  params.count = rt_reduce_owned(t->reduce);
  PetscCall(PetscCalloc2(params.count + 1, &full->x, params.count + 1, &full->unused));
  PetscCall(rt_tao_create(&params, &full->tao));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_fullbatch_destroy(RtTrainer *t)
{
  PetscFunctionBegin;
  if (!t->full) PetscFunctionReturn(0);
  PetscCall(rt_tao_destroy(&t->full->tao));
  PetscCall(PetscFree2(t->full->x, t->full->unused));
  PetscCall(PetscFree(t->full));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_fullbatch_train(RtTrainer *t, bool *stopped)
{
  struct RtFullbatch *full = t->full;
  double *x = full->x;
  int64_t first, count;
  RtTaoResult result;

  PetscFunctionBegin;
  for (int k = 0; k < rt_reduce_ranges(t->reduce); k++, x += count) {
    rt_reduce_own(t->reduce, k, &first, &count);
    for (int64_t i = 0; i < count; i++) x[i] = (double)t->parameter[first + i];
  }
  if (t->records == t->params->epochs) PetscFunctionReturn(0);
  t->epoch_start = MPI_Wtime();
  PetscCall(rt_tao_solve(full->tao, full->x, t->params->epochs - t->records, &result));
  forget(t);
  PetscCall(spread(t, full->x));
  *stopped = result.stopped && t->records < t->params->epochs;
  if (!t->records && !*stopped) PetscCall(rt_history_remove(t));
  if (!*stopped)
    rt_message_print("%s: done after %lld iterations: %s", t->params->role, (long long)t->records, result.reason);
  PetscFunctionReturn(0);
}
