/* A model: a graph of ONNX operators together with its parameters and metadata.

   A graph is made by the ONNX reader (retort/onnx.h) or by a recipe, then frozen by rt_graph_finish. After that its
   structure is constant; only the flat buffer of parameters changes. Shapes are known when a plan binds the graph to a
   batch size (retort/plan.h). Nothing here is collective. */
#ifndef RETORT_GRAPH_H
#define RETORT_GRAPH_H

#include <retort/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct RtGraph RtGraph;
typedef struct RtNode RtNode;
typedef struct RtOp RtOp; /* an operator: retort/operator.h */

/* In a value's shape: the number of samples, known when a plan is made. */
#define RT_BATCH ((int64_t)-1)

typedef enum {
  RT_VALUE_INPUT,     /* given by the caller at each run */
  RT_VALUE_PARAMETER, /* float, trained, stands in the flat buffer */
  RT_VALUE_STATE, /* float, kept by an operator from run to run (running statistics), stands in the buffer of state */
  RT_VALUE_CONSTANT, /* known when the graph is made */
  RT_VALUE_RESULT    /* computed by a node */
} RtValueKind;

typedef enum {
  RT_ATTRIBUTE_INT,
  RT_ATTRIBUTE_FLOAT,
  RT_ATTRIBUTE_STRING,
  RT_ATTRIBUTE_INTS,
  RT_ATTRIBUTE_OTHER /* a tensor, a graph, …: no operator takes it, so that finishing refuses it */
} RtAttributeKind;

typedef struct {
  char *name;
  RtAttributeKind kind;
  int64_t i;
  float f;
  char *s;
  int count; /* of ints */
  int64_t *ints;
} RtAttribute;

/* An empty graph. */
PetscErrorCode rt_graph_create(int64_t opset, RtGraph **graph);
/* Accepts NULL; sets *graph to NULL. */
PetscErrorCode rt_graph_destroy(RtGraph **graph);

/* Add a value. data: [product of dim] elements, copied; NULL for inputs and results, and for parameters means zeros.
   A result may have ndim 0. The name must be new. Errors: a name used twice, dimensions whose product overflows. */
PetscErrorCode rt_graph_add_value(RtGraph *graph, const char *name, RtValueKind kind, RtType type, int ndim,
                                  const int64_t dim[], const void *data, int *id);
/* Add a node. name may be empty; input[i] = -1 leaves an optional input out. Attributes are set on the returned index.
 */
PetscErrorCode rt_graph_add_node(RtGraph *graph, const RtOp *op, const char *name, int inputs, const int input[],
                                 int outputs, const int output[], int *node);
PetscErrorCode rt_graph_set_int(RtGraph *graph, int node, const char *name, int64_t value);
PetscErrorCode rt_graph_set_float(RtGraph *graph, int node, const char *name, float value);
PetscErrorCode rt_graph_set_string(RtGraph *graph, int node, const char *name, const char *value);
PetscErrorCode rt_graph_set_ints(RtGraph *graph, int node, const char *name, int count, const int64_t value[]);
PetscErrorCode rt_graph_set_other(RtGraph *graph, int node, const char *name);
/* Make a value an output of the model; the first is the one that is trained and evaluated. */
PetscErrorCode rt_graph_add_output(RtGraph *graph, int id);

/* Freeze: puts the nodes into a running order, drops those that no output needs, turns float constants into parameters
   and state, lays out their buffers, and checks every node.
   A float constant is trained where an operator trains what stands there (a matrix, a bias, a table), also through what
   only changes its form: Identity, Cast between floats, Reshape, Flatten, Squeeze, Unsqueeze, Transpose, and sums and
   products of constants. What is subtracted, multiplied or divided by is trained where it meets something that depends
   on a parameter; before the first trained operator it is normalisation, and stays. A number without dimensions in Add,
   Sub, Mul and Div belongs to the formula (the 0.5 of a decomposed Gelu; exporters give it as an initializer as well),
   and stays: a single weight that is to be trained has the shape [1].
   Errors: all unsupported nodes in one message, by node name and operator; a cycle; a value that nothing computes. */
PetscErrorCode rt_graph_finish(RtGraph *graph);

/* Of a finished graph without plans: make the parameters constants whose names are like one of the patterns, which
   commas separate and which are read as those of file names; the flat buffer is laid out anew. option: what gave the
   patterns, for the message. Errors: a pattern that is like no parameter's name. */
PetscErrorCode rt_graph_freeze(RtGraph *graph, const char *patterns, const char *option);
/* What is not trained of a finished graph though it stands where weights may stand: returns how many constants, and
   writes the names of the first into text, [length]. */
int rt_graph_frozen(const RtGraph *graph, char *text, size_t length);

/* Of a finished graph: a step of training is done, and the state changes by the mean of what its lanes
   say (rt_work_change): the numbers [first, first + count) of it. What no operator has written stays to the bit. sum:
   [count] over the lanes, summed in an order that does not depend on ranks, so that the state does not either. All
   plans see the new state; none may run meanwhile. */
void rt_graph_change_state(RtGraph *graph, int64_t first, int64_t count, const float *sum, int lanes);

/* Take over parameters and nodes that were added to a finished graph, behind all that is there: those before them keep
   their places in the flat buffer. */
PetscErrorCode rt_graph_extend(RtGraph *graph);

/* The numbers (ids) of its inputs and outputs, in order. Returns how many; *id stays until the graph ends, may be NULL.
 */
int rt_graph_inputs(const RtGraph *graph, const int **id);
int rt_graph_outputs(const RtGraph *graph, const int **id);
/* The name of a value. */
const char *rt_graph_name(const RtGraph *graph, int value);
/* The flat buffer of parameters, of a finished graph: each parameter starts at a multiple of 16 elements, padding is
   zero. Its length; how many numbers in it are trained. */
float *rt_graph_parameter(const RtGraph *graph);
int64_t rt_graph_flat(const RtGraph *graph);
int64_t rt_graph_parameters(const RtGraph *graph);
/* The length of the buffer of state, 0: it has none; and how many free axes inputs have, beside the batch. */
int64_t rt_graph_state_flat(const RtGraph *graph);
int rt_graph_axes(const RtGraph *graph);

/* What to call a node in messages: its name, or that of its first result. */
const char *rt_graph_node_name(const RtGraph *graph, const RtNode *node);

/* Id of the value with this name, -1 if there is none. */
int rt_graph_find(const RtGraph *graph, const char *name);

/* A free axis: what stands for its length in an input's shape. The same name gives the same. */
PetscErrorCode rt_axes_add(RtGraph *graph, const char *name, int64_t *dim);
/* The number of the free axis that a length stands for, -1: it is a length, or RT_BATCH. */
int rt_axes_of(int64_t dim);
/* Give a new graph the free axes of another one, in their order, before any value. */
PetscErrorCode rt_axes_copy(const RtGraph *from, RtGraph *to);
PetscErrorCode rt_axes_destroy(RtGraph *graph);

/* Metadata properties of the ONNX file. Setting a key again replaces it; getting an absent one gives NULL. */
PetscErrorCode rt_graph_set_metadata(RtGraph *graph, const char *key, const char *text);
const char *rt_graph_get_metadata(const RtGraph *graph, const char *key);

/* Attributes of a node, with the value that holds where the attribute is absent. */
const RtAttribute *rt_graph_attribute(const RtNode *node, const char *name);
int64_t rt_graph_attribute_int(const RtNode *node, const char *name, int64_t absent);
float rt_graph_attribute_float(const RtNode *node, const char *name, float absent);

#ifdef __cplusplus
}
#endif

#endif
