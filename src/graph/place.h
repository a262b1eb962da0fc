/* Planning of one slab: buffers whose lifetimes do not meet share memory. Pure arithmetic. */
#ifndef RT_GRAPH_PLACE_H
#define RT_GRAPH_PLACE_H

#include <retort/types.h>

typedef struct {
  size_t bytes;
  int first, last; /* moments at which the buffer is in use, both included */
  int64_t *offset; /* where to put the result */
} RtPlaceRequest;

/* Give each request an offset, a multiple of 64 bytes. Reorders `request`. total: bytes of the slab.
   Largest first, each at the lowest place where it fits. */
PetscErrorCode rt_place_assign(int count, RtPlaceRequest *request, size_t *total);

#endif
