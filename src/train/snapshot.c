#include "train/snapshot.h"

#include "core/memory.h"
#include "job/record.h"
#include "netcdf/archive.h"
#include "netcdf/seal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STEP, STEPS, BEST_EPOCH, COUNTERS };

static const char title[] = "Checkpoint of training";
static const char sum_names[] = "sum_names", column_names[] = "history_columns"; /* older files have neither */
static const char *const moment_name[2] = {"first_moment", "second_moment"};

PetscErrorCode rt_snapshot_create(const RtTrainer *t, RtSnapshot **snapshot)
{
  size_t bytes = (size_t)t->graph->flat * sizeof(float);
  RtSnapshot *s;

  PetscFunctionBegin;
  PetscCall(PetscNew(&s));
  *snapshot = s;
  s->role = t->params->role;
  s->record = t->params->record;
  s->defaults = t->params->defaults;
  s->flat = t->graph->flat;
  s->state_flat = t->graph->state_flat;
  s->epochs = t->params->epochs;
  s->steps = t->steps;
  s->sums = t->sums;
  s->columns = t->columns;
  s->sum_name = t->sum_name;
  s->column = t->column;
  s->moments = t->params->optimizer->moments;
  PetscCall(rt_memory_create(bytes, &s->parameter));
  if (t->best) PetscCall(rt_memory_create(bytes, &s->best));
  PetscCall(PetscMalloc2(s->state_flat, &s->state, s->state_flat, &s->best_state));
  if (t->params->teacher && t->params->teacher->kept)
    (void)t->params->teacher->kept(t->params->teacher->context, &s->kept);
  if (s->kept) PetscCall(rt_memory_create((size_t)s->kept * sizeof(float), &s->teacher));
  for (int m = 0; m < s->moments; m++) PetscCall(rt_memory_create(bytes, &s->moment[m]));
  PetscCall(PetscCalloc1(s->epochs * s->columns, &s->history));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_snapshot_destroy(RtSnapshot **snapshot)
{
  RtSnapshot *s = *snapshot;

  PetscFunctionBegin;
  if (!s) PetscFunctionReturn(0);
  PetscCall(rt_memory_destroy(&s->parameter));
  PetscCall(rt_memory_destroy(&s->best));
  for (int m = 0; m < 2; m++) PetscCall(rt_memory_destroy(&s->moment[m]));
  PetscCall(PetscFree2(s->state, s->best_state));
  PetscCall(rt_memory_destroy(&s->teacher));
  PetscCall(PetscFree(s->history));
  PetscCall(PetscFree(*snapshot));
  PetscFunctionReturn(0);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static PetscErrorCode put(RtArchive *archive, const char *name, const char *long_name, const char *dimension,
                          RtArchiveType type, const void *data)
{
  RtArchiveArray array = {
      .name = name, .units = "1", .long_name = long_name, .dimension = {dimension}, .type = type, .data = data};

  PetscFunctionBegin;
  if (!strcmp(dimension, "epoch")) array.dimension[1] = "column";
  PetscCall(rt_archive_put(archive, &array));
  PetscFunctionReturn(0);
}

/* Names with blanks between; `stride` bytes from one to the next. */
static PetscErrorCode put_names(RtArchive *archive, const char *attribute, int count, const char *name, size_t stride)
{
  char text[RT_HISTORY_MOST * sizeof(((RtHistoryColumn *)0)->name)];
  size_t used = 0;

  PetscFunctionBegin;
  for (int i = 0; i < count; i++)
    used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? " " : "", name + (size_t)i * stride);
  PetscCall(rt_archive_put_text(archive, NULL, attribute, text));
  PetscFunctionReturn(0);
}

static PetscErrorCode put_small(RtArchive *archive, const RtSnapshot *s)
{
  int64_t word[RT_SUMS_MOST * RT_EXACT_WORDS];
  int64_t counter[COUNTERS] = {[STEP] = s->step, [STEPS] = s->steps, [BEST_EPOCH] = s->best_epoch};
  double best[2] = {s->best_accuracy, s->best_loss};

  PetscFunctionBegin;
  for (int i = 0; i < s->sums; i++) rt_exact_pack(&s->sum[i], word + i * RT_EXACT_WORDS);
  PetscCall(rt_archive_put_text(archive, NULL, "role", s->role));
  PetscCall(rt_archive_put_record(archive, s->record));
  PetscCall(rt_archive_dimension(archive, "flat", s->flat));
  PetscCall(rt_archive_dimension(archive, "counter", COUNTERS));
  PetscCall(rt_archive_dimension(archive, "measure", 2));
  PetscCall(rt_archive_dimension(archive, "sum_word", s->sums * RT_EXACT_WORDS));
  PetscCall(
      put(archive, "counters", "steps done, steps in an epoch, best epoch", "counter", RT_ARCHIVE_INT64, counter));
  PetscCall(put(archive, "best", "accuracy and loss of the best epoch", "measure", RT_ARCHIVE_DOUBLE, best));
  PetscCall(put(archive, "sums", "exact sums of the epoch that is not done", "sum_word", RT_ARCHIVE_INT64, word));
  PetscCall(put_names(archive, sum_names, s->sums, s->sum_name[0], sizeof(*s->sum_name)));
  PetscCall(put_names(archive, column_names, s->columns, s->column->name, sizeof(*s->column)));
  if (!s->records) PetscFunctionReturn(0);
  PetscCall(rt_archive_dimension(archive, "epoch", s->records));
  PetscCall(rt_archive_dimension(archive, "column", s->columns));
  PetscCall(put(archive, "history", "history of the epochs that are done", "epoch", RT_ARCHIVE_DOUBLE, s->history));
  PetscFunctionReturn(0);
}

static PetscErrorCode put_all(RtArchive *archive, const RtSnapshot *s)
{
  PetscFunctionBegin;
  PetscCall(put_small(archive, s));
  PetscCall(put(archive, "parameters", "parameters of the model", "flat", RT_ARCHIVE_FLOAT, s->parameter));
  if (s->best_epoch)
    PetscCall(put(archive, "best_parameters", "parameters of the best epoch", "flat", RT_ARCHIVE_FLOAT, s->best));
  for (int m = 0; m < s->moments; m++)
    PetscCall(put(archive, moment_name[m], "state of the optimizer", "flat", RT_ARCHIVE_FLOAT, s->moment[m]));
  if (s->kept) {
    PetscCall(rt_archive_dimension(archive, "teacher_flat", s->kept));
    PetscCall(put(archive, "teacher", "parameters of the teacher that goes after the student", "teacher_flat",
                  RT_ARCHIVE_FLOAT, s->teacher));
  }
  if (!s->state_flat) PetscFunctionReturn(0);
  PetscCall(rt_archive_dimension(archive, "state_flat", s->state_flat));
  PetscCall(put(archive, "state", "running statistics of the model", "state_flat", RT_ARCHIVE_FLOAT, s->state));
  if (s->best_epoch)
    PetscCall(put(archive, "best_state", "running statistics of the best epoch", "state_flat", RT_ARCHIVE_FLOAT,
                  s->best_state));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_snapshot_write(const RtSnapshot *snapshot, const char *path)
{
  RtArchive *archive = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_archive_create(path, title, &archive));
  rt_archive_seal(archive);
  error = put_all(archive, snapshot);
  if (error) PetscCall(rt_archive_discard(&archive));
  PetscCall(error);
  PetscCall(rt_archive_commit(&archive));
  PetscFunctionReturn(0);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Open a file whose every byte is as it was written: HDF5 is not asked about damaged ones, which may crash it. */
static PetscErrorCode open_whole(const char *path, RtArchive **archive)
{
  RtSeal seal;

  PetscFunctionBegin;
  PetscCall(rt_seal_check(path, NULL, &seal));
  RtCheck(seal != RT_SEAL_NONE, "%s is damaged: it is cut off, or its end was altered", path);
  RtCheck(seal == RT_SEAL_WHOLE, "%s is damaged: its checksum is not that of its content", path);
  PetscCall(rt_archive_open(path, archive));
  PetscFunctionReturn(0);
}

/* Which of the words of a list a name is; -1: none. count: how many they are. */
static int find_word(const char *list, const char *name, int *count)
{
  int found = -1;

  *count = 0;
  for (const char *at = list; *at; at += strspn(at, " ")) {
    const size_t length = strcspn(at, " ");

    if (name && length == strlen(name) && !strncmp(at, name, length)) found = *count;
    (*count)++;
    at += length;
  }
  return found;
}

static int words_of(const char *list)
{
  int count;

  (void)find_word(list, NULL, &count);
  return count;
}

/* Sums by name; those that the file does not have begin at 0. */
static PetscErrorCode get_sums(RtSnapshot *s, const RtArchive *archive, const char *names)
{
  const int there = names ? words_of(names) : s->sums;
  int64_t *word;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1((there + 1) * RT_EXACT_WORDS, &word));
  error = rt_archive_get(archive, "sums", RT_ARCHIVE_INT64, there * RT_EXACT_WORDS, word);
  for (int i = 0, count; i < s->sums && !error; i++) {
    const int from = names ? find_word(names, s->sum_name[i], &count) : i;

    s->sum[i] = (RtExact){0};
    if (from >= 0) rt_exact_unpack(&s->sum[i], word + from * RT_EXACT_WORDS);
  }
  PetscCall(PetscFree(word));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Columns by name; those that the file does not have are NaN. records: of the file, not yet checked. */
static PetscErrorCode get_history(RtSnapshot *s, const RtArchive *archive, const char *names, int64_t records)
{
  const int there = names ? words_of(names) : s->columns;
  double *table;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (!records) PetscFunctionReturn(0);
  PetscCall(PetscMalloc1(records * there + 1, &table));
  error = rt_archive_get(archive, "history", RT_ARCHIVE_DOUBLE, records * there, table);
  for (int c = 0, count; c < s->columns && !error; c++) {
    const int from = names ? find_word(names, s->column[c].name, &count) : c;

    for (int64_t r = 0; r < records; r++) s->history[r * s->columns + c] = from < 0 ? NAN : table[r * there + from];
  }
  PetscCall(PetscFree(table));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* What stands in a file of this run beside the history and the sums. columns: of the file. */
static PetscErrorCode get_numbers(RtSnapshot *s, const char *path, const RtArchive *archive, int columns)
{
  int64_t counter[COUNTERS], done;
  double best[2];

  PetscFunctionBegin;
  PetscCall(rt_archive_get(archive, "counters", RT_ARCHIVE_INT64, COUNTERS, counter));
  PetscCall(rt_archive_get(archive, "best", RT_ARCHIVE_DOUBLE, 2, best));
  s->records = columns > 0 ? PetscMax(0, rt_archive_length(archive, "history") / columns) : -1;
  s->step = counter[STEP];
  s->best_epoch = counter[BEST_EPOCH];
  s->best_accuracy = best[0];
  s->best_loss = best[1];
  done = s->step / s->steps; /* an epoch whose steps are done may still lack its end */
  RtCheck(counter[STEPS] == s->steps && s->step >= 0 && done <= s->epochs && s->records <= done &&
              s->records >= (s->step - 1) / s->steps && s->best_epoch >= 0 && s->best_epoch <= s->records &&
              (s->best || !s->best_epoch),
          "%s holds an impossible state", path);
  PetscCall(rt_archive_get(archive, "parameters", RT_ARCHIVE_FLOAT, s->flat, s->parameter));
  if (s->best_epoch) PetscCall(rt_archive_get(archive, "best_parameters", RT_ARCHIVE_FLOAT, s->flat, s->best));
  for (int m = 0; m < s->moments; m++)
    PetscCall(rt_archive_get(archive, moment_name[m], RT_ARCHIVE_FLOAT, s->flat, s->moment[m]));
  if (s->kept) PetscCall(rt_archive_get(archive, "teacher", RT_ARCHIVE_FLOAT, s->kept, s->teacher));
  if (!s->state_flat) PetscFunctionReturn(0);
  PetscCall(rt_archive_get(archive, "state", RT_ARCHIVE_FLOAT, s->state_flat, s->state));
  if (s->best_epoch) PetscCall(rt_archive_get(archive, "best_state", RT_ARCHIVE_FLOAT, s->state_flat, s->best_state));
  PetscFunctionReturn(0);
}

static PetscErrorCode get_all(RtSnapshot *s, const char *path, const RtArchive *archive)
{
  char *sums = NULL, *columns = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_archive_get_text(archive, sum_names, &sums));
  PetscCall(rt_archive_get_text(archive, column_names, &columns));
  error = get_numbers(s, path, archive, columns ? words_of(columns) : s->columns);
  if (!error) error = get_sums(s, archive, sums);
  if (!error) error = get_history(s, archive, columns, s->records);
  PetscCall(PetscFree(sums));
  PetscCall(PetscFree(columns));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_snapshot_read(RtSnapshot *snapshot, const char *path, RtSnapshotOptions *options)
{
  RtArchive *archive = NULL;
  char *record = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(open_whole(path, &archive));
  error = rt_archive_get_record(archive, &record);
  if (!error)
    options->differs = rt_record_differ(record ? record : "", snapshot->record, snapshot->defaults, options->name,
                                        options->before, options->now);
  if (!error && !options->differs) error = get_all(snapshot, path, archive);
  PetscCall(PetscFree(record));
  PetscCall(rt_archive_close(&archive));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode describe(const RtArchive *archive, RtSnapshotInfo *info, bool *found)
{
  int64_t counter[COUNTERS];
  char *role, *names;
  int columns;

  PetscFunctionBegin;
  PetscCall(rt_archive_get_text(archive, "role", &role));
  *found = role && rt_archive_length(archive, "counters") == COUNTERS;
  if (*found) snprintf(info->role, sizeof(info->role), "%s", role);
  PetscCall(PetscFree(role));
  if (!*found) PetscFunctionReturn(0);
  PetscCall(rt_archive_get(archive, "counters", RT_ARCHIVE_INT64, COUNTERS, counter));
  info->step = counter[STEP];
  info->steps = counter[STEPS];
  info->best_epoch = counter[BEST_EPOCH];
  PetscCall(rt_archive_get_text(archive, column_names, &names));
  columns = names ? words_of(names) : RT_HISTORY_COLUMNS;
  PetscCall(PetscFree(names));
  info->records = columns ? PetscMax(0, rt_archive_length(archive, "history") / columns) : 0;
  info->flat = rt_archive_length(archive, "parameters");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_snapshot_describe(const char *path, RtSnapshotInfo *info, bool *found)
{
  RtArchive *archive = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(open_whole(path, &archive));
  error = describe(archive, info, found);
  PetscCall(rt_archive_close(&archive));
  PetscCall(error);
  PetscFunctionReturn(0);
}
