#include "label/labeller.h"

#include "core/claims.h"
#include "core/file.h"
#include "core/message.h"
#include "label/shardmaker.h"
#include "label/store.h"
#include "model/model.h"

#include <stdio.h>
#include <string.h>

enum { NOTES = 5 /* damaged shards that are named */ };

/* Whether both hold the same fields. */
static bool same_fields(const RtLabelstoreInfo *a, const RtLabelstoreInfo *b)
{
  bool same = a->fields == b->fields;
  char why[RT_LABELSTORE_TEXT];

  for (int f = 0; f < a->fields && same; f++) {
    const int other = rt_labelstore_find(b, a->field[f].name);

    same = other >= 0 && rt_labelstore_same(&a->field[f], &b->field[other], why);
  }
  return same;
}

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
             !strcmp(old.teacher, t->store.teacher) && !strcmp(old.dataset, t->store.dataset) &&
             !strcmp(old.precision, t->store.precision) && !strcmp(old.augment, t->store.augment) &&
             same_fields(&old, &t->store);
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

/* New shards must hold what the others hold; what is there is checked without a look at fields that nobody asks for. */
static PetscErrorCode check_fields(const RtInference *t)
{
  RtLabelstoreInfo old;
  bool found;

  PetscFunctionBegin;
  PetscCall(rt_labelstore_describe(t->dir, &old, &found));
  if (!found || same_fields(&old, &t->store)) PetscFunctionReturn(0);
  for (int f = 0; f < old.fields; f++) {
    const RtLabelstoreField *field = &old.field[f];
    const bool features = !strcmp(field->name, "features");

    if (rt_labelstore_find(&t->store, field->name) >= 0) continue;
    RtCheck(!features,
            "%s: its shards hold %d components of the layer '%s': give the same -label_features and "
            "-label_components, so that those to be made hold them too, or make all again with `retort label "
            "-run_force`",
            t->dir, field->width, field->layer);
    RtFail("%s: its shards hold the field '%s' (%s of '%s'): give the same -label_taps_%s_… options, so that those to "
           "be made hold it too, or make all again with `retort label -run_force`",
           t->dir, field->name, field->form, field->layer, field->name);
  }
  RtFail("%s: its shards hold other fields than the job asks for; make all again with `retort label -run_force`",
         t->dir);
}

/* Make what the check found to be missing or damaged. */
static PetscErrorCode make(const RtInference *t, const RtStoreCheck *check, bool *stopped)
{
  int64_t wanted = check->shards - check->count[RT_LABELSTORE_THERE];
  double start = MPI_Wtime();
  RtShardmakerResult result;

  PetscFunctionBegin;
  RtAgree(t->job->comm, t->job->rank ? 0 : check_fields(t));
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

/* A teacher as a whole, or one of its models. */
static PetscErrorCode label_part(const RtJob *job, int which, bool *stopped)
{
  RtInference teacher;
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_inference_open(job, which, &teacher, stopped);
  if (!error && !*stopped) error = label(&teacher, stopped);
  PetscCall(rt_inference_close(&teacher));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Is a mixture's own store whole? Then shares are not needed. */
static PetscErrorCode is_whole(const RtJob *job, bool *whole)
{
  RtInference teacher;
  RtStoreCheck check = {.shards = 0};
  PetscErrorCode error;
  bool stopped;

  PetscFunctionBegin;
  *whole = false;
  error = rt_inference_open(job, RT_INFERENCE_SHARES, &teacher, &stopped);
  if (!error && job->force) error = start_over(&teacher);
  if (!error) error = rt_store_check(job, teacher.dir, &teacher.store, 0, &check);
  *whole = !error && check.count[RT_LABELSTORE_THERE] == check.shards;
  PetscCall(rt_store_free(&check));
  PetscCall(rt_inference_close(&teacher));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Several models: each has a store of its own first, by which a job goes on after a kill, and which is still good when
   another model changes. */
static PetscErrorCode label_shares(const RtJob *job, bool *stopped)
{
  bool whole;

  PetscFunctionBegin;
  PetscCall(is_whole(job, &whole));
  for (int m = 0; m < rt_model_count(job) && !whole && !*stopped; m++) PetscCall(label_part(job, m, stopped));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labeller_run(const RtJob *job, bool *stopped)
{
  const bool several = rt_mixture_named(job->options);

  PetscFunctionBegin;
  *stopped = false;
  PetscCall(rt_mixture_check(job));
  PetscCall(rt_kept_check(job));
  if (several) PetscCall(label_shares(job, stopped));
  if (!*stopped) PetscCall(label_part(job, several ? RT_INFERENCE_SHARES : RT_INFERENCE_ALL, stopped));
  PetscFunctionReturn(0);
}

static PetscErrorCode mend(const RtJob *job, const RtStoreCheck *check, bool *stopped)
{
  RtInference teacher;
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_inference_open(job, RT_INFERENCE_ALL, &teacher, stopped); /* of a mixture too: its shares may be gone */
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
