/* Soft targets (Hinton, Vinyals, Dean: "Distilling the knowledge in a neural network", arXiv 1503.02531):
   T² KL(p of the teacher at T || p of the student at T). The factor T² keeps the gradient's size when T changes, so a
   term's weight means the same at every T. */
#include "core/simd.h"
#include "distill/softmax.h"

RT_SIMD static double row(const RtLossRows *rows, int64_t r, double *gradient)
{
  const double T = rows->temperature, weight = rows->weight;
  const float *z = rows->student + r * rows->width, *t = rows->teacher + r * rows->width;
  double log_t[RT_SOFTMAX_PIECE], p_t[RT_SOFTMAX_PIECE], log_s[RT_SOFTMAX_PIECE], p_s[RT_SOFTMAX_PIECE], value = 0;
  RtSoftmax teacher, student;

  rt_softmax_row(rows->width, t, T, &teacher);
  rt_softmax_row(rows->width, z, T, &student);
  for (int first = 0; first < rows->width; first += RT_SOFTMAX_PIECE) {
    const int rest = rows->width - first, count = rest < RT_SOFTMAX_PIECE ? rest : RT_SOFTMAX_PIECE;

    rt_softmax_get(&teacher, t + first, count, log_t, p_t);
    rt_softmax_get(&student, z + first, count, log_s, p_s);
    for (int i = 0; i < count; i++) {
      gradient[first + i] += weight * T * (p_s[i] - p_t[i]);
      /* Logarithms are finite where a probability is 0, so 0 stays 0. */
      log_t[i] = p_t[i] * (log_t[i] - log_s[i]);
    }
    value += T * T * rt_softmax_sum(log_t, count);
  }
  return value;
}

static PetscErrorCode evaluate(const RtLossRows *rows, double *value, double *gradient)
{
  PetscFunctionBegin;
  PetscCall(rt_softmax_rows(rows, value, gradient, row));
  PetscFunctionReturn(0);
}

const RtLoss rt_loss_kl = {.name = "kl",
                           .help = "T² KL divergence from the teacher's softened probabilities",
                           .traits = RT_LOSS_TEACHER | RT_LOSS_CLASSES | RT_LOSS_TEMPERATURE,
                           .evaluate = evaluate};
