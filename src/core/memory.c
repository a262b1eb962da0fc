#define _GNU_SOURCE
#include "core/memory.h"

#include <string.h>
#include <sys/mman.h>

enum { LINE = 64, HUGE_PAGE = 2 << 20 };

PetscErrorCode rt_memory_create(size_t bytes, void *buffer)
{
  size_t align = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : LINE;
  char *base, *place;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(bytes + align + LINE, &base));
  place = (char *)(((uintptr_t)base + LINE + align - 1) & ~(uintptr_t)(align - 1));
#ifdef MADV_HUGEPAGE
  if (align == HUGE_PAGE) (void)madvise(place, bytes, MADV_HUGEPAGE);
#endif
  memset(place, 0, bytes);
  memcpy(place - sizeof(base), &base, sizeof(base));
  *(void **)buffer = place;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_memory_destroy(void *buffer)
{
  char *place = *(char **)buffer, *base;

  PetscFunctionBegin;
  if (!place) PetscFunctionReturn(0);
  memcpy(&base, place - sizeof(base), sizeof(base));
  PetscCall(PetscFree(base));
  *(void **)buffer = NULL;
  PetscFunctionReturn(0);
}
