/* Regression: mean (student - wanted)² over the numbers of one sample, as PyTorch's MSELoss. What is wanted is the
   teacher's result, or the dataset's target. */
#include "core/simd.h"
#include "distill/softmax.h"

RT_SIMD static double row(const RtLossRows *rows, int64_t r, double *gradient)
{
  const double factor = 2 * rows->weight / rows->width;
  const float *z = rows->student + r * rows->width, *wanted = rows->teacher + r * rows->width;
  double sum = 0;

  for (int i = 0; i < rows->width; i++) {
    double difference = (double)z[i] - (double)wanted[i];

    gradient[i] += factor * difference;
    sum += difference * difference;
  }
  return sum / rows->width;
}

static PetscErrorCode evaluate(const RtLossRows *rows, double *value, double *gradient)
{
  PetscFunctionBegin;
  PetscCall(rt_softmax_rows(rows, value, gradient, row));
  PetscFunctionReturn(0);
}

const RtLoss rt_loss_mse = {.name = "mse",
                            .help = "mean squared distance from the teacher's results, or from targets",
                            .traits = RT_LOSS_TEACHER | RT_LOSS_NUMBERS,
                            .evaluate = evaluate};
