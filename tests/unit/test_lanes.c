/* Lanes: whoever owns them, the sum is one and the same expression. Sums are written down here as text. */
#include "support.h"

#include "comm/lanes.h"

enum { MOST_LANES = 40, MOST_NODES = 4 * MOST_LANES, LENGTH = 8 * MOST_LANES };

/* A "gradient" is one float: the number of an expression. */
static char expression[MOST_NODES][LENGTH];
static int expressions;

static void join(const char *left, const char *right, char *text)
{
  size_t used = 1, length = strlen(left);

  if (length + strlen(right) + 4 > LENGTH) abort();
  text[0] = '(';
  memcpy(text + used, left, length);
  used += length;
  text[used++] = '+';
  length = strlen(right);
  memcpy(text + used, right, length);
  used += length;
  text[used++] = ')';
  text[used] = 0;
}

static void add_text(float *left, const float *right, int64_t length)
{
  RT_TEST_CHECK(length == 1, "length %d", (int)length);
  join(expression[(int)*left], expression[(int)*right], expression[expressions]);
  *left = (float)expressions++;
}

/* The definition: a node is the sum of its two halves, or its left half where there are no lanes for the right one. */
static void define(int lanes, int level, int index, char *text)
{
  char half[2][LENGTH];

  if (level == 0) {
    snprintf(text, LENGTH, "%d", index);
    return;
  }
  define(lanes, level - 1, 2 * index, half[0]);
  if ((2 * index + 1) << (level - 1) >= lanes) {
    memcpy(text, half[0], LENGTH);
    return;
  }
  define(lanes, level - 1, 2 * index + 1, half[1]);
  join(half[0], half[1], text);
}

/* Sum as `size` ranks of `threads` threads would: each thread its lanes, each rank its threads, then all ranks. */
static void sum(int lanes, int size, int threads, char *text)
{
  RtLaneForest all = {.lanes = lanes};
  float data[MOST_LANES];

  expressions = lanes;
  for (int i = 0; i < lanes; i++) {
    snprintf(expression[i], LENGTH, "%d", i);
    data[i] = (float)i;
  }
  for (int rank = 0; rank < size; rank++) {
    RtLaneForest own = {.lanes = lanes}, shape;
    int first, count;

    rt_lanes_share(lanes, rank, size, &first, &count);
    for (int t = 0; t < threads; t++) {
      RtLaneForest thread = {.lanes = lanes};
      float *spare[MOST_LANES];
      int from, number, spares = 0, most = 0;

      rt_lanes_share(count, t, threads, &from, &number);
      for (int i = 0; i < number; i++) {
        rt_lanes_push(&thread, (RtLaneNode){.index = first + from + i, .data = &data[first + from + i]}, 1, add_text,
                      spare, &spares);
        RT_TEST_CHECK(thread.count + spares == i + 1, "%d nodes and %d spare buffers of %d", thread.count, spares,
                      i + 1);
        most = PetscMax(most, thread.count + (i + 1 < number));
      }
      for (int i = 0; i < spares; i++) {
        bool mine = spare[i] >= data + first + from && spare[i] < data + first + from + number;

        for (int k = 0; k < i; k++) mine = mine && spare[k] != spare[i];
        for (int k = 0; k < thread.count; k++) mine = mine && thread.node[k].data != spare[i];
        RT_TEST_CHECK(mine, "a buffer is given back that is not free");
      }
      RT_TEST_CHECK(rt_lanes_buffers(lanes, first + from, number) >= most, "too few buffers");
      for (int i = 0; i < thread.count; i++) rt_lanes_push(&own, thread.node[i], 1, add_text, NULL, NULL);
    }
    rt_lanes_forest(lanes, first, count, &shape);
    RT_TEST_CHECK(shape.count == own.count, "%d nodes are announced, %d are there", shape.count, own.count);
    for (int i = 0; i < own.count; i++) {
      RT_TEST_CHECK(shape.node[i].level == own.node[i].level && shape.node[i].index == own.node[i].index,
                    "another node than announced");
      rt_lanes_push(&all, own.node[i], 1, add_text, NULL, NULL);
    }
  }
  RT_TEST_CHECK(all.count == 1, "%d lanes of %d ranks leave %d nodes", lanes, size, all.count);
  memcpy(text, expression[(int)*all.node[0].data], LENGTH);
}

static void test_tree(void)
{
  char defined[LENGTH], summed[LENGTH];

  for (int lanes = 1; lanes <= MOST_LANES; lanes++) {
    int level = 0;

    while (1 << level < lanes) level++;
    define(lanes, level, 0, defined);
    for (int size = 1; size <= lanes; size++)
      for (int threads = 1; threads <= 4; threads++) {
        sum(lanes, size, threads, summed);
        RT_TEST_CHECK(!strcmp(defined, summed), "%d lanes, %d ranks, %d threads: %s, not %s", lanes, size, threads,
                      summed, defined);
      }
  }
  define(5, 3, 0, defined);
  RT_TEST_CHECK(!strcmp(defined, "(((0+1)+(2+3))+4)"), "%s", defined);
}

static void test_share(void)
{
  for (int lanes = 0; lanes < 70; lanes++)
    for (int size = 1; size < 40; size++) {
      int next = 0, least = lanes, most = 0;

      for (int rank = 0; rank < size; rank++) {
        int first, count;

        rt_lanes_share(lanes, rank, size, &first, &count);
        RT_TEST_CHECK(first == next, "rank %d of %d begins at lane %d of %d", rank, size, first, lanes);
        next = first + count;
        least = PetscMin(least, count);
        most = PetscMax(most, count);
      }
      RT_TEST_CHECK(next == lanes && most - least <= 1, "%d lanes, %d ranks: %d to %d each", lanes, size, least, most);
    }
}

/* As many lanes as the option allows: depths and buffers stay small. */
static void test_many(void)
{
  const int lanes[] = {65536, 99999, 100000, 65537};

  for (int i = 0; i < 4; i++)
    for (int size = 1; size < 2000; size = size * 3 + 1)
      for (int rank = 0; rank < size; rank += 1 + size / 7) {
        RtLaneForest forest;
        int first, count;

        rt_lanes_share(lanes[i], rank, size, &first, &count);
        rt_lanes_forest(lanes[i], first, count, &forest);
        RT_TEST_CHECK(forest.count <= 34, "%d nodes", forest.count);
        RT_TEST_CHECK(rt_lanes_buffers(lanes[i], first, count) <= 35, "%d buffers",
                      rt_lanes_buffers(lanes[i], first, count));
      }
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_tree();
  test_share();
  test_many();
  return 0;
}

RT_TEST_MAIN(test)
