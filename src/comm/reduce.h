/* Sum of the lanes' gradients over all ranks, and the gathering of what each rank made of its part.

   A step is: for each own lane take a buffer, fill it, push it; then rt_reduce_scatter, after which each rank holds the
   sum of its own part of the buffer; the caller updates that part of the parameters; rt_reduce_gather gives every rank
   all of them. Together that is an allreduce with the optimizer step in its middle, where it costs least.

   RT_REDUCE_TREE adds in one fixed binary tree: the same bits on any number of ranks and threads. RT_REDUCE_FAST is a
   plain MPI_Iallreduce: every rank owns all, and the bits depend on the number of ranks. */
#ifndef RT_COMM_REDUCE_H
#define RT_COMM_REDUCE_H

#include <retort/types.h>

typedef enum { RT_REDUCE_TREE, RT_REDUCE_FAST } RtReduceKind;

typedef struct RtReduce RtReduce;

/* Collective. n: length of the buffers, a multiple of 16. lanes: at least the number of ranks. threads: of this rank;
   ranks may have different numbers. */
PetscErrorCode rt_reduce_create(MPI_Comm comm, int64_t n, int lanes, int threads, RtReduceKind kind, RtReduce **reduce);
/* Collective. */
PetscErrorCode rt_reduce_destroy(RtReduce **reduce);

/* The parameters, [n], zero at first. */
float *rt_reduce_parameter(RtReduce *reduce);

/* Lanes of one thread of this rank. */
void rt_reduce_lanes(const RtReduce *reduce, int thread, int *first, int *count);
/* The buffer, [n], that this thread fills for its next lane. Its padding is zero at first and must stay finite. */
float *rt_reduce_buffer(RtReduce *reduce, int thread);
/* That buffer now holds lane `lane`. Lanes of a thread come in order. */
void rt_reduce_push(RtReduce *reduce, int thread, int lane);

/* Part of the buffer that this rank owns. */
void rt_reduce_own(const RtReduce *reduce, int64_t *first, int64_t *count);
/* Collective, outside of threads. All lanes were pushed. sum: [own count], valid until the next push. */
PetscErrorCode rt_reduce_scatter(RtReduce *reduce, const float **sum);
/* Collective, outside of threads. Each rank has its own part of the parameters right; afterwards all have all. */
PetscErrorCode rt_reduce_gather(RtReduce *reduce);

#endif
