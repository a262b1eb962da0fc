/* How much memory the samples and soft labels of a training run take: whether they fit, and if not, the window of
   data/order.h that does. The answer must not depend on the number of ranks, so it is for one rank that has all lanes.
   Pure arithmetic. */
#ifndef RT_DATA_BUDGET_H
#define RT_DATA_BUDGET_H

#include <retort/types.h>

typedef struct {
  int64_t memory;        /* bytes that there are: -data_memory */
  int64_t samples;       /* of the dataset */
  int64_t held;          /* of them held out of training */
  int64_t sample;        /* bytes of one sample, as rt_samples_bytes says */
  int64_t logits, views; /* bytes of a sample's soft labels for one view, and views; 0: none are needed */
  int fields;            /* of the label store that are read; 0: as 1 */
  int64_t batch;         /* samples in a global batch */
  int lanes;
} RtBudget;

/* Whether all fits. */
bool rt_budget_fits(const RtBudget *budget);

/* Samples in a window of a lane, a multiple of its rows in a step. count: samples of the pool.
   Errors: not even windows of one step fit, or the held-out samples take more than a quarter of the memory. */
PetscErrorCode rt_budget_window(const RtBudget *budget, int64_t count, int64_t *window);
/* Pool entries in a block, for windows of this size. */
int64_t rt_budget_block(const RtBudget *budget, int64_t window);
/* Bytes to read at once, and shards of the label store that stay open, with windows. */
int64_t rt_budget_piece(const RtBudget *budget);
int rt_budget_open(const RtBudget *budget);

#endif
