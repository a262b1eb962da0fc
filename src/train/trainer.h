/* Training of a model on hard labels, on soft labels, or on both: a teacher or a student. */
#ifndef RT_TRAIN_TRAINER_H
#define RT_TRAIN_TRAINER_H

#include "comm/reduce.h"
#include "data/feed.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "train/teacher.h"

#include "graph/parts.h"

#include <retort/plan.h>

typedef struct {
  const char *role;     /* teacher or student: names the files */
  const char *dir;      /* run directory */
  const char *record;   /* options that determine the result, and inputs: a checkpoint of others is refused */
  const char *defaults; /* what counts for options that the record of an older checkpoint lacks; NULL: nothing */
  bool force;           /* ignore such a checkpoint instead */
  const char *train_set, *test_set; /* paths that the job names, for the history; NULL or empty where it names none */
  uint64_t seed;
  int64_t epochs, batch;
  int lanes, threads;
  RtReduceKind reduce;
  int64_t reduce_memory; /* bytes of gradients and sums on a rank; 0: no limit */
  RtPrecision precision;
  RtTerms terms;            /* the objective */
  const RtTeacher *teacher; /* NULL: the store, whose fields come with the samples, the student itself, or nobody */
  bool self;                /* taps of the teacher are the student's own, as they are in the same pass */
  int64_t meeting_memory; /* bytes of works that a rank may keep where lanes meet; with less, lanes run forward again */
  const RtOptimizer *optimizer;
  RtOptimizerParams optimizer_params;
  double weight_decay, max_norm;
  double clip;         /* largest norm of the gradient; 0: no limit */
  bool skip_bad;       /* leave out steps whose loss or gradient is not finite */
  RtSchedule schedule; /* kind, rate, final, factor; the trainer sets what counts in steps */
  double warmup_epochs, every_epochs;
  bool select_best;
  int64_t checkpoint_epochs, checkpoint_steps; /* write one after so many; 0: never */
  double checkpoint_seconds;
  int64_t checkpoint_keep; /* the last so many, and that of the best epoch */
} RtTrainerParams;

/* What a training run ended with. */
typedef struct {
  bool stopped;       /* on request; a checkpoint was written */
  int64_t epochs;     /* done */
  int64_t best_epoch; /* whose parameters the graph holds now, from 1 */
  double accuracy;    /* of that epoch on the held-out part; NaN without one or for regression */
} RtTrainerResult;

/* Not collective; before any work. Whether the parameters go together, with so many ranks, and with the graph where it
   is not NULL. Errors: they do not. */
PetscErrorCode rt_trainer_check(const RtTrainerParams *params, int ranks, const RtGraph *graph);

/* Collective. Trains graph->parameter in place; goes on from a checkpoint where there is one, and writes
   ROLE-history.nc and checkpoint/ROLE-STEP.nc.
   Errors: a loss that is not finite, a checkpoint of another job, files that cannot be written, and those of reading
   data that is not in memory. */
PetscErrorCode rt_trainer_run(MPI_Comm comm, const RtTrainerParams *params, const RtFeedSource *input, RtGraph *graph,
                              RtTrainerResult *result);

/* Collective. Remove the checkpoints of a run whose model has been written. params: role and dir are read. */
PetscErrorCode rt_trainer_clean(MPI_Comm comm, const RtTrainerParams *params);

#endif
