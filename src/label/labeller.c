#include "label/labeller.h"

#include "core/claims.h"
#include "core/file.h"
#include "core/message.h"
#include "label/shardmaker.h"
#include "label/store.h"

#include <stdio.h>
#include <string.h>

enum { NOTES = 5 /* damaged shards that are named */ };

/* Is the store there made from what this job says? On rank 0, for all. */
static PetscErrorCode matches(const RtInference *t, bool *match)
{
  RtLabelstoreInfo old;
  PetscErrorCode error = 0;
  int answer = 1;
  bool found = false;

  PetscFunctionBegin;
  if (t->job->rank == 0) error = rt_labelstore_describe(t->dir, &old, &found);
  if (!error && found)
    answer = old.samples == t->store.samples && old.shard == t->store.shard && old.views == t->store.views &&
             old.classes == t->store.classes && !strcmp(old.teacher, t->store.teacher) &&
             !strcmp(old.dataset, t->store.dataset) && !strcmp(old.precision, t->store.precision) &&
             !strcmp(old.augment, t->store.augment) && !strcmp(old.features, t->store.features);
  RtAgree(t->job->comm, error);
  PetscCallMPI(MPI_Bcast(&answer, 1, MPI_INT, 0, t->job->comm));
  *match = answer;
  PetscFunctionReturn(0);
}

/* The job says -run_force: a store that was made from something else goes. */
static PetscErrorCode start_over(const RtInference *t)
{
  PetscErrorCode error = 0;
  bool match = true;

  PetscFunctionBegin;
  PetscCall(matches(t, &match));
  if (!match && t->job->rank == 0) error = rt_labelstore_remove(t->dir);
  RtAgree(t->job->comm, error);
  PetscFunctionReturn(0);
}

/* Collective. Remove what killed jobs left in the folder. Each host knows of its own processes which are gone. */
static PetscErrorCode sweep(const RtInference *t)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_file_sweep(t->dir);
  if (!error) error = rt_claims_sweep(t->dir, rt_options_real(t->job->options, "label", "claim_seconds"));
  RtAgree(t->job->comm, error);
  PetscFunctionReturn(0);
}

/* What the end of the work says. */
static void report(const RtInference *t, int64_t wanted, const RtShardmakerResult *r, double seconds)
{
  double exposed = r->input + r->output, all = r->compute + exposed;
  char others[96] = "";

  if (r->others)
    snprintf(others, sizeof(others), "%lld by other jobs (%.1f s of waiting for them), ", (long long)r->others,
             r->waited);
  rt_message_print("label: %lld of %lld shards made in %.1f s, %s%.1f %% of the time waiting for files, %s",
                   (long long)r->made, (long long)wanted, seconds, others, all > 0 ? 100 * exposed / all : 0, t->dir);
}

/* New shards must hold what the others hold; labels alone are checked without a look at features. */
static PetscErrorCode check_features(const RtInference *t)
{
  RtLabelstoreInfo old;
  bool found;

  PetscFunctionBegin;
  PetscCall(rt_labelstore_describe(t->dir, &old, &found));
  if (!found || !strcmp(old.features, t->store.features)) PetscFunctionReturn(0);
  RtFail("%s: its shards hold %d components of the layer '%s': give the same -label_features and -label_components, so "
         "that those to be made hold them too, or make all again with `retort label -run_force`",
         t->dir, old.components, old.layer);
}

/* Make what the check found to be missing or damaged. */
static PetscErrorCode make(const RtInference *t, const RtStoreCheck *check, bool *stopped)
{
  int64_t wanted = check->shards - check->count[RT_LABELSTORE_THERE];
  double start = MPI_Wtime();
  RtShardmakerResult result;

  PetscFunctionBegin;
  RtAgree(t->job->comm, t->job->rank ? 0 : check_features(t));
  PetscCall(rt_shardmaker_run(t, check->state, &result));
  *stopped = result.made + result.others < wanted;
  report(t, wanted, &result, MPI_Wtime() - start);
  PetscFunctionReturn(0);
}

static PetscErrorCode label(const RtInference *t, bool *stopped)
{
  RtStoreCheck check;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (t->job->force) PetscCall(start_over(t));
  PetscCall(sweep(t));
  error = rt_store_check(t->job, t->dir, &t->store, NOTES, &check);
  *stopped = !error && check.count[RT_LABELSTORE_UNKNOWN] > 0;
  if (!error && !*stopped && !check.lacks[0])
    rt_message_print("label: %s is done already, %lld shards", t->dir, (long long)check.shards);
  else if (!error && !*stopped)
    error = make(t, &check, stopped);
  PetscCall(rt_store_free(&check));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labeller_run(const RtJob *job, bool *stopped)
{
  RtInference teacher;
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_inference_open(job, &teacher, stopped);
  if (!error && !*stopped) error = label(&teacher, stopped);
  PetscCall(rt_inference_close(&teacher));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode mend(const RtJob *job, const RtStoreCheck *check, bool *stopped)
{
  RtInference teacher;
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_inference_open(job, &teacher, stopped);
  if (!error && !*stopped) error = sweep(&teacher);
  if (!error && !*stopped) error = make(&teacher, check, stopped);
  PetscCall(rt_inference_close(&teacher));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labeller_mend(const RtJob *job, const char *dir, const RtLabelstoreInfo *store, bool *stopped)
{
  RtStoreCheck check;
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  error = rt_store_check(job, dir, store, NOTES, &check);
  *stopped = !error && check.count[RT_LABELSTORE_UNKNOWN] > 0;
  if (!error && !*stopped && check.lacks[0] && check.count[RT_LABELSTORE_MISSING] < check.shards) {
    rt_message_print("label: %s: %s; they are made again", dir, check.lacks);
    error = mend(job, &check, stopped);
  }
  PetscCall(rt_store_free(&check));
  PetscCall(error);
  RtCheck(check.count[RT_LABELSTORE_MISSING] < check.shards, "%s: %s; run `retort label` first", dir, check.lacks);
  PetscFunctionReturn(0);
}
