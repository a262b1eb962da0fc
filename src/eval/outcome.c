#include "eval/outcome.h"

#include "core/fault.h"
#include "core/memory.h"
#include "core/message.h"

#include <limits.h>
#include <string.h>

static PetscErrorCode create_columns(RtOutcomes *o, int64_t samples)
{
  size_t bytes;

  PetscFunctionBegin;
  RtCheck(!__builtin_mul_overflow((size_t)samples, sizeof(float), &bytes) && bytes < SIZE_MAX / 2,
          "the test set has too many samples: %lld", (long long)samples);
  PetscCall(PetscMalloc2(o->size, &o->bytes, o->size, &o->at));
  PetscCall(rt_memory_create(bytes, &o->label));
  PetscCall(rt_memory_create(bytes, &o->gap));
  for (int m = 0; m < RT_MODELS; m++) {
    PetscCall(rt_memory_create(bytes, &o->prediction[m]));
    PetscCall(rt_memory_create(bytes, &o->certainty[m]));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_outcome_create(MPI_Comm comm, int64_t samples, int64_t most, int64_t batch, RtOutcomes *outcomes)
{
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  *outcomes = (RtOutcomes){.comm = comm, .batch = batch, .most = PetscMin(most, samples)};
  PetscCheck(outcomes->most <= INT_MAX / (int64_t)sizeof(RtOutcome), PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE,
             "block of %lld samples", (long long)most);
  PetscCallMPI(MPI_Comm_rank(comm, &outcomes->rank));
  PetscCallMPI(MPI_Comm_size(comm, &outcomes->size));
  error = PetscCalloc2(outcomes->most, &outcomes->block, outcomes->most, &outcomes->packed);
  if (!error && outcomes->rank == 0) error = create_columns(outcomes, samples);
  error = rt_message_agree(comm, error);
  if (error) PetscCall(rt_outcome_destroy(outcomes));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_outcome_destroy(RtOutcomes *outcomes)
{
  PetscFunctionBegin;
  PetscCall(PetscFree2(outcomes->block, outcomes->packed));
  PetscCall(PetscFree2(outcomes->bytes, outcomes->at));
  PetscCall(rt_memory_destroy(&outcomes->label));
  PetscCall(rt_memory_destroy(&outcomes->gap));
  for (int m = 0; m < RT_MODELS; m++) {
    PetscCall(rt_memory_destroy(&outcomes->prediction[m]));
    PetscCall(rt_memory_destroy(&outcomes->certainty[m]));
  }
  PetscFunctionReturn(0);
}

/* Samples of the block that a rank has computed. */
static int64_t rows_of(const RtOutcomes *o, int rank, int64_t count)
{
  int64_t rows = 0;

  for (int64_t at = rank * o->batch; at < count; at += o->size * o->batch) rows += PetscMin(o->batch, count - at);
  return rows;
}

static void put(RtOutcomes *o, int64_t sample, const RtOutcome *row)
{
  o->gap[sample] = row->gap;
  for (int m = 0; m < RT_MODELS; m++) {
    o->prediction[m][sample] = row->prediction[m];
    o->certainty[m][sample] = row->certainty[m];
  }
}

PetscErrorCode rt_outcome_collect(RtOutcomes *outcomes, int64_t first, int64_t count, const int32_t *label)
{
  RtOutcomes *o = outcomes;
  const RtOutcome *row = o->packed;
  int64_t rows = 0;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_SEND));
  for (int64_t at = o->rank * o->batch; o->rank > 0 && at < count; at += o->size * o->batch) {
    int64_t here = PetscMin(o->batch, count - at);

    memcpy(o->packed + rows, o->block + at, (size_t)here * sizeof(RtOutcome));
    rows += here;
  }
  for (int r = 0; o->rank == 0 && r < o->size; r++) {
    o->bytes[r] = r ? (int)(rows_of(o, r, count) * (int64_t)sizeof(RtOutcome)) : 0; /* its own rows stay in block */
    o->at[r] = r ? o->at[r - 1] + o->bytes[r - 1] : 0;
  }
  PetscCallMPI(MPI_Gatherv(o->rank ? o->packed : NULL, (int)(rows * (int64_t)sizeof(RtOutcome)), MPI_BYTE, o->packed,
                           o->bytes, o->at, MPI_BYTE, 0, o->comm));
  if (o->rank > 0) PetscFunctionReturn(0);
  for (int r = 0; r < o->size; r++)
    for (int64_t at = r * o->batch; at < count; at += o->size * o->batch)
      for (int64_t i = at; i < PetscMin(at + o->batch, count); i++) put(o, first + i, r ? row++ : o->block + i);
  if (label) memcpy(o->label + first, label, (size_t)count * sizeof(int32_t));
  PetscFunctionReturn(0);
}
