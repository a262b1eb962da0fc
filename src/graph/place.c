#include "graph/place.h"

#include "core/memory.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
  const RtPlaceRequest *x = a, *y = b;

  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  return (x->first > y->first) - (x->first < y->first);
}

static int by_offset(const void *a, const void *b)
{
  const RtPlaceRequest *const *x = a, *const *y = b;

  return (*(*x)->offset > *(*y)->offset) - (*(*x)->offset < *(*y)->offset);
}

PetscErrorCode rt_place_assign(int count, RtPlaceRequest *request, size_t *total)
{
  const RtPlaceRequest **near;

  PetscFunctionBegin;
  qsort(request, (size_t)count, sizeof(*request), by_size);
  PetscCall(PetscMalloc1(count + 1, &near));
  *total = 0;
  for (int i = 0; i < count; i++) {
    size_t at = 0, bytes = rt_memory_align(request[i].bytes);
    int near_count = 0;

    for (int j = 0; j < i; j++)
      if (request[j].first <= request[i].last && request[i].first <= request[j].last) near[near_count++] = &request[j];
    qsort(near, (size_t)near_count, sizeof(*near), by_offset);
    for (int j = 0; j < near_count; j++) {
      size_t start = (size_t)*near[j]->offset, end = start + rt_memory_align(near[j]->bytes);

      if (at + bytes <= start) break;
      at = PetscMax(at, end);
    }
    *request[i].offset = (int64_t)at;
    *total = PetscMax(*total, at + bytes);
  }
  PetscCall(PetscFree(near));
  PetscFunctionReturn(0);
}
