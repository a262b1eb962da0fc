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
