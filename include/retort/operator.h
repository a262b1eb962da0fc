/* Operators: the interface between them and the graph. An operator family is one file with its attributes, shape rule,
   forward and backward, and a row for each operator. Retort's own stand in src/ops and src/ops/registry.c, where
   elementwise.c is the one to copy from; those of users come by retort/extend.h. Nothing here is collective. */
#ifndef RETORT_OPERATOR_H
#define RETORT_OPERATOR_H

#include <retort/plan.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  RT_PLACE_WORK,      /* in the slab of the work, at `offset` */
  RT_PLACE_PARAMETER, /* in the flat buffer, at element `offset` */
  RT_PLACE_STATE,     /* in the buffer of state, at element `offset` */
  RT_PLACE_CONSTANT   /* at `constant` */
} RtPlace;

/* A value with its shape under a plan. Several tensors may share one storage: `root` is the first of them. */
typedef struct RtTensor RtTensor;
struct RtTensor {
  const char *name;
  RtType type;
  int ndim;
  int64_t dim[RT_MAX_DIM];
  int64_t size; /* elements */
  RtPlace place;
  bool truth;           /* bytes that are 0 or 1: ONNX's bool */
  int64_t offset;       /* bytes in the slab, or elements in a flat buffer */
  const void *constant; /* elements, row-major: constants, and results that could be folded */
  void *folded;         /* constant, where the plan owns it */
  RtTensor *root;       /* whose storage this is; itself if its own */
  bool differentiable;  /* depends on a parameter */
  int64_t doffset;      /* bytes in the slab: its gradient; -1 if none */
};

enum { RT_DIN_UNWANTED = -1, RT_DIN_PARAMETER = -2 /* the parameter's slice of the gradient buffer */ };

/* A node bound to shapes. */
typedef struct {
  const RtNode *node;
  const RtOp *op;
  const char *name; /* for messages */
  int inputs, outputs;
  RtTensor **in, **out; /* NULL where an optional one is left out */
  int64_t *din;         /* [inputs] where backward puts the gradient of input i: bytes in the slab, or one of RtDin */
  bool *dadd;           /* [inputs] what backward put there is added to the gradient that is there already */
  int64_t scratch;      /* bytes in the slab, of `scratch_size`, shared by all steps */
  int64_t keep;         /* bytes in the slab, of `keep_size`, from forward to backward of one run */
  size_t scratch_size, keep_size;
  size_t packed, packed_size; /* bytes in the plan's buffer for this step's copy of its weights */
  bool relu;                  /* the next node is Relu and is done here */
  bool skip;                  /* done by the step before, folded, another name for its input, or not needed */
  unsigned needs;             /* what backward reads */
  int index;                  /* of the node */
  int64_t batch;
  int64_t opset;
  bool training;
  int threads; /* works that may run at once */
  RtPrecision precision;
  void *data; /* the operator's own, freed by its destroy */
} RtStep;

/* What a thread runs with. */
struct RtWork {
  const RtPlan *plan;
  int slot; /* 0 … threads - 1: which of the works that may run at once */
  char *slab;
  const float *parameter, *state;
  float *change; /* [rt_graph_state_flat] in training: what this run's rows add to the state */
  const char *packed;
  float *gradient; /* during backward */
  uint64_t seed;
  int64_t epoch;
  const int64_t *sample;
};

enum { RT_NEEDS_INPUT = 1, RT_NEEDS_OUTPUT = 2 };

/* An attribute that an operator knows, from one opset to another; 0: from the first, to the newest. */
typedef struct {
  const char *name;
  RtAttributeKind kind;
  int64_t first, last;
} RtOpAttribute;

/* For the row of an operator: its attributes, with the end of the table behind them. */
#define RT_OP_ATTRIBUTES(...)                                                                                          \
  (const RtOpAttribute[])                                                                                              \
  {                                                                                                                    \
    __VA_ARGS__,                                                                                                       \
    {                                                                                                                  \
      0                                                                                                                \
    }                                                                                                                  \
  }

typedef enum {
  RT_ABSORB_NOTHING,
  RT_ABSORB_BIAS, /* adds a vector over the last dimension, its input 0 or 1: becomes the product's input 2 */
  RT_ABSORB_RELU
} RtAbsorb;

struct RtOp {
  const char *type;   /* ONNX operator */
  const char *domain; /* NULL: ONNX's own */
  int inputs_min, inputs_max;
  int outputs_max;   /* 0 means 1 */
  int64_t opset_min; /* earliest opset with this meaning */
  unsigned needs;    /* what backward reads: RT_NEEDS_INPUT, RT_NEEDS_OUTPUT */
  /* What inputs are, bit i for input i (those beyond the last bit are like it): */
  unsigned trainable; /* a float constant there is a parameter */
  unsigned factors;   /* it is one where another input depends on a parameter; a number without dimensions never is */
  unsigned passes;    /* what the result is, constants there are: parameters, if it stands where one is trained */
  unsigned state;     /* a float constant there is state: see rt_op_change */
  unsigned truth;     /* ONNX wants bool there, which Retort keeps as bytes */
  /* Whether `passes` and `renames` hold for a node; NULL: always. */
  bool (*carries)(const RtNode *node);
  /* RT_OP_ATTRIBUTES(…), NULL where it has none. A node with another attribute, or one of another kind, is refused. */
  const RtOpAttribute *attributes;
  bool renames;    /* the output's elements are those of input 0, in their order */
  bool softmax;    /* gives the probabilities, or their logarithms, whose logits are input 0 */
  bool matrix;     /* a matrix product x W of inputs 0 and 1, which can do what absorbs in what follows it */
  RtAbsorb absorb; /* what a matrix product before it may do in its place */
  bool resizes;    /* input 1 holds the lengths of the result, which may name the number of samples */
  bool same;       /* the result is input 0, with its shape */
  bool host;       /* computes sizes: runs when the plan is made, through fold */
  /* Whether a node draws random numbers in training, and gives its input 0 otherwise. NULL: no. */
  bool (*random)(const RtGraph *graph, const RtNode *node);
  /* Write into `why` if the node's attributes or inputs are not supported; leave it empty if they are. May be NULL. */
  PetscErrorCode (*check)(const RtGraph *graph, const RtNode *node, char *why, size_t length);
  /* Set type and shape of the outputs from the inputs. May set out->root = in->root of any of them: it is another name
     for the input's elements; a step all of whose outputs are such names, or constants, does not run, and backward of
     one that does leaves out what comes to the input through its other name. */
  PetscErrorCode (*shape)(RtStep *step);
  /* Compute `folded` (PetscMalloc) of all outputs when the plan is made. Called if all inputs are constants, and always
     for host operators, which see to it themselves that what they read is constant. NULL: cannot be folded. */
  PetscErrorCode (*fold)(RtStep *step);
  /* Make primitives; set scratch_size, keep_size, packed_size. May be NULL. */
  PetscErrorCode (*setup)(RtStep *step);
  /* Copy the parameters into `packed`, [packed_size]. May be NULL. */
  PetscErrorCode (*pack)(const RtStep *step, const float *parameter, void *packed);
  PetscErrorCode (*forward)(const RtStep *step, RtWork *work);
  PetscErrorCode (*backward)(const RtStep *step, RtWork *work);
  PetscErrorCode (*destroy)(RtStep *step);
};

/* Whether a set of inputs has input k. */
static inline bool rt_op_has(unsigned set, int k)
{
  return set >> PetscMin(k, 31) & 1;
}

/* Where the elements of a tensor are during a run. */
static inline void *rt_op_data(const RtWork *work, const RtTensor *tensor)
{
  if (tensor->place == RT_PLACE_WORK) return work->slab + tensor->root->offset;
  if (tensor->place == RT_PLACE_PARAMETER) return (void *)(work->parameter + tensor->root->offset);
  if (tensor->place == RT_PLACE_STATE) return (void *)(work->state + tensor->root->offset);
  return (void *)tensor->constant;
}
/* Gradient of an output, to read (and to change in place). NULL where nothing that is trained by reads the output: its
   gradient is zero. Only one of several outputs can be without: backward is not called where all are. */
static inline float *rt_op_dout(const RtWork *work, const RtTensor *tensor)
{
  return tensor->root->doffset < 0 ? NULL : (float *)(work->slab + tensor->root->doffset);
}
/* Where forward writes, in training, by how much this run's rows would change the state at input i, as much of it as a
   step of training is to take over: for a running mean (1 - momentum) (mean - running mean). It is zero before, and the
   state changes by the mean over all lanes when the step is done. NULL: not in training. */
static inline float *rt_op_change(const RtWork *work, const RtStep *step, int i)
{
  return work->change ? work->change + step->in[i]->root->offset : NULL;
}
/* Where backward writes the gradient of input i, overwriting; NULL where it is not wanted. For a parameter this is its
   slice of the gradient buffer. */
static inline float *rt_op_din(const RtWork *work, const RtStep *step, int i)
{
  if (step->din[i] == RT_DIN_PARAMETER) return work->gradient + step->in[i]->root->offset;
  return step->din[i] == RT_DIN_UNWANTED ? NULL : (float *)(work->slab + step->din[i]);
}

#ifdef __cplusplus
}
#endif

#endif
