/* Soft targets (Hinton, Vinyals, Dean: "Distilling the knowledge in a neural network", arXiv 1503.02531):
   soft = T² KL(p of the teacher at T || p of the student at T), hard = cross-entropy of the label at T = 1.
   The factor T² keeps the soft gradient's size when T changes, so alpha means the same at every T. */
#include "core/simd.h"
#include "distill/softmax.h"

/* Adds the row's sums; dstudent: [width] */
RT_SIMD static void row(const RtLossParams *params, const RtLossBatch *batch, int64_t r, float *dstudent,
                        RtLossSums *sums)
{
  const double T = params->temperature, alpha = params->alpha;
  const float *z = batch->student + r * batch->width, *t = alpha != 0 ? batch->teacher + r * batch->width : NULL;
  double log_t[RT_SOFTMAX_PIECE], p_t[RT_SOFTMAX_PIECE], log_s[RT_SOFTMAX_PIECE], p_s[RT_SOFTMAX_PIECE];
  double gradient[RT_SOFTMAX_PIECE], soft = 0, hard = 0;
  RtSoftmax teacher, student, plain;

  if (alpha != 0) rt_softmax_row(batch->width, t, T, &teacher);
  if (alpha != 0) rt_softmax_row(batch->width, z, T, &student);
  if (alpha != 1) rt_softmax_row(batch->width, z, 1, &plain);
  for (int first = 0; first < batch->width; first += RT_SOFTMAX_PIECE) {
    const int rest = batch->width - first, count = rest < RT_SOFTMAX_PIECE ? rest : RT_SOFTMAX_PIECE;

    for (int i = 0; i < count; i++) gradient[i] = 0;
    if (alpha != 0) {
      rt_softmax_get(&teacher, t + first, count, log_t, p_t);
      rt_softmax_get(&student, z + first, count, log_s, p_s);
      for (int i = 0; i < count; i++) {
        gradient[i] = alpha * T * (p_s[i] - p_t[i]);
        /* Logarithms are finite where a probability is 0, so 0 stays 0. */
        log_t[i] = p_t[i] * (log_t[i] - log_s[i]);
      }
      soft += T * T * rt_softmax_sum(log_t, count);
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

const RtLoss rt_loss_kl = {"kl", "T² KL divergence from the teacher's softened probabilities", false, evaluate};
