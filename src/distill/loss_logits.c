/* Logit regression (Ba, Caruana: "Do deep nets really need to be deep?", arXiv 1312.6184), the limit of "kl" at high
   temperatures up to the factor 1 / classes: ½ Σ (student - teacher)² over the classes. */
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

const RtLoss rt_loss_logits = {.name = "logits",
                               .help = "half the squared distance from the teacher's logits",
                               .traits = RT_LOSS_TEACHER | RT_LOSS_CLASSES,
                               .evaluate = evaluate};
