/* What lanes are fed with, from memory and from windows: every number is the one that the sample's number says, windows
   give the same samples to the same lanes whoever owns them and wherever they begin, and held-out samples are shared
   out. Files are written by a formula. */
#include "support.h"

#include "comm/lanes.h"
#include "data/feed.h"
#include "data/order.h"

#include <unistd.h>

enum { SAMPLES = 1607, SIZE = 3, CLASSES = 7, TARGETS = 2, WIDTH = 5, POOL = 3, VIEWS = 3, SHARD = 300, HELD = 600 };
enum { TOKENS = 2, JUNK = 50 };
enum { BATCH = 60, LANES = 7, ROWS = 9, EPOCHS = 3, STEPS = 17 /* of 1007 samples */ };

static const bool want[] = {true, true, true, false, true}; /* nobody reads the junk */
static RtDataset *dataset;
static RtSamples whole;
static RtSampler sampler;
static RtAugment augment;
static RtLabelstoreInfo store = {.samples = SAMPLES, .shard = SHARD, .views = VIEWS}, asked;
static float logits[SAMPLES][VIEWS][WIDTH], pool[SAMPLES][VIEWS][POOL], rows_of[SAMPLES][VIEWS][POOL + WIDTH];

static float input_of(int64_t sample, int64_t element)
{
  return (float)sample + (float)element / 8;
}

static float target_of(int64_t sample, int k)
{
  return (float)(sample % 13) - (float)k;
}

static float logit_of(int64_t sample, int view, int k)
{
  return (float)sample - 100 * (float)view + (float)k / 4;
}

static float pool_of(int64_t sample, int view, int k)
{
  return -(float)sample - 1000 * (float)view - (float)k / 2;
}

static int64_t token_of(int64_t sample, int k)
{
  return ((int64_t)1 << 40) + 3 * sample + k;
}

static void write_dataset(const char *path)
{
  static float input[SAMPLES][SIZE], target[SAMPLES][TARGETS], junk[SAMPLES][JUNK];
  static int32_t label[SAMPLES];
  static int64_t token[SAMPLES][TOKENS];
  RtField field[5] = {
      [3] = {"junk", RT_FLOAT, 1, {JUNK}, {"junk"}, 1, 0}, [4] = {"token", RT_INT64, 1, {TOKENS}, {"position"}, 1, 0}};
  RtDatasetInfo info = {.samples = SAMPLES, .ndim = 1, .dim = {SIZE}, .dim_name = {"feature"}, .type = RT_FLOAT};
  RtDatasetWriter *writer;

  info.scale = 1;
  info.classes = CLASSES;
  info.targets = TARGETS;
  rt_field_derive(&info, field);
  info.fields = 5;
  for (int64_t i = 0; i < SAMPLES; i++) {
    label[i] = (int32_t)(i % CLASSES);
    for (int k = 0; k < SIZE; k++) input[i][k] = input_of(i, k);
    for (int k = 0; k < TARGETS; k++) target[i][k] = target_of(i, k);
    for (int k = 0; k < TOKENS; k++) token[i][k] = token_of(i, k);
  }
  RT_MUST(rt_dataset_create(path, &info, NULL, &writer));
  RT_MUST(rt_dataset_append(writer, SAMPLES, (const void *[]){input, label, target, junk, token}));
  RT_MUST(rt_dataset_finish(&writer));
}

static void write_shard(int64_t shard)
{
  RT_MUST(rt_labelstore_write("labels", &store, shard,
                              (const float *[]){logits[shard * SHARD][0], pool[shard * SHARD][0]}, ""));
}

/* A store of two fields, which are asked for in the other order. */
static void make_data(void)
{
  const RtSamplerParams choice = {.seed = 5, .holdout = HELD};

  write_dataset("data.nc");
  memset(store.teacher, 'a', RT_HASH_TEXT - 1);
  memset(store.dataset, 'b', RT_HASH_TEXT - 1);
  strcpy(store.precision, "fp32");
  strcpy(store.augment, "some");
  for (int64_t i = 0; i < SAMPLES; i++)
    for (int v = 0; v < VIEWS; v++)
      for (int k = 0; k < WIDTH; k++) {
        rows_of[i][v][POOL + k] = logits[i][v][k] = logit_of(i, v, k);
        if (k < POOL) rows_of[i][v][k] = pool[i][v][k] = pool_of(i, v, k);
      }
  rt_labelstore_logits(&store, WIDTH);
  store.fields = 2;
  store.field[1] = (RtLabelstoreField){.name = "pool", .layer = "a layer", .form = "dense", .width = POOL};
  asked = store;
  asked.field[0] = store.field[1];
  asked.field[1] = store.field[0];
  for (int64_t s = 0; s < rt_labelstore_shards(&store); s++) write_shard(s);
  RT_MUST(rt_dataset_open(PETSC_COMM_SELF, "data.nc", &dataset));
  RT_MUST(rt_samples_load(dataset, want, 0, SAMPLES, &whole));
  RT_MUST(rt_augment_create(&(RtAugmentParams){0}, 5, rt_dataset_info(dataset), &augment));
  RT_MUST(rt_sampler_create(&choice, SAMPLES, CLASSES, NULL, NULL, &sampler));
  RT_MUST(rt_sampler_list(&sampler));
}

/* window: samples of a lane; 0: all in memory. */
static RtFeedSource source_of(int64_t window)
{
  RtFeedSource s = {.info = rt_dataset_info(dataset),
                    .augment = &augment,
                    .sampler = &sampler,
                    .want = want,
                    .views = VIEWS,
                    .width = POOL + WIDTH,
                    .dataset = dataset,
                    .store = &asked,
                    .labels = "labels",
                    .window = window,
                    .block = 7,
                    .piece = 200,
                    .open = 2};

  if (!window) s.samples = &whole;
  if (!window) s.teacher = rows_of[0][0];
  return s;
}

static RtFeed *make_feed(const RtFeedSource *source, int rank, int size)
{
  RtFeedParams params = {
      .source = source, .epochs = EPOCHS, .batch = BATCH, .lanes = LANES, .rank = rank, .size = size};
  RtFeed *feed;

  rt_lanes_share(LANES, rank, size, &params.first_lane, &params.own_lanes);
  RT_MUST(rt_feed_create(&params, &feed));
  return feed;
}

/* Fields by number: input, label, target, token. */
static const RtFieldRead answers[] = {{0, RT_FLOAT}, {1, RT_INT32}, {2, RT_FLOAT}, {4, RT_INT64}};

/* One lane's rows of one step and the view that they must be; sample: [ROWS] gets their numbers. */
static void check_rows(const RtFeed *feed, int64_t epoch, int64_t step, int lane, int view, int64_t *sample)
{
  float input[ROWS][SIZE], target[ROWS][TARGETS], teacher[ROWS][WIDTH], layer[ROWS][POOL];
  int32_t label[ROWS];
  int64_t token[ROWS][TOKENS];
  const RtFeedRows rows = {sample, 4, answers, (void *[]){input[0], label, target[0], token[0]},
                           (float *[]){layer[0], teacher[0]}};
  bool right = true;

  rt_feed_lane(feed, epoch, step, lane, &rows);
  for (int r = 0; r < ROWS; r++) {
    const int64_t i = sample[r];

    for (int k = 0; k < SIZE; k++) right = right && input[r][k] == (i < 0 ? 0 : input_of(i, k));
    for (int k = 0; k < TARGETS; k++) right = right && target[r][k] == (i < 0 ? 0 : target_of(i, k));
    for (int k = 0; k < WIDTH; k++) right = right && teacher[r][k] == (i < 0 ? 0 : logit_of(i, view, k));
    for (int k = 0; k < POOL; k++) right = right && layer[r][k] == (i < 0 ? 0 : pool_of(i, view, k));
    for (int k = 0; k < TOKENS; k++) right = right && token[r][k] == (i < 0 ? 0 : token_of(i, k));
    right = right && label[r] == (i < 0 ? 0 : i % CLASSES);
  }
  RT_TEST_CHECK(right, "epoch %d, step %d, lane %d: numbers of other samples", (int)epoch, (int)step, lane);
}

/* Run from a step to the end of the epochs on each of `size` ranks. order: [EPOCHS, STEPS, LANES, ROWS]. */
static void run(const RtFeedSource *source, int size, int64_t begin, int64_t *order)
{
  for (int rank = 0; rank < size; rank++) {
    RtFeed *feed = make_feed(source, rank, size);
    int first, own;

    rt_lanes_share(LANES, rank, size, &first, &own);
    for (int64_t s = begin; s < EPOCHS * STEPS; s++) {
      RT_MUST(rt_feed_prepare(feed, s / STEPS, s % STEPS));
      for (int lane = first; lane < first + own; lane++)
        check_rows(feed, s / STEPS, s % STEPS, lane, (int)(s / STEPS % VIEWS), order + (s * LANES + lane) * ROWS);
    }
    RT_MUST(rt_feed_destroy(&feed));
  }
}

/* Each epoch sees each sample of the pool once. */
static void check_epochs(const int64_t *order, int64_t window)
{
  for (int64_t e = 0; e < EPOCHS; e++) {
    int seen[SAMPLES] = {0}, wrong = 0;

    for (int64_t i = 0; i < STEPS * LANES * ROWS; i++) {
      const int64_t sample = order[e * STEPS * LANES * ROWS + i];

      if (sample >= 0) seen[sample]++;
    }
    for (int64_t i = 0; i < sampler.count; i++) wrong += seen[sampler.pool[i]]-- != 1;
    for (int64_t i = 0; i < SAMPLES; i++) wrong += seen[i] != 0;
    RT_TEST_CHECK(wrong == 0, "window %d, epoch %d: %d samples are not seen once", (int)window, (int)e, wrong);
  }
}

static PetscErrorCode test_lanes(void)
{
  static const int64_t window[] = {0, ROWS, 4 * ROWS, STEPS * ROWS};
  const int64_t size = EPOCHS * STEPS * LANES * ROWS;
  int64_t *wanted, *got, *other;

  PetscFunctionBegin;
  PetscCall(PetscMalloc3(size, &wanted, size, &got, size, &other));
  for (int k = 0; k < 4; k++) {
    const RtFeedSource source = source_of(window[k]);

    run(&source, 1, 0, wanted);
    check_epochs(wanted, window[k]);
    RT_TEST_CHECK(!k || memcmp(wanted, other, (size_t)size * sizeof(*wanted)), "window %d orders as before", k);
    PetscCall(PetscArraycpy(other, wanted, size));
    for (int ranks = 2; ranks <= 5; ranks += 3) {
      PetscCall(PetscArrayzero(got, size));
      run(&source, ranks, 0, got);
      RT_TEST_CHECK(!memcmp(wanted, got, (size_t)size * sizeof(*got)), "window %d: another order on %d ranks",
                    (int)window[k], ranks);
    }
    PetscCall(PetscArraycpy(got, wanted, (STEPS + 6) * LANES * ROWS)); /* those steps are done */
    run(&source, 2, STEPS + 6, got);
    RT_TEST_CHECK(!memcmp(wanted, got, (size_t)size * sizeof(*got)), "window %d: another order after going on",
                  (int)window[k]);
  }
  PetscCall(PetscFree3(wanted, got, other));
  PetscFunctionReturn(0);
}

/* The same epoch again and again, some of them broken off. */
static void test_repeat(int64_t window)
{
  static const int64_t end[] = {STEPS, 3, STEPS - 1, 1, 9, STEPS, STEPS};
  const RtFeedSource source = source_of(window);
  RtFeedParams params = {.source = &source,
                         .epochs = INT32_MAX,
                         .repeat = true,
                         .batch = BATCH,
                         .lanes = LANES,
                         .own_lanes = LANES,
                         .size = 1};
  int64_t wanted[STEPS][LANES][ROWS], got[ROWS];
  RtFeed *feed;

  RT_MUST(rt_feed_create(&params, &feed));
  for (size_t pass = 0; pass < sizeof(end) / sizeof(*end); pass++)
    for (int64_t s = 0; s < end[pass]; s++) {
      RT_MUST(rt_feed_prepare(feed, (int64_t)pass, s));
      for (int lane = 0; lane < LANES; lane++) {
        check_rows(feed, (int64_t)pass, s, lane, 0, pass ? got : wanted[s][lane]);
        RT_TEST_CHECK(!pass || !memcmp(got, wanted[s][lane], sizeof(got)), "window %d, pass %d, step %d: other samples",
                      (int)window, (int)pass, (int)s);
      }
    }
  RT_MUST(rt_feed_destroy(&feed));
}

/* All held-out samples, micro-batches dealt out one by one. */
static void test_holdout(int64_t window, int size)
{
  const RtFeedSource source = source_of(window);
  const int64_t micro = rt_feed_micro(&source);
  int64_t next[8] = {0};
  RtFeed *feed[8];

  for (int rank = 0; rank < size; rank++) feed[rank] = make_feed(&source, rank, size);
  for (int64_t i = 0; i < HELD; i++) {
    const RtFeedHoldout *h = rt_feed_holdout(feed[i / micro % size]);
    const int64_t sample = sampler.held_out[i], place = h->sample[next[i / micro % size]++];
    float input[SIZE], target[TARGETS];
    int64_t token[TOKENS];
    int32_t label;
    bool right = true;

    rt_samples_fill(h->samples, answers[3], NULL, 1, &place, 0, token);
    for (int k = 0; k < TOKENS; k++) right = right && token[k] == token_of(sample, k);
    RT_TEST_CHECK(!h->samples->field[3], "what nobody reads is held");
    rt_samples_fill(h->samples, answers[0], NULL, 1, &place, 0, input);
    rt_samples_answers(h->samples, 1, &place, &label, target);
    for (int k = 0; k < SIZE; k++) right = right && input[k] == input_of(sample, k);
    for (int k = 0; k < TARGETS; k++) right = right && target[k] == target_of(sample, k);
    for (int k = 0; k < WIDTH; k++) right = right && h->teacher[place * h->stride + POOL + k] == logit_of(sample, 0, k);
    for (int k = 0; k < POOL; k++) right = right && h->teacher[place * h->stride + k] == pool_of(sample, 0, k);
    RT_TEST_CHECK(right && label == sample % CLASSES, "held-out sample %d is another one", (int)sample);
  }
  for (int rank = 0; rank < size; rank++) {
    RT_TEST_CHECK(rt_feed_holdout(feed[rank])->count == next[rank], "rank %d has %d", rank,
                  (int)rt_feed_holdout(feed[rank])->count);
    RT_MUST(rt_feed_destroy(&feed[rank]));
  }
}

/* Change one byte of the logits of a sample in its shard. */
static void damage(const char *path, int64_t sample)
{
  FILE *file = fopen(path, "r+b");
  float row[WIDTH];
  long at = 0;

  do {
    fseek(file, at++, SEEK_SET);
    if (fread(row, sizeof(row), 1, file) != 1) abort();
  } while (memcmp(row, logits[sample][1], sizeof(row)));
  fseek(file, at - 1, SEEK_SET);
  fputc(((unsigned char *)row)[0] ^ 1, file);
  fclose(file);
}

/* A shard that is damaged or disappears is an error of the step that needs it. */
static void test_bad_shards(void)
{
  RtFeedSource source = source_of(STEPS * ROWS);
  RtFeedParams params = {.source = &source, .epochs = 1, .batch = BATCH, .lanes = LANES, .own_lanes = LANES, .size = 1};
  RtFeed *feed;

  RT_MUST(rt_feed_create(&params, &feed)); /* the held-out samples are read here */
  RT_MUST(rt_feed_destroy(&feed));
  unlink("labels/shard-000003.nc");
  RT_TEST_SAYS(rt_feed_create(&params, &feed), RT_ERR_FAILED, "labels/shard-000003.nc|No such file");
  write_shard(3);
  RT_MUST(rt_feed_create(&params, &feed));
  unlink("labels/shard-000003.nc");
  RT_TEST_SAYS(rt_feed_prepare(feed, 0, 0), RT_ERR_FAILED, "labels/shard-000003.nc|No such file");
  RT_MUST(rt_feed_destroy(&feed));
  source.views = 1; /* the epoch sees view 0, */
  write_shard(3);
  damage("labels/shard-000003.nc", 3 * SHARD + 7);
  RT_MUST(rt_feed_create(&params, &feed));
  RT_MUST(rt_feed_prepare(feed, 0, 0)); /* and view 1 is damaged */
  RT_MUST(rt_feed_destroy(&feed));
  source.views = VIEWS;
  params.epochs = 2;
  RT_MUST(rt_feed_create(&params, &feed));
  RT_TEST_SAYS(rt_feed_prepare(feed, 1, 0), RT_ERR_FAILED, "labels/shard-000003.nc|are damaged|retort label");
  RT_MUST(rt_feed_destroy(&feed));
}

static PetscErrorCode test(int argc, char **argv)
{
  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  make_data();
  PetscCall(test_lanes());
  for (int k = 0; k < 3; k++) test_repeat((int64_t[]){0, 4 * ROWS, 7 * ROWS}[k]);
  for (int size = 1; size < 6; size += 2) {
    test_holdout(0, size);
    test_holdout(2 * ROWS, size);
  }
  test_bad_shards();
  PetscCall(rt_sampler_destroy(&sampler));
  PetscCall(rt_samples_free(&whole));
  PetscCall(rt_dataset_close(&dataset));
  PetscFunctionReturn(0);
}
RT_TEST_MAIN(test)
