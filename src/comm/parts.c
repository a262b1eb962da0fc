#include "comm/parts.h"

PetscErrorCode rt_parts_create(int64_t n, int size, int cuts, const int64_t *cut, int64_t least, RtParts *parts)
{
  int64_t end = n, swap;

  PetscFunctionBegin;
  PetscCheck(n % RT_PARTS_BLOCK == 0, PETSC_COMM_SELF, PETSC_ERR_ARG_SIZ, "the length is no multiple of %d",
             RT_PARTS_BLOCK);
  PetscCheck(n / RT_PARTS_BLOCK < INT32_MAX, PETSC_COMM_SELF, PETSC_ERR_SUP, "more than 2^35 parameters");
  *parts = (RtParts){.size = size};
  PetscCall(PetscMalloc1(cuts + 2, &parts->edge));
  parts->edge[0] = n; /* from the end on, as the gradients come */
  for (int c = cuts - 1; c >= 0 && size > 1; c--) {
    if (cut[c] < least || cut[c] > end - least) continue;
    end = cut[c];
    parts->edge[++parts->ranges] = end;
  }
  parts->edge[++parts->ranges] = 0;
  for (int i = 0; i < (parts->ranges + 1) / 2; i++) {
    swap = parts->edge[i];
    parts->edge[i] = parts->edge[parts->ranges - i];
    parts->edge[parts->ranges - i] = swap;
  }
  PetscCall(PetscMalloc2(parts->ranges * size, &parts->block_count, parts->ranges * size, &parts->block_first));
  for (int k = 0; k < parts->ranges; k++) {
    int64_t first = parts->edge[k] / RT_PARTS_BLOCK, blocks = parts->edge[k + 1] / RT_PARTS_BLOCK - first;

    for (int p = 0; p < size; p++) {
      int i = k * size + p;

      parts->block_first[i] = (int)(first + blocks * p / size);
      parts->block_count[i] = (int)(first + blocks * (p + 1) / size) - parts->block_first[i];
    }
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_parts_destroy(RtParts *parts)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(parts->edge));
  PetscCall(PetscFree2(parts->block_count, parts->block_first));
  PetscFunctionReturn(0);
}

RtPart rt_parts_get(const RtParts *parts, int range, int rank)
{
  int i = range * parts->size + rank;

  return (RtPart){(int64_t)parts->block_first[i] * RT_PARTS_BLOCK, (int64_t)parts->block_count[i] * RT_PARTS_BLOCK};
}

int64_t rt_parts_owned(const RtParts *parts, int rank)
{
  int64_t owned = 0;

  for (int k = 0; k < parts->ranges; k++) owned += rt_parts_get(parts, k, rank).count;
  return owned;
}
