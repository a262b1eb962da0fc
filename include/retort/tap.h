/* Taps: places in a model where values are taken out and, in training, gradients are put in. A tap is named

     logits      the first output, seen through what does not change its elements (Identity, Reshape, Flatten, Cast
                 between floats, Dropout at rest) back to what enters a last Softmax or LogSoftmax; without one, the
                 first output itself
     hidden:N    the N-th hidden layer, from 1: what enters a product with a matrix of the model after another one
     output:N    the N-th output of the model, from 1
     NAME        a value, or a node's first result

   A plan is asked for them (retort/plan.h). Nothing here is collective. */
#ifndef RETORT_TAP_H
#define RETORT_TAP_H

#include <retort/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int value;     /* id in the graph */
  bool gradient; /* backward begins there as well */
} RtTap;

/* The value that a name stands for. what: teacher or student, for messages. Errors: nothing of that name, with what
   there is. */
PetscErrorCode rt_tap_find(const RtGraph *graph, const char *name, const char *what, int *value);

/* The value of `logits`. */
int rt_tap_logits(const RtGraph *graph);

/* The hidden layers, each value once, in running order, and then the logits. *value: ids, allocated with PetscMalloc.
 */
PetscErrorCode rt_tap_layers(const RtGraph *graph, int *count, int **value);

#ifdef __cplusplus
}
#endif

#endif
