/* ROLE-history.nc: a record an epoch. Beside eval.nc and the models, which are the same bits wherever they are made,
   it is the file that says when, how and on what a model was made. */
#include "core/file.h"
#include "core/message.h"
#include "job/files.h"
#include "netcdf/archive.h"
#include "train/trainer_state.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
  const char *name, *units, *long_name;
} columns[RT_HISTORY_COLUMNS] = {
    {"train_loss", "1", "mean loss over the training samples of the epoch"},
    {"train_soft_loss", "1", "mean soft term of the loss, against the teacher"},
    {"train_hard_loss", "1", "mean hard term of the loss, against labels or targets"},
    {"train_accuracy", "1", "fraction of training samples that the model got right while it was trained"},
    {"holdout_loss", "1", "mean loss over the held-out samples after the epoch"},
    {"holdout_accuracy", "1", "fraction of held-out samples that the model gets right after the epoch"},
    {"learning_rate", "1", "learning rate of the epoch's last step; of the optimizer tao the length of the step"},
    {"seconds", "s", "time of the epoch's training steps"},
    {"compute_seconds", "s", "mean over ranks: forward, loss, backward and update"},
    {"communication_seconds", "s",
     "mean over ranks: exposed communication, in which a rank sums, sends and waits instead of computing"},
    {"input_seconds", "s", "mean over ranks: loading and augmenting samples"},
    {"samples_per_second", "s-1", "training samples per second, all ranks together"},
    {"skipped_steps", "1", "steps that were left out as their loss or gradient was not finite"},
    {"passes", "1", "passes over the training set: 1, or as many as the line search of the optimizer tao took"},
};

static const char *const sum_name[RT_SUMS] = {"total", "soft", "hard", "correct", "count", "skipped"};

void rt_history_name(RtTrainer *t)
{
  t->sums = RT_SUMS;
  t->columns = RT_HISTORY_COLUMNS;
  for (int i = 0; i < RT_SUMS; i++) snprintf(t->sum_name[i], sizeof(t->sum_name[i]), "%s", sum_name[i]);
  for (int i = 0; i < RT_HISTORY_COLUMNS; i++) {
    t->column[i].units = columns[i].units;
    snprintf(t->column[i].name, sizeof(t->column[i].name), "%s", columns[i].name);
    snprintf(t->column[i].long_name, sizeof(t->column[i].long_name), "%s", columns[i].long_name);
  }
  for (int k = 0; k < t->params->terms.count; k++) {
    const RtTerm *term = &t->params->terms.term[k];
    const bool soft = !strcmp(term->name, "soft"), hard = !strcmp(term->name, "hard");
    RtHistoryColumn *column = &t->column[t->columns];

    t->sum_of[k] = soft ? RT_SUM_SOFT : hard ? RT_SUM_HARD : t->sums;
    t->column_of[k] = soft ? RT_HISTORY_TRAIN_SOFT : hard ? RT_HISTORY_TRAIN_HARD : t->columns;
    if (soft || hard) continue;
    snprintf(t->sum_name[t->sums++], sizeof(*t->sum_name), "term_%s", term->name);
    t->columns++;
    column->units = "1";
    snprintf(column->name, sizeof(column->name), "train_%s_loss", term->name);
    snprintf(column->long_name, sizeof(column->long_name), "mean of the term %s of the loss, without its weight: %s",
             term->name, term->loss->help);
  }
}

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
  for (int c = 0; c < t->columns && !error; c++) {
    for (int64_t e = 0; e < t->records; e++) column[e] = t->history[e * t->columns + c];
    array = (RtArchiveArray){.dimension = {"epoch"},
                             .type = RT_ARCHIVE_DOUBLE,
                             .name = t->column[c].name,
                             .units = t->column[c].units,
                             .long_name = t->column[c].long_name,
                             .data = column};
    error = rt_archive_put(archive, &array);
  }
  PetscCall(PetscFree2(column, epoch));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* The history attribute of the NetCDF conventions: the time, and the command that wrote the file. */
static PetscErrorCode put_command(RtArchive *archive)
{
  char **words, *text;
  size_t length = 32, used;
  time_t now = time(NULL);
  struct tm utc;
  int count;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscGetArgs(&count, &words));
  for (int i = 0; i < count; i++) length += strlen(words[i]) + 1;
  PetscCall(PetscMalloc1(length, &text));
  used = strftime(text, length, "%Y-%m-%dT%H:%M:%SZ:", gmtime_r(&now, &utc));
  for (int i = 0; i < count; i++) {
    const char *name = i ? NULL : strrchr(words[i], '/'); /* of the program, without its folder */

    if (!strcmp(words[i], "-skip_petscrc")) continue; /* the program's own */
    used += (size_t)snprintf(text + used, length - used, " %s", name ? name + 1 : words[i]);
  }
  error = rt_archive_put_text(archive, NULL, "history", text);
  PetscCall(PetscFree(text));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode put_texts(const RtTrainer *t, RtArchive *archive)
{
  const RtTrainerParams *p = t->params;
  char text[64];

  PetscFunctionBegin;
  PetscCall(put_command(archive));
  snprintf(text, sizeof(text), "%d rank%s of %d thread%s", t->size, t->size == 1 ? "" : "s", p->threads,
           p->threads == 1 ? "" : "s");
  PetscCall(rt_archive_put_text(archive, NULL, "parallel", text));
  if (p->train_set && p->train_set[0]) PetscCall(rt_archive_put_text(archive, NULL, "train_set", p->train_set));
  if (p->test_set && p->test_set[0]) PetscCall(rt_archive_put_text(archive, NULL, "test_set", p->test_set));
  PetscCall(rt_archive_put_record(archive, p->record));
  PetscFunctionReturn(0);
}

static PetscErrorCode write_file(const RtTrainer *t)
{
  char path[PETSC_MAX_PATH_LEN], text[64];
  RtArchive *archive = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_files_path(t->params->dir, RT_FILES_HISTORY, t->params->role, path));
  snprintf(text, sizeof(text), "Training history of the %s", t->params->role);
  PetscCall(rt_archive_create(path, text, &archive));
  error = rt_archive_dimension(archive, "epoch", t->records);
  if (!error) error = put_columns(t, archive);
  if (!error) error = put_texts(t, archive);
  if (error) {
    PetscCall(rt_archive_discard(&archive));
    PetscCall(error);
  }
  PetscCall(rt_archive_commit(&archive));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_history_remove(const RtTrainer *t)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_files_path(t->params->dir, RT_FILES_HISTORY, t->params->role, path));
  if (t->rank == 0) error = rt_file_remove(path);
  RtAgree(t->comm, error);
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
