/* What a graph is made of. Other rooms read it freely, and change it by the functions of retort/graph.h only. */
#ifndef RT_GRAPH_PARTS_H
#define RT_GRAPH_PARTS_H

#include <retort/graph.h>

/* A value that flows through the graph. */
typedef struct {
  char *name;
  RtValueKind kind;
  RtType type; /* results: what the plan infers, see rt_plan_type */
  int ndim;    /* results: 0, shapes are inferred by the plan */
  int64_t dim[RT_MAX_DIM];
  char *field;    /* inputs: the field of the dataset that it reads; NULL as long as it is bound to none */
  void *data;     /* constants: the elements, row-major, owned */
  int64_t offset; /* parameters and state: first element in their buffer */
  int64_t size;   /* all but inputs and results: elements */
  bool weight;    /* constants: a node reads it where a weight may stand */
} RtValue;

struct RtNode {
  const RtOp *op;
  char *name;
  int inputs, outputs;
  int *input;  /* [inputs] value ids; -1 where an optional input is left out */
  int *output; /* [outputs] value ids; -1 where an optional output is left out */
  int attributes;
  RtAttribute *attribute;
};

struct RtGraph {
  int values, nodes, inputs, outputs, metadatas;
  RtValue *value;
  RtNode *node;        /* after rt_graph_finish: in an order in which they can run */
  int *input, *output; /* value ids */
  char **metadata;     /* [2 metadatas] key, text, key, text, … */
  int64_t opset;       /* of the default ONNX domain */
  int axes;            /* free axes of inputs, beside the batch */
  char **axis;         /* [axes] their names */
  int64_t *length;     /* [axes] their lengths in the data that the model is bound to; 0: it is bound to none */
  int64_t parameters;  /* trained numbers, without padding */
  int64_t flat;        /* length of the flat buffer; each parameter starts at a multiple of 16 elements */
  float *parameter;    /* [flat] padding is zero */
  int64_t state_flat;  /* length of the buffer of state, laid out alike */
  float *state;        /* [state_flat] */
  struct RtNames *names, *keys; /* of values, of metadata: the number of each */
};

#endif
