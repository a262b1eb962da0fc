/* Augmented views of images. A view is a number: view v of sample i under a seed is always the same picture, with
   nothing stored. View 0 is the sample itself. Not collective. */
#ifndef RT_DATA_AUGMENT_H
#define RT_DATA_AUGMENT_H

#include <retort/dataset.h>

typedef struct {
  int shift;     /* pixels: whole-pixel shifts in both directions, uniform in -shift … shift */
  double rotate; /* degrees: uniform in ± */
  double scale;  /* factor: uniform in 1 ± */
  double shear;  /* uniform in ± */
} RtAugmentParams;

typedef struct {
  RtAugmentParams params;
  uint64_t seed;
  bool active;
  int64_t planes, height, width; /* of one sample */
} RtAugment;

/* Errors: something is to be augmented, and the last two dimensions of the dataset are not y and x. */
PetscErrorCode rt_augment_create(const RtAugmentParams *params, uint64_t seed, const RtDatasetInfo *info,
                                 RtAugment *augment);
/* Canonical text of what makes the views, empty where nothing does. */
void rt_augment_text(const RtAugment *augment, char *text, size_t length);
/* One view of one sample of the field `input` in physical units (stored * scale + offset).
   stored: [elements] of the field's type, RT_UINT8 or RT_FLOAT; out: [elements]. What comes in from outside the picture
   is stored value 0. */
void rt_augment_view(const RtAugment *augment, const RtField *field, const void *stored, int64_t sample, int64_t view,
                     float *out);

#endif
