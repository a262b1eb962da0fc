/* Dropout: in training y = x mask / (1 - ratio), otherwise another name for x. Each mask element is a function of seed,
   node, epoch, sample and position, 16 random bits each, so it does not depend on ranks, threads or lanes. */
#include "core/random.h"
#include "core/simd.h"
#include "ops/families.h"

#include <math.h>
#include <string.h>

enum { DRAWS = 8 /* of 16 bits from one counter, two a word */, BLOCK = 64 /* counters drawn at once */ };

typedef struct {
  float ratio;
  uint32_t limit; /* a draw below it drops the element */
} Dropout;

/* The ratio: an attribute before opset 12, then input 1; 0.5 where absent. NaN where it is not known in advance. */
static float ratio_of(const RtStep *step)
{
  const RtTensor *ratio = step->inputs > 1 ? step->in[1] : NULL;

  if (step->opset < 12) return rt_graph_attribute_float(step->node, "ratio", 0.5f);
  if (!ratio) return 0.5f;
  return ratio->place == RT_PLACE_CONSTANT && ratio->type == RT_FLOAT && ratio->size == 1
             ? *(const float *)ratio->constant
             : NAN;
}

/* The mask where nothing is dropped. */
static PetscErrorCode keep_all(RtTensor *mask)
{
  int64_t size = 1;

  PetscFunctionBegin;
  if (!mask) PetscFunctionReturn(0);
  for (int i = 0; i < mask->ndim; i++) size *= mask->dim[i]; /* that of the input, which is known to fit */
  PetscCall(PetscMalloc1(size + 1, (uint8_t **)&mask->folded));
  memset(mask->folded, 1, (size_t)size);
  mask->constant = mask->folded;
  mask->place = RT_PLACE_CONSTANT;
  PetscFunctionReturn(0);
}

static PetscErrorCode shape(RtStep *step)
{
  const RtTensor *x = step->in[0];
  float ratio = ratio_of(step);

  PetscFunctionBegin;
  RtCheck(ratio >= 0 && ratio < 1, "node '%s' (Dropout) needs a constant ratio from 0 to below 1", step->name);
  for (int k = 0; k < step->outputs; k++) {
    if (!step->out[k]) continue;
    step->out[k]->type = k == 0 ? x->type : RT_UINT8;
    step->out[k]->truth = k == 1;
    step->out[k]->ndim = x->ndim;
    for (int i = 0; i < x->ndim; i++) step->out[k]->dim[i] = x->dim[i];
  }
  if (!step->training || ratio == 0) {
    step->out[0]->root = step->in[0]->root;
    PetscCall(keep_all(step->outputs > 1 ? step->out[1] : NULL));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode setup(RtStep *step)
{
  Dropout *d;

  PetscFunctionBegin;
  RtCheck(step->in[0]->type == RT_FLOAT, "node '%s' (Dropout) needs a float input", step->name);
  RtCheck(step->out[0]->ndim > 0 && step->out[0]->dim[0] == step->batch,
          "node '%s' (Dropout) works on something that has no sample dimension", step->name);
  PetscCall(PetscNew(&d));
  d->ratio = ratio_of(step);
  d->limit = (uint32_t)lrintf(d->ratio * 65536.0f);
  step->data = d;
  step->keep_size = (size_t)step->out[0]->size;
  step->scratch_size = BLOCK * 4 * sizeof(uint32_t);
  PetscFunctionReturn(0);
}

static PetscErrorCode destroy(RtStep *step)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(step->data));
  PetscFunctionReturn(0);
}

RT_SIMD
static void apply(int64_t count, const uint16_t *restrict draw, uint32_t limit, float scale, const float *restrict x,
                  float *restrict y, uint8_t *restrict mask)
{
  for (int64_t i = 0; i < count; i++) {
    mask[i] = draw[i] >= limit;
    y[i] = draw[i] >= limit ? x[i] * scale : 0;
  }
}

static PetscErrorCode forward(const RtStep *step, RtWork *work)
{
  const Dropout *d = step->data;
  int64_t row = step->out[0]->size / step->batch;
  const float *x = rt_op_data(work, step->in[0]);
  float *y = rt_op_data(work, step->out[0]), scale = 1.0f / (1.0f - d->ratio);
  uint8_t *mask = (uint8_t *)work->slab + step->keep;
  uint32_t *draw = (uint32_t *)(void *)(work->slab + step->scratch), key[2];

  PetscFunctionBegin;
  rt_random_key(work->seed, RT_RANDOM_DROPOUT, key);
  key[1] ^= (uint32_t)step->index * 0x9e3779b9u;
  for (int64_t s = 0; s < step->batch; s++) {
    uint64_t sample = (uint64_t)work->sample[s];
    uint32_t high[3] = {(uint32_t)sample, (uint32_t)(sample >> 32), (uint32_t)work->epoch};

    for (int64_t at = 0; at < row; at += BLOCK * DRAWS) {
      int64_t count = PetscMin(row - at, BLOCK * DRAWS), place = s * row + at;

      rt_random_fill(key, high, (uint32_t)(at / DRAWS), (count + 1) / 2, draw);
      apply(count, (const uint16_t *)(const void *)draw, d->limit, scale, x + place, y + place, mask + place);
    }
  }
  if (step->outputs > 1 && step->out[1]) memcpy(rt_op_data(work, step->out[1]), mask, (size_t)step->out[1]->size);
  PetscFunctionReturn(0);
}

static PetscErrorCode backward(const RtStep *step, RtWork *work)
{
  const Dropout *d = step->data;
  const uint8_t *mask = (const uint8_t *)work->slab + step->keep;
  const float *dy = rt_op_dout(work, step->out[0]);
  float *dx = rt_op_din(work, step, 0), scale = 1.0f / (1.0f - d->ratio);

  PetscFunctionBegin;
  for (int64_t i = 0; i < step->out[0]->size; i++) dx[i] = mask[i] ? dy[i] * scale : 0;
  PetscFunctionReturn(0);
}

static bool drops(const RtGraph *graph, const RtNode *node)
{
  const RtValue *ratio = node->inputs > 1 && node->input[1] >= 0 ? &graph->value[node->input[1]] : NULL;

  if (graph->opset < 12) return rt_graph_attribute_float(node, "ratio", 0.5f) > 0;
  return !ratio || !ratio->data || !ratio->size || ratio->type != RT_FLOAT || ((const float *)ratio->data)[0] > 0;
}

const RtOp rt_op_dropout = {.type = "Dropout",
                            .inputs_min = 1,
                            .inputs_max = 3,
                            .outputs_max = 2,
                            .opset_min = 7,
                            .renames = true,
                            .truth = 1 << 2,
                            .attributes = RT_OP_ATTRIBUTES({.name = "ratio", .kind = RT_ATTRIBUTE_FLOAT, .last = 11},
                                                           {.name = "seed", .kind = RT_ATTRIBUTE_INT, .first = 12}),
                            .random = drops,
                            .shape = shape,
                            .setup = setup,
                            .forward = forward,
                            .backward = backward,
                            .destroy = destroy};
