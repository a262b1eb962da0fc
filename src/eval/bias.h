/* Correction of class biases: classes that the student never or too often saw in training (Hinton et al. 2015,
   section 3). The same number is added to the logits of all named classes. */
#ifndef RT_EVAL_BIAS_H
#define RT_EVAL_BIAS_H

#include <retort/types.h>

enum { RT_BIAS_STEPS = 401 }; /* -20 to 20 in tenths */

static inline double rt_bias_value(int step)
{
  return (step - RT_BIAS_STEPS / 2) / 10.0;
}

typedef struct {
  int width;
  const bool *named;                 /* [width] */
  double fixed;                      /* the number that the user gave */
  int64_t count, correct;            /* with `fixed` */
  int64_t correct_at[RT_BIAS_STEPS]; /* with each number that may be chosen */
  int64_t *confusion;                /* [width, width] with `fixed`, of all threads; may be NULL */
} RtBias;

/* One sample. Threads have a correction each, and may share its confusion. */
void rt_bias_add(RtBias *bias, const float *logits, int32_t label);
/* The step with the most samples right, of equals the one nearest to 0. */
int rt_bias_best(const RtBias *bias);

#endif
