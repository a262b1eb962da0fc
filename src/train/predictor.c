#include "train/predictor.h"

#include "core/stop.h"
#include "model/binding.h"

#include <omp.h>

struct RtPredictor {
  RtGraph view; /* the graph, with the first output and the tap as its outputs; all else is shared */
  int output[2];
  RtPlan *plan;
  int64_t batch;
  int width, threads;
  RtWork **work;     /* [threads] */
  int64_t **sample;  /* [threads][batch] */
  RtFieldRead *read; /* [inputs] of the range in work */
};

PetscErrorCode rt_predictor_create(const RtGraph *graph, int64_t batch, RtPrecision precision, int threads,
                                   RtPredictor **predictor)
{
  PetscFunctionBegin;
  PetscCall(rt_predictor_create_tap(graph, -1, batch, precision, threads, predictor));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_predictor_create_tap(const RtGraph *graph, int tap, int64_t batch, RtPrecision precision, int threads,
                                       RtPredictor **predictor)
{
  RtPlanParams params = {.batch = batch, .outputs = tap >= 0, .threads = threads, .precision = precision};
  int64_t dim[RT_MAX_DIM];
  RtPredictor *p;

  PetscFunctionBegin;
  PetscCall(PetscNew(&p));
  *predictor = p;
  p->batch = batch;
  p->threads = threads;
  p->view = *graph;
  p->view.outputs = tap < 0 ? 1 : 2;
  p->view.output = p->output;
  p->output[0] = graph->output[0];
  p->output[1] = tap;
  PetscCall(rt_plan_create(&p->view, &params, &p->plan));
  (void)rt_plan_shape(p->plan, rt_graph_logits(graph), dim);
  p->width = (int)dim[1];
  PetscCall(PetscCalloc3(threads, &p->work, threads, &p->sample, graph->inputs, &p->read));
  for (int t = 0; t < threads; t++) {
    PetscCall(rt_work_create(p->plan, &p->work[t]));
    PetscCall(PetscMalloc1(batch, &p->sample[t]));
  }
  PetscCall(rt_plan_set_parameters(p->plan, graph->parameter));
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
  }
  PetscCall(PetscFree3(p->work, p->sample, p->read));
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

int rt_predictor_width(const RtPredictor *predictor)
{
  return predictor->width;
}

static PetscErrorCode run_one(RtPredictor *p, int thread, const RtPredictorRange *range, int64_t micro,
                              RtPredictorSink sink, void *context)
{
  RtWork *work = p->work[thread];
  int64_t *sample = p->sample[thread], at = micro * p->batch, rows = PetscMin(p->batch, range->count - at);

  PetscFunctionBegin;
  for (int64_t i = 0; i < p->batch; i++) sample[i] = i < rows ? range->sample[at + i] : -1;
  for (int i = 0; i < p->view.inputs; i++)
    rt_samples_fill(range->samples, p->read[i], range->augment, p->batch, sample, range->view, rt_work_input(work, i));
  PetscCall(rt_plan_forward(p->plan, work));
  PetscCall(sink(context, thread, at, rows, sample, rt_work_logits(work)));
  if (range->tap) PetscCall(range->tap(context, thread, at, rows, sample, rt_work_output(work, 1)));
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
  PetscCall(rt_binding_reads(&predictor->view, range->samples->info, "model", predictor->read));
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
