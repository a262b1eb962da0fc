/* Regression: soft = mean (student - teacher)², hard = mean (student - target)², each over the numbers of one sample,
   as PyTorch's MSELoss. */
#include "core/simd.h"
#include "distill/loss.h"

static double distance(int width, const float *result, const float *wanted)
{
  double sum = 0;

  for (int i = 0; i < width; i++) {
    double difference = (double)result[i] - (double)wanted[i];

    sum += difference * difference;
  }
  return sum / width;
}

/* Adds the row's sums; dstudent: [width] */
RT_SIMD static void row(const RtLossParams *params, const RtLossBatch *batch, int64_t r, float *dstudent,
                        RtLossSums *sums)
{
  const double alpha = params->alpha, factor = 2 * batch->scale / batch->width;
  const float *z = batch->student + r * batch->width;
  const float *t = alpha != 0 ? batch->teacher + r * batch->width : z;
  const float *y = alpha != 1 ? batch->target + r * batch->width : z;
  const double soft = alpha != 0 ? distance(batch->width, z, t) : 0;
  const double hard = alpha != 1 ? distance(batch->width, z, y) : 0;

  for (int i = 0; i < batch->width; i++) {
    double to_t = (double)z[i] - (double)t[i], to_y = (double)z[i] - (double)y[i];

    dstudent[i] = (float)(factor * (alpha * to_t + (1 - alpha) * to_y));
  }
  sums->soft += soft;
  sums->hard += hard;
  sums->total += alpha * soft + (1 - alpha) * hard;
  sums->count += 1;
}

static PetscErrorCode evaluate(const RtLossParams *params, const RtLossBatch *batch, float *dstudent, RtLossSums *sums)
{
  PetscFunctionBegin;
  PetscCheck(params->alpha == 0 || batch->teacher, PETSC_COMM_SELF, PETSC_ERR_ARG_NULL, "No teacher's results");
  PetscCheck(params->alpha == 1 || batch->target, PETSC_COMM_SELF, PETSC_ERR_ARG_NULL, "No targets");
  for (int64_t r = 0; r < batch->rows; r++) {
    float *gradient = dstudent + r * batch->width;

    if (batch->sample[r] >= 0)
      row(params, batch, r, gradient, sums);
    else
      PetscCall(PetscArrayzero(gradient, (size_t)batch->width));
  }
  PetscFunctionReturn(0);
}

const RtLoss rt_loss_mse = {"mse", "mean squared distance from the teacher's results", true, evaluate};
