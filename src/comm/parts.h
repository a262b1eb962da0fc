/* Which rank owns which part of a flat buffer: the buffer is cut into ranges, and each rank owns one part of every
   range. Pure arithmetic. */
#ifndef RT_COMM_PARTS_H
#define RT_COMM_PARTS_H

#include <retort/types.h>

enum { RT_PARTS_BLOCK = 16 /* floats: parts begin at a cache line, and counts of blocks fit an int */ };

typedef struct {
  int size, ranges;
  int64_t *edge;    /* [ranges + 1] range k is edge[k] … edge[k + 1] */
  int *block_count; /* [ranges, size] parts, in blocks */
  int *block_first;
} RtParts;

typedef struct {
  int64_t first, count;
} RtPart;

/* n: length of the buffer, a multiple of the block. cut: [cuts] ascending multiples of the block, where ranges may
   begin; least: floats that a range has at least. One rank has one range. */
PetscErrorCode rt_parts_create(int64_t n, int size, int cuts, const int64_t *cut, int64_t least, RtParts *parts);
PetscErrorCode rt_parts_destroy(RtParts *parts);
RtPart rt_parts_get(const RtParts *parts, int range, int rank);
/* Floats of all parts of a rank. */
int64_t rt_parts_owned(const RtParts *parts, int rank);

#endif
