#include "comm/reduce.h"

#include "comm/lanes.h"
#include "core/fault.h"
#include "core/memory.h"
#include "core/simd.h"

#include <omp.h>

enum {
  BLOCK = 16,      /* floats: parts begin at a cache line, and counts of blocks fit an int */
  PIECE = 1 << 28, /* floats in one MPI_Iallreduce */
  TAG = 17
};

/* What one thread fills and sums. */
typedef struct {
  int first, count; /* lanes */
  RtLaneForest forest;
  int most, spares; /* buffers: all, and those that are free */
  float **spare;
} Worker;

struct RtReduce {
  MPI_Comm comm;
  MPI_Datatype block;
  RtReduceKind kind;
  int rank, size, lanes, threads;
  int64_t n;
  int buffers, requests;
  float **buffer; /* [buffers] all of them */
  Worker *worker; /* [threads] */
  float *parameter;
  float *inbox;                   /* what other ranks send for the own part */
  RtLaneForest *remote;           /* [size] shape of what each rank sends */
  int *block_count, *block_first; /* [size] parts, in blocks */
  MPI_Request *request;
  RtLaneNode *node; /* [lanes] what is summed in a step */
};

RT_SIMD
static void add(float *restrict left, const float *restrict right, int64_t length)
{
  for (int64_t i = 0; i < length; i++) left[i] += right[i];
}

static int64_t own_first(const RtReduce *r, int rank)
{
  return (int64_t)r->block_first[rank] * BLOCK;
}

static int64_t own_count(const RtReduce *r, int rank)
{
  return (int64_t)r->block_count[rank] * BLOCK;
}

static size_t buffer_bytes(const RtReduce *r)
{
  return (size_t)r->n * sizeof(float); /* a multiple of a cache line, as n is one of 16 */
}

/* Lanes of the threads, and how many buffers they need. */
static PetscErrorCode share_lanes(RtReduce *r)
{
  int first, count;

  PetscFunctionBegin;
  rt_lanes_share(r->lanes, r->rank, r->size, &first, &count);
  PetscCall(PetscCalloc1(r->threads, &r->worker));
  for (int t = 0; t < r->threads; t++) {
    Worker *w = &r->worker[t];

    rt_lanes_share(count, t, r->threads, &w->first, &w->count);
    w->first += first;
    w->forest.lanes = r->lanes;
    w->most = rt_lanes_buffers(r->lanes, w->first, w->count);
    PetscCall(PetscMalloc1(w->most + 1, &w->spare));
    r->buffers += w->most;
  }
  PetscCall(PetscCalloc1(r->buffers + 1, &r->buffer));
  PetscFunctionReturn(0);
}

/* Give every thread its buffers back. */
static void release(RtReduce *r)
{
  int used = 0;

  for (int t = 0; t < r->threads; t++) {
    Worker *w = &r->worker[t];

    w->forest.count = 0;
    w->spares = 0;
    for (int b = 0; b < w->most; b++) w->spare[w->spares++] = r->buffer[used++];
  }
}

static PetscErrorCode make_memory(RtReduce *r)
{
  PetscFunctionBegin;
  PetscCall(rt_memory_create(buffer_bytes(r), &r->parameter));
  for (int b = 0; b < r->buffers; b++) PetscCall(rt_memory_create(buffer_bytes(r), &r->buffer[b]));
  release(r);
  PetscFunctionReturn(0);
}

/* Who owns what, and what each rank will send. */
static PetscErrorCode make_parts(RtReduce *r)
{
  int64_t blocks = r->n / BLOCK, inbox = 0;

  PetscFunctionBegin;
  PetscCheck(blocks < INT32_MAX, PETSC_COMM_SELF, PETSC_ERR_SUP, "more than 2^35 parameters");
  PetscCall(PetscMalloc2(r->size, &r->block_count, r->size, &r->block_first));
  PetscCall(PetscMalloc1(r->size, &r->remote));
  for (int p = 0; p < r->size; p++) {
    int first, count;

    r->block_first[p] = (int)(blocks * p / r->size);
    r->block_count[p] = (int)(blocks * (p + 1) / r->size) - r->block_first[p];
    rt_lanes_share(r->lanes, p, r->size, &first, &count);
    rt_lanes_forest(r->lanes, first, count, &r->remote[p]);
    if (p != r->rank) r->requests += r->remote[p].count;
  }
  inbox = (int64_t)r->requests * own_count(r, r->rank);
  r->requests += r->remote[r->rank].count * (r->size - 1);
  PetscCall(PetscMalloc1(r->requests + 1, &r->request));
  PetscCall(PetscMalloc1(r->lanes, &r->node));
  if (r->kind == RT_REDUCE_TREE && inbox) PetscCall(rt_memory_create((size_t)inbox * sizeof(float), &r->inbox));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_reduce_create(MPI_Comm comm, int64_t n, int lanes, int threads, RtReduceKind kind, RtReduce **reduce)
{
  RtReduce *r;

  PetscFunctionBegin;
  PetscCheck(n % BLOCK == 0, PETSC_COMM_SELF, PETSC_ERR_ARG_SIZ, "the length is no multiple of %d", BLOCK);
  PetscCall(PetscNew(&r));
  *reduce = r;
  r->n = n;
  r->lanes = lanes;
  r->threads = threads;
  r->kind = kind;
  PetscCallMPI(MPI_Comm_dup(comm, &r->comm));
  PetscCallMPI(MPI_Comm_rank(r->comm, &r->rank));
  PetscCallMPI(MPI_Comm_size(r->comm, &r->size));
  PetscCallMPI(MPI_Type_contiguous(BLOCK, MPI_FLOAT, &r->block));
  PetscCallMPI(MPI_Type_commit(&r->block));
  PetscCall(share_lanes(r));
  PetscCall(make_memory(r));
  PetscCall(make_parts(r));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_reduce_destroy(RtReduce **reduce)
{
  RtReduce *r = *reduce;

  PetscFunctionBegin;
  if (!r) PetscFunctionReturn(0);
  PetscCall(rt_memory_destroy(&r->parameter));
  for (int b = 0; b < r->buffers; b++) PetscCall(rt_memory_destroy(&r->buffer[b]));
  for (int t = 0; t < r->threads; t++) PetscCall(PetscFree(r->worker[t].spare));
  PetscCall(PetscFree(r->buffer));
  PetscCall(PetscFree(r->worker));
  PetscCall(PetscFree2(r->block_count, r->block_first));
  PetscCall(PetscFree(r->remote));
  PetscCall(PetscFree(r->request));
  PetscCall(PetscFree(r->node));
  PetscCall(rt_memory_destroy(&r->inbox));
  PetscCallMPI(MPI_Type_free(&r->block));
  PetscCallMPI(MPI_Comm_free(&r->comm));
  PetscCall(PetscFree(*reduce));
  PetscFunctionReturn(0);
}

float *rt_reduce_parameter(RtReduce *reduce)
{
  return reduce->parameter;
}

void rt_reduce_lanes(const RtReduce *reduce, int thread, int *first, int *count)
{
  *first = reduce->worker[thread].first;
  *count = reduce->worker[thread].count;
}

float *rt_reduce_buffer(RtReduce *reduce, int thread)
{
  Worker *w = &reduce->worker[thread];

  return w->spare[w->spares - 1];
}

void rt_reduce_push(RtReduce *reduce, int thread, int lane)
{
  Worker *w = &reduce->worker[thread];
  float *data = w->spare[--w->spares];

  rt_lanes_push(&w->forest, (RtLaneNode){.index = lane, .data = data}, reduce->n, add, w->spare, &w->spares);
}

void rt_reduce_own(const RtReduce *reduce, int64_t *first, int64_t *count)
{
  *first = reduce->kind == RT_REDUCE_FAST ? 0 : own_first(reduce, reduce->rank);
  *count = reduce->kind == RT_REDUCE_FAST ? reduce->n : own_count(reduce, reduce->rank);
}

/* Sum nodes, which stand in the order of their lanes, as far as the tree allows: the first `count` elements of each.
   The threads share the elements. */
static void sum_nodes(RtReduce *r, int nodes, const RtLaneNode *node, int64_t count, RtLaneForest *forest)
{
  int64_t blocks = count / BLOCK;

#pragma omp parallel num_threads(r->threads) if (r->threads > 1)
  {
    RtLaneForest mine = {.lanes = r->lanes};
    int thread = omp_get_thread_num(), team = omp_get_num_threads();
    int64_t from = blocks * thread / team * BLOCK, to = blocks * (thread + 1) / team * BLOCK;

    for (int i = 0; i < nodes; i++) {
      RtLaneNode part = node[i];

      part.data += from;
      rt_lanes_push(&mine, part, to - from, add, NULL, NULL);
    }
    if (thread == 0) *forest = mine;
  }
}

/* The nodes of all threads of this rank, in order. */
static int list_nodes(const RtReduce *r, RtLaneNode *node)
{
  int count = 0;

  for (int t = 0; t < r->threads; t++)
    for (int i = 0; i < r->worker[t].forest.count; i++) node[count++] = r->worker[t].forest.node[i];
  return count;
}

/* Send each rank its part of the own nodes; receive the own part of everybody's. */
static PetscErrorCode exchange(RtReduce *r, const RtLaneForest *forest)
{
  int64_t count = own_count(r, r->rank);
  float *place = r->inbox;
  int requests = 0;

  PetscFunctionBegin;
  for (int p = 0; p < r->size; p++) {
    if (p == r->rank) continue;
    for (int i = 0; i < r->remote[p].count; i++, place += count) {
      r->remote[p].node[i].data = place;
      PetscCallMPI(MPI_Irecv(place, r->block_count[r->rank], r->block, p, TAG + i, r->comm, &r->request[requests++]));
    }
  }
  for (int k = 1; k < r->size; k++) {
    int p = (r->rank + k) % r->size; /* not all to rank 0 first */

    for (int i = 0; i < forest->count; i++)
      PetscCallMPI(MPI_Isend(forest->node[i].data + own_first(r, p), r->block_count[p], r->block, p, TAG + i, r->comm,
                             &r->request[requests++]));
  }
  PetscCallMPI(MPI_Waitall(requests, r->request, MPI_STATUSES_IGNORE));
  PetscFunctionReturn(0);
}

/* What this rank has is summed first, so that less is sent. */
static PetscErrorCode sum_tree(RtReduce *r, int nodes, RtLaneNode *node, const float **sum)
{
  RtLaneForest forest;
  int all = 0;

  PetscFunctionBegin;
  sum_nodes(r, nodes, node, r->n, &forest);
  if (r->size > 1) PetscCall(exchange(r, &forest));
  for (int p = 0; p < r->size; p++) {
    const RtLaneForest *from = p == r->rank ? &forest : &r->remote[p];

    for (int i = 0; i < from->count; i++) {
      node[all] = from->node[i];
      if (p == r->rank) node[all].data += own_first(r, r->rank);
      all++;
    }
  }
  sum_nodes(r, all, node, own_count(r, r->rank), &forest);
  *sum = forest.node[0].data;
  PetscFunctionReturn(0);
}

static PetscErrorCode sum_fast(RtReduce *r, int nodes, const RtLaneNode *node, const float **sum)
{
  float *data = node[0].data;

  PetscFunctionBegin;
  for (int i = 1; i < nodes; i++) add(data, node[i].data, r->n);
  for (int64_t at = 0; r->size > 1 && at < r->n; at += PIECE) {
    MPI_Request request;

    PetscCallMPI(MPI_Iallreduce(MPI_IN_PLACE, data + at, (int)PetscMin(r->n - at, PIECE), MPI_FLOAT, MPI_SUM, r->comm,
                                &request));
    PetscCallMPI(MPI_Wait(&request, MPI_STATUS_IGNORE));
  }
  *sum = data;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_reduce_scatter(RtReduce *reduce, const float **sum)
{
  int nodes;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_SEND));
  nodes = list_nodes(reduce, reduce->node);
  if (reduce->kind == RT_REDUCE_FAST)
    PetscCall(sum_fast(reduce, nodes, reduce->node, sum));
  else
    PetscCall(sum_tree(reduce, nodes, reduce->node, sum));
  release(reduce);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_reduce_gather(RtReduce *reduce)
{
  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_SEND));
  if (reduce->kind == RT_REDUCE_FAST || reduce->size == 1) PetscFunctionReturn(0);
  PetscCallMPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, reduce->parameter, reduce->block_count,
                              reduce->block_first, reduce->block, reduce->comm));
  PetscFunctionReturn(0);
}
