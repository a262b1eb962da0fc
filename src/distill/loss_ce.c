/* Cross-entropy of the label at temperature 1, with the smoothed label (1 - s) [class = label] + s / classes, as in
   PyTorch's cross_entropy. */
#include "core/simd.h"
#include "distill/softmax.h"

enum { SMOOTHING };

RT_SIMD static double row(const RtLossRows *rows, int64_t r, double *gradient)
{
  const double even = rows->option[SMOOTHING] / rows->width, own = 1 - rows->option[SMOOTHING];
  const float *z = rows->student + r * rows->width;
  const int32_t label = rows->label[r];
  double log_p[RT_SOFTMAX_PIECE], p[RT_SOFTMAX_PIECE], value = 0;
  RtSoftmax student;

  rt_softmax_row(rows->width, z, 1, &student);
  for (int first = 0; first < rows->width; first += RT_SOFTMAX_PIECE) {
    const int rest = rows->width - first, count = rest < RT_SOFTMAX_PIECE ? rest : RT_SOFTMAX_PIECE;
    double part = 0;

    rt_softmax_get(&student, z + first, count, log_p, p);
    for (int i = 0; i < count; i++) gradient[first + i] += rows->weight * (p[i] - even);
    if (even > 0) part -= even * rt_softmax_sum(log_p, count);
    if (label >= first && label < first + count) {
      gradient[label] -= rows->weight * own;
      part -= own * log_p[label - first];
    }
    value += part;
  }
  return value;
}

static PetscErrorCode evaluate(const RtLossRows *rows, double *value, double *gradient)
{
  PetscFunctionBegin;
  for (int64_t r = 0; r < rows->rows; r++)
    PetscCheck(rows->sample[r] < 0 || (rows->label[r] >= 0 && rows->label[r] < rows->width), PETSC_COMM_SELF,
               PETSC_ERR_ARG_OUTOFRANGE, "Label %d of %d classes", (int)rows->label[r], rows->width);
  PetscCall(rt_softmax_rows(rows, value, gradient, row));
  PetscFunctionReturn(0);
}

const RtLoss rt_loss_ce = {.name = "ce",
                           .help = "cross-entropy of the label",
                           .traits = RT_LOSS_LABEL | RT_LOSS_CLASSES,
                           .option = {{"smoothing", 0, 0, 1, "part of the label that is spread over all classes"}},
                           .evaluate = evaluate};
