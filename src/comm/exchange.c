#include "comm/exchange.h"

#include "core/memory.h"
#include "core/simd.h"

#include <string.h>

enum {
  BLOCK = RT_PARTS_BLOCK,
  SEGMENT = 1 << 16, /* floats of a message */
  LEAST = 1 << 10,   /* the same where memory is short */
  SEGMENTS = 1024,   /* messages for one part, at most */
  WINDOW = 2,        /* segments that are on their way to this rank at once */
  TAG = 17
};

/* A piece of an own part that is on its way to this rank from all others. */
typedef struct {
  int range;
  int64_t first, count; /* in the buffer */
  int64_t at;           /* in the sums */
} Segment;

struct RtExchange {
  MPI_Comm comm;
  MPI_Datatype block;
  const RtParts *parts;
  int rank, size, lanes;
  int64_t segment_size;
  RtLaneForest forest; /* own nodes of this step */
  int next;            /* ranges behind this one are summed here */
  /* What a segment is summed from: the nodes of all ranks, in order. */
  RtLaneForest *remote; /* [size] shape of what each rank sends */
  int pieces, own_piece, arrivals;
  float **piece; /* [pieces] */
  int additions, *left, *right;
  int segments, posted, summed;
  Segment *segment;    /* [segments] in the order in which they come */
  float *inbox;        /* [WINDOW, arrivals, segment_size] */
  MPI_Request *arrive; /* [WINDOW, arrivals] */
  MPI_Request *send;   /* of this step */
  int sends, peak;
  float *sum; /* [owned] */
};

RT_SIMD
static void add(float *restrict left, const float *restrict right, int64_t length)
{
  for (int64_t i = 0; i < length; i++) left[i] += right[i];
}

/* Returns the largest magnitude, as bits. */
RT_SIMD
static int add_into(float *restrict sum, const float *restrict left, const float *restrict right, int64_t length)
{
  int peak = 0;

  for (int64_t i = 0; i < length; i++) {
    float x = left[i] + right[i];
    int bits;

    memcpy(&bits, &x, sizeof(bits));
    bits &= INT32_MAX;
    peak = bits > peak ? bits : peak;
    sum[i] = x;
  }
  return peak;
}

static PetscErrorCode make_pieces(RtExchange *e)
{
  RtLaneNode *node;
  int at = 0;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(e->size, &e->remote));
  for (int p = 0; p < e->size; p++) {
    int first, count;

    rt_lanes_share(e->lanes, p, e->size, &first, &count);
    rt_lanes_forest(e->lanes, first, count, &e->remote[p]);
    if (p == e->rank) e->own_piece = e->pieces;
    e->pieces += e->remote[p].count;
  }
  e->arrivals = e->pieces - e->remote[e->rank].count;
  PetscCall(PetscMalloc3(e->pieces, &e->piece, e->pieces, &e->left, e->pieces, &e->right));
  PetscCall(PetscMalloc1(e->pieces, &node));
  for (int p = 0; p < e->size; p++)
    for (int i = 0; i < e->remote[p].count; i++) node[at++] = e->remote[p].node[i];
  e->additions = rt_lanes_pairs(e->lanes, e->pieces, node, e->left, e->right);
  PetscCall(PetscFree(node));
  PetscFunctionReturn(0);
}

void rt_exchange_segment(const RtParts *parts, int64_t *suits, int64_t *least)
{
  int64_t longest = BLOCK;

  for (int k = 0; k < parts->ranges; k++)
    for (int p = 0; p < parts->size; p++) longest = PetscMax(longest, rt_parts_get(parts, k, p).count);
  *suits = PetscMin(longest, PetscMax(SEGMENT, (longest / SEGMENTS / BLOCK + 1) * BLOCK));
  *least = PetscMin(longest, LEAST);
}

int64_t rt_exchange_bytes(const RtParts *parts, int lanes, int rank, int64_t segment)
{
  int64_t arrivals = 0;

  for (int p = 0; p < parts->size; p++) {
    RtLaneForest forest;
    int first, count;

    rt_lanes_share(lanes, p, parts->size, &first, &count);
    rt_lanes_forest(lanes, first, count, &forest);
    if (p != rank) arrivals += forest.count;
  }
  return (WINDOW * arrivals * segment + rt_parts_owned(parts, rank)) * (int64_t)sizeof(float);
}

/* Own parts in segments, in the order of sending: from the last range to the first. */
static PetscErrorCode make_segments(RtExchange *e)
{
  int64_t sends = 0, segments = 0, owned = rt_parts_owned(e->parts, e->rank), at = owned;

  PetscFunctionBegin;
  for (int k = 0; k < e->parts->ranges; k++)
    for (int p = 0; p < e->size; p++) {
      int64_t pieces = (rt_parts_get(e->parts, k, p).count + e->segment_size - 1) / e->segment_size;

      if (p == e->rank)
        segments += pieces;
      else
        sends += pieces * e->remote[e->rank].count;
    }
  PetscCall(PetscMalloc3(segments, &e->segment, sends, &e->send, WINDOW * e->arrivals, &e->arrive));
  for (int k = e->parts->ranges - 1; k >= 0; k--) {
    RtPart own = rt_parts_get(e->parts, k, e->rank);

    at -= own.count;
    for (int64_t i = 0; i < own.count; i += e->segment_size)
      e->segment[e->segments++] = (Segment){k, own.first + i, PetscMin(e->segment_size, own.count - i), at + i};
  }
  PetscCall(rt_memory_create((size_t)(WINDOW * e->arrivals * e->segment_size) * sizeof(float), &e->inbox));
  PetscCall(rt_memory_create((size_t)owned * sizeof(float), &e->sum));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_exchange_create(MPI_Comm comm, const RtParts *parts, int lanes, int64_t segment,
                                  RtExchange **exchange)
{
  RtExchange *e;

  PetscFunctionBegin;
  PetscCall(PetscNew(&e));
  *exchange = e;
  e->comm = comm;
  e->parts = parts;
  e->lanes = lanes;
  e->next = parts->ranges - 1;
  PetscCallMPI(MPI_Comm_rank(comm, &e->rank));
  PetscCallMPI(MPI_Comm_size(comm, &e->size));
  PetscCallMPI(MPI_Type_contiguous(BLOCK, MPI_FLOAT, &e->block));
  PetscCallMPI(MPI_Type_commit(&e->block));
  PetscCall(make_pieces(e));
  e->segment_size = segment;
  PetscCall(make_segments(e));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_exchange_destroy(RtExchange **exchange)
{
  RtExchange *e = *exchange;

  PetscFunctionBegin;
  if (!e) PetscFunctionReturn(0);
  PetscCall(PetscFree(e->remote));
  PetscCall(PetscFree3(e->piece, e->left, e->right));
  PetscCall(PetscFree3(e->segment, e->send, e->arrive));
  PetscCall(rt_memory_destroy(&e->inbox));
  PetscCall(rt_memory_destroy(&e->sum));
  PetscCallMPI(MPI_Type_free(&e->block));
  PetscCall(PetscFree(*exchange));
  PetscFunctionReturn(0);
}

/* Receive the next segments, as many as there is room for. */
static PetscErrorCode post_arrivals(RtExchange *e)
{
  PetscFunctionBegin;
  for (; e->posted < e->segments && e->posted < e->summed + WINDOW; e->posted++) {
    const Segment *segment = &e->segment[e->posted];
    int at = e->posted % WINDOW * e->arrivals;

    for (int p = 0; p < e->size; p++)
      for (int i = 0; p != e->rank && i < e->remote[p].count; i++, at++)
        PetscCallMPI(MPI_Irecv(e->inbox + (int64_t)at * e->segment_size, (int)(segment->count / BLOCK), e->block, p,
                               TAG + i, e->comm, &e->arrive[at]));
  }
  PetscFunctionReturn(0);
}

/* Send each rank its part of a range. */
static PetscErrorCode send_range(RtExchange *e, int range)
{
  PetscFunctionBegin;
  for (int k = 1; k < e->size; k++) {
    int to = (e->rank + k) % e->size; /* not all to rank 0 first */
    RtPart part = rt_parts_get(e->parts, range, to);

    for (int64_t at = 0; at < part.count; at += e->segment_size)
      for (int i = 0; i < e->forest.count; i++)
        PetscCallMPI(MPI_Isend(e->forest.node[i].data + part.first + at,
                               (int)(PetscMin(e->segment_size, part.count - at) / BLOCK), e->block, to, TAG + i,
                               e->comm, &e->send[e->sends++]));
  }
  PetscFunctionReturn(0);
}

/* A segment has come from all: sum it, and make room for another. */
static PetscErrorCode sum_segment(RtExchange *e)
{
  const Segment *segment = &e->segment[e->summed];
  float *place = e->inbox + (int64_t)(e->summed % WINDOW) * e->arrivals * e->segment_size;
  int last = e->additions - 1, peak;

  PetscFunctionBegin;
  for (int i = 0; i < e->pieces; i++) {
    int mine = i - e->own_piece;

    if (mine >= 0 && mine < e->forest.count) {
      e->piece[i] = e->forest.node[mine].data + segment->first;
    } else {
      e->piece[i] = place;
      place += e->segment_size;
    }
  }
  for (int i = 0; i < last; i++) add(e->piece[e->left[i]], e->piece[e->right[i]], segment->count);
  peak = add_into(e->sum + segment->at, e->piece[e->left[last]], e->piece[e->right[last]], segment->count);
  e->peak = PetscMax(e->peak, peak);
  e->summed++;
  PetscCall(post_arrivals(e));
  PetscFunctionReturn(0);
}

/* Sum what has come for the ranges that this rank has summed itself. wait: until all has come. */
static PetscErrorCode take_arrivals(RtExchange *e, bool wait)
{
  PetscFunctionBegin;
  while (e->summed < e->segments && e->segment[e->summed].range > e->next) {
    MPI_Request *request = e->arrive + e->summed % WINDOW * e->arrivals;
    int done = 1;

    if (wait)
      PetscCallMPI(MPI_Waitall(e->arrivals, request, MPI_STATUSES_IGNORE));
    else
      PetscCallMPI(MPI_Testall(e->arrivals, request, &done, MPI_STATUSES_IGNORE));
    if (!done) break;
    PetscCall(sum_segment(e));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_exchange_range(RtExchange *exchange, int range, const RtLaneForest *forest)
{
  PetscFunctionBegin;
  exchange->forest = *forest;
  PetscCall(post_arrivals(exchange));
  PetscCall(send_range(exchange, range));
  exchange->next = range - 1;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_exchange_progress(RtExchange *exchange)
{
  PetscFunctionBegin;
  PetscCall(take_arrivals(exchange, false));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_exchange_finish(RtExchange *exchange, const float **sum, int *peak)
{
  RtExchange *e = exchange;

  PetscFunctionBegin;
  PetscCall(take_arrivals(e, true));
  PetscCallMPI(MPI_Waitall(e->sends, e->send, MPI_STATUSES_IGNORE));
  *sum = e->sum;
  *peak = e->peak;
  e->next = e->parts->ranges - 1;
  e->sends = e->posted = e->summed = e->peak = 0;
  PetscFunctionReturn(0);
}
