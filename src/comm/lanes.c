#include "comm/lanes.h"

void rt_lanes_share(int lanes, int rank, int size, int *first, int *count)
{
  int64_t from = (int64_t)lanes * rank / size, to = (int64_t)lanes * (rank + 1) / size;

  *first = (int)from;
  *count = (int)(to - from);
}

void rt_lanes_push(RtLaneForest *forest, RtLaneNode node, int64_t length,
                   void (*add)(float *left, const float *right, int64_t length), float **free_data, int *frees)
{
  while ((int64_t)1 << node.level < forest->lanes) {
    RtLaneNode *left = forest->count ? &forest->node[forest->count - 1] : NULL;

    if (node.index % 2 == 0) {
      if (((int64_t)node.index + 1) << node.level < forest->lanes) break; /* waits for its right sibling */
    } else {
      if (!left || left->level != node.level || left->index != node.index - 1) break;
      if (add) add(left->data, node.data, length);
      if (free_data) free_data[(*frees)++] = node.data;
      node.data = left->data;
      forest->count--;
    }
    node.level++;
    node.index /= 2;
  }
  forest->node[forest->count++] = node;
}

int rt_lanes_pairs(int lanes, int count, const RtLaneNode *node, int *left, int *right)
{
  RtLaneForest forest = {.lanes = lanes};
  float number[RT_LANES_DEPTH], *freed[RT_LANES_DEPTH]; /* what points into it stands for a node */
  int pairs = 0, free_at[RT_LANES_DEPTH], of[RT_LANES_DEPTH], spare = RT_LANES_DEPTH;

  for (int i = 0; i < RT_LANES_DEPTH; i++) free_at[i] = i;
  for (int i = 0; i < count; i++) {
    RtLaneNode next = node[i];
    int frees = 0, place = free_at[--spare];

    of[place] = i;
    next.data = &number[place];
    rt_lanes_push(&forest, next, 0, NULL, freed, &frees);
    for (int f = 0; f < frees; f++) { /* the left one of an addition is the right one of the next */
      const float *to = f + 1 < frees ? freed[f + 1] : forest.node[forest.count - 1].data;

      right[pairs] = of[freed[f] - number];
      left[pairs++] = of[to - number];
    }
    for (int f = 0; f < frees; f++) free_at[spare++] = (int)(freed[f] - number);
  }
  return pairs;
}

int rt_lanes_buffers(int lanes, int first, int count)
{
  RtLaneForest forest = {.lanes = lanes};
  int most = 0;

  for (int i = 0; i < count; i++) {
    most = PetscMax(most, forest.count + 1);
    rt_lanes_push(&forest, (RtLaneNode){.index = first + i}, 0, NULL, NULL, NULL);
  }
  return most;
}

void rt_lanes_forest(int lanes, int first, int count, RtLaneForest *forest)
{
  *forest = (RtLaneForest){.lanes = lanes};
  for (int i = 0; i < count; i++) rt_lanes_push(forest, (RtLaneNode){.index = first + i}, 0, NULL, NULL, NULL);
}
