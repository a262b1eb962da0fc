/* checkpoint/ROLE.nc: all that training needs to go on with the same bits on any number of ranks. */
#include "core/file.h"
#include "core/memory.h"
#include "core/message.h"
#include "core/options.h"
#include "data/archive.h"
#include "run/trainer_state.h"

#include <stdio.h>
#include <string.h>

enum { ROOT = 0, BLOCK = 16, TAG = 23 };

static const char *const moment_name[] = {"first_moment", "second_moment"};

static PetscErrorCode path_of(const RtTrainer *t, char *path)
{
  char name[64];

  PetscFunctionBegin;
  snprintf(name, sizeof(name), "checkpoint/%s.nc", t->params->role);
  PetscCall(rt_file_join(t->params->dir, name, path, PETSC_MAX_PATH_LEN));
  PetscFunctionReturn(0);
}

/* One moment of all ranks on rank 0: whole, [flat]. In each range, parts lie one after the other in the order of ranks.
   Where each rank has all, its own is whole already. */
static PetscErrorCode gather_moment(const RtTrainer *t, int m, float *whole)
{
  int *counts = NULL, *firsts = NULL;
  int64_t at = 0, first, count;
  MPI_Datatype block;

  PetscFunctionBegin;
  if (rt_reduce_owned(t->reduce) == t->graph->flat) {
    if (t->rank == ROOT) PetscCall(PetscArraycpy(whole, t->moment[m], t->graph->flat));
    PetscFunctionReturn(0);
  }
  PetscCallMPI(MPI_Type_contiguous(BLOCK, MPI_FLOAT, &block));
  PetscCallMPI(MPI_Type_commit(&block));
  PetscCall(PetscMalloc2(t->size, &counts, t->size, &firsts));
  for (int k = 0; k < rt_reduce_ranges(t->reduce); k++, at += count) {
    int blocks, begin;

    rt_reduce_own(t->reduce, k, &first, &count);
    blocks = (int)(count / BLOCK);
    begin = (int)(first / BLOCK);
    PetscCallMPI(MPI_Gather(&blocks, 1, MPI_INT, counts, 1, MPI_INT, ROOT, t->comm));
    PetscCallMPI(MPI_Gather(&begin, 1, MPI_INT, firsts, 1, MPI_INT, ROOT, t->comm));
    PetscCallMPI(MPI_Gatherv(t->moment[m] + at, blocks, block, whole, counts, firsts, block, ROOT, t->comm));
  }
  PetscCall(PetscFree2(counts, firsts));
  PetscCallMPI(MPI_Type_free(&block));
  PetscFunctionReturn(0);
}

/* The own parts of a whole moment. */
static PetscErrorCode take_moment(RtTrainer *t, int m, const float *whole)
{
  int64_t at = 0, first, count;

  PetscFunctionBegin;
  for (int k = 0; k < rt_reduce_ranges(t->reduce); k++, at += count) {
    rt_reduce_own(t->reduce, k, &first, &count);
    PetscCall(PetscArraycpy(t->moment[m] + at, whole + first, count));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode put_flat(RtArchive *archive, const char *name, const char *long_name, const float *data)
{
  RtArchiveArray array = {.name = name,
                          .units = "1",
                          .long_name = long_name,
                          .dimension = {"flat"},
                          .type = RT_ARCHIVE_FLOAT,
                          .data = data};

  PetscFunctionBegin;
  PetscCall(rt_archive_put(archive, &array));
  PetscFunctionReturn(0);
}

static PetscErrorCode put_state(const RtTrainer *t, RtArchive *archive, const RtExact *sum)
{
  int64_t word[RT_SUMS * RT_EXACT_WORDS], counter[2] = {t->step, t->best_epoch};
  double best[2] = {t->best_accuracy, t->best_loss};
  RtArchiveArray array = {.name = "counters",
                          .units = "1",
                          .long_name = "steps done, best epoch",
                          .dimension = {"counter"},
                          .type = RT_ARCHIVE_INT64,
                          .data = counter};

  PetscFunctionBegin;
  for (int s = 0; s < RT_SUMS; s++) rt_exact_pack(&sum[s], word + s * RT_EXACT_WORDS);
  PetscCall(rt_archive_dimension(archive, "flat", t->graph->flat));
  PetscCall(rt_archive_dimension(archive, "counter", 2));
  PetscCall(rt_archive_dimension(archive, "sum_word", RT_SUMS * RT_EXACT_WORDS));
  PetscCall(rt_archive_put(archive, &array));
  array = (RtArchiveArray){.name = "best",
                           .units = "1",
                           .long_name = "accuracy and loss of the best epoch",
                           .dimension = {"counter"},
                           .type = RT_ARCHIVE_DOUBLE,
                           .data = best};
  PetscCall(rt_archive_put(archive, &array));
  array = (RtArchiveArray){.name = "sums",
                           .units = "1",
                           .long_name = "exact sums of the epoch that is not done",
                           .dimension = {"sum_word"},
                           .type = RT_ARCHIVE_INT64,
                           .data = word};
  PetscCall(rt_archive_put(archive, &array));
  PetscCall(put_flat(archive, "parameters", "parameters of the model", t->parameter));
  if (t->best) PetscCall(put_flat(archive, "best_parameters", "parameters of the best epoch", t->best));
  if (t->records) {
    PetscCall(rt_archive_dimension(archive, "epoch", t->records));
    PetscCall(rt_archive_dimension(archive, "column", RT_HISTORY_COLUMNS));
    array = (RtArchiveArray){.name = "history",
                             .units = "1",
                             .long_name = "history of the epochs that are done",
                             .dimension = {"epoch", "column"},
                             .type = RT_ARCHIVE_DOUBLE,
                             .data = t->history};
    PetscCall(rt_archive_put(archive, &array));
  }
  PetscCall(rt_archive_put_text(archive, NULL, "role", t->params->role));
  PetscCall(rt_archive_put_text(archive, NULL, "options", t->params->record));
  PetscFunctionReturn(0);
}

static PetscErrorCode open_file(const RtTrainer *t, RtArchive **archive)
{
  char path[PETSC_MAX_PATH_LEN], folder[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  PetscCall(rt_file_join(t->params->dir, "checkpoint", folder, sizeof(folder)));
  PetscCall(rt_file_mkdir(folder));
  PetscCall(path_of(t, path));
  PetscCall(rt_archive_create(path, "Checkpoint of training", archive));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_checkpoint_write(RtTrainer *t)
{
  RtArchive *archive = NULL;
  RtExact sum[RT_SUMS];
  PetscErrorCode error = 0;
  float *whole = NULL;

  PetscFunctionBegin;
  memcpy(sum, t->sum, sizeof(sum));
  for (int i = 0; i < t->params->threads; i++)
    for (int s = 0; s < RT_SUMS; s++) rt_exact_merge(&sum[s], &t->lane[i].sum[s]);
  PetscCall(rt_exact_allreduce(t->comm, RT_SUMS, sum));
  if (t->rank == ROOT) error = open_file(t, &archive);
  if (t->rank == ROOT && !error) error = put_state(t, archive, sum);
  if (t->rank == ROOT) PetscCall(rt_memory_create((size_t)t->graph->flat * sizeof(float), &whole));
  for (int m = 0; m < t->params->optimizer->moments; m++) {
    PetscCall(gather_moment(t, m, whole));
    if (t->rank == ROOT && !error) error = put_flat(archive, moment_name[m], "state of the optimizer", whole);
  }
  if (t->rank == ROOT && error && archive) PetscCall(rt_archive_discard(&archive));
  if (t->rank == ROOT && !error) error = rt_archive_commit(&archive);
  PetscCall(rt_memory_destroy(&whole));
  t->saved = MPI_Wtime();
  RtAgree(t->comm, error);
  PetscFunctionReturn(0);
}

/* Each rank reads what it needs: all parameters, its own part of the moments by way of a whole one. */
static PetscErrorCode get_state(RtTrainer *t, RtArchive *archive)
{
  int64_t counter[2], word[RT_SUMS * RT_EXACT_WORDS], records;
  double best[2];
  float *whole = NULL;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_archive_get(archive, "counters", RT_ARCHIVE_INT64, 2, counter));
  PetscCall(rt_archive_get(archive, "best", RT_ARCHIVE_DOUBLE, 2, best));
  PetscCall(rt_archive_get(archive, "sums", RT_ARCHIVE_INT64, RT_SUMS * RT_EXACT_WORDS, word));
  PetscCall(rt_archive_get(archive, "parameters", RT_ARCHIVE_FLOAT, t->graph->flat, t->parameter));
  if (t->best) PetscCall(rt_archive_get(archive, "best_parameters", RT_ARCHIVE_FLOAT, t->graph->flat, t->best));
  records = PetscMax(0, rt_archive_length(archive, "history") / RT_HISTORY_COLUMNS);
  RtCheck(counter[0] >= 0 && counter[0] <= t->params->epochs * t->steps && records == counter[0] / t->steps,
          "the checkpoint of the %s holds an impossible step; remove %s/checkpoint to start over", t->params->role,
          t->params->dir);
  if (records)
    PetscCall(rt_archive_get(archive, "history", RT_ARCHIVE_DOUBLE, records * RT_HISTORY_COLUMNS, t->history));
  PetscCall(rt_memory_create((size_t)t->graph->flat * sizeof(float), &whole));
  for (int m = 0; m < t->params->optimizer->moments && !error; m++) {
    error = rt_archive_get(archive, moment_name[m], RT_ARCHIVE_FLOAT, t->graph->flat, whole);
    if (!error) PetscCall(take_moment(t, m, whole));
  }
  PetscCall(rt_memory_destroy(&whole));
  PetscCall(error);
  t->step = counter[0];
  t->records = records;
  t->best_epoch = counter[1];
  t->best_accuracy = best[0];
  t->best_loss = best[1];
  for (int s = 0; s < RT_SUMS && t->rank == ROOT; s++) rt_exact_unpack(&t->sum[s], word + s * RT_EXACT_WORDS);
  PetscFunctionReturn(0);
}

static PetscErrorCode read_file(RtTrainer *t, const char *path, bool *found)
{
  char name[64], old_value[96], new_value[96], *record = NULL;
  RtArchive *archive = NULL;
  PetscErrorCode error;
  bool differs = false;

  PetscFunctionBegin;
  PetscCall(rt_archive_open(path, &archive));
  error = rt_archive_get_text(archive, "options", &record);
  if (!error) differs = rt_options_differ(record ? record : "", t->params->record, name, old_value, new_value);
  if (!error && !differs) error = get_state(t, archive);
  PetscCall(PetscFree(record));
  PetscCall(rt_archive_close(&archive));
  PetscCall(error);
  if (differs && !t->params->force)
    RtFail("%s was written with -%s %s, now it is %s; go on with the old value, or start over with -run_force", path,
           name, old_value, new_value);
  *found = !differs;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_checkpoint_read(RtTrainer *t, bool *found)
{
  char path[PETSC_MAX_PATH_LEN];
  int there = 0;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  *found = false;
  PetscCall(path_of(t, path));
  if (t->rank == ROOT) there = rt_file_exists(path);
  PetscCallMPI(MPI_Bcast(&there, 1, MPI_INT, ROOT, t->comm));
  if (there) error = read_file(t, path, found);
  RtAgree(t->comm, error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_trainer_clean(MPI_Comm comm, const RtTrainerParams *params)
{
  RtTrainer t = {.params = params};
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(comm, &t.rank));
  PetscCall(path_of(&t, path));
  if (t.rank == ROOT) error = rt_file_remove(path);
  RtAgree(comm, error);
  PetscFunctionReturn(0);
}
