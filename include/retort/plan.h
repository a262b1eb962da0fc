/* A plan binds a graph to a batch size: shapes, buffers and oneDNN primitives. Making it allocates and checks all;
   running it allocates nothing. A plan is read-only while it runs, so several threads may run it at once, each with a
   work of its own. Nothing here is collective. */
#ifndef RETORT_PLAN_H
#define RETORT_PLAN_H

#include <retort/tap.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { RT_PRECISION_FP32, RT_PRECISION_BF16 } RtPrecision;

typedef struct {
  int64_t batch;         /* samples in one run */
  const int64_t *length; /* [rt_graph_axes] of the free axes; NULL: as the graph is bound */
  bool training;         /* keep what backward needs; dropout is active */
  int threads;           /* works that may run at once, each in a thread of its own; 0 means 1 */
  int taps;              /* what is computed; 0: the logits, in training with a gradient */
  const RtTap *tap;      /* [taps] copied */
  RtPrecision precision; /* of the factors of matrix products; sums and all else are float */
} RtPlanParams;

typedef struct RtPlan RtPlan;
typedef struct RtWork RtWork;

/* graph: finished, and must outlive the plan. Errors: shapes that do not fit, by node name; in training, a tap
   with a gradient that depends on no parameter. */
PetscErrorCode rt_plan_create(const RtGraph *graph, const RtPlanParams *params, RtPlan **plan);
PetscErrorCode rt_plan_destroy(RtPlan **plan);

/* Shape of a graph value under this plan; returns the number of dimensions. */
int rt_plan_shape(const RtPlan *plan, int value, int64_t dim[RT_MAX_DIM]);
/* Type of its elements. */
RtType rt_plan_type(const RtPlan *plan, int value);
/* Whether they are ONNX's bool, kept as bytes that are 0 or 1. */
bool rt_plan_truth(const RtPlan *plan, int value);

/* Take over new parameters: repacks and converts weights where an operator keeps its own copy.
   Call after parameter has changed and before running. parameter: [rt_graph_flat], must outlive the runs. */
PetscErrorCode rt_plan_set_parameters(RtPlan *plan, const float *parameter);

/* Bytes of one work. */
size_t rt_plan_bytes(const RtPlan *plan);
/* Buffers for one thread. Errors: more works than the plan has threads. */
PetscErrorCode rt_work_create(RtPlan *plan, RtWork **work);
PetscErrorCode rt_work_destroy(RtWork **work);

/* Where the caller puts the input before a run: [batch, …] of the input's type. */
void *rt_work_input(RtWork *work, int input);
/* The elements of a tap after rt_plan_forward, in its value's type and shape; in training until backward begins,
   otherwise until the next run. */
const void *rt_work_tap(const RtWork *work, int tap);
/* Where the caller puts the gradient of a tap before rt_plan_backward: all of its elements. Taps whose values are names
   for the same elements share this place; rt_plan_shared gives the first of them. */
float *rt_work_dtap(RtWork *work, int tap);
int rt_plan_shared(const RtPlan *plan, int tap);
/* Whether backward gives a parameter of the graph a gradient; where it does not, the gradient is zero. */
bool rt_plan_reaches(const RtPlan *plan, int value);

/* In training, after rt_plan_forward: by how much the rows of this run would change the state, [rt_graph_state_flat],
   until the next run; NULL where the graph has none. The sum over the lanes of a step goes to rt_graph_change_state. */
const float *rt_work_change(const RtWork *work);

/* Which random numbers dropout draws: f(seed, layer, epoch, sample, position). sample: [batch], must stay until the
   run ends. */
void rt_work_set_random(RtWork *work, uint64_t seed, int64_t epoch, const int64_t *sample);

/* Compute the taps from what stands in the inputs. */
PetscErrorCode rt_plan_forward(const RtPlan *plan, RtWork *work);
/* The same, and show each float result as soon as it is computed: what a node gives, with the bias and the Relu that
   were fused to it. node: its name; data: [size]. */
typedef PetscErrorCode (*RtPlanWatch)(void *context, const char *node, int value, int64_t size, const float *data);
PetscErrorCode rt_plan_forward_watched(const RtPlan *plan, RtWork *work, RtPlanWatch watch, void *context);
/* gradient: [rt_graph_flat] is overwritten with the gradient of every parameter; padding is not touched. */
PetscErrorCode rt_plan_backward(const RtPlan *plan, RtWork *work, float *gradient);
/* The same, and tell `ready` whenever more of the gradient stands: all its elements from `from` on. `from` falls to 0.
   The last call comes before the end of backward only where something is left to do. */
typedef PetscErrorCode (*RtPlanReady)(void *context, int64_t from);
PetscErrorCode rt_plan_backward_by_parts(const RtPlan *plan, RtWork *work, float *gradient, RtPlanReady ready,
                                         void *context);

#ifdef __cplusplus
}
#endif

#endif
