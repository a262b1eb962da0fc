/* Augmented views: shifts are found again pixel by pixel, turned views agree with the same geometry written in double
   and the other way round, and a view is a function of (seed, sample, view). */
#include "fields.h"
#include "test.h"

#include "core/random.h"
#include "data/augment.h"

#include <math.h>
#include <string.h>

enum { MOST = 3 * 31 * 40 };

static uint8_t bytes[MOST];
static float floats[MOST];

static RtDatasetInfo picture(int64_t planes, int64_t height, int64_t width, RtType type)
{
  RtDatasetInfo info = {.samples = 100,
                        .ndim = 3,
                        .dim = {planes, height, width},
                        .dim_name = {"channel", "y", "x"},
                        .size = planes * height * width,
                        .type = type,
                        .scale = 0.25f,
                        .offset = -3};

  return info;
}

static RtAugment create(RtAugmentParams params, const RtDatasetInfo *info)
{
  RtAugment augment = {0};

  RT_TEST_CHECK(!rt_augment_create(&params, 7, info, &augment), "no augmentation");
  return augment;
}

static void view_of(const RtAugment *augment, const RtDatasetInfo *info, const void *from, int64_t sample, int64_t view,
                    float *out)
{
  const RtField field = rt_fields_input(info);

  rt_augment_view(augment, &field, from, sample, view, out);
}

static const void *stored(const RtDatasetInfo *info)
{
  return info->type == RT_UINT8 ? (const void *)bytes : floats;
}

static float physical(const RtDatasetInfo *info, int64_t plane, int64_t y, int64_t x)
{
  const int64_t height = info->dim[1], width = info->dim[2];

  if (y < 0 || y >= height || x < 0 || x >= width) return info->offset;
  return (float)bytes[(plane * height + y) * width + x] * info->scale + info->offset;
}

static bool is_shift(const RtDatasetInfo *info, const float *out, int64_t dy, int64_t dx)
{
  for (int64_t i = 0; i < info->size; i++) {
    int64_t x = i % info->dim[2], y = i / info->dim[2] % info->dim[1], plane = i / info->dim[2] / info->dim[1];

    if (out[i] != physical(info, plane, y - dy, x - dx)) return false;
  }
  return true;
}

static void test_plain(RtType type)
{
  const RtDatasetInfo info = picture(3, 31, 40, type);
  static float out[MOST];
  RtAugment none = create((RtAugmentParams){0}, &info);
  RtAugment turning = create((RtAugmentParams){3, 10, 0.1, 0.1}, &info);

  RT_TEST_CHECK(!none.active && turning.active, "active");
  view_of(&turning, &info, stored(&info), 5, 0, out);
  RT_TEST_CHECK(is_shift(&info, out, 0, 0), "view 0 is not the sample");
  memset(out, 0, sizeof(out));
  view_of(&none, &info, stored(&info), 5, 3, out);
  RT_TEST_CHECK(is_shift(&info, out, 0, 0), "a view where nothing is to be done");
}

/* All 25 shifts appear about equally often over samples and views. Also pictures smaller than the shift. */
static void test_shift(int64_t height, int64_t width, RtType type)
{
  const RtDatasetInfo info = picture(2, height, width, type);
  RtAugment augment = create((RtAugmentParams){.shift = 2}, &info);
  static float out[MOST];
  int seen[5][5] = {{0}};
  double chi = 0;

  for (int k = 0; k < 5000; k++) {
    int matches = 0;

    view_of(&augment, &info, stored(&info), k / 5, 1 + k % 5, out);
    for (int dy = -2; dy <= 2; dy++) {
      for (int dx = -2; dx <= 2; dx++) {
        if (!is_shift(&info, out, dy, dx)) continue;
        seen[dy + 2][dx + 2]++;
        matches++;
      }
    }
    RT_TEST_CHECK(height < 3 || width < 3 ? matches >= 1 : matches == 1, "view %d is %d shifts", k, matches);
  }
  for (int i = 0; i < 25; i++) chi += pow(seen[i / 5][i % 5] - 200, 2) / 200;
  RT_TEST_CHECK(height < 3 || width < 3 || chi < 60, "shifts are not uniform: chi-square %g", chi); /* 99.99 % */
}

static double uniform(uint32_t word, double most)
{
  return (2 * (double)rt_random_unit(word) - 1) * most;
}

/* The matrix of a view, from the picture to the view, and its shift. */
static void motion(const RtAugment *augment, int64_t sample, int64_t view, double matrix[4], double by[2])
{
  const RtAugmentParams *p = &augment->params;
  uint32_t key[2], word[8];
  double angle, scale, shear;

  rt_random_key(augment->seed, RT_RANDOM_AUGMENT, key);
  for (uint32_t block = 0; block < 2; block++) {
    uint32_t counter[4] = {block, (uint32_t)sample, (uint32_t)(sample >> 32), (uint32_t)view};

    rt_random_philox(key, counter, word + 4 * block);
  }
  by[0] = floor(word[0] * 0x1p-32 * (2 * p->shift + 1)) - p->shift;
  by[1] = floor(word[1] * 0x1p-32 * (2 * p->shift + 1)) - p->shift;
  angle = uniform(word[2], p->rotate) * acos(-1) / 180;
  scale = 1 + uniform(word[3], p->scale);
  shear = uniform(word[4], p->shear);
  matrix[0] = cos(angle) * scale;
  matrix[1] = cos(angle) * scale * shear - sin(angle) * scale;
  matrix[2] = sin(angle) * scale;
  matrix[3] = sin(angle) * scale * shear + cos(angle) * scale;
}

/* Every pixel of a view is the mean of the picture's around where it comes from, weighed by nearness. */
static void test_affine(RtAugmentParams params, int64_t planes, int64_t height, int64_t width, RtType type)
{
  const RtDatasetInfo info = picture(planes, height, width, type);
  RtAugment augment = create(params, &info);
  static float out[MOST];

  for (int64_t view = 1; view < 4; view++) {
    const int64_t sample = view == 3 ? ((int64_t)5 << 32) + 1 : 11;
    double matrix[4], by[2], determinant, worst = 0;

    view_of(&augment, &info, stored(&info), sample, view, out);
    motion(&augment, sample, view, matrix, by);
    determinant = matrix[0] * matrix[3] - matrix[1] * matrix[2];
    for (int64_t i = 0; i < info.size; i++) {
      double cx = (double)(width - 1) / 2, cy = (double)(height - 1) / 2, value = 0;
      double x = (double)(i % width) - by[1] - cx, y = (double)(i / width % height) - by[0] - cy;
      double from_x = (matrix[3] * x - matrix[1] * y) / determinant + cx;
      double from_y = (matrix[0] * y - matrix[2] * x) / determinant + cy;

      for (int64_t ny = (int64_t)floor(from_y); ny <= (int64_t)floor(from_y) + 1; ny++) {
        for (int64_t nx = (int64_t)floor(from_x); nx <= (int64_t)floor(from_x) + 1; nx++) {
          double near = (1 - fabs(from_x - (double)nx)) * (1 - fabs(from_y - (double)ny));

          value += near * (double)physical(&info, i / width / height, ny, nx);
        }
      }
      worst = fmax(worst, fabs(value - (double)out[i]));
    }
    RT_TEST_CHECK(worst < 1e-4, "%d x %d, view %d: a pixel is wrong by %g", (int)height, (int)width, (int)view, worst);
  }
}

/* Bytes and the same numbers as floats give the same bits; samples, views and seeds give others. */
static void test_function(void)
{
  const RtDatasetInfo info = picture(3, 31, 40, RT_UINT8), same = picture(3, 31, 40, RT_FLOAT);
  RtAugment augment = create((RtAugmentParams){2, 10, 0.1, 0.1}, &info), reseeded = augment;
  static float view[6][MOST];

  reseeded.seed++;
  view_of(&augment, &info, bytes, 1, 1, view[0]);
  view_of(&augment, &info, bytes, 2, 1, view[1]);
  view_of(&augment, &info, bytes, 1, 2, view[2]);
  view_of(&reseeded, &info, bytes, 1, 1, view[3]);
  view_of(&augment, &info, bytes, ((int64_t)1 << 32) + 1, 1, view[4]);
  view_of(&augment, &same, floats, 1, 1, view[5]);
  RT_TEST_CHECK(!memcmp(view[0], view[5], sizeof(view[0])), "bytes and floats differ");
  for (int i = 0; i < 5; i++) {
    for (int j = 0; j < i; j++) RT_TEST_CHECK(memcmp(view[i], view[j], sizeof(view[i])) != 0, "%d is %d", i, j);
  }
}

static void test_text(void)
{
  const RtDatasetInfo info = picture(1, 28, 28, RT_UINT8);
  RtAugment augment = create((RtAugmentParams){0}, &info);
  char text[160];

  rt_augment_text(&augment, text, sizeof(text));
  RT_TEST_CHECK(!strcmp(text, ""), "%s", text);
  augment = create((RtAugmentParams){2, 7.5, 0.1, 1.0 / 3}, &info);
  rt_augment_text(&augment, text, sizeof(text));
  RT_TEST_CHECK(!strcmp(text, "shift=2 rotate=7.5 scale=0.1 shear=0.3333333333333333 seed=7"), "%s", text);
  augment.params = (RtAugmentParams){1 << 20, 1e-5 / 3, 1e-5 / 3, 1e-5 / 3};
  augment.seed = ~(uint64_t)0;
  rt_augment_text(&augment, text, sizeof(text));
  RT_TEST_CHECK(strlen(text) < sizeof(text) - 1 && strstr(text, " seed=18446744073709551615"), "%s", text);
}

static void test_errors(void)
{
  RtDatasetInfo info = picture(1, 28, 28, RT_UINT8);
  const RtAugmentParams wrong[] = {{-1, 0, 0, 0},  {0, -1, 0, 0},  {0, 0, 1, 0},      {0, 0, 0, -1},
                                   {0, NAN, 0, 0}, {0, 0, 0, 1e9}, {1 << 30, 0, 0, 0}};
  const RtAugmentParams shift = {.shift = 1}, none = {0};
  RtAugment augment;

  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
    RT_TEST_FAILS(rt_augment_create(&wrong[i], 1, &info, &augment));
  }
  info.dim_name[2][0] = 'z';
  RT_TEST_FAILS(rt_augment_create(&shift, 1, &info, &augment));
  RT_TEST_CHECK(!rt_augment_create(&none, 1, &info, &augment), "nothing to do on what is no picture");
  info.ndim = 1;
  RT_TEST_FAILS(rt_augment_create(&shift, 1, &info, &augment));
}

static PetscErrorCode test(int argc, char **argv)
{
  const uint32_t high[3] = {0, 0, 0}, key[2] = {1, 2};
  uint32_t word[MOST];

  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  rt_random_fill(key, high, 0, MOST, word);
  for (int i = 0; i < MOST; i++) {
    bytes[i] = (uint8_t)word[i];
    floats[i] = bytes[i];
  }
  for (int type = RT_FLOAT; type <= RT_UINT8; type++) {
    test_plain(type);
    test_shift(9, 8, type);
    test_shift(1, 5, type);
    test_affine((RtAugmentParams){2, 15, 0.1, 0.1}, 1, 28, 28, type);
    test_affine((RtAugmentParams){0, 180, 0.5, 1}, 3, 31, 40, type);
    test_affine((RtAugmentParams){3, 0, 0.2, 0}, 2, 7, 31, type);
    test_affine((RtAugmentParams){0, 0, 0, 0.3}, 2, 1, 4, type);
  }
  test_function();
  test_text();
  test_errors();
  PetscFunctionReturn(0);
}
RT_TEST_MAIN(test)
