#include "train/predictor.h"

#include "core/stop.h"
#include "model/binding.h"

#include <omp.h>

struct RtPredictor {
  RtPlan *plan;
  int64_t batch;
  const RtGraph *graph;
  int taps, threads;
  RtWork **work;      /* [threads] */
  int64_t **sample;   /* [threads][batch] */
  const float ***row; /* [threads][taps] */
  RtFieldRead *read;  /* [graph->inputs] of the range in work */
};

static PetscErrorCode make_plan(RtPredictor *p, const RtGraph *graph, const int *value, RtPrecision precision)
{
  RtPlanParams params = {.batch = p->batch, .taps = p->taps, .threads = p->threads, .precision = precision};
  RtTap *tap;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1(p->taps, &tap));
  for (int i = 0; i < p->taps; i++) tap[i].value = value ? value[i] : rt_tap_logits(graph);
  params.tap = tap;
  error = rt_plan_create(graph, &params, &p->plan);
  PetscCall(PetscFree(tap));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_predictor_create(const RtGraph *graph, int taps, const int *value, int64_t batch,
                                   RtPrecision precision, int threads, RtPredictor **predictor)
{
  RtPredictor *p;

  PetscFunctionBegin;
  PetscCall(PetscNew(&p));
  *predictor = p;
  p->batch = batch;
  p->threads = threads;
  p->graph = graph;
  p->taps = PetscMax(1, taps);
  PetscCall(make_plan(p, graph, taps ? value : NULL, precision));
  PetscCall(PetscCalloc4(threads, &p->work, threads, &p->sample, threads, &p->row, graph->inputs, &p->read));
  for (int t = 0; t < threads; t++) {
    PetscCall(rt_work_create(p->plan, &p->work[t]));
    PetscCall(PetscMalloc1(batch, &p->sample[t]));
    PetscCall(PetscMalloc1(p->taps, &p->row[t]));
    for (int i = 0; i < p->taps; i++) p->row[t][i] = rt_work_tap(p->work[t], i);
  }
  PetscCall(rt_predictor_set(p, graph->parameter));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_predictor_destroy(RtPredictor **predictor)
{
  RtPredictor *p = *predictor;

  PetscFunctionBegin;
  if (!p) PetscFunctionReturn(0);
  for (int t = 0; p->work && t < p->threads; t++) {
    PetscCall(rt_work_destroy(&p->work[t]));
    PetscCall(PetscFree(p->sample[t]));
    PetscCall(PetscFree(p->row[t]));
  }
  PetscCall(PetscFree4(p->work, p->sample, p->row, p->read));
  PetscCall(rt_plan_destroy(&p->plan));
  PetscCall(PetscFree(*predictor));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_predictor_set(RtPredictor *predictor, const float *parameter)
{
  PetscFunctionBegin;
  PetscCall(rt_plan_set_parameters(predictor->plan, parameter));
  PetscFunctionReturn(0);
}

static PetscErrorCode run_one(RtPredictor *p, int thread, const RtPredictorRange *range, int64_t micro,
                              RtPredictorSink sink, void *context)
{
  RtWork *work = p->work[thread];
  int64_t *sample = p->sample[thread], at = micro * p->batch, rows = PetscMin(p->batch, range->count - at);

  PetscFunctionBegin;
  for (int64_t i = 0; i < p->batch; i++) sample[i] = i < rows ? range->sample[at + i] : -1;
  for (int i = 0; i < p->graph->inputs; i++)
    rt_samples_fill(range->samples, p->read[i], range->augment, p->batch, sample, range->view, rt_work_input(work, i));
  PetscCall(rt_plan_forward(p->plan, work));
  PetscCall(sink(context, thread, at, rows, sample, p->row[thread]));
  PetscFunctionReturn(0);
}

bool rt_predictor_stop(void *left_out)
{
  bool *set = left_out;

  *set = rt_stop_asked();
  return *set;
}

PetscErrorCode rt_predictor_run(RtPredictor *predictor, const RtPredictorRange *range, RtPredictorSink sink,
                                void *context)
{
  int64_t micros = (range->count + predictor->batch - 1) / predictor->batch;
  PetscErrorCode failed = 0;
  bool ended = false;

  PetscFunctionBegin;
  PetscCall(rt_binding_reads(predictor->graph, range->samples->info, "model", predictor->read));
#pragma omp parallel for schedule(dynamic) num_threads(predictor->threads) if (predictor->threads > 1)
  for (int64_t micro = range->first; micro < micros; micro += range->stride) {
    PetscErrorCode error;
    bool end;

#pragma omp atomic read
    end = ended;
    if (end) continue;
    error = run_one(predictor, omp_get_thread_num(), range, micro, sink, context);
    if (error) {
#pragma omp atomic write
      failed = error;
    }
    if (range->watch && omp_get_thread_num() == 0 && range->watch(range->watch_context)) {
#pragma omp atomic write
      ended = true;
    }
  }
  PetscCall(failed);
  PetscFunctionReturn(0);
}
