/* Hints (Romero et al.: "FitNets: hints for thin deep nets", arXiv 1412.6550): ½ Σ (r(student) - teacher)² over the
   numbers of a layer. r is a linear map that is trained with the student and left out of its model, where the widths
   differ. */
#include "core/simd.h"
#include "distill/softmax.h"

RT_SIMD static double row(const RtLossRows *rows, int64_t r, double *gradient)
{
  const float *z = rows->student + r * rows->width, *t = rows->teacher + r * rows->width;
  double square[RT_SOFTMAX_PIECE], value = 0;

  for (int first = 0; first < rows->width; first += RT_SOFTMAX_PIECE) {
    const int rest = rows->width - first, count = rest < RT_SOFTMAX_PIECE ? rest : RT_SOFTMAX_PIECE;

    for (int i = 0; i < count; i++) {
      double difference = (double)z[first + i] - (double)t[first + i];

      gradient[first + i] += rows->weight * difference;
      square[i] = difference * difference;
    }
    value += 0.5 * rt_softmax_sum(square, count);
  }
  return value;
}

static PetscErrorCode evaluate(const RtLossRows *rows, double *value, double *gradient)
{
  PetscFunctionBegin;
  PetscCall(rt_softmax_rows(rows, value, gradient, row));
  PetscFunctionReturn(0);
}

const RtLoss rt_loss_hint = {.name = "hint",
                             .help = "half the squared distance of a layer from the teacher's",
                             .traits = RT_LOSS_TEACHER | RT_LOSS_MAPS,
                             .evaluate = evaluate};
