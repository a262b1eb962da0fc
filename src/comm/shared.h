/* Memory that the ranks of one node share: what one writes, the others read without a message. */
#ifndef RT_COMM_SHARED_H
#define RT_COMM_SHARED_H

#include <retort/types.h>

typedef struct {
  MPI_Comm comm;
  MPI_Win window;
  int size;
  char **base; /* [size] where each rank's part begins, as this process sees it; aligned to a cache line */
} RtShared;

/* Collective. bytes: of this rank's part, zeroed. made: false where the ranks are on several nodes or the node's shared
   memory has no room; then nothing is allocated, and messages must do. */
PetscErrorCode rt_shared_create(MPI_Comm comm, size_t bytes, RtShared *shared, bool *made);
/* Collective. Accepts what was not made. */
PetscErrorCode rt_shared_destroy(RtShared *shared);
/* Collective. What any rank wrote before is seen by all after. */
PetscErrorCode rt_shared_barrier(RtShared *shared);

#endif
