#include "graph/bound.h"

#include <stdio.h>
#include <string.h>

/* Number of elements; false where it, or the product of any of the lengths, is more than a machine can hold, or a
   length is not known. A bound for each keeps sums over all of them from overflow. */
static bool count_elements(RtTensor *tensor)
{
  const int64_t most = (int64_t)1 << 44;
  int64_t product = 1;
  bool empty = false;

  for (int i = 0; i < tensor->ndim; i++) {
    empty = empty || tensor->dim[i] == 0;
    if (tensor->dim[i] < 0 || __builtin_mul_overflow(product, PetscMax(1, tensor->dim[i]), &product)) return false;
  }
  tensor->size = empty ? 0 : product;
  return product <= most;
}

/* What a length of a value's shape is under this plan. */
static PetscErrorCode find_length(const RtPlan *plan, const RtValue *value, int64_t dim, int64_t *length)
{
  const RtGraph *graph = plan->graph;
  const int axis = rt_axes_of(dim);

  PetscFunctionBegin;
  *length = dim == RT_BATCH ? plan->params.batch : dim;
  if (axis < 0) PetscFunctionReturn(0);
  *length = plan->params.length ? plan->params.length[axis] : graph->length[axis];
  RtCheck(*length > 0, "the length of the axis '%s' of '%s' is not known: it comes from the data", graph->axis[axis],
          value->name);
  PetscFunctionReturn(0);
}

static PetscErrorCode start_tensor(RtPlan *plan, int id)
{
  const RtValue *value = &plan->graph->value[id];
  RtTensor *tensor = &plan->tensor[id];

  PetscFunctionBegin;
  tensor->name = value->name;
  tensor->type = value->type;
  tensor->ndim = value->ndim;
  tensor->root = tensor;
  tensor->doffset = -1;
  for (int i = 0; i < value->ndim; i++) PetscCall(find_length(plan, value, value->dim[i], &tensor->dim[i]));
  if (value->kind == RT_VALUE_PARAMETER) {
    tensor->place = RT_PLACE_PARAMETER;
    tensor->offset = value->offset;
    tensor->differentiable = true;
  } else if (value->kind == RT_VALUE_CONSTANT) {
    tensor->place = RT_PLACE_CONSTANT;
    tensor->constant = value->data;
  } else if (value->kind == RT_VALUE_STATE) {
    tensor->place = RT_PLACE_STATE;
    tensor->offset = value->offset;
  }
  if (value->kind != RT_VALUE_RESULT)
    RtCheck(count_elements(tensor), "the value '%s' of the model is too large for a batch of %lld", value->name,
            (long long)plan->params.batch);
  PetscFunctionReturn(0);
}

static PetscErrorCode start_step(RtPlan *plan, int index)
{
  const RtNode *node = &plan->graph->node[index];
  RtStep *step = &plan->step[index];

  PetscFunctionBegin;
  *step = (RtStep){.node = node,
                   .op = node->op,
                   .name = rt_graph_node_name(plan->graph, node),
                   .inputs = node->inputs,
                   .outputs = node->outputs,
                   .needs = node->op->needs,
                   .index = index,
                   .batch = plan->params.batch,
                   .opset = plan->graph->opset,
                   .threads = plan->params.threads,
                   .training = plan->params.training,
                   .precision = plan->params.precision};
  /* room for a bias as third input */
  PetscCall(PetscCalloc1(node->inputs + 3, &step->in));
  PetscCall(PetscCalloc1(node->outputs, &step->out));
  PetscCall(PetscMalloc1(node->inputs + 3, &step->din));
  PetscCall(PetscCalloc1(node->inputs + 3, &step->dadd));
  for (int i = 0; i < node->inputs + 3; i++) step->din[i] = RT_DIN_UNWANTED;
  for (int i = 0; i < node->inputs; i++) step->in[i] = node->input[i] < 0 ? NULL : &plan->tensor[node->input[i]];
  for (int i = 0; i < node->outputs; i++) step->out[i] = node->output[i] < 0 ? NULL : &plan->tensor[node->output[i]];
  PetscFunctionReturn(0);
}

/* Whether all that a step gives is there without running it: other names and constants. */
static bool is_done(const RtStep *step)
{
  for (int i = 0; i < step->outputs; i++)
    if (step->out[i] && step->out[i]->root == step->out[i] && step->out[i]->place != RT_PLACE_CONSTANT) return false;
  return true;
}

/* Shapes of one step's outputs; their elements too where they are known already. */
static PetscErrorCode bind_step(RtStep *step)
{
  bool constant = true, differentiable = false;

  PetscFunctionBegin;
  for (int i = 0; i < step->inputs; i++) {
    if (!step->in[i]) continue;
    constant = constant && step->in[i]->place == RT_PLACE_CONSTANT;
    differentiable = differentiable || step->in[i]->differentiable;
  }
  PetscCall(step->op->shape(step));
  for (int i = 0; i < step->outputs; i++) {
    RtTensor *out = step->out[i];

    if (!out) continue;
    RtCheck(count_elements(out), "node '%s' (%s): its result is too large", step->name, step->op->type);
    out->differentiable = differentiable && out->type == RT_FLOAT;
    if (out->root == out) continue;
    out->place = out->root->place;
    out->constant = out->root->constant;
  }
  step->skip = is_done(step);
  if (step->skip || !step->op->fold || !(constant || step->op->host)) PetscFunctionReturn(0);
  PetscCall(step->op->fold(step));
  for (int i = 0; i < step->outputs; i++) {
    if (!step->out[i] || step->out[i]->root != step->out[i]) continue;
    step->out[i]->constant = step->out[i]->folded;
    step->out[i]->place = RT_PLACE_CONSTANT;
  }
  step->skip = true;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_bound_create(RtPlan *plan)
{
  const RtGraph *graph = plan->graph;

  PetscFunctionBegin;
  plan->steps = graph->nodes;
  PetscCall(PetscCalloc1(graph->values, &plan->tensor));
  PetscCall(PetscCalloc1(graph->nodes, &plan->step));
  for (int i = 0; i < graph->values; i++) PetscCall(start_tensor(plan, i));
  for (int i = 0; i < graph->nodes; i++) {
    PetscCall(start_step(plan, i));
    PetscCall(bind_step(&plan->step[i]));
  }
  PetscFunctionReturn(0);
}

/* The only step that reads each value, once; NULL if there are several or the caller reads it. reader: [values]. */
static void find_readers(const RtPlan *plan, RtStep **reader, int *times)
{
  for (int i = 0; i < plan->taps; i++) times[plan->tap[i].value]++;
  for (int o = 0; o < plan->graph->outputs; o++) times[plan->graph->output[o]]++;
  for (int i = 0; i < plan->steps; i++)
    for (int k = 0; k < plan->step[i].inputs; k++) {
      int64_t id = plan->step[i].in[k] ? plan->step[i].in[k] - plan->tensor : -1;

      if (id < 0) continue;
      reader[id] = times[id]++ ? NULL : &plan->step[i];
    }
}

/* The other operand of an Add if it is a bias over the last dimension. */
static RtTensor *bias_operand(const RtStep *add, const RtTensor *product)
{
  RtTensor *other = add->in[0] == product ? add->in[1] : add->in[0];

  if (other->place == RT_PLACE_WORK || other->type != RT_FLOAT || other == product) return NULL;
  if (!other->ndim || other->dim[other->ndim - 1] != product->dim[product->ndim - 1]) return NULL;
  return other->size == other->dim[other->ndim - 1] && other->ndim <= product->ndim ? other : NULL;
}

PetscErrorCode rt_bound_fuse(RtPlan *plan)
{
  RtStep **reader;
  int *times;

  PetscFunctionBegin;
  PetscCall(PetscCalloc2(plan->graph->values, &reader, plan->graph->values, &times));
  find_readers(plan, reader, times);
  for (int i = 0; i < plan->steps; i++) {
    RtStep *step = &plan->step[i], *next;
    RtTensor *bias;

    if (!step->op->matrix || step->skip) continue;
    next = reader[step->out[0] - plan->tensor];
    if (next && step->inputs == 2 && next->op->absorb == RT_ABSORB_BIAS && (bias = bias_operand(next, step->out[0]))) {
      step->in[step->inputs++] = bias;
      next->skip = true;
      step->out[0] = next->out[0];
      next = reader[step->out[0] - plan->tensor];
    }
    if (next && next->op->absorb == RT_ABSORB_RELU) {
      step->relu = next->skip = true;
      step->out[0] = next->out[0];
      step->needs |= RT_NEEDS_OUTPUT;
    }
  }
  PetscCall(PetscFree2(reader, times));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_bound_prune(RtPlan *plan)
{
  bool *needed;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1(plan->graph->values, &needed));
  for (int i = 0; i < plan->taps; i++) needed[plan->tensor[plan->tap[i].value].root - plan->tensor] = true;
  for (int i = plan->steps - 1; i >= 0; i--) {
    RtStep *step = &plan->step[i];
    bool wanted = false;

    if (step->skip) continue;
    for (int k = 0; k < step->outputs; k++)
      wanted = wanted || (step->out[k] && needed[step->out[k]->root - plan->tensor]);
    step->skip = !wanted;
    for (int k = 0; wanted && k < step->inputs; k++)
      if (step->in[k]) needed[step->in[k]->root - plan->tensor] = true;
  }
  PetscCall(PetscFree(needed));
  PetscFunctionReturn(0);
}

/* From where on the gradient stands after each step of backward: behind the last parameter that a step still to come
   adds to. */
static PetscErrorCode find_ready(RtPlan *plan)
{
  int64_t from = 0;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(plan->steps, &plan->ready));
  for (int i = 0; i < plan->steps; i++) {
    const RtStep *step = &plan->step[i];

    plan->ready[i] = from;
    for (int k = 0; k < step->inputs && !step->skip; k++) {
      const RtTensor *root = step->in[k] ? step->in[k]->root : NULL;

      if (root && step->din[k] != RT_DIN_UNWANTED && root->place == RT_PLACE_PARAMETER)
        from = PetscMax(from, root->offset + (root->size + 15) / 16 * 16);
    }
  }
  PetscFunctionReturn(0);
}

/* Where backward begins. */
static PetscErrorCode reach_taps(RtPlan *plan)
{
  PetscFunctionBegin;
  for (int i = 0; i < plan->taps; i++) {
    const RtTensor *tensor = &plan->tensor[plan->tap[i].value], *root = tensor->root;

    if (!plan->tap[i].gradient) continue;
    RtCheck(root->type == RT_FLOAT && root->differentiable && root->place == RT_PLACE_WORK,
            "'%s' does not depend on a parameter of the model, so nothing can be trained there", tensor->name);
    plan->reached[root - plan->tensor] = true;
  }
  PetscFunctionReturn(0);
}

/* Whether a gradient comes to one of a step's outputs; that of another name for an input stands there already. */
static bool is_reached(const RtPlan *plan, const RtStep *step)
{
  for (int k = 0; k < step->outputs; k++) {
    const RtTensor *out = step->out[k];

    if (out && out->root == out && out->differentiable && plan->reached[out - plan->tensor]) return true;
  }
  return false;
}

PetscErrorCode rt_bound_differentiate(RtPlan *plan)
{
  bool *reached; /* the gradient of this root has its first part */

  PetscFunctionBegin;
  RtCheck(plan->graph->parameters > 0, "the model has no parameters to train");
  PetscCall(PetscCalloc1(plan->graph->values, &plan->reached));
  reached = plan->reached;
  PetscCall(reach_taps(plan));
  for (int i = plan->steps - 1; i >= 0; i--) {
    RtStep *step = &plan->step[i];

    if (step->skip || !is_reached(plan, step)) continue;
    for (int k = 0; k < step->inputs; k++) {
      RtTensor *root = step->in[k] ? step->in[k]->root : NULL;
      int id = root ? (int)(root - plan->tensor) : 0;

      if (!root || !root->differentiable || root->type != RT_FLOAT) continue;
      step->dadd[k] = reached[id];
      step->din[k] = root->place == RT_PLACE_PARAMETER && !reached[id] ? RT_DIN_PARAMETER : 0;
      reached[id] = true;
    }
    RtCheck(step->op->backward, "node '%s' (%s) cannot be trained through", step->name, step->op->type);
  }
  PetscCall(find_ready(plan));
  PetscFunctionReturn(0);
}
