/* Where a student begins (-student_init): random weights, or weights in closed form from the data and the teacher. */
#ifndef RT_COMPRESS_INIT_H
#define RT_COMPRESS_INIT_H

#include "data/trainset.h"
#include "model/model.h"

/* The teacher, as distillation has found it. */
typedef struct {
  const char *hash; /* empty: no teacher is used */
  int width;        /* numbers that it gives a sample */
} RtInitTeacher;

/* The name of row i of the table of starts, from 0, and what it is; NULL after the last. */
const char *rt_init_at(int i, const char **help);
/* Collective. Whether the options go together; before anything is read. teacher, store: whether the job has a model
   that teaches, and keeps what it says. Errors (usage): they do not. */
PetscErrorCode rt_init_check(const RtJob *job, bool teacher, bool store);
/* Collective. Whether they go with this teacher, of which the shapes matter. Errors: svd cannot cut it so far. */
PetscErrorCode rt_init_check_teacher(const RtJob *job, const RtGraph *teacher);

/* Collective. Make the student; *graph is NULL where a request to stop ended that. record: of the student; a start in
   closed form that an earlier job of this record made is taken again (compress/start.h).
   pca: the random weights of the first fully connected layer are projected onto the principal directions of what enters
   it, and scaled so that its outputs vary as much as before, about zero; ridge: the last one is solved by ridge
   regression of the teacher's logits on what enters it; the sums run over the plain training samples, without those
   that are held out, omitted, or not among -distill_samples; svd: the student is the teacher itself with its layers cut
   to low rank (compress/lowrank.h). The result has the same bits on any number of ranks and threads as long as no layer
   has more than 2048 inputs or outputs; beyond, matrices are spread over the ranks, and the last bits depend on their
   number. */
PetscErrorCode rt_init_make(const RtJob *job, const RtTrainset *data, const RtInitTeacher *teacher, const char *record,
                            RtGraph **graph, bool *stopped);

#endif
