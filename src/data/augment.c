#include "data/augment.h"
#include "core/random.h"
#include "core/simd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Within these bounds, positions in the picture fit into the 64 bits that `affine` computes them in. */
enum { MOST_PIXELS = 1 << 20 };
static const double most_degrees = 360, most_scale = 0.9, most_shear = 10;

/* What one view does to a picture: where the pixel (x, y) of the view comes from is, in 2^-32 pixels and with the
   centre c of the picture,  c + turn (pixel - shift - c). */
typedef struct {
  int64_t dy, dx;
  int64_t xx, xy, yx, yy; /* turn, in 2^-31 */
} Motion;

/* One plane of a picture, and how it becomes physical units. */
typedef struct {
  int64_t height, width;
  const void *stored;
  float scale, offset;
} Plane;

static bool within(double value, double most)
{
  return value >= 0 && value <= most;
}

PetscErrorCode rt_augment_create(const RtAugmentParams *params, uint64_t seed, const RtDatasetInfo *info,
                                 RtAugment *augment)
{
  const int n = info->ndim;
  RtAugment made = {.params = *params, .seed = seed, .planes = 1, .height = 1, .width = info->size};

  PetscFunctionBegin;
  RtCheck(params->shift >= 0 && params->shift <= MOST_PIXELS, "augmentation: a shift of %d pixels is not in 0 to %d",
          params->shift, (int)MOST_PIXELS);
  RtCheck(within(params->rotate, most_degrees), "augmentation: a rotation of %g degrees is not in 0 to %g",
          params->rotate, most_degrees);
  RtCheck(within(params->scale, most_scale), "augmentation: a scale of %g is not in 0 to %g", params->scale,
          most_scale);
  RtCheck(within(params->shear, most_shear), "augmentation: a shear of %g is not in 0 to %g", params->shear,
          most_shear);
  made.active = params->shift > 0 || params->rotate > 0 || params->scale > 0 || params->shear > 0;
  if (made.active) {
    RtCheck(n >= 2 && !strcmp(info->dim_name[n - 2], "y") && !strcmp(info->dim_name[n - 1], "x"),
            "augmentation moves pictures, but the last two dimensions of the dataset are not y and x: switch it off");
    made.height = info->dim[n - 2];
    made.width = info->dim[n - 1];
    RtCheck(made.height <= MOST_PIXELS && made.width <= MOST_PIXELS,
            "augmentation: pictures have more than %d rows or columns", (int)MOST_PIXELS);
    made.planes = info->size / (made.height * made.width);
  }
  *augment = made;
  PetscFunctionReturn(0);
}

/* The shortest decimal number that reads back as this one. */
static void append_number(char *text, size_t length, const char *name, double value)
{
  char number[32];
  size_t used = strlen(text);

  for (int digits = 1; digits <= 17; digits++) {
    snprintf(number, sizeof(number), "%.*g", digits, value);
    if (strtod(number, NULL) == value) break;
  }
  snprintf(text + used, length - used, "%s%s=%s", used ? " " : "", name, number);
}

void rt_augment_text(const RtAugment *augment, char *text, size_t length)
{
  const RtAugmentParams *p = &augment->params;
  size_t used;

  text[0] = '\0';
  if (!augment->active) return;
  append_number(text, length, "shift", p->shift);
  append_number(text, length, "rotate", p->rotate);
  append_number(text, length, "scale", p->scale);
  append_number(text, length, "shear", p->shear);
  used = strlen(text);
  snprintf(text + used, length - used, " seed=%llu", (unsigned long long)augment->seed);
}

/* Uniform in -most … most. */
static int64_t whole(uint32_t word, int most)
{
  return (int64_t)(((uint64_t)word * (2 * (uint64_t)most + 1)) >> 32) - most;
}

/* Uniform in [-most, most). */
static double real(uint32_t word, double most)
{
  return (2 * (double)rt_random_unit(word) - 1) * most;
}

static Motion draw(const RtAugment *augment, int64_t sample, int64_t view)
{
  const RtAugmentParams *p = &augment->params;
  const uint32_t high[3] = {(uint32_t)sample, (uint32_t)((uint64_t)sample >> 32), (uint32_t)view};
  uint32_t key[2], word[5];
  double angle, factor, shear, c, s;
  Motion motion;

  rt_random_key(augment->seed, RT_RANDOM_AUGMENT, key);
  rt_random_fill(key, high, 0, 5, word);
  angle = real(word[2], p->rotate) * (3.14159265358979323846 / 180);
  factor = 0x1p31 / (1 + real(word[3], p->scale));
  shear = real(word[4], p->shear);
  c = cos(angle);
  s = sin(angle);
  motion.dy = whole(word[0], p->shift);
  motion.dx = whole(word[1], p->shift);
  /* The inverse of rotation · scale · shear, where the shear adds shear · y to x. */
  motion.xx = (int64_t)rint((c + shear * s) * factor);
  motion.xy = (int64_t)rint((s - shear * c) * factor);
  motion.yx = (int64_t)rint(-s * factor);
  motion.yy = (int64_t)rint(c * factor);
  return motion;
}

/* One element of the plane as a number. */
RT_SIMD_INLINE float element(const Plane *plane, bool bytes, int64_t i)
{
  return bytes ? (float)((const uint8_t *)plane->stored)[i] : ((const float *)plane->stored)[i];
}

RT_SIMD_INLINE void shift(const Plane *plane, bool bytes, int64_t dy, int64_t dx, float *restrict out)
{
  const int64_t width = plane->width, from = dx > 0 ? dx : 0, to = dx < 0 ? width + dx : width;
  const float outside = 0.0f * plane->scale + plane->offset;

  for (int64_t y = 0; y < plane->height; y++, out += width) {
    const int64_t row = y - dy;

    if (row < 0 || row >= plane->height || from >= to) {
      for (int64_t x = 0; x < width; x++) out[x] = outside;
      continue;
    }
    for (int64_t x = 0; x < from; x++) out[x] = outside;
    for (int64_t x = from; x < to; x++) {
      out[x] = element(plane, bytes, row * width + x - dx) * plane->scale + plane->offset;
    }
    for (int64_t x = to; x < width; x++) out[x] = outside;
  }
}

RT_SIMD static void shift_bytes(const Plane *plane, int64_t dy, int64_t dx, float *out)
{
  shift(plane, true, dy, dx, out);
}

RT_SIMD static void shift_floats(const Plane *plane, int64_t dy, int64_t dx, float *out)
{
  shift(plane, false, dy, dx, out);
}

/* An element that may be outside. */
RT_SIMD_INLINE float tap(const Plane *plane, bool bytes, int64_t y, int64_t x)
{
  bool inside = y >= 0 && y < plane->height && x >= 0 && x < plane->width;

  return inside ? element(plane, bytes, y * plane->width + x) : 0;
}

/* Bilinear interpolation. Positions are whole numbers of 2^-32 pixels, so they are exact. */
RT_SIMD_INLINE void affine(const Plane *plane, bool bytes, const Motion *m, float *restrict out)
{
  const int64_t height = plane->height, width = plane->width;

  for (int64_t y = 0; y < height; y++, out += width) {
    const int64_t v = 2 * (y - m->dy) - (height - 1); /* twice the distance from the centre */
    const int64_t row_x = m->xy * v + ((width - 1) << 31), row_y = m->yy * v + ((height - 1) << 31);

    for (int64_t x = 0; x < width; x++) {
      const int64_t u = 2 * (x - m->dx) - (width - 1), from_x = row_x + m->xx * u, from_y = row_y + m->yx * u;
      const int64_t x0 = from_x >> 32, y0 = from_y >> 32;
      const float part_x = rt_random_unit((uint32_t)from_x), part_y = rt_random_unit((uint32_t)from_y);
      float a, b, c, d, top, bottom;

      if (x0 >= 0 && x0 < width - 1 && y0 >= 0 && y0 < height - 1) {
        const int64_t i = y0 * width + x0;

        a = element(plane, bytes, i);
        b = element(plane, bytes, i + 1);
        c = element(plane, bytes, i + width);
        d = element(plane, bytes, i + width + 1);
      } else {
        a = tap(plane, bytes, y0, x0);
        b = tap(plane, bytes, y0, x0 + 1);
        c = tap(plane, bytes, y0 + 1, x0);
        d = tap(plane, bytes, y0 + 1, x0 + 1);
      }
      top = a + part_x * (b - a);
      bottom = c + part_x * (d - c);
      out[x] = (top + part_y * (bottom - top)) * plane->scale + plane->offset;
    }
  }
}

void rt_augment_view(const RtAugment *augment, const RtField *field, const void *stored, int64_t sample, int64_t view,
                     float *out)
{
  const RtAugmentParams *p = &augment->params;
  const bool moved = augment->active && view != 0, bytes = field->type == RT_UINT8;
  const int64_t size = augment->height * augment->width;
  Motion motion = {0};

  if (moved) motion = draw(augment, sample, view);
  for (int64_t k = 0; k < augment->planes; k++, out += size) {
    const void *from = (const char *)stored + (size_t)(k * size) * rt_types_size(field->type);
    const Plane plane = {augment->height, augment->width, from, field->scale, field->offset};

    if (moved && (p->rotate > 0 || p->scale > 0 || p->shear > 0)) {
      if (bytes)
        affine(&plane, true, &motion, out);
      else
        affine(&plane, false, &motion, out);
    } else {
      if (bytes)
        shift_bytes(&plane, motion.dy, motion.dx, out);
      else
        shift_floats(&plane, motion.dy, motion.dx, out);
    }
  }
}
