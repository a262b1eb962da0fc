/* The state of training at one step, whole, and the file that holds it: what a checkpoint is made of. Not collective:
   it stands on one rank, and a thread in the background may write it. */
#ifndef RT_TRAIN_SNAPSHOT_H
#define RT_TRAIN_SNAPSHOT_H

#include "train/trainer_state.h"

typedef struct {
  /* What does not change during a run. */
  const char *role, *record; /* as in RtTrainerParams */
  int64_t flat, state_flat;  /* numbers in the parameters, in what operators keep */
  int64_t epochs, steps;     /* of the run, of an epoch */
  int moments;               /* of the optimizer */
  int sums, columns;         /* as in RtTrainer */
  const char (*sum_name)[64];
  const RtHistoryColumn *column;
  const char *defaults;
  /* The state. */
  int64_t step, records, best_epoch; /* as in RtTrainer */
  double best_accuracy, best_loss;
  RtExact sum[RT_SUMS_MOST]; /* over all ranks */
  float *parameter, *best;   /* [flat] best: NULL where the last epoch is kept */
  float *state, *best_state; /* [state_flat] */
  int64_t kept;              /* numbers in what a teacher that goes after the student keeps */
  float *teacher;            /* [kept] */
  float *moment[2];          /* [flat] */
  double *history;           /* [epochs][columns], of which `records` are filled */
} RtSnapshot;

/* Buffers for the state of a trainer; nothing is copied yet. Its params must outlive the snapshot. */
PetscErrorCode rt_snapshot_create(const RtTrainer *t, RtSnapshot **snapshot);
/* Accepts NULL. */
PetscErrorCode rt_snapshot_destroy(RtSnapshot **snapshot);

/* Write a sealed file. Errors: as for all files; then there is none. */
PetscErrorCode rt_snapshot_write(const RtSnapshot *snapshot, const char *path);
/* Read one. differs: set where the file was written with other options; name, old and new value of the first are in the
   other three, and the snapshot is as it was. Errors: the file cannot be read, is damaged, or is not of this run. */
typedef struct {
  bool differs;
  char name[64], before[96], now[96];
} RtSnapshotOptions;
PetscErrorCode rt_snapshot_read(RtSnapshot *snapshot, const char *path, RtSnapshotOptions *options);

/* What `retort info` says of one. */
typedef struct {
  int64_t step, steps, records, best_epoch, flat; /* as above */
  char role[32];
} RtSnapshotInfo;
/* found: false where the file is whole but no checkpoint. Errors: it is damaged. */
PetscErrorCode rt_snapshot_describe(const char *path, RtSnapshotInfo *info, bool *found);

#endif
