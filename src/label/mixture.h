/* The teacher of a job: one model, or several that are mixed (-teacher_models, -teacher_weights, -teacher_mix).

     probabilities   log Σ w softmax(z), the logits of the mean probability at temperature 1
     logits          Σ w z, the mean of the logits

   with weights w that add up to 1. Both are added up in double, model after model in the order of the list, so that a
   mixture has the same bits wherever it is made. */
#ifndef RT_LABEL_MIXTURE_H
#define RT_LABEL_MIXTURE_H

#include "job/job.h"

#include <retort/dataset.h>
#include <retort/graph.h>

enum { RT_MIXTURE = 32 /* most models */ };

typedef struct {
  int models;                 /* 1: nothing is mixed */
  RtGraph *graph[RT_MIXTURE]; /* bound to the dataset */
  char hash[RT_MIXTURE][RT_HASH_TEXT];
  double weight[RT_MIXTURE]; /* they add up to 1 */
  bool probabilities;
  int width; /* numbers that a row of logits has */
} RtMixture;

enum { RT_MIXTURE_ALL = -1 };

/* What can be mixed, joined by `|`: the option table's choices. */
const char *rt_mixture_names(void);
/* Whether a job names several models; whether it names finished ones at all, one or several. */
bool rt_mixture_named(const RtOptions *options);
bool rt_mixture_own(const RtOptions *options);

/* Not collective. Errors (usage): one model and several are named, weights that are not one a model, below 0, or all 0.
 */
PetscErrorCode rt_mixture_check(const RtJob *job);

/* Collective. Read all models, or model `which` alone. hash: of what was read: a model's own; of a mixture of all
   hashes and weights. Errors: those of rt_mixture_check; a model that is missing or does not fit the dataset; models
   that have other numbers of classes. Also then, free it. */
PetscErrorCode rt_mixture_read(const RtJob *job, const RtDatasetInfo *info, int which, RtMixture *mixture,
                               char hash[RT_HASH_TEXT]);
PetscErrorCode rt_mixture_free(RtMixture *mixture);

/* The rest is not collective. Lines for records: weight and hash of each model; of one model none. text: allocated with
   PetscMalloc. */
PetscErrorCode rt_mixture_record(const RtMixture *mixture, char **text);

/* Add the rows of a model to a sum, model 0 first, then the others in order. logits: [rows, width], `stride` numbers
   apart as the sums are; sum: rows of [width]. */
void rt_mixture_add(const RtMixture *mixture, int model, int64_t rows, int64_t stride, const float *logits,
                    double *sum);
/* What the sum of all models stands for. sum, row: [count]. */
void rt_mixture_end(int64_t count, const double *sum, float *row);

#endif
