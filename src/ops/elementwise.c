/* Add, Sub, Mul, Div of two tensors, stretched as NumPy does. The file to copy from for a new operator: attributes
   (here none), shape, fold, forward, backward, and a row in registry.c. */
#include "ops/broadcast.h"
#include "ops/families.h"

#include <string.h>

static PetscErrorCode shape(RtStep *step)
{
  const RtTensor *a = step->in[0], *b = step->in[1];

  PetscFunctionBegin;
  RtCheck(a->type == b->type && (a->type == RT_FLOAT || a->type == RT_INT64),
          "node '%s' (%s) needs two inputs of one type, float or int64", step->name, step->op->type);
  step->out[0]->type = a->type;
  PetscCall(rt_broadcast_shape(step->name, a, b, step->out[0]));
  PetscFunctionReturn(0);
}

/* y = a op b over one run; sa and sb are 1 or 0. The operator is chosen outside of the loop. */
#define RUN(symbol)                                                                                                    \
  do {                                                                                                                 \
    if (sa && sb)                                                                                                      \
      for (int64_t i = 0; i < n; i++) y[i] = a[i] symbol b[i];                                                         \
    else if (sa)                                                                                                       \
      for (int64_t i = 0; i < n; i++) y[i] = a[i] symbol b[0];                                                         \
    else                                                                                                               \
      for (int64_t i = 0; i < n; i++) y[i] = a[0] symbol b[sb * i];                                                    \
  } while (0)

static void run_float(char op, int64_t n, const float *a, int64_t sa, const float *b, int64_t sb, float *restrict y)
{
  switch (op) {
  case 'A':
    RUN(+);
    break;
  case 'S':
    RUN(-);
    break;
  case 'M':
    RUN(*);
    break;
  default:
    RUN(/);
    break;
  }
}

static void apply_float(const RtStep *step, const float *a, const float *b, float *y)
{
  RtBroadcast walk;

  rt_broadcast_start(&walk, step->in[0], step->in[1], step->out[0]);
  for (int64_t r = 0; r < walk.runs; r++, rt_broadcast_next(&walk))
    run_float(step->op->type[0], walk.run, a + walk.at[0], walk.stride[0][0], b + walk.at[1], walk.stride[1][0],
              y + r * walk.run);
}

static PetscErrorCode apply_int(const RtStep *step, const int64_t *a, const int64_t *b, int64_t *y)
{
  RtBroadcast walk;

  PetscFunctionBegin;
  rt_broadcast_start(&walk, step->in[0], step->in[1], step->out[0]);
  for (int64_t r = 0; r < walk.runs; r++, rt_broadcast_next(&walk))
    for (int64_t i = 0; i < walk.run; i++) {
      int64_t p = a[walk.at[0] + i * walk.stride[0][0]], q = b[walk.at[1] + i * walk.stride[1][0]], z = 0;
      bool bad = false;

      switch (step->op->type[0]) {
      case 'A':
        bad = __builtin_add_overflow(p, q, &z);
        break;
      case 'S':
        bad = __builtin_sub_overflow(p, q, &z);
        break;
      case 'M':
        bad = __builtin_mul_overflow(p, q, &z);
        break;
      default:
        bad = q == 0 || (q == -1 && p == INT64_MIN);
        z = bad ? 0 : p / q;
      }
      RtCheck(!bad, "node '%s' (%s): overflow or division by zero", step->name, step->op->type);
      y[r * walk.run + i] = z;
    }
  PetscFunctionReturn(0);
}

static PetscErrorCode fold(RtStep *step)
{
  RtTensor *y = step->out[0];

  PetscFunctionBegin;
  PetscCall(PetscMalloc1((size_t)y->size * rt_types_size(y->type) + 1, (char **)&y->folded));
  if (y->type == RT_FLOAT)
    apply_float(step, step->in[0]->constant, step->in[1]->constant, y->folded);
  else
    PetscCall(apply_int(step, step->in[0]->constant, step->in[1]->constant, y->folded));
  PetscFunctionReturn(0);
}

static PetscErrorCode setup(RtStep *step)
{
  PetscFunctionBegin;
  RtCheck(step->out[0]->type == RT_FLOAT, "node '%s' (%s): whole numbers that are not known in advance", step->name,
          step->op->type);
  /* a product that one operand's gradient is reduced from */
  step->scratch_size = (size_t)step->out[0]->size * sizeof(float);
  PetscFunctionReturn(0);
}

static PetscErrorCode forward(const RtStep *step, RtWork *work)
{
  PetscFunctionBegin;
  apply_float(step, rt_op_data(work, step->in[0]), rt_op_data(work, step->in[1]), rt_op_data(work, step->out[0]));
  PetscFunctionReturn(0);
}

/* d(a op b) with respect to operand k, times dy, in the shape of y. */
static void derive(const RtStep *step, int k, const float *a, const float *b, const float *dy, float *part)
{
  RtBroadcast walk;
  char op = step->op->type[0];

  rt_broadcast_start(&walk, step->in[0], step->in[1], step->out[0]);
  for (int64_t r = 0; r < walk.runs; r++, rt_broadcast_next(&walk))
    for (int64_t i = 0; i < walk.run; i++) {
      float p = a[walk.at[0] + i * walk.stride[0][0]], q = b[walk.at[1] + i * walk.stride[1][0]];
      int64_t j = r * walk.run + i;

      if (op == 'M')
        part[j] = dy[j] * (k == 0 ? q : p);
      else
        part[j] = k == 0 ? dy[j] / q : -dy[j] * p / (q * q);
    }
}

static PetscErrorCode backward(const RtStep *step, RtWork *work)
{
  const float *a = rt_op_data(work, step->in[0]), *b = rt_op_data(work, step->in[1]);
  const float *dy = rt_op_dout(work, step->out[0]);
  float *part = (float *)(void *)(work->slab + step->scratch);
  char op = step->op->type[0];

  PetscFunctionBegin;
  for (int k = 0; k < 2; k++) {
    float *dx = rt_op_din(work, step, k);

    if (!dx) continue;
    if (op == 'A' || op == 'S') {
      rt_broadcast_reduce(op == 'S' && k == 1 ? -1.0f : 1.0f, dy, step->out[0], dx, step->in[k]);
      continue;
    }
    derive(step, k, a, b, dy, part);
    rt_broadcast_reduce(1.0f, part, step->out[0], dx, step->in[k]);
  }
  PetscFunctionReturn(0);
}

#define ELEMENTWISE(name, trained, reads, absorbed)                                                                    \
  {                                                                                                                    \
    .type = name, .inputs_min = 2, .inputs_max = 2, .opset_min = 7, .trainable = trained, .factors = 3, .passes = 3,   \
    .needs = reads, .absorb = absorbed, .shape = shape, .fold = fold, .setup = setup, .forward = forward,              \
    .backward = backward                                                                                               \
  }

/* The constant of an Add is a bias wherever it stands. */
const RtOp rt_op_add = ELEMENTWISE("Add", 3, 0, RT_ABSORB_BIAS);
const RtOp rt_op_sub = ELEMENTWISE("Sub", 0, 0, RT_ABSORB_NOTHING);
const RtOp rt_op_mul = ELEMENTWISE("Mul", 0, RT_NEEDS_INPUT, RT_ABSORB_NOTHING);
const RtOp rt_op_div = ELEMENTWISE("Div", 0, RT_NEEDS_INPUT, RT_ABSORB_NOTHING);
