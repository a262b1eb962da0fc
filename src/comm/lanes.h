/* Lanes are the logical workers of a step. Their number is fixed by the job; ranks and threads share them out. The sum
   over lanes follows one binary tree, whoever owns them, so its bits do not depend on who that is.

   A node (level, index) of the tree covers the lanes [index << level, (index + 1) << level). A node without right
   sibling stands for its parent. Pure arithmetic. */
#ifndef RT_COMM_LANES_H
#define RT_COMM_LANES_H

#include <retort/types.h>

enum { RT_LANES_DEPTH = 64 /* nodes that a run of lanes can leave */ };

/* Lanes of one of `size` owners: [first, first + count). */
void rt_lanes_share(int lanes, int rank, int size, int *first, int *count);

typedef struct {
  int level, index;
  float *data;
} RtLaneNode;

/* Nodes that are summed as far as the tree allows, from left to right. */
typedef struct {
  int lanes, count;
  RtLaneNode node[RT_LANES_DEPTH];
} RtLaneForest;

/* Append the next node to the right. If it completes a pair, the left one's data becomes the sum and `free_data` gets
   the right one's buffers back, as often as that happens. add(left, right, length) computes left += right; NULL: only
   the shape is wanted. free_data: [count of node + 1]; frees: their number. May be NULL. */
void rt_lanes_push(RtLaneForest *forest, RtLaneNode node, int64_t length,
                   void (*add)(float *left, const float *right, int64_t length), float **free_data, int *frees);

/* The additions, in order, that sum `count` nodes as far as the tree allows: left[i] += right[i], numbers of nodes.
   left, right: [count]. Returns how many; after them the sums stand in the nodes that were not a right one. */
int rt_lanes_pairs(int lanes, int count, const RtLaneNode *node, int *left, int *right);

/* Buffers that are in use at once while the lanes [first, first + count) are pushed one after the other. */
int rt_lanes_buffers(int lanes, int first, int count);

/* The forest that these lanes leave; data is NULL. */
void rt_lanes_forest(int lanes, int first, int count, RtLaneForest *forest);

#endif
