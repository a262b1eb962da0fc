/* A loss of a user, for -extend: Σ |student - teacher|^p / p over the numbers of a row. */
#include <math.h>
#include <retort/extend.h>

static PetscErrorCode evaluate(const RtLossRows *rows, double *value, double *gradient)
{
  const double p = rows->option[0];

  PetscFunctionBegin;
  for (int64_t r = 0; r < rows->rows; r++) {
    value[r] = 0;
    if (rows->sample[r] < 0) continue; /* padding */
    for (int64_t i = r * rows->width; i < (r + 1) * rows->width; i++) {
      double difference = (double)rows->student[i] - (double)rows->teacher[i];

      value[r] += pow(fabs(difference), p) / p;
      gradient[i] += rows->weight * copysign(pow(fabs(difference), p - 1), difference);
    }
  }
  PetscFunctionReturn(0);
}

static const RtLoss loss = {.name = "power",
                            .help = "a power of the distance of each number from the teacher's",
                            .traits = RT_LOSS_TEACHER | RT_LOSS_CLASSES,
                            .option = {{"exponent", 2, 1, 10, "the power"}},
                            .evaluate = evaluate};

PetscErrorCode rt_extend(void)
{
  const RtExtend mine = {.version = RT_EXTEND_VERSION, .losses = 1, .loss = &loss};

  return rt_extend_add(&mine);
}
