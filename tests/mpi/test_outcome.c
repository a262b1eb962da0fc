/* Outcomes of samples reach their place on rank 0, whichever rank computed them: in blocks that the micro-batches do
   not divide, with ranks that have none, and only there. */
#include "support.h"

#include "eval/outcome.h"

enum { SAMPLES = 230, MOST = 100 };

/* What the models say to sample i: nothing is equal to anything else. */
static RtOutcome say(int64_t i)
{
  return (RtOutcome){.prediction = {(int32_t)i, (int32_t)(1000 + i)},
                     .certainty = {(float)i + 0.25f, (float)i + 0.5f},
                     .gap = (float)i + 0.75f};
}

static void check(const RtOutcomes *o, bool labels)
{
  for (int64_t i = 0; i < SAMPLES; i++) {
    RtOutcome wanted = say(i);

    RT_TEST_CHECK(o->gap[i] == wanted.gap, "gap of sample %lld is %g", (long long)i, o->gap[i]);
    for (int m = 0; m < RT_MODELS; m++)
      RT_TEST_CHECK(o->prediction[m][i] == wanted.prediction[m] && o->certainty[m][i] == wanted.certainty[m],
                    "model %d, sample %lld: %d, %g", m, (long long)i, o->prediction[m][i], o->certainty[m][i]);
    RT_TEST_CHECK(o->label[i] == (labels ? (int32_t)(SAMPLES - i) : 0), "label of sample %lld is %d", (long long)i,
                  o->label[i]);
  }
}

static void gather(int64_t batch, bool labels)
{
  int32_t label[MOST];
  RtOutcomes o;

  RT_MUST(rt_outcome_create(PETSC_COMM_WORLD, SAMPLES, MOST, batch, &o));
  for (int64_t first = 0; first < SAMPLES; first += MOST) {
    int64_t count = PetscMin(MOST, SAMPLES - first);

    memset(o.block, 0xff, MOST * sizeof(RtOutcome)); /* what others have computed is not here */
    for (int64_t at = o.rank * batch; at < count; at += o.size * batch)
      for (int64_t i = at; i < PetscMin(at + batch, count); i++) o.block[i] = say(first + i);
    for (int64_t i = 0; i < count; i++) label[i] = (int32_t)(SAMPLES - first - i);
    RT_MUST(rt_outcome_collect(&o, first, count, labels ? label : NULL));
  }
  if (o.rank == 0)
    check(&o, labels);
  else
    RT_TEST_CHECK(!o.label && !o.gap && !o.prediction[0] && !o.certainty[1], "rank %d keeps columns", o.rank);
  RT_MUST(rt_outcome_destroy(&o));
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc, (void)argv;
  gather(1, true);
  gather(7, false);
  gather(33, true);
  gather(64, true);
  gather(1000, false);
  return 0;
}

RT_TEST_MAIN(test)
