/* Logit regression (Ba, Caruana: "Do deep nets really need to be deep?", arXiv 1312.6184), the limit of "kl" at high
   temperatures up to the factor 1 / classes: soft = ½ Σ (student - teacher)² over the classes,
   hard = cross-entropy of the label. */
#include "core/simd.h"
#include "distill/softmax.h"

/* Adds the row's sums; dstudent: [width] */
RT_SIMD static void row(const RtLossParams *params, const RtLossBatch *batch, int64_t r, float *dstudent,
                        RtLossSums *sums)
{
  const double alpha = params->alpha;
  const float *z = batch->student + r * batch->width, *t = alpha != 0 ? batch->teacher + r * batch->width : NULL;
  double gradient[RT_SOFTMAX_PIECE], square[RT_SOFTMAX_PIECE], soft = 0, hard = 0;
  RtSoftmax plain;

  if (alpha != 1) rt_softmax_row(batch->width, z, 1, &plain);
  for (int first = 0; first < batch->width; first += RT_SOFTMAX_PIECE) {
    const int rest = batch->width - first, count = rest < RT_SOFTMAX_PIECE ? rest : RT_SOFTMAX_PIECE;

    for (int i = 0; i < count; i++) gradient[i] = 0;
    if (alpha != 0) {
      for (int i = 0; i < count; i++) {
        double difference = (double)z[first + i] - (double)t[first + i];

        gradient[i] = alpha * difference;
        square[i] = difference * difference;
      }
      soft += 0.5 * rt_softmax_sum(square, count);
    }
    if (alpha != 1) {
      hard += rt_softmax_cross_entropy(params, batch, batch->label[r], &plain, z + first, first, count, 1 - alpha,
                                       gradient);
    }
    for (int i = 0; i < count; i++) dstudent[first + i] = (float)(batch->scale * gradient[i]);
  }
  sums->soft += soft;
  sums->hard += hard;
  sums->total += alpha * soft + (1 - alpha) * hard;
}

static PetscErrorCode evaluate(const RtLossParams *params, const RtLossBatch *batch, float *dstudent, RtLossSums *sums)
{
  PetscFunctionBegin;
  PetscCall(rt_softmax_rows(params, batch, dstudent, sums, row));
  PetscFunctionReturn(0);
}

const RtLoss rt_loss_logits = {"logits", "half the squared distance from the teacher's logits", false, evaluate};
