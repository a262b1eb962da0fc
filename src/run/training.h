/* What a job says about training, as the trainer takes it. */
#ifndef RT_RUN_TRAINING_H
#define RT_RUN_TRAINING_H

#include "model/model.h"
#include "train/trainer.h"

/* Options of a section as parameters of the trainer. role: teacher or student. */
PetscErrorCode rt_training_params(const RtJob *job, const char *section, const char *role, RtTrainerParams *params);

/* What the student is compared with. */
typedef enum { RT_TRAINING_ALONE, RT_TRAINING_STORE, RT_TRAINING_HERE, RT_TRAINING_SELF } RtTrainingTeacher;
RtTrainingTeacher rt_training_teacher(const RtOptions *options);

/* Numbers in the rows of both ends of each term: from, of the student, and to, of the teacher; 0 where a model is NULL,
   as not known, and for terms without a teacher. Errors: a tap that is not there or no layer, widths that do not go
   together. */
PetscErrorCode rt_training_ends(const RtTerms *terms, const RtGraph *student, const RtGraph *teacher,
                                int64_t from[RT_TERMS], int64_t to[RT_TERMS]);

/* The terms of the student's objective: those of -distill_terms, or the short form. What they read of the teacher are
   fields of the store, or taps where the teacher runs here, whichever of both the job says. Errors (usage): they do not
   suit the dataset, or the form of a field; the store does not keep it; both forms are given; a term has no weight. */
PetscErrorCode rt_training_terms(const RtJob *job, const RtDatasetInfo *info, RtTerms *terms);

/* The record of a model that is trained: that of model/model.h, with the options of TAO where it is the optimizer, and
   labels: further lines about how these are kept. */
PetscErrorCode rt_training_record(const RtJob *job, unsigned content, int64_t window, const char *dataset,
                                  const char *teacher, const char *start, const char *labels, char **record);

/* Leave those of a model's parameters out of training that -ROLE_freeze names. Not collective: the same on all ranks.
   Errors: a pattern without a parameter. */
PetscErrorCode rt_training_freeze(const RtJob *job, const char *role, RtGraph *graph);
/* Say what is about to be trained, on how much, and what of it stays as it is. */
void rt_training_say(const RtJob *job, const RtTrainerParams *params, const RtGraph *graph, int64_t samples);

#endif
