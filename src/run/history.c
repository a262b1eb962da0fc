/* ROLE-history.nc: a record an epoch. */
#include "core/file.h"
#include "core/message.h"
#include "data/archive.h"
#include "run/trainer_state.h"

#include <stdio.h>

static const struct {
  const char *name, *units, *long_name;
} columns[RT_HISTORY_COLUMNS] = {
    {"train_loss", "1", "mean loss over the training samples of the epoch"},
    {"train_soft_loss", "1", "mean soft term of the loss, against the teacher"},
    {"train_hard_loss", "1", "mean hard term of the loss, against labels or targets"},
    {"train_accuracy", "1", "fraction of training samples that the model got right while it was trained"},
    {"holdout_loss", "1", "mean loss over the held-out samples after the epoch"},
    {"holdout_accuracy", "1", "fraction of held-out samples that the model gets right after the epoch"},
    {"learning_rate", "1", "learning rate of the epoch's last step"},
    {"seconds", "s", "time of the epoch's training steps"},
    {"compute_seconds", "s", "mean over ranks: forward, loss, backward and update"},
    {"communication_seconds", "s",
     "mean over ranks: exposed communication, in which a rank sums, sends and waits instead of computing"},
    {"input_seconds", "s", "mean over ranks: loading and augmenting samples"},
    {"samples_per_second", "s-1", "training samples per second, all ranks together"},
    {"skipped_steps", "1", "steps that were left out as their loss or gradient was not finite"},
};

static PetscErrorCode put_columns(const RtTrainer *t, RtArchive *archive)
{
  double *column;
  int64_t *epoch;
  RtArchiveArray array = {
      .dimension = {"epoch"}, .type = RT_ARCHIVE_INT64, .name = "epoch", .units = "1", .long_name = "epochs done"};
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc2(t->records, &column, t->records, &epoch));
  for (int64_t e = 0; e < t->records; e++) epoch[e] = e + 1;
  array.data = epoch;
  error = rt_archive_put(archive, &array);
  for (int c = 0; c < RT_HISTORY_COLUMNS && !error; c++) {
    for (int64_t e = 0; e < t->records; e++) column[e] = t->history[e * RT_HISTORY_COLUMNS + c];
    array = (RtArchiveArray){.dimension = {"epoch"},
                             .type = RT_ARCHIVE_DOUBLE,
                             .name = columns[c].name,
                             .units = columns[c].units,
                             .long_name = columns[c].long_name,
                             .data = column};
    error = rt_archive_put(archive, &array);
  }
  PetscCall(PetscFree2(column, epoch));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode write_file(const RtTrainer *t)
{
  char name[64], path[PETSC_MAX_PATH_LEN], text[64];
  RtArchive *archive = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  snprintf(name, sizeof(name), "%s-history.nc", t->params->role);
  PetscCall(rt_file_join(t->params->dir, name, path, sizeof(path)));
  snprintf(text, sizeof(text), "Training history of the %s", t->params->role);
  PetscCall(rt_archive_create(path, text, &archive));
  snprintf(text, sizeof(text), "%d ranks of %d threads", t->size, t->params->threads);
  error = rt_archive_dimension(archive, "epoch", t->records);
  if (!error) error = put_columns(t, archive);
  if (!error) error = rt_archive_put_text(archive, NULL, "parallel", text);
  if (!error) error = rt_archive_put_text(archive, NULL, "options", t->params->record);
  if (error) {
    PetscCall(rt_archive_discard(&archive));
    PetscCall(error);
  }
  PetscCall(rt_archive_commit(&archive));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_history_write(RtTrainer *t)
{
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  if (t->rank == 0) error = write_file(t);
  RtAgree(t->comm, error);
  PetscFunctionReturn(0);
}
