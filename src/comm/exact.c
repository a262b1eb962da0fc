#include "comm/exact.h"

#include <math.h>

void rt_exact_add(RtExact *exact, double value)
{
  if (!(fabs(value) < 0x1p60)) {
    exact->invalid++;
    return;
  }
  exact->sum += (__int128)nearbyint(value * 0x1p40);
}

void rt_exact_merge(RtExact *exact, const RtExact *other)
{
  exact->sum += other->sum;
  exact->invalid += other->invalid;
}

double rt_exact_value(const RtExact *exact)
{
  return exact->invalid ? NAN : (double)exact->sum * 0x1p-40;
}

/* Four limbs of 32 bits, the highest with the sign: sums of up to 2^31 of them fit. */
void rt_exact_pack(const RtExact *exact, int64_t word[RT_EXACT_WORDS])
{
  __int128 rest = exact->sum;

  for (int i = 0; i < 3; i++) {
    word[i] = (int64_t)(rest & 0xffffffff);
    rest >>= 32;
  }
  word[3] = (int64_t)rest;
  word[4] = exact->invalid;
}

void rt_exact_unpack(RtExact *exact, const int64_t word[RT_EXACT_WORDS])
{
  exact->sum = word[3];
  for (int i = 2; i >= 0; i--) exact->sum = exact->sum * ((__int128)1 << 32) + word[i];
  exact->invalid = word[4];
}

PetscErrorCode rt_exact_allreduce(MPI_Comm comm, int count, RtExact *exact)
{
  int64_t *word;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(count * RT_EXACT_WORDS, &word));
  for (int i = 0; i < count; i++) rt_exact_pack(&exact[i], word + i * RT_EXACT_WORDS);
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, word, count * RT_EXACT_WORDS, MPI_INT64_T, MPI_SUM, comm));
  for (int i = 0; i < count; i++) rt_exact_unpack(&exact[i], word + i * RT_EXACT_WORDS);
  PetscCall(PetscFree(word));
  PetscFunctionReturn(0);
}
