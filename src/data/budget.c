#include "data/budget.h"

#include "core/size.h"
#include "data/gather.h"
#include "data/sampler.h"
#include "netcdf/netcdf.h"

enum {
  HELD_PART = 4,     /* held-out samples may take one part of so many of the memory */
  PIECE_PART = 16,   /* what is read at once takes no more than this part, */
  PIECE = 1 << 20,   /* and no more than this many bytes */
  BLOCKS = 16,       /* in a window, */
  FEWEST_BLOCKS = 4, /* or so many, where blocks would be smaller than two chunks */
  OPEN_PART = 32,    /* open shards of a label store take no more than this part, */
  MOST_OPEN = 16,    /* and are no more than this; one there must be, */
  LIBRARY_PART = 8,  /* which is not counted beyond this part */
  NUMBER = 8         /* bytes of a sample's number in a list */
};

/* Bytes of the held-out samples in memory, with their numbers in the dataset and their places. */
static int64_t held_bytes(const RtBudget *b)
{
  return rt_size_times(b->held, b->sample + b->logits + 2 * NUMBER);
}

bool rt_budget_fits(const RtBudget *b)
{
  int64_t sample = rt_size_plus(b->sample, rt_size_times(b->logits, b->views));
  int64_t lists = rt_size_plus(rt_sampler_bytes(b->samples, b->held), rt_size_times(b->samples - b->held, NUMBER));

  return rt_size_plus(rt_size_times(b->samples, sample), lists) <= b->memory;
}

int64_t rt_budget_piece(const RtBudget *b)
{
  return PetscMin(PIECE, b->memory / PIECE_PART);
}

/* Bytes of an open shard: each field has a piece of its own in memory. */
static int64_t open_bytes(const RtBudget *b)
{
  return rt_size_times(RT_LABELSTORE_OPEN, PetscMax(1, b->fields));
}

int rt_budget_open(const RtBudget *b)
{
  return (int)PetscMax(1, PetscMin(MOST_OPEN, b->memory / OPEN_PART / open_bytes(b)));
}

/* What stands beside the windows. */
static int64_t other_bytes(const RtBudget *b)
{
  const int64_t open = PetscMin(rt_size_times(rt_budget_open(b), open_bytes(b)), b->memory / LIBRARY_PART);
  const int64_t shards = b->logits ? open : 0;
  const int64_t piece = rt_gather_bytes(rt_budget_piece(b), b->sample, b->logits);

  return rt_size_plus(rt_size_plus(rt_sampler_bytes(b->samples, b->held), held_bytes(b)), rt_size_plus(piece, shards));
}

PetscErrorCode rt_budget_window(const RtBudget *b, int64_t count, int64_t *window)
{
  const int64_t steps = (count + b->batch - 1) / b->batch, rows = (b->batch + b->lanes - 1) / b->lanes;
  const int64_t held = held_bytes(b), other = other_bytes(b);
  const int64_t step = rt_size_times(2 * b->batch, b->sample + b->logits + NUMBER); /* in use, and being read */
  char text[2][RT_SIZE_TEXT];

  PetscFunctionBegin;
  RtCheck(held <= b->memory / HELD_PART,
          "-data_memory %s is too small for this dataset: the %lld held-out samples stay in memory and take %s, more "
          "than a quarter of it; give more, or set a smaller -data_holdout",
          rt_size_text(b->memory, text[0]), (long long)b->held, rt_size_text(held, text[1]));
  RtCheck(rt_size_plus(other, step) <= b->memory,
          "-data_memory %s is too small: two batches of %lld samples, the held-out ones and lists take %s; give more, "
          "or take a smaller batch",
          rt_size_text(b->memory, text[0]), (long long)b->batch, rt_size_text(rt_size_plus(other, step), text[1]));
  *window = PetscMin((b->memory - other) / step, steps) * rows;
  PetscFunctionReturn(0);
}

int64_t rt_budget_block(const RtBudget *b, int64_t window)
{
  const int64_t chunks = 2 * rt_netcdf_chunk(rt_size_times(b->samples, b->sample)) / b->sample;

  return PetscMax(1, PetscMax(window / BLOCKS, PetscMin(chunks, window / FEWEST_BLOCKS)));
}
