/* Sum of the lanes' gradients over all ranks while backward still goes on, and the gathering of what each rank made of
   its part.

   The buffer is cut into ranges at parameters. Backward produces gradients from the end of the buffer to its start: as
   soon as a range is done in all threads of a rank, its parts are on their way to the ranks that own them. Each rank
   owns one part of every range.

   A step is: for each own lane take a buffer, fill it, say with rt_reduce_ready how far it is, push it; then
   rt_reduce_scatter, after which each rank holds the sum of its own parts; the caller updates these parts of the
   parameters; rt_reduce_gather gives every rank all of them. Together that is an allreduce with the optimizer step in
   its middle, where it costs least.

   RT_REDUCE_TREE adds in one fixed binary tree: the same bits on any number of ranks and threads. RT_REDUCE_FAST is a
   plain MPI_Iallreduce of each range: every rank owns all, and the bits depend on the number of ranks. */
#ifndef RT_COMM_REDUCE_H
#define RT_COMM_REDUCE_H

#include "comm/parts.h"

typedef enum { RT_REDUCE_TREE, RT_REDUCE_FAST } RtReduceKind;

typedef struct {
  int64_t n;   /* length of the buffers, a multiple of 16 */
  int lanes;   /* at least the number of ranks */
  int threads; /* of this rank; ranks may have different numbers */
  RtReduceKind kind;
  int64_t range;      /* floats that a range has at least; 0: a length that suits networks */
  int64_t segment;    /* floats of a message, a multiple of 16; 0: a length that suits caches */
  int64_t memory;     /* bytes that this rank may hold of gradients and sums; 0: any. The same on all ranks. Where it is
                         short, messages are shorter, and then fewer threads have lanes; bits stay the same */
  int cuts;           /* number of places where ranges may begin */
  const int64_t *cut; /* [cuts] ascending multiples of 16; read by rt_reduce_create only */
} RtReduceParams;

typedef struct RtReduce RtReduce;

/* Collective. Errors: the memory is less than one thread with the shortest messages needs. */
PetscErrorCode rt_reduce_create(MPI_Comm comm, const RtReduceParams *params, RtReduce **reduce);
/* Collective. */
PetscErrorCode rt_reduce_destroy(RtReduce **reduce);

/* The parameters, [n], zero at first. */
float *rt_reduce_parameter(RtReduce *reduce);

/* Lanes of one thread of this rank. */
void rt_reduce_lanes(const RtReduce *reduce, int thread, int *first, int *count);
/* The buffer, [n], that this thread fills for its next lane. Its padding is zero at first and must stay finite. */
float *rt_reduce_buffer(RtReduce *reduce, int thread);
/* In that buffer, all from `from` on stands. May be left out. Only MPI's main thread, thread 0, communicates. */
PetscErrorCode rt_reduce_ready(RtReduce *reduce, int thread, int lane, int64_t from);
/* That buffer now holds lane `lane`. Lanes of a thread come in order. */
void rt_reduce_push(RtReduce *reduce, int thread, int lane);

/* What this rank holds beside the parameters. */
typedef struct {
  int64_t gradients; /* bytes of buffers for lanes */
  int64_t sums;      /* bytes of the summed own parts, and of what comes from other ranks */
  int buffers;       /* that the gradients are */
  int threads;       /* that may have lanes */
} RtReduceMemory;
RtReduceMemory rt_reduce_memory(const RtReduce *reduce);

/* Who owns what in the tree kind. */
const RtParts *rt_reduce_parts(const RtReduce *reduce);
/* The parts of the buffer that this rank owns, one a range, ascending. */
int rt_reduce_ranges(const RtReduce *reduce);
void rt_reduce_own(const RtReduce *reduce, int range, int64_t *first, int64_t *count);
/* The sum of their lengths. */
int64_t rt_reduce_owned(const RtReduce *reduce);
/* Collective, outside of threads. All lanes were pushed. sum: [owned] the parts one after the other, valid until the
   next lane is filled. */
PetscErrorCode rt_reduce_scatter(RtReduce *reduce, const float **sum);
/* The largest magnitude in these sums, as the bits of a float, which compare like the numbers: from RT_REDUCE_INFINITE
   on one of them is not finite. Not collective. */
enum { RT_REDUCE_INFINITE = 0x7f800000 };
int rt_reduce_peak(const RtReduce *reduce);
/* Collective, outside of threads. Each rank has its own parts of the parameters right; afterwards all have all. */
PetscErrorCode rt_reduce_gather(RtReduce *reduce);
/* Seconds that this rank has spent in rt_reduce_ready with communication, since the last call. */
double rt_reduce_seconds(RtReduce *reduce);

#endif
