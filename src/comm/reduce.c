#include "comm/reduce.h"

#include "comm/exchange.h"
#include "core/fault.h"
#include "core/memory.h"
#include "core/simd.h"
#include "core/size.h"

#include <omp.h>
#include <stdatomic.h>
#include <string.h>

enum {
  BLOCK = RT_PARTS_BLOCK,
  PIECE = 1 << 28, /* floats in one MPI_Iallreduce */
  RANGE = 1 << 18  /* floats of a range, at least */
};

/* What one thread fills and sums. */
typedef struct {
  int first, count; /* lanes */
  RtLaneForest forest;
  int most, spares; /* buffers: all, and those that are free */
  float **spare;
  /* The additions of its last lane are done range by range. */
  int additions;
  float *left[RT_LANES_DEPTH], *right[RT_LANES_DEPTH];
  int64_t added;      /* from here on they are done */
  atomic_llong ready; /* the same, for thread 0 to see */
} Worker;

struct RtReduce {
  MPI_Comm comm;
  MPI_Datatype block;
  RtReduceKind kind;
  int rank, size, lanes, threads;
  int workers; /* of the threads: they have lanes */
  int64_t n, segment;
  int buffers;
  float **buffer; /* [buffers] all of them */
  Worker *worker; /* [threads] */
  float *parameter;
  RtParts parts;
  /* This step's nodes: those of all threads, then what is left when they are summed. */
  int nodes;
  RtLaneNode *node; /* [lanes] */
  int additions, *left, *right;
  RtLaneForest forest;
  int next;             /* range that is summed and sent next, from the last to the first; -1: all are */
  RtExchange *exchange; /* the tree over ranks; NULL on one rank, and for the plain kind */
  MPI_Request *request; /* of the plain kind */
  int requests;
  int peak; /* of the sums of this step */
  double seconds;
};

RT_SIMD
static void add(float *restrict left, const float *restrict right, int64_t length)
{
  for (int64_t i = 0; i < length; i++) left[i] += right[i];
}

RT_SIMD
static int peak_of(const float *number, int64_t length)
{
  int peak = 0;

  for (int64_t i = 0; i < length; i++) {
    int bits;

    memcpy(&bits, &number[i], sizeof(bits));
    bits &= INT32_MAX;
    peak = bits > peak ? bits : peak;
  }
  return peak;
}

static size_t buffer_bytes(const RtReduce *r)
{
  return (size_t)r->n * sizeof(float); /* a multiple of a cache line, as n is one of 16 */
}

/* Lanes of a thread where so many threads have lanes. */
static void share(const RtReduce *r, int workers, int thread, int *first, int *count)
{
  int start, own;

  rt_lanes_share(r->lanes, r->rank, r->size, &start, &own);
  *first = start;
  *count = 0;
  if (thread < workers) rt_lanes_share(own, thread, workers, first, count);
  if (thread < workers) *first += start;
}

static int buffers_of(const RtReduce *r, int workers)
{
  int buffers = 0;

  for (int t = 0; t < workers; t++) {
    int first, count;

    share(r, workers, t, &first, &count);
    buffers += rt_lanes_buffers(r->lanes, first, count);
  }
  return buffers;
}

static int64_t bytes_of(const RtReduce *r, int workers, int64_t segment)
{
  const bool exchange = r->kind == RT_REDUCE_TREE && r->size > 1;

  return (int64_t)buffers_of(r, workers) * (int64_t)buffer_bytes(r) +
         (exchange ? rt_exchange_bytes(&r->parts, r->lanes, r->rank, segment) : 0);
}

/* As many threads with lanes as there is memory for, then messages as long as there is; the same length everywhere. */
static PetscErrorCode fit(RtReduce *r, const RtReduceParams *params)
{
  int64_t suits, least, need, memory = params->memory > 0 ? params->memory : INT64_MAX;
  char text[RT_SIZE_TEXT];

  PetscFunctionBegin;
  rt_exchange_segment(&r->parts, &suits, &least);
  if (params->segment > 0) suits = PetscMin(suits, params->segment);
  least = PetscMin(least, suits);
  r->workers = r->threads;
  while (r->workers > 1 && bytes_of(r, r->workers, least) > memory) r->workers--;
  need = bytes_of(r, r->workers, least);
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &need, 1, MPI_INT64_T, MPI_MAX, r->comm));
  RtCheck(need <= memory, "-reduce_memory %s is too small: the gradients of this model take a rank %lld bytes at least",
          rt_size_text(memory, text), (long long)need);
  r->segment = suits;
  while (r->segment > least && bytes_of(r, r->workers, r->segment) > memory)
    r->segment = PetscMax(least, r->segment / 2 / BLOCK * BLOCK);
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &r->segment, 1, MPI_INT64_T, MPI_MIN, r->comm));
  PetscFunctionReturn(0);
}

RtReduceMemory rt_reduce_memory(const RtReduce *reduce)
{
  const int64_t gradients = reduce->buffers * (int64_t)buffer_bytes(reduce);

  return (RtReduceMemory){.gradients = gradients,
                          .sums = bytes_of(reduce, reduce->workers, reduce->segment) - gradients,
                          .buffers = reduce->buffers,
                          .threads = reduce->workers};
}

/* Lanes of the threads, and how many buffers they need. */
static PetscErrorCode share_lanes(RtReduce *r)
{
  PetscFunctionBegin;
  PetscCall(PetscCalloc1(r->threads, &r->worker));
  for (int t = 0; t < r->threads; t++) {
    Worker *w = &r->worker[t];

    share(r, r->workers, t, &w->first, &w->count);
    w->forest.lanes = r->lanes;
    w->most = rt_lanes_buffers(r->lanes, w->first, w->count);
    PetscCall(PetscMalloc1(w->most + 1, &w->spare));
    r->buffers += w->most;
  }
  PetscCall(PetscCalloc1(r->buffers + 1, &r->buffer));
  PetscFunctionReturn(0);
}

/* Give every thread its buffers back, for a new step. */
static void release(RtReduce *r)
{
  int used = 0;

  for (int t = 0; t < r->threads; t++) {
    Worker *w = &r->worker[t];

    w->forest.count = w->additions = 0;
    w->added = r->n;
    atomic_store(&w->ready, w->count ? r->n : 0); /* without lanes it is ready */
    w->spares = 0;
    for (int b = 0; b < w->most; b++) w->spare[w->spares++] = r->buffer[used++];
  }
  r->next = r->parts.ranges - 1;
  r->nodes = r->requests = 0;
}

static PetscErrorCode make_memory(RtReduce *r)
{
  PetscFunctionBegin;
  PetscCall(rt_memory_create(buffer_bytes(r), &r->parameter));
  for (int b = 0; b < r->buffers; b++) PetscCall(rt_memory_create(buffer_bytes(r), &r->buffer[b]));
  PetscCall(PetscMalloc1(r->lanes, &r->node));
  PetscCall(PetscMalloc2(r->lanes, &r->left, r->lanes, &r->right));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_reduce_create(MPI_Comm comm, const RtReduceParams *params, RtReduce **reduce)
{
  RtReduce *r;

  PetscFunctionBegin;
  PetscCheck(params->n % BLOCK == 0, PETSC_COMM_SELF, PETSC_ERR_ARG_SIZ, "the length is no multiple of %d", BLOCK);
  PetscCall(PetscNew(&r));
  *reduce = r;
  r->n = params->n;
  r->lanes = params->lanes;
  r->threads = params->threads;
  r->kind = params->kind;
  PetscCallMPI(MPI_Comm_dup(comm, &r->comm));
  PetscCallMPI(MPI_Comm_rank(r->comm, &r->rank));
  PetscCallMPI(MPI_Comm_size(r->comm, &r->size));
  PetscCallMPI(MPI_Type_contiguous(BLOCK, MPI_FLOAT, &r->block));
  PetscCallMPI(MPI_Type_commit(&r->block));
  PetscCall(
      rt_parts_create(r->n, r->size, params->cuts, params->cut, params->range > 0 ? params->range : RANGE, &r->parts));
  PetscCall(fit(r, params));
  PetscCall(share_lanes(r));
  PetscCall(make_memory(r));
  if (r->kind == RT_REDUCE_FAST)
    PetscCall(PetscMalloc1(r->parts.ranges + r->n / PIECE + 1, &r->request));
  else if (r->size > 1)
    PetscCall(rt_exchange_create(r->comm, &r->parts, r->lanes, r->segment, &r->exchange));
  release(r);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_reduce_destroy(RtReduce **reduce)
{
  RtReduce *r = *reduce;

  PetscFunctionBegin;
  if (!r) PetscFunctionReturn(0);
  PetscCall(rt_exchange_destroy(&r->exchange));
  PetscCall(rt_memory_destroy(&r->parameter));
  for (int b = 0; b < r->buffers; b++) PetscCall(rt_memory_destroy(&r->buffer[b]));
  for (int t = 0; r->worker && t < r->threads; t++) PetscCall(PetscFree(r->worker[t].spare));
  PetscCall(PetscFree(r->buffer));
  PetscCall(PetscFree(r->worker));
  PetscCall(PetscFree(r->node));
  PetscCall(PetscFree2(r->left, r->right));
  PetscCall(rt_parts_destroy(&r->parts));
  PetscCall(PetscFree(r->request));
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

const RtParts *rt_reduce_parts(const RtReduce *reduce)
{
  return &reduce->parts;
}

int rt_reduce_ranges(const RtReduce *reduce)
{
  return reduce->parts.ranges;
}

void rt_reduce_own(const RtReduce *reduce, int range, int64_t *first, int64_t *count)
{
  RtPart own = rt_parts_get(&reduce->parts, range, reduce->rank);

  if (reduce->kind == RT_REDUCE_FAST) {
    own.first = reduce->parts.edge[range];
    own.count = reduce->parts.edge[range + 1] - own.first;
  }
  *first = own.first;
  *count = own.count;
}

int64_t rt_reduce_owned(const RtReduce *reduce)
{
  return reduce->kind == RT_REDUCE_FAST ? reduce->n : rt_parts_owned(&reduce->parts, reduce->rank);
}

double rt_reduce_seconds(RtReduce *reduce)
{
  double seconds = reduce->seconds;

  reduce->seconds = 0;
  return seconds;
}

/* Append the last lane of a thread to its nodes. The additions that this means are noted, not done. */
static void append_last(RtReduce *r, Worker *w, int lane)
{
  float *data = w->spare[--w->spares], *freed[RT_LANES_DEPTH];
  int frees = 0;

  rt_lanes_push(&w->forest, (RtLaneNode){.index = lane, .data = data}, r->n, NULL, freed, &frees);
  for (int i = 0; i < frees; i++) {
    w->right[w->additions] = freed[i];
    w->left[w->additions++] = i + 1 < frees ? freed[i + 1] : w->forest.node[w->forest.count - 1].data;
  }
}

/* Do these additions from `from` on. */
static void add_last(Worker *w, int64_t from)
{
  if (from >= w->added) return;
  for (int i = 0; i < w->additions; i++) add(w->left[i] + from, w->right[i] + from, w->added - from);
  w->added = from;
  atomic_store_explicit(&w->ready, from, memory_order_release);
}

void rt_reduce_push(RtReduce *reduce, int thread, int lane)
{
  Worker *w = &reduce->worker[thread];

  if (lane < w->first + w->count - 1) {
    float *data = w->spare[--w->spares];

    rt_lanes_push(&w->forest, (RtLaneNode){.index = lane, .data = data}, reduce->n, add, w->spare, &w->spares);
    return;
  }
  if (w->added == reduce->n) append_last(reduce, w, lane);
  add_last(w, 0);
}

/* The nodes of all threads of this rank, in order, and how they are summed. Once a step, when all are there. */
static void list_nodes(RtReduce *r)
{
  if (r->nodes) return;
  for (int t = 0; t < r->threads; t++)
    for (int i = 0; i < r->worker[t].forest.count; i++) r->node[r->nodes++] = r->worker[t].forest.node[i];
  r->additions = rt_lanes_pairs(r->lanes, r->nodes, r->node, r->left, r->right);
  r->forest = (RtLaneForest){.lanes = r->lanes};
  for (int i = 0; i < r->nodes; i++) rt_lanes_push(&r->forest, r->node[i], 0, NULL, NULL, NULL);
}

/* Sum a range over the threads of this rank, which share its elements where they are free to do so. */
static void sum_range(RtReduce *r, int64_t first, int64_t end, bool alone)
{
  int64_t blocks = (end - first) / BLOCK;

  if (!r->additions) return;
#pragma omp parallel num_threads(r->threads) if (r->threads > 1 && !alone)
  {
    int thread = omp_get_thread_num(), team = omp_get_num_threads();
    int64_t from, to;

    if (alone) thread = 0, team = 1;
    from = first + blocks * thread / team * BLOCK;
    to = first + blocks * (thread + 1) / team * BLOCK;
    for (int i = 0; i < r->additions; i++)
      add(r->node[r->left[i]].data + from, r->node[r->right[i]].data + from, to - from);
  }
}

/* The plain kind: every rank gets the sum of the range. */
static PetscErrorCode start_fast(RtReduce *r, int64_t first, int64_t end)
{
  float *data = r->node[0].data;

  PetscFunctionBegin;
  for (int i = 1; i < r->nodes; i++) add(data + first, r->node[i].data + first, end - first);
  for (int64_t at = first; r->size > 1 && at < end; at += PIECE)
    PetscCallMPI(MPI_Iallreduce(MPI_IN_PLACE, data + at, (int)PetscMin(end - at, PIECE), MPI_FLOAT, MPI_SUM, r->comm,
                                &r->request[r->requests++]));
  PetscFunctionReturn(0);
}

/* Sum and send the ranges that all threads have done. alone: the other threads are at work. */
static PetscErrorCode advance(RtReduce *r, bool alone)
{
  int64_t from = 0;

  PetscFunctionBegin;
  for (int t = 0; t < r->threads; t++)
    from = PetscMax(from, (int64_t)atomic_load_explicit(&r->worker[t].ready, memory_order_acquire));
  while (r->next >= 0 && r->parts.edge[r->next] >= from) {
    int64_t first = r->parts.edge[r->next], end = r->parts.edge[r->next + 1];

    list_nodes(r);
    if (r->kind == RT_REDUCE_FAST)
      PetscCall(start_fast(r, first, end));
    else
      sum_range(r, first, end, alone);
    if (r->exchange) PetscCall(rt_exchange_range(r->exchange, r->next, &r->forest));
    r->next--;
  }
  if (r->exchange) PetscCall(rt_exchange_progress(r->exchange));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_reduce_ready(RtReduce *reduce, int thread, int lane, int64_t from)
{
  Worker *w = &reduce->worker[thread];
  double start;

  PetscFunctionBegin;
  if (reduce->parts.ranges == 1 || lane < w->first + w->count - 1 || from == 0) PetscFunctionReturn(0);
  if (w->added == reduce->n) {
    if (from > reduce->parts.edge[reduce->parts.ranges - 1]) PetscFunctionReturn(0);
    append_last(reduce, w, lane);
  }
  add_last(w, from);
  if (thread) PetscFunctionReturn(0);
  start = MPI_Wtime();
  PetscCall(advance(reduce, true));
  reduce->seconds += MPI_Wtime() - start;
  PetscFunctionReturn(0);
}

int rt_reduce_peak(const RtReduce *reduce)
{
  return reduce->peak;
}

/* The threads share the elements. */
static void find_peak(RtReduce *r, const float *sum)
{
  int64_t blocks = r->n / BLOCK;
  int peak = 0;

#pragma omp parallel num_threads(r->threads) reduction(max : peak) if (r->threads > 1)
  {
    int thread = omp_get_thread_num(), team = omp_get_num_threads();
    int64_t from = blocks * thread / team * BLOCK, to = blocks * (thread + 1) / team * BLOCK;

    peak = peak_of(sum + from, to - from);
  }
  r->peak = peak;
}

PetscErrorCode rt_reduce_scatter(RtReduce *reduce, const float **sum)
{
  RtReduce *r = reduce;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_SEND));
  PetscCall(advance(r, false));
  if (r->exchange) {
    PetscCall(rt_exchange_finish(r->exchange, sum, &r->peak));
  } else {
    PetscCallMPI(MPI_Waitall(r->requests, r->request, MPI_STATUSES_IGNORE));
    *sum = r->node[0].data;
    find_peak(r, *sum);
  }
  release(r);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_reduce_gather(RtReduce *reduce)
{
  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_SEND));
  if (reduce->kind == RT_REDUCE_FAST || reduce->size == 1) PetscFunctionReturn(0);
  for (int k = 0; k < reduce->parts.ranges; k++)
    PetscCallMPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, reduce->parameter,
                                reduce->parts.block_count + k * reduce->size,
                                reduce->parts.block_first + k * reduce->size, reduce->block, reduce->comm));
  PetscFunctionReturn(0);
}
