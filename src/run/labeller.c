#include "comm/agree.h"
#include "comm/counter.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/message.h"
#include "distill/recipe.h"
#include "run/model.h"
#include "run/predictor.h"
#include "run/stages.h"
#include "run/stop.h"
#include "run/store.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  const RtJob *job;
  RtDataset *dataset;
  const RtDatasetInfo *info;
  RtGraph *teacher;
  RtPredictor *predictor;
  RtAugment augment;
  RtLabelstoreInfo store;
  char dir[PETSC_MAX_PATH_LEN], *record;
  int64_t *sample; /* [shard] */
  float *logits;   /* [shard, views, classes] */
} Labeller;

static PetscErrorCode start(const RtJob *job, Labeller *l)
{
  const char *path;
  char hash[RT_HASH_TEXT];
  int width;

  PetscFunctionBegin;
  *l = (Labeller){.job = job};
  PetscCall(rt_job_need(job, "data_train", "the training set, from `retort import`", &path));
  PetscCall(rt_dataset_open(job->comm, path, &l->dataset));
  l->info = rt_dataset_info(l->dataset);
  PetscCall(rt_model_read(job, "teacher", l->info, &l->teacher, hash));
  PetscCall(rt_recipe_width(l->teacher, &width));
  PetscCall(rt_model_augment(job, l->info, &l->augment));
  PetscCall(rt_store_describe(job, l->info, hash, width, &l->augment, &l->store, l->dir));
  PetscCall(rt_options_record(job->options, RT_CONTENT_LABELS, &l->record));
  PetscCall(rt_predictor_create(l->teacher, rt_options_int(job->options, "label", "batch"),
                                strcmp(l->store.precision, "bf16") ? RT_PRECISION_FP32 : RT_PRECISION_BF16,
                                job->threads, &l->predictor));
  PetscCall(PetscMalloc1(PetscMin(l->store.shard, l->store.samples), &l->sample));
  PetscCall(rt_memory_create(
      (size_t)(PetscMin(l->store.shard, l->store.samples) * l->store.views * width) * sizeof(float), &l->logits));
  PetscFunctionReturn(0);
}

static PetscErrorCode finish(Labeller *l)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(l->sample));
  PetscCall(PetscFree(l->record));
  PetscCall(rt_memory_destroy(&l->logits));
  PetscCall(rt_predictor_destroy(&l->predictor));
  PetscCall(rt_graph_destroy(&l->teacher));
  PetscCall(rt_dataset_close(&l->dataset));
  PetscFunctionReturn(0);
}

/* Where the rows of a micro-batch go. */
typedef struct {
  float *logits;
  int width, views;
  int64_t view;
} Place;

static PetscErrorCode put_rows(void *context, int thread, int64_t at, int64_t rows, const int64_t *sample,
                               const float *logits)
{
  const Place *p = context;

  PetscFunctionBegin;
  (void)thread;
  for (int64_t r = 0; r < rows; r++) {
    for (int k = 0; k < p->width; k++)
      RtCheck(isfinite(logits[r * p->width + k]), "the teacher's output for sample %lld is not finite",
              (long long)sample[r]);
    memcpy(p->logits + ((at + r) * p->views + p->view) * p->width, logits + r * p->width,
           (size_t)p->width * sizeof(float));
  }
  PetscFunctionReturn(0);
}

/* The teacher's logits for `count` samples whose elements are in `samples`. logits: [count, views, classes]. */
static PetscErrorCode infer(Labeller *l, const RtSamples *samples, int64_t count, const int64_t *sample, float *logits)
{
  Place place = {.logits = logits, .width = l->store.classes, .views = l->store.views};
  RtPredictorRange range = {.samples = samples, .augment = &l->augment, .count = count, .sample = sample, .stride = 1};

  PetscFunctionBegin;
  for (place.view = 0; place.view < l->store.views; place.view++) {
    range.view = place.view;
    PetscCall(rt_predictor_run(l->predictor, &range, put_rows, &place));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode label_shard(Labeller *l, int64_t shard)
{
  int64_t count = rt_labelstore_count(&l->store, shard);
  RtSamples samples;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_STEP));
  PetscCall(rt_samples_load(l->dataset, shard * l->store.shard, count, &samples));
  for (int64_t i = 0; i < count; i++) l->sample[i] = samples.first + i;
  error = infer(l, &samples, count, l->sample, l->logits);
  PetscCall(rt_samples_free(&samples));
  PetscCall(error);
  PetscCall(rt_labelstore_write(l->dir, &l->store, shard, l->logits, l->record));
  PetscFunctionReturn(0);
}

/* Take the next missing shard until none is left, or until this rank is asked to stop. todo: [count] shard numbers. */
static PetscErrorCode take_shards(Labeller *l, RtCounter *counter, int64_t count, const int64_t *todo, int64_t *made)
{
  RtProgress progress;
  int64_t next;

  PetscFunctionBegin;
  rt_message_progress_start(&progress, "label", "samples", count * l->store.shard);
  *made = 0;
  while (!rt_stop_asked()) {
    PetscCall(rt_counter_next(counter, &next));
    rt_message_progress_show(&progress, PetscMin(next, count) * l->store.shard); /* what all ranks have taken */
    if (next >= count) break;
    PetscCall(label_shard(l, todo[next]));
    ++*made;
  }
  rt_message_progress_clear(&progress);
  PetscFunctionReturn(0);
}

/* Every rank makes the folder that its shards go to: it may be on another node's disk. */
static PetscErrorCode label(Labeller *l, int64_t count, const int64_t *todo, bool *stopped)
{
  RtCounter counter;
  int64_t made[1] = {0};
  double start_time = MPI_Wtime();
  PetscErrorCode error;

  PetscFunctionBegin;
  RtAgree(l->job->comm, rt_file_mkdir(l->dir));
  PetscCall(rt_counter_create(l->job->comm, &counter));
  error = take_shards(l, &counter, count, todo, made);
  error = rt_message_agree(l->job->comm, error);
  PetscCall(rt_counter_destroy(&counter));
  PetscCall(error);
  PetscCall(rt_agree_count(l->job->comm, 1, made));
  *stopped = made[0] < count;
  rt_message_print("label: %lld of %lld shards made in %.1f s, %s", (long long)made[0], (long long)count,
                   MPI_Wtime() - start_time, l->dir);
  PetscFunctionReturn(0);
}

/* Remove all shards: the job says -run_force, and they were made from something else. */
static PetscErrorCode remove_store(Labeller *l)
{
  RtLabelstoreInfo old;
  PetscErrorCode error = 0;
  bool found = false;

  PetscFunctionBegin;
  if (l->job->rank == 0) error = rt_labelstore_describe(l->dir, &old, &found);
  for (int64_t s = 0; !error && found && s < rt_labelstore_shards(&old); s++) {
    char name[64], path[PETSC_MAX_PATH_LEN];

    snprintf(name, sizeof(name), "shard-%06lld.nc", (long long)s);
    error = rt_file_join(l->dir, name, path, sizeof(path));
    if (!error) error = rt_file_remove(path);
  }
  RtAgree(l->job->comm, error);
  PetscFunctionReturn(0);
}

/* Whether the store's shards were made from what this job says; on rank 0, for all. */
static PetscErrorCode matches(Labeller *l, bool *match)
{
  RtLabelstoreInfo old;
  PetscErrorCode error = 0;
  int answer = 1;
  bool found = false;

  PetscFunctionBegin;
  if (l->job->rank == 0) error = rt_labelstore_describe(l->dir, &old, &found);
  if (!error && found)
    answer = old.samples == l->store.samples && old.shard == l->store.shard && old.views == l->store.views &&
             old.classes == l->store.classes && !strcmp(old.teacher, l->store.teacher) &&
             !strcmp(old.dataset, l->store.dataset) && !strcmp(old.precision, l->store.precision) &&
             !strcmp(old.augment, l->store.augment);
  RtAgree(l->job->comm, error);
  PetscCallMPI(MPI_Bcast(&answer, 1, MPI_INT, 0, l->job->comm));
  *match = answer;
  PetscFunctionReturn(0);
}

static PetscErrorCode run(Labeller *l, bool *stopped)
{
  int64_t shards = rt_labelstore_shards(&l->store), count = 0, *todo;
  bool *missing, match = true;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (l->job->force) {
    PetscCall(matches(l, &match));
    if (!match) PetscCall(remove_store(l));
  }
  PetscCall(PetscMalloc2(shards, &missing, shards, &todo));
  error = rt_labelstore_check(l->job->comm, l->dir, &l->store, missing);
  for (int64_t s = 0; s < shards && !error; s++)
    if (missing[s]) todo[count++] = s;
  if (!error && count == 0)
    rt_message_print("label: %s is done already, %lld shards", l->dir, (long long)shards);
  else if (!error)
    error = label(l, count, todo, stopped);
  PetscCall(PetscFree2(missing, todo));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labeller_run(const RtJob *job, bool *stopped)
{
  Labeller l;
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  error = start(job, &l);
  if (!error) error = run(&l, stopped);
  PetscCall(finish(&l));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Label the samples of one shard again that the draw names; largest: the largest difference to the store. */
static PetscErrorCode compare_shard(Labeller *l, int64_t shard, int64_t count, float *fresh, double *largest)
{
  int64_t first = shard * l->store.shard, row = (int64_t)l->store.views * l->store.classes;
  RtSamples samples;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_labelstore_read(l->dir, &l->store, shard, l->logits));
  PetscCall(rt_samples_load(l->dataset, first, rt_labelstore_count(&l->store, shard), &samples));
  error = infer(l, &samples, count, l->sample, fresh);
  PetscCall(rt_samples_free(&samples));
  PetscCall(error);
  for (int64_t i = 0; i < count; i++)
    for (int64_t k = 0; k < row; k++) {
      double old = l->logits[(l->sample[i] - first) * row + k];

      *largest = fmax(*largest, fabs(fresh[i * row + k] - old) / fmax(1, fabs(old)));
    }
  PetscFunctionReturn(0);
}

/* Shards are dealt out to ranks; each takes an equal part of the samples, spread over its shard. */
static PetscErrorCode verify(Labeller *l, double *largest, int64_t *checked)
{
  int64_t shards = rt_labelstore_shards(&l->store);
  int64_t wanted = PetscMin(rt_options_int(l->job->options, "verify", "samples"), l->store.samples);
  int64_t each = (wanted + shards - 1) / shards;
  float *fresh;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(each * l->store.views * l->store.classes, &fresh));
  for (int64_t s = l->job->rank; s < shards && !error; s += l->job->size) {
    int64_t in_shard = rt_labelstore_count(&l->store, s), count = PetscMin(each, in_shard);

    for (int64_t i = 0; i < count; i++) l->sample[i] = s * l->store.shard + i * in_shard / count;
    error = compare_shard(l, s, count, fresh, largest);
    *checked += count;
  }
  PetscCall(PetscFree(fresh));
  RtAgree(l->job->comm, error);
  PetscCall(rt_agree_largest(l->job->comm, 1, largest));
  PetscCall(rt_agree_count(l->job->comm, 1, checked));
  PetscFunctionReturn(0);
}

static PetscErrorCode run_verify(Labeller *l)
{
  const double tolerance = 1e-4; /* another processor may use other kernels; damage and mistakes are far larger */
  int64_t shards = rt_labelstore_shards(&l->store), absent = 0, checked = 0;
  double largest = 0;
  bool *missing;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(shards, &missing));
  error = rt_labelstore_check(l->job->comm, l->dir, &l->store, missing);
  for (int64_t s = 0; s < shards && !error; s++) absent += missing[s];
  PetscCall(PetscFree(missing));
  PetscCall(error);
  RtCheck(absent == 0, "%s: %lld of %lld shards are missing; run `retort label`", l->dir, (long long)absent,
          (long long)shards);
  PetscCall(verify(l, &largest, &checked));
  RtCheck(largest <= tolerance,
          "%s: labels differ by %g from what the teacher says now; remove the store and run `retort label`", l->dir,
          largest);
  rt_message_print("verify: %lld samples of %lld shards labelled again, largest relative difference %g",
                   (long long)checked, (long long)shards, largest);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_verifier_run(const RtJob *job)
{
  Labeller l;
  PetscErrorCode error;

  PetscFunctionBegin;
  error = start(job, &l);
  if (!error) error = run_verify(&l);
  PetscCall(finish(&l));
  PetscCall(error);
  PetscFunctionReturn(0);
}
