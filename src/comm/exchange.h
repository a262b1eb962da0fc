/* Sum of the nodes of all ranks, range by range: each rank gets the sum of the parts that it owns, in the order of the
   one tree. Parts travel in segments, so that what comes is added while it is in the cache, and few are kept at once.
 */
#ifndef RT_COMM_EXCHANGE_H
#define RT_COMM_EXCHANGE_H

#include "comm/lanes.h"
#include "comm/parts.h"

typedef struct RtExchange RtExchange;

/* Floats of a message that suits caches. least: the shortest that is worth while. Multiples of the block. */
void rt_exchange_segment(const RtParts *parts, int64_t *suits, int64_t *least);
/* Bytes of what comes from other ranks, and of the sums, on a rank. */
int64_t rt_exchange_bytes(const RtParts *parts, int lanes, int rank, int64_t segment);

/* Collective. parts must outlive it. segment: floats of a message, a multiple of the block, the same on all ranks.
   comm: used by this alone. */
PetscErrorCode rt_exchange_create(MPI_Comm comm, const RtParts *parts, int lanes, int64_t segment,
                                  RtExchange **exchange);
PetscErrorCode rt_exchange_destroy(RtExchange **exchange);

/* This rank has summed its own nodes in this range, and has all later ranges before; what they hold must stay until the
   end. forest: what is left of the nodes; data: whole buffers. Sends, and sums what has come already. Ranges come from
   the last to the first. */
PetscErrorCode rt_exchange_range(RtExchange *exchange, int range, const RtLaneForest *forest);
/* Sum what has come since. */
PetscErrorCode rt_exchange_progress(RtExchange *exchange);
/* Collective: wait for all ranges. sum: the own parts one after the other, valid until the next range; peak: bits of
   the largest magnitude in them. */
PetscErrorCode rt_exchange_finish(RtExchange *exchange, const float **sum, int *peak);

#endif
