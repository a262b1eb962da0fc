#include "data/sampler.h"
#include "core/random.h"
#include "core/size.h"

#include <stdlib.h>

enum {
  WORD = 64,
  GROUP_WORDS = RT_SAMPLER_GROUP / WORD,
  PIECE = 1 << 16 /* labels in memory at once */
};

static int64_t words(int64_t samples)
{
  return (samples + WORD - 1) / WORD;
}

static int64_t groups(int64_t samples)
{
  return (samples + RT_SAMPLER_GROUP - 1) / RT_SAMPLER_GROUP;
}

static PetscErrorCode check(const RtSamplerParams *params, int64_t samples, int classes, bool labelled)
{
  PetscFunctionBegin;
  PetscCheck(params->holdout >= 0 && params->limit >= 0 && params->omitted >= 0, PETSC_COMM_SELF,
             PETSC_ERR_ARG_OUTOFRANGE, "Negative numbers of samples or classes");
  RtCheck(samples > 0, "the dataset has no samples");
  RtCheck(params->holdout < samples,
          "a holdout of %lld samples leaves nothing of the dataset's %lld to train on: hold out fewer",
          (long long)params->holdout, (long long)samples);
  RtCheck(params->omitted == 0 || labelled, "classes are to be left out, but the dataset has no labels");
  for (int k = 0; k < params->omitted; k++) {
    RtCheck(params->omit[k] >= 0 && params->omit[k] < classes,
            "class %d is to be left out, but the dataset's classes are 0 to %d", params->omit[k], classes - 1);
  }
  PetscFunctionReturn(0);
}

static inline void put(RtSampler *s, uint64_t sample, bool in)
{
  uint64_t mask = (uint64_t)1 << sample % WORD;

  s->bit[sample / WORD] = in ? s->bit[sample / WORD] | mask : s->bit[sample / WORD] & ~mask;
}

static int compare(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

  return (x > y) - (x < y);
}

/* The first `holdout` images of the permutation are held out, the next `limit` are for training. */
static void choose(RtSampler *s, const RtSamplerParams *params)
{
  const int64_t rest = s->samples - params->holdout;
  const bool limited = params->limit > 0 && params->limit < rest;
  RtPermutation permutation;

  rt_random_permutation(&permutation, params->holdout_seed, RT_RANDOM_HOLDOUT, 0, (uint64_t)s->samples);
  for (int64_t i = 0; !limited && i < s->samples; i++) put(s, (uint64_t)i, true);
  for (int64_t i = 0; i < params->holdout; i++) {
    const uint64_t image = rt_random_permute(&permutation, (uint64_t)i);

    s->held_out[i] = (int64_t)image;
    put(s, image, false);
  }
  for (int64_t i = 0; limited && i < params->limit; i++)
    put(s, rt_random_permute(&permutation, (uint64_t)(params->holdout + i)), true);
  if (s->held) qsort(s->held_out, (size_t)s->held, sizeof(int64_t), compare);
}

/* Take the classes that are left out from the pool. */
static PetscErrorCode leave_out(RtSampler *s, const RtSamplerParams *params, RtSamplerLabels labels,
                                const void *context)
{
  PetscErrorCode error = 0;
  int32_t *label;

  PetscFunctionBegin;
  if (!params->omitted) PetscFunctionReturn(0);
  PetscCall(PetscMalloc1(PetscMin(PIECE, s->samples), &label));
  for (int64_t first = 0; first < s->samples && !error; first += PIECE) {
    const int64_t count = PetscMin(PIECE, s->samples - first);

    error = labels(context, first, count, label);
    for (int64_t i = 0; i < count && !error; i++)
      for (int k = 0; k < params->omitted; k++)
        if (label[i] == params->omit[k]) put(s, (uint64_t)(first + i), false);
  }
  PetscCall(PetscFree(label));
  PetscFunctionReturn(error);
}

static PetscErrorCode fill(RtSampler *s, const RtSamplerParams *params, RtSamplerLabels labels, const void *context)
{
  PetscFunctionBegin;
  PetscCall(PetscCalloc1((size_t)words(s->samples), &s->bit));
  PetscCall(PetscMalloc1((size_t)groups(s->samples), &s->before));
  PetscCall(PetscMalloc1((size_t)s->held, &s->held_out));
  choose(s, params);
  PetscCall(leave_out(s, params, labels, context));
  for (int64_t w = 0; w < words(s->samples); w++) {
    if (w % GROUP_WORDS == 0) s->before[w / GROUP_WORDS] = s->count;
    s->count += __builtin_popcountll(s->bit[w]);
  }
  RtCheck(s->count > 0,
          "nothing is left to train on: all samples outside the holdout are of classes that are left out");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_sampler_create(const RtSamplerParams *params, int64_t samples, int classes, RtSamplerLabels labels,
                                 const void *context, RtSampler *sampler)
{
  RtSampler made = {.seed = params->seed, .samples = samples, .held = params->holdout};
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(check(params, samples, classes, labels != NULL));
  error = fill(&made, params, labels, context);
  if (error) PetscCall(rt_sampler_destroy(&made));
  PetscCall(error);
  *sampler = made;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_sampler_destroy(RtSampler *sampler)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(sampler->bit));
  PetscCall(PetscFree(sampler->before));
  PetscCall(PetscFree(sampler->pool));
  PetscCall(PetscFree(sampler->held_out));
  *sampler = (RtSampler){0};
  PetscFunctionReturn(0);
}

int64_t rt_sampler_bytes(int64_t samples, int64_t held)
{
  return rt_size_plus((words(samples) + groups(samples)) * (int64_t)sizeof(int64_t),
                      rt_size_times(held, (int64_t)sizeof(int64_t)));
}

void rt_sampler_pool(const RtSampler *sampler, int64_t first, int64_t count, int64_t *sample)
{
  int64_t least = 0, end = groups(sampler->samples), skip, word;
  uint64_t bits;

  if (count <= 0) return;
  while (end - least > 1) { /* the last group that begins at or before `first` */
    const int64_t middle = least + (end - least) / 2;

    if (sampler->before[middle] <= first)
      least = middle;
    else
      end = middle;
  }
  skip = first - sampler->before[least];
  word = least * GROUP_WORDS;
  for (bits = sampler->bit[word]; skip >= __builtin_popcountll(bits); bits = sampler->bit[++word])
    skip -= __builtin_popcountll(bits);
  while (skip--) bits &= bits - 1;
  for (int64_t i = 0; i < count; i++) {
    while (!bits) bits = sampler->bit[++word];
    sample[i] = word * WORD + __builtin_ctzll(bits);
    bits &= bits - 1;
  }
}

PetscErrorCode rt_sampler_list(RtSampler *sampler)
{
  PetscFunctionBegin;
  PetscCall(PetscMalloc1((size_t)sampler->count, &sampler->pool));
  rt_sampler_pool(sampler, 0, sampler->count, sampler->pool);
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
