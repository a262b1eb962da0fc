/* The inside of a trainer, shared by the loop, the update, the held-out evaluation, and the checkpoint. */
#ifndef RT_TRAIN_TRAINER_STATE_H
#define RT_TRAIN_TRAINER_STATE_H

#include "comm/exact.h"
#include "train/meeting.h"
#include "train/objective.h"
#include "train/predictor.h"
#include "train/trainer.h"

/* Sums over samples. The terms `soft` and `hard` have theirs always, others behind the last. */
enum {
  RT_SUM_TOTAL,
  RT_SUM_SOFT,
  RT_SUM_HARD,
  RT_SUM_CORRECT,
  RT_SUM_COUNT,
  RT_SUM_SKIPPED /* steps */,
  RT_SUMS, /* names of all: RtTrainer.sum_name */
  RT_SUMS_MOST = RT_SUMS + RT_TERMS
};

/* One epoch of the history; further terms have theirs behind the last column. */
enum {
  RT_HISTORY_TRAIN_LOSS,
  RT_HISTORY_TRAIN_SOFT,
  RT_HISTORY_TRAIN_HARD,
  RT_HISTORY_TRAIN_ACCURACY,
  RT_HISTORY_HOLDOUT_LOSS,
  RT_HISTORY_HOLDOUT_ACCURACY,
  RT_HISTORY_RATE,
  RT_HISTORY_SECONDS,
  RT_HISTORY_COMPUTE,
  RT_HISTORY_COMMUNICATION,
  RT_HISTORY_INPUT,
  RT_HISTORY_THROUGHPUT,
  RT_HISTORY_SKIPPED,
  RT_HISTORY_PASSES,
  RT_HISTORY_COLUMNS,
  RT_HISTORY_MOST = RT_HISTORY_COLUMNS + RT_TERMS
};

typedef struct {
  const char *units;
  char name[64], long_name[160];
} RtHistoryColumn;

enum { RT_TIME_COMPUTE, RT_TIME_COMMUNICATION, RT_TIME_INPUT, RT_TIMES };

/* Phases of a step, each an event of -log_view. */
enum { RT_PHASE_LANES, RT_PHASE_SUM, RT_PHASE_JUDGE, RT_PHASE_UPDATE, RT_PHASE_SPREAD, RT_PHASES };

/* What one thread trains with. */
typedef struct {
  RtWork *work;
  int64_t *sample; /* [rows of a lane] */
  int32_t *label;
  float *target;
  float *stored;                      /* what a store has of the teacher, NULL without */
  float *store[RT_LABELSTORE_FIELDS]; /* … its fields there */
  const float *teacher[RT_TERMS];     /* taps of the teacher */
  void **to;                          /* [reads] where what is read goes: inputs of the work, label, target */
  RtObjectiveWork objective;
  RtMeetingAlone alone; /* of held-out rows, where terms meet */
  const float *tap[RT_OBJECTIVE_TAPS];
  RtExact sum[RT_SUMS_MOST];  /* of the epoch */
  RtExact step[RT_SUMS_MOST]; /* of this step, which may yet be skipped */
  bool finite;
  double time[RT_TIMES];
} RtTrainerLane;

typedef struct RtCheckpoint RtCheckpoint;

typedef struct {
  MPI_Comm comm;
  int rank, size;
  const RtTrainerParams *params;
  const RtFeedSource *input;
  RtFeed *feed;
  int reads;
  RtFieldRead *read; /* [reads] what lanes read: the inputs of the model, then label and target where there are any */
  RtGraph *graph;
  RtSchedule schedule; /* in steps */
  RtObjective objective;
  int sum_of[RT_TERMS];    /* where each term's sum is */
  int column_of[RT_TERMS]; /* and its column of the history */
  int sums, columns;       /* how many there are */
  char sum_name[RT_SUMS_MOST][64];
  RtHistoryColumn column[RT_HISTORY_MOST];
  int64_t rows;  /* samples of a lane */
  int64_t steps; /* in an epoch */
  RtPlan *plan;
  RtReduce *reduce;
  RtReduce *state;        /* of what operators keep, graph->state; NULL where there is none */
  int workers;            /* lanes that may be in hand at once: threads, or all own lanes where they meet */
  bool kept;              /* own lanes keep their buffers from forward to backward */
  RtMeeting *meeting;     /* NULL where no term needs one */
  RtTrainerLane *lane;    /* [workers]; sums and times stand in the first of each thread */
  RtPredictor *predictor; /* of the held-out part; NULL without one */
  RtCheckpoint *checkpoint;
  PetscLogEvent event[RT_PHASES];
  int phase; /* now; RT_PHASES: none */
  double phase_start;
  /* The state that a checkpoint holds. */
  int64_t step;      /* done, from the start of the run */
  float *parameter;  /* [flat] the same on all ranks */
  float *moment[2];  /* [rt_reduce_owned] for the own parts, one after the other */
  float *best;       /* [flat] parameters of the best epoch; NULL where the last is kept */
  float *best_state; /* [state_flat] and what operators kept then */
  int64_t best_epoch;
  double best_accuracy, best_loss;
  RtExact sum[RT_SUMS_MOST]; /* of the steps of this epoch that are done, on rank 0 after going on from a checkpoint */
  int64_t records;
  double *history; /* [epochs][columns] on rank 0 */
  double time[RT_TIMES];
  double epoch_start;       /* seconds */
  int64_t began;            /* step at which this process began */
  int64_t saved_step;       /* of the last checkpoint; 0: none */
  struct RtFullbatch *full; /* of the optimizer tao; NULL for the others */
  int skips;                /* bad steps in a row, just before */
  int bad_value;            /* a parameter whose own part is not finite after an update; -1: none */
} RtTrainer;

/* End the phase that runs now, and begin another; RT_PHASES: none. */
PetscErrorCode rt_trainer_enter(RtTrainer *t, int phase);
/* Collective. The record of an epoch whose steps are done: sums, held-out part, history, and the checkpoint where it is
   due. stopped: set where that was asked for while the held-out part was evaluated. Then all but the epoch's steps
   comes when the run goes on. */
PetscErrorCode rt_trainer_end_epoch(RtTrainer *t, int64_t epoch, bool *stopped);

/* Training with the optimizer tao, in the place of epochs of steps. Check: not collective; graph may be NULL; errors
   (usage): what does not go with it. The others are collective. Train: from t->parameter, until `epochs` records;
   stopped: on request. Record: what differs from that of an epoch of steps. */
PetscErrorCode rt_fullbatch_check(const RtTrainerParams *params, const RtGraph *graph);
PetscErrorCode rt_fullbatch_create(RtTrainer *t);
PetscErrorCode rt_fullbatch_destroy(RtTrainer *t);
PetscErrorCode rt_fullbatch_train(RtTrainer *t, bool *stopped);
void rt_fullbatch_record(const RtTrainer *t, double *record);

/* Collective. Say what a rank holds of parameters, gradients, sums, moments and samples: the largest over the ranks. */
PetscErrorCode rt_footprint_print(RtTrainer *t);

/* Make what feeds the lanes of this rank. */
PetscErrorCode rt_lane_feed(RtTrainer *t);
/* Collective where the feed turns to another window. Run the lanes of this rank: each thread loads, runs forward, the
 * loss, backward, and pushes the lane's gradient. */
PetscErrorCode rt_lane_run(RtTrainer *t, int64_t epoch, int64_t step);
/* Take the sums of the step over into those of the epoch. */
void rt_lane_accept(RtTrainer *t);
/* Run one lane alone as rt_lane_run does and say where the first number is that is not finite. where: text, empty if
   all are. gradient: [flat] is overwritten. */
PetscErrorCode rt_lane_examine(RtTrainer *t, int64_t epoch, int64_t step, int number, float *gradient, char where[160]);

/* What becomes of a step, the same on all ranks. */
typedef struct {
  bool stop;    /* somebody asked to */
  bool skip;    /* a loss or a gradient is not finite, and that is allowed */
  double scale; /* factor on the gradient that limits its norm */
} RtVerdict;
/* Collective. Look at the losses and the summed gradient of the own parts, [rt_reduce_owned].
   Errors: numbers that are not finite, by step, lane and layer. */
PetscErrorCode rt_guard_judge(RtTrainer *t, const float *gradient, RtVerdict *verdict);
/* Collective. The same without a verdict: somebody asked to stop; losses and gradients of the step are finite. */
PetscErrorCode rt_guard_look(RtTrainer *t, bool *stop, bool *finite);
/* Collective. Always an error: where, in that step, the first number stands that is not finite. */
PetscErrorCode rt_guard_explain(RtTrainer *t, int64_t epoch, int64_t step);
/* Collective. Errors: parameters that are not finite after an update, by name. */
PetscErrorCode rt_guard_parameters(RtTrainer *t);

/* One optimizer step on the own parts of the parameters. gradient: [rt_reduce_owned]; scale: factor on it. */
void rt_update_own(RtTrainer *t, const float *gradient, double scale);
/* Limit the norms of weights that enter hidden units, in all parameters. */
void rt_update_limit(RtTrainer *t);

/* Collective. Loss and accuracy of the held-out part under the current parameters; NaN without one.
   stopped: on request, before they were known. */
PetscErrorCode rt_holdout_evaluate(RtTrainer *t, double *loss, double *accuracy, bool *stopped);

/* What operators keep from step to step (running statistics): lanes say how it changes, and when the step is done it
   changes by the mean over the lanes that had samples, in the fixed tree. Start, step and finish are collective. */
PetscErrorCode rt_state_start(RtTrainer *t);
PetscErrorCode rt_state_finish(RtTrainer *t);
/* Any thread: what a lane says, which has run. */
void rt_state_push(RtTrainer *t, const RtTrainerLane *lane, int thread, int number);
/* All lanes were pushed. skip: the step does not count. */
PetscErrorCode rt_state_step(RtTrainer *t, bool skip);

/* Name sums and columns, and give each term its own. */
void rt_history_name(RtTrainer *t);
/* Collective. Write the history of `records` epochs. */
PetscErrorCode rt_history_write(RtTrainer *t);
/* Collective. Remove that of an earlier run, where this one has no record. */
PetscErrorCode rt_history_remove(const RtTrainer *t);

/* Checkpoints, checkpoint/ROLE-STEP.nc. Rank 0 copies the state, gathers the moments of all, and a thread of its own
   writes the file while training goes on: what it needs is one copy of parameters, best parameters and moments.
   Not collective; finish waits for the file that is being written, and its errors are dropped. */
PetscErrorCode rt_checkpoint_start(RtTrainer *t);
PetscErrorCode rt_checkpoint_finish(RtTrainer *t);
/* Collective. Go on from the newest that is whole; what is damaged is said in a note. found: false where there is none.
   Errors: it was written with other options, which are named. */
PetscErrorCode rt_checkpoint_read(RtTrainer *t, bool *found);
/* Collective. Begin to write one of now; does nothing where the last one holds the same. Waits for the one before,
   whose errors are returned on all ranks. */
PetscErrorCode rt_checkpoint_write(RtTrainer *t);
/* Collective, after a step or an epoch: the same where one is due. */
PetscErrorCode rt_checkpoint_step(RtTrainer *t);
/* Collective. Wait until the last one is complete. Errors: it cannot be written. */
PetscErrorCode rt_checkpoint_wait(RtTrainer *t);
/* Whether this rank knows that waiting returns an error. */
bool rt_checkpoint_failed(const RtTrainer *t);

#endif
