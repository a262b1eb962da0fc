#include "data/sampler.h"
#include "core/random.h"

static PetscErrorCode check(const RtSamplerParams *params, int64_t samples, int classes, const int32_t *label)
{
  PetscFunctionBegin;
  PetscCheck(params->holdout >= 0 && params->limit >= 0 && params->omitted >= 0, PETSC_COMM_SELF,
             PETSC_ERR_ARG_OUTOFRANGE, "Negative numbers of samples or classes");
  RtCheck(samples > 0, "the dataset has no samples");
  RtCheck(params->holdout < samples,
          "a holdout of %lld samples leaves nothing of the dataset's %lld to train on: hold out fewer",
          (long long)params->holdout, (long long)samples);
  RtCheck(params->omitted == 0 || label, "classes are to be left out, but the dataset has no labels");
  for (int k = 0; k < params->omitted; k++) {
    RtCheck(params->omit[k] >= 0 && params->omit[k] < classes,
            "class %d is to be left out, but the dataset's classes are 0 to %d", params->omit[k], classes - 1);
  }
  PetscFunctionReturn(0);
}

enum { UNUSED, TRAINED, HELD };

/* use: [samples], zero. What becomes of each sample: the first `holdout` images of the permutation are held out, the
   next `limit` are for training, but not those of classes that are left out. */
static void choose(const RtSamplerParams *params, int64_t samples, const int32_t *label, char *use)
{
  const int64_t rest = samples - params->holdout;
  const int64_t limit = params->limit > 0 && params->limit < rest ? params->limit : rest;
  RtPermutation permutation;

  rt_random_permutation(&permutation, params->holdout_seed, RT_RANDOM_HOLDOUT, 0, (uint64_t)samples);
  for (int64_t i = 0; i < params->holdout + limit; i++) {
    const uint64_t image = rt_random_permute(&permutation, (uint64_t)i);
    bool omitted = false;

    for (int k = 0; k < params->omitted; k++) omitted = omitted || label[image] == params->omit[k];
    use[image] = i < params->holdout ? HELD : omitted ? UNUSED : TRAINED;
  }
}

PetscErrorCode rt_sampler_create(const RtSamplerParams *params, int64_t samples, int classes, const int32_t *label,
                                 RtSampler *sampler)
{
  RtSampler made = {.seed = params->seed};
  int64_t trained = 0, held = 0;
  char *use;

  PetscFunctionBegin;
  PetscCall(check(params, samples, classes, label));
  PetscCall(PetscCalloc1((size_t)samples, &use));
  choose(params, samples, label, use);
  for (int64_t i = 0; i < samples; i++) {
    made.count += use[i] == TRAINED;
    made.held += use[i] == HELD;
  }
  if (made.count == 0) {
    PetscCall(PetscFree(use));
    RtFail("nothing is left to train on: all samples outside the holdout are of classes that are left out");
  }
  PetscCall(PetscMalloc1((size_t)made.count, &made.pool));
  PetscCall(PetscMalloc1((size_t)made.held, &made.held_out));
  for (int64_t i = 0; i < samples; i++) {
    if (use[i] == TRAINED) made.pool[trained++] = i;
    if (use[i] == HELD) made.held_out[held++] = i;
  }
  PetscCall(PetscFree(use));
  *sampler = made;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_sampler_destroy(RtSampler *sampler)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(sampler->pool));
  PetscCall(PetscFree(sampler->held_out));
  *sampler = (RtSampler){0};
  PetscFunctionReturn(0);
}

void rt_sampler_get(const RtSampler *sampler, int64_t epoch, int64_t first, int64_t count, int64_t *sample)
{
  RtPermutation permutation;

  rt_random_permutation(&permutation, sampler->seed, RT_RANDOM_SHUFFLE, (uint64_t)epoch, (uint64_t)sampler->count);
  for (int64_t i = 0; i < count; i++) {
    const int64_t position = first + i;

    sample[i] = position < sampler->count ? sampler->pool[rt_random_permute(&permutation, (uint64_t)position)] : -1;
  }
}
