/* Sums of many numbers that do not depend on their order: fixed point, 2^-40 and finer numbers are rounded once when
   they are added, and all else is exact. For losses and counts, which ranks and threads collect in any order. */
#ifndef RT_COMM_EXACT_H
#define RT_COMM_EXACT_H

#include <retort/types.h>

typedef struct {
  __int128 sum;    /* in units of 2^-40 */
  int64_t invalid; /* numbers that were not finite or beyond 2^60 */
} RtExact;

void rt_exact_add(RtExact *exact, double value);
void rt_exact_merge(RtExact *exact, const RtExact *other);
/* NaN where an invalid number was added. */
double rt_exact_value(const RtExact *exact);
/* Collective. Each of the sums over all ranks, on all ranks. */
PetscErrorCode rt_exact_allreduce(MPI_Comm comm, int count, RtExact *exact);

enum { RT_EXACT_WORDS = 5 };
/* As whole numbers, to store: [RT_EXACT_WORDS]. */
void rt_exact_pack(const RtExact *exact, int64_t word[RT_EXACT_WORDS]);
void rt_exact_unpack(RtExact *exact, const int64_t word[RT_EXACT_WORDS]);

#endif
