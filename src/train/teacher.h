/* What a student is compared with while it is trained: taps of a teacher, whatever stands behind them. What a
   store keeps comes with the samples (data/feed.h); all other kinds fill rows when they are asked. */
#ifndef RT_TRAIN_TEACHER_H
#define RT_TRAIN_TEACHER_H

#include "data/samples.h"
#include "distill/terms.h"

typedef struct {
  void *context;
  int reads;               /* what it reads of samples */
  const RtFieldRead *read; /* [reads] */
  /* Called once, before the others: rows of a fill, and workers that may fill at once. Gives taps, in the order of
     rt_terms_teachers, and width: numbers in a row of each. */
  PetscErrorCode (*start)(void *context, int64_t rows, int workers, int *taps, int width[RT_TERMS]);
  /* Where the rows that a worker wants filled are put: those of read[i]. */
  void *(*input)(void *context, int worker, int i);
  /* Any thread. Fill the rows that stand in its inputs. row: [taps] where they are, until the worker's next call. */
  PetscErrorCode (*fill)(void *context, int worker, const float **row);
  /* After step `step`, from 0, when no thread runs: the student's parameters are now these. NULL: the teacher stays. */
  PetscErrorCode (*follow)(void *context, int64_t step, const float *parameter);
  /* What it has become of them, [*count]: part of a checkpoint. NULL with `follow`. */
  float *(*kept)(void *context, int64_t *count);
  /* Numbers of `kept` were read from a checkpoint. NULL with `follow`. */
  PetscErrorCode (*taken)(void *context);
} RtTeacher;

#endif
