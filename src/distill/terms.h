/* The objective: a list of weighted terms, each a loss with its ends bound by name. Weights and temperatures may change
   while training goes on. Not collective. */
#ifndef RT_DISTILL_TERMS_H
#define RT_DISTILL_TERMS_H

#include "distill/loss.h"

enum { RT_TERMS = 16 /* most terms */, RT_TERMS_NAME = 32, RT_TERMS_END = 128 };

/* What a term compares the student with. */
typedef enum {
  RT_TERMS_NOTHING, /* the loss reads labels only */
  RT_TERMS_TEACHER, /* a tap of the teacher */
  RT_TERMS_TARGET   /* the dataset's target */
} RtTermsReference;

typedef struct {
  char name[RT_TERMS_NAME];
  const RtLoss *loss;
  double weight, weight_last; /* at the first and at the last step, linear between */
  double warmup;              /* epochs in which the weight grows from 0 */
  double temperature, temperature_last;
  double option[RT_LOSS_OPTIONS];
  RtTermsReference reference;
  char student[RT_TERMS_END], teacher[RT_TERMS_END]; /* taps, see retort/tap.h */
} RtTerm;

typedef struct {
  int count;
  RtTerm term[RT_TERMS];
} RtTerms;

/* A term of this loss: its options' defaults, weight 1, temperature 1, the taps `logits`, compared with the teacher
   where the loss reads one. */
void rt_terms_start(const char *name, const RtLoss *loss, RtTerm *term);

/* The short form: `soft`, alpha of the loss against the teacher, and `hard`, 1 - alpha of the cross-entropy of the
   label or, for numbers, of the squared distance from the target. Terms without weight are left out. */
void rt_terms_short(const RtLoss *loss, double temperature, double alpha, double smoothing, RtTerms *terms);

/* Weight and temperature of a term after `step` of `total` steps, `epoch` of them in an epoch. */
void rt_terms_now(const RtTerm *term, int64_t step, int64_t total, int64_t epoch, double *weight, double *temperature);

/* The taps of the teacher that terms name, each once, in the order of terms. Returns how many. */
int rt_terms_teachers(const RtTerms *terms, const char *name[RT_TERMS]);
/* Which of them a term reads; -1: none. */
int rt_terms_teacher_of(const RtTerms *terms, int term);

/* Errors: rows of so many numbers of student and teacher that the term's loss cannot compare. */
PetscErrorCode rt_terms_check_widths(const RtTerm *term, int64_t student, int64_t teacher);

/* Whether the rows of the whole batch meet. */
bool rt_terms_meet(const RtTerms *terms);

#endif
