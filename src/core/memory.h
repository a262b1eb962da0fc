/* Large buffers: zeroed, aligned to a cache line, and on huge pages where they are large. Not collective. */
#ifndef RT_CORE_MEMORY_H
#define RT_CORE_MEMORY_H

#include <retort/types.h>

/* buffer: address of a pointer. Counted by PETSc, so that leaks are found. */
PetscErrorCode rt_memory_create(size_t bytes, void *buffer);
/* Accepts NULL; sets the pointer to NULL. */
PetscErrorCode rt_memory_destroy(void *buffer);

/* bytes rounded up to a cache line */
static inline size_t rt_memory_align(size_t bytes)
{
  return (bytes + 63) & ~(size_t)63;
}

#endif
