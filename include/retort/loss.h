/* Losses: what one row of a model's output is compared with, and how. A loss gives a value for each row and adds to a
   gradient in double, so that several terms of an objective may share an output, and so that the parts of a batch can
   be added in any grouping. Retort's own stand in src/distill, one file each; those of users come by retort/extend.h.
   Not collective, but for what says so. */
#ifndef RETORT_LOSS_H
#define RETORT_LOSS_H

#include <retort/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RT_LOSS_OPTIONS = 4 /* most options of a loss */ };

/* An option of a loss: -distill_terms_NAME_OPTION. */
typedef struct {
  const char *name; /* NULL: no more */
  double initial, least, most;
  const char *help;
} RtLossOption;

/* Rows of one lane, or of one micro-batch. Those with sample[i] < 0 are padding: value 0, no gradient. */
typedef struct {
  int64_t rows;
  int width;             /* numbers in a row of the student */
  const int64_t *sample; /* [rows] */
  const float *student;  /* [rows, width] */
  const float *teacher;  /* [rows, width] what it is compared with: of the teacher, or of the dataset; may be NULL */
  const int32_t *label;  /* [rows], or NULL */
  double weight;         /* factor on the gradient */
  double temperature;    /* T */
  const double *option;  /* in the order of the loss's table */
} RtLossRows;

/* All rows of the global batch, in the order of lanes: the same on any number of ranks, each of which evaluates its own
   against all. */
typedef struct {
  int64_t rows;       /* of the batch, without padding */
  int64_t first, own; /* those of this rank: [first, first + own) */
  int width, teacher_width;
  const float *student, *teacher; /* [rows, width], [rows, teacher_width] */
  double weight, temperature;
  const double *option;
  int threads;
  double *room; /* what the loss's `room` asks for */
  /* Collective. value: [rows][count], of which own rows are given; then all are there. */
  PetscErrorCode (*share)(void *context, int count, double *value);
  void *context;
} RtLossBatch;

enum {
  RT_LOSS_TEACHER = 1 << 0,    /* reads `teacher` */
  RT_LOSS_LABEL = 1 << 1,      /* reads `label` */
  RT_LOSS_CLASSES = 1 << 2,    /* rows are logits of classes */
  RT_LOSS_NUMBERS = 1 << 3,    /* rows are the numbers of a regression */
  RT_LOSS_WIDTHS = 1 << 4,     /* student and teacher may have other widths */
  RT_LOSS_MAPS = 1 << 5,       /* where they have, a linear map is attached to the student */
  RT_LOSS_TEMPERATURE = 1 << 6 /* reads `temperature` */
};

typedef struct {
  const char *name, *help;
  unsigned traits;
  RtLossOption option[RT_LOSS_OPTIONS + 1];
  /* value: [rows] overwritten; gradient: [rows, width], weight times the gradient of each row's value is added. */
  PetscErrorCode (*evaluate)(const RtLossRows *rows, double *value, double *gradient);
  /* Or, for a loss that couples the rows of a batch, collective: value: [own] shares whose mean over all rows is the
     loss; gradient: [own, width], overwritten with weight times the gradient of the sum of all shares. */
  PetscErrorCode (*meet)(const RtLossBatch *batch, double *value, double *gradient);
  /* Numbers that `meet` works with, for a batch of up to so many rows, own rows and threads; NULL: none. */
  int64_t (*room)(const RtLossBatch *most);
} RtLoss;

#ifdef __cplusplus
}
#endif

#endif
