/* The checkpoints of a training run: when one is due, the state gathered on rank 0, written while training goes on, and
   read again by the next start, on any number of ranks. */
#include "core/background.h"
#include "core/file.h"
#include "core/message.h"
#include "job/files.h"
#include "train/generations.h"
#include "train/snapshot.h"

#include <stdio.h>
#include <string.h>

enum {
  ROOT = 0,
  PIECE = 1 << 28, /* floats in one broadcast */
  LOOK = 16        /* steps from one look at the clock to the next */
};

struct RtCheckpoint {
  const RtTrainerParams *params;
  int64_t step, records; /* of the last one that was written or read; step -1: none */
  double time;           /* seconds, when that was */
  /* On rank 0, from the first one on. */
  RtSnapshot *state;
  RtBackground *background;
  int64_t ticket;
  bool pending;         /* nobody has waited for it yet */
  PetscErrorCode error; /* of that one, valid once it is done */
};

PetscErrorCode rt_checkpoint_start(RtTrainer *t)
{
  PetscFunctionBegin;
  PetscCall(PetscNew(&t->checkpoint));
  t->checkpoint->params = t->params;
  t->checkpoint->step = -1;
  t->checkpoint->time = MPI_Wtime();
  PetscFunctionReturn(0);
}

PetscErrorCode rt_checkpoint_finish(RtTrainer *t)
{
  RtCheckpoint *c = t->checkpoint;

  PetscFunctionBegin;
  if (!c) PetscFunctionReturn(0);
  PetscCall(rt_background_destroy(&c->background));
  PetscCall(rt_snapshot_destroy(&c->state));
  PetscCall(PetscFree(t->checkpoint));
  PetscFunctionReturn(0);
}

/* --- what a rank owns of the moments ------------------------------------------------------------------------------ */

/* Collective. Whether each rank has all is the same on all. */
static bool everyone_has_all(const RtTrainer *t)
{
  return t->size == 1 || t->params->reduce == RT_REDUCE_FAST;
}

/* Collective. One moment of all ranks into `whole`, [flat] on rank 0. */
static PetscErrorCode gather_moment(const RtTrainer *t, int m, float *whole)
{
  const RtParts *parts = rt_reduce_parts(t->reduce);
  MPI_Datatype block;
  int64_t at = 0;

  PetscFunctionBegin;
  if (everyone_has_all(t)) {
    if (t->rank == ROOT) PetscCall(PetscArraycpy(whole, t->moment[m], t->graph->flat));
    PetscFunctionReturn(0);
  }
  PetscCallMPI(MPI_Type_contiguous(RT_PARTS_BLOCK, MPI_FLOAT, &block));
  PetscCallMPI(MPI_Type_commit(&block));
  for (int k = 0; k < parts->ranges; k++) {
    const int *counts = parts->block_count + k * t->size, *firsts = parts->block_first + k * t->size;

    PetscCallMPI(MPI_Gatherv(t->moment[m] + at, counts[t->rank], block, whole, counts, firsts, block, ROOT, t->comm));
    at += (int64_t)counts[t->rank] * RT_PARTS_BLOCK;
  }
  PetscCallMPI(MPI_Type_free(&block));
  PetscFunctionReturn(0);
}

/* Collective. The same numbers for all. */
static PetscErrorCode spread(const RtTrainer *t, int64_t count, float *number)
{
  PetscFunctionBegin;
  for (int64_t at = 0; at < count; at += PIECE)
    PetscCallMPI(MPI_Bcast(number + at, (int)PetscMin(count - at, PIECE), MPI_FLOAT, ROOT, t->comm));
  PetscFunctionReturn(0);
}

/* Collective. Each rank's part of a moment, from the whole on rank 0. */
static PetscErrorCode scatter_moment(RtTrainer *t, int m, const float *whole)
{
  const RtParts *parts = rt_reduce_parts(t->reduce);
  MPI_Datatype block;
  int64_t at = 0;

  PetscFunctionBegin;
  if (everyone_has_all(t)) {
    if (t->rank == ROOT) PetscCall(PetscArraycpy(t->moment[m], whole, t->graph->flat));
    PetscCall(spread(t, t->graph->flat, t->moment[m]));
    PetscFunctionReturn(0);
  }
  PetscCallMPI(MPI_Type_contiguous(RT_PARTS_BLOCK, MPI_FLOAT, &block));
  PetscCallMPI(MPI_Type_commit(&block));
  for (int k = 0; k < parts->ranges; k++) {
    const int *counts = parts->block_count + k * t->size, *firsts = parts->block_first + k * t->size;

    PetscCallMPI(MPI_Scatterv(whole, counts, firsts, block, t->moment[m] + at, counts[t->rank], block, ROOT, t->comm));
    at += (int64_t)counts[t->rank] * RT_PARTS_BLOCK;
  }
  PetscCallMPI(MPI_Type_free(&block));
  PetscFunctionReturn(0);
}

/* What a teacher that goes after the student keeps; NULL: there is none. */
static float *kept_by_teacher(const RtTrainer *t, int64_t *count)
{
  const RtTeacher *teacher = t->params->teacher;

  *count = 0;
  return teacher && teacher->kept ? teacher->kept(teacher->context, count) : NULL;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static PetscErrorCode write_file(const RtCheckpoint *c)
{
  const RtTrainerParams *p = c->params;
  const RtSnapshot *s = c->state;
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  PetscCall(rt_generations_path(p->dir, p->role, s->step, path));
  PetscCall(rt_snapshot_write(s, path));
  PetscCall(rt_generations_prune(p->dir, p->role, s->step, p->checkpoint_keep,
                                 s->best_epoch ? s->best_epoch * s->steps : s->step));
  PetscFunctionReturn(0);
}

/* The job of the thread in the background. */
static PetscErrorCode save(void *context)
{
  RtCheckpoint *c = context;

  PetscFunctionBegin;
  c->error = write_file(c);
  PetscFunctionReturn(c->error);
}

/* On rank 0: what the file needs, but for the moments of other ranks. */
static PetscErrorCode copy_state(const RtTrainer *t, const RtExact *sum)
{
  RtCheckpoint *c = t->checkpoint;
  char folder[PETSC_MAX_PATH_LEN];
  RtSnapshot *s;
  int64_t kept;

  PetscFunctionBegin;
  if (!c->background) {
    PetscCall(rt_background_create(&c->background));
    PetscCall(rt_files_path(t->params->dir, RT_FILES_CHECKPOINT, NULL, folder));
    PetscCall(rt_file_mkdir(folder));
  }
  if (!c->state) PetscCall(rt_snapshot_create(t, &c->state));
  s = c->state;
  if (t->best_epoch && t->best_epoch != s->best_epoch) {
    PetscCall(PetscArraycpy(s->best, t->best, s->flat));
    PetscCall(PetscArraycpy(s->best_state, t->best_state, s->state_flat));
  }
  s->step = t->step;
  s->records = t->records;
  s->best_epoch = t->best_epoch;
  s->best_accuracy = t->best_accuracy;
  s->best_loss = t->best_loss;
  memcpy(s->sum, sum, sizeof(s->sum));
  PetscCall(PetscArraycpy(s->parameter, t->parameter, s->flat));
  PetscCall(PetscArraycpy(s->state, t->graph->state, s->state_flat));
  if (s->kept) PetscCall(PetscArraycpy(s->teacher, kept_by_teacher(t, &kept), s->kept));
  PetscCall(PetscArraycpy(s->history, t->history, s->records * t->columns));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_checkpoint_write(RtTrainer *t)
{
  RtCheckpoint *c = t->checkpoint;
  RtExact sum[RT_SUMS_MOST];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  if (c->step == t->step && c->records == t->records) PetscFunctionReturn(0);
  PetscCall(rt_guard_parameters(t)); /* none that nobody could go on with */
  PetscCall(rt_checkpoint_wait(t));
  memcpy(sum, t->sum, sizeof(sum));
  for (int i = 0; i < t->params->threads; i++)
    for (int s = 0; s < t->sums; s++) rt_exact_merge(&sum[s], &t->lane[i].sum[s]);
  PetscCall(rt_exact_allreduce(t->comm, t->sums, sum));
  if (t->rank == ROOT) error = copy_state(t, sum);
  RtAgree(t->comm, error);
  for (int m = 0; m < t->params->optimizer->moments; m++)
    PetscCall(gather_moment(t, m, t->rank == ROOT ? c->state->moment[m] : NULL));
  if (t->rank == ROOT) {
    PetscCall(rt_background_submit(c->background, save, c, &c->ticket));
    c->pending = true;
  }
  c->step = t->step;
  c->records = t->records;
  c->time = MPI_Wtime();
  t->saved_step = t->step;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_checkpoint_wait(RtTrainer *t)
{
  RtCheckpoint *c = t->checkpoint;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  if (c->pending) error = rt_background_wait(c->background, c->ticket);
  c->pending = false;
  RtAgree(t->comm, error);
  PetscFunctionReturn(0);
}

bool rt_checkpoint_failed(const RtTrainer *t)
{
  const RtCheckpoint *c = t->checkpoint;

  return c->pending && rt_background_done(c->background, c->ticket) && c->error;
}

PetscErrorCode rt_checkpoint_step(RtTrainer *t)
{
  const RtTrainerParams *p = t->params;
  bool end = t->step % t->steps == 0;
  int due = p->checkpoint_steps > 0 && t->step % p->checkpoint_steps == 0;

  PetscFunctionBegin;
  if (t->step == p->epochs * t->steps) PetscFunctionReturn(0); /* the model comes instead */
  if (end && p->checkpoint_epochs > 0 && t->step / t->steps % p->checkpoint_epochs == 0) due = 1;
  if (!due && p->checkpoint_seconds > 0 && (end || t->step % LOOK == 0)) {
    due = MPI_Wtime() - t->checkpoint->time > p->checkpoint_seconds;
    PetscCallMPI(MPI_Bcast(&due, 1, MPI_INT, ROOT, t->comm)); /* rank 0's clock decides */
  }
  if (due) PetscCall(rt_checkpoint_write(t));
  PetscFunctionReturn(0);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* On rank 0: written with other options than those of now. */
static PetscErrorCode refuse(const RtTrainer *t, const char *path, const RtSnapshotOptions *options)
{
  PetscFunctionBegin;
  if (!t->params->force)
    RtFail("%s was written with %s %s, now it is %s; go on with the old value, or start over with -run_force", path,
           options->name, options->before[0] ? options->before : "absent", options->now[0] ? options->now : "absent");
  PetscCall(rt_generations_remove(t->params->dir, t->params->role));
  PetscFunctionReturn(0);
}

/* On rank 0: the newest file that is whole, from step[count - 1] down. */
static PetscErrorCode read_newest(RtTrainer *t, int count, const int64_t *step, bool *found)
{
  RtCheckpoint *c = t->checkpoint;
  RtSnapshotOptions options = {.differs = false};
  char path[PETSC_MAX_PATH_LEN], text[2048];

  PetscFunctionBegin;
  for (int i = count - 1; i >= 0 && !*found && !options.differs; i--) {
    PetscCall(rt_generations_path(t->params->dir, t->params->role, step[i], path));
    if (!rt_snapshot_read(c->state, path, &options)) {
      *found = !options.differs;
      continue;
    }
    rt_message_take(text, sizeof(text));
    rt_message_note("%s; %s", text, i ? "the checkpoint before it is tried" : "no other checkpoint is left");
  }
  if (options.differs) PetscCall(refuse(t, path, &options));
  if (!*found && !options.differs)
    rt_message_note("no checkpoint of the %s is whole: its training starts from the beginning", t->params->role);
  PetscFunctionReturn(0);
}

static PetscErrorCode read_files(RtTrainer *t, bool *found)
{
  RtCheckpoint *c = t->checkpoint;
  PetscErrorCode error = 0;
  int64_t *step;
  int count;

  PetscFunctionBegin;
  PetscCall(rt_generations_list(t->params->dir, t->params->role, &count, &step));
  if (count) error = rt_snapshot_create(t, &c->state);
  if (count && !error) error = read_newest(t, count, step, found);
  if (!*found) PetscCall(rt_snapshot_destroy(&c->state));
  PetscCall(PetscFree(step));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Collective. The state that rank 0 has read, for all. */
static PetscErrorCode take_state(RtTrainer *t)
{
  const RtSnapshot *s = t->checkpoint->state;
  int64_t counter[3] = {0}, kept;
  double best[2] = {0};
  float *teacher = kept_by_teacher(t, &kept);

  PetscFunctionBegin;
  if (t->rank == ROOT) {
    memcpy(counter, (int64_t[]){s->step, s->records, s->best_epoch}, sizeof(counter));
    memcpy(best, (double[]){s->best_accuracy, s->best_loss}, sizeof(best));
    memcpy(t->sum, s->sum, sizeof(t->sum)); /* over all ranks: they stay on this one */
    PetscCall(PetscArraycpy(t->parameter, s->parameter, s->flat));
    PetscCall(PetscArraycpy(t->graph->state, s->state, s->state_flat));
    if (kept) PetscCall(PetscArraycpy(teacher, s->teacher, kept));
    if (s->best_epoch) PetscCall(PetscArraycpy(t->best, s->best, s->flat));
    if (s->best_epoch) PetscCall(PetscArraycpy(t->best_state, s->best_state, s->state_flat));
    PetscCall(PetscArraycpy(t->history, s->history, s->records * t->columns));
  }
  PetscCallMPI(MPI_Bcast(counter, 3, MPI_INT64_T, ROOT, t->comm));
  PetscCallMPI(MPI_Bcast(best, 2, MPI_DOUBLE, ROOT, t->comm));
  t->step = t->checkpoint->step = counter[0];
  t->records = t->checkpoint->records = counter[1];
  t->best_epoch = counter[2];
  t->best_accuracy = best[0];
  t->best_loss = best[1];
  PetscCallMPI(MPI_Bcast(t->history, (int)t->records * t->columns, MPI_DOUBLE, ROOT, t->comm));
  PetscCall(spread(t, t->graph->flat, t->parameter));
  PetscCall(spread(t, t->graph->state_flat, t->graph->state));
  PetscCall(spread(t, kept, teacher));
  if (kept) PetscCall(t->params->teacher->taken(t->params->teacher->context));
  if (t->best_epoch) PetscCall(spread(t, t->graph->flat, t->best));
  if (t->best_epoch) PetscCall(spread(t, t->graph->state_flat, t->best_state));
  for (int m = 0; m < t->params->optimizer->moments; m++)
    PetscCall(scatter_moment(t, m, t->rank == ROOT ? s->moment[m] : NULL));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_checkpoint_read(RtTrainer *t, bool *found)
{
  PetscErrorCode error = 0;
  int answer;

  PetscFunctionBegin;
  *found = false;
  if (t->rank == ROOT) error = read_files(t, found);
  RtAgree(t->comm, error);
  answer = *found;
  PetscCallMPI(MPI_Bcast(&answer, 1, MPI_INT, ROOT, t->comm));
  *found = answer;
  if (answer) PetscCall(take_state(t));
  t->checkpoint->time = MPI_Wtime();
  PetscFunctionReturn(0);
}

PetscErrorCode rt_trainer_clean(MPI_Comm comm, const RtTrainerParams *params)
{
  PetscErrorCode error = 0;
  int rank;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (rank == ROOT) error = rt_generations_remove(params->dir, params->role);
  RtAgree(comm, error);
  PetscFunctionReturn(0);
}
