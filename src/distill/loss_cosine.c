/* Directions: 1 - cos(student, teacher) over the numbers of a layer, with norms of at least 1e-8, as in PyTorch's
   cosine_similarity. A map is attached where widths differ, as for hints. Where the student's norm is that small the
   derivative is taken as 0. */
#include "core/simd.h"
#include "distill/softmax.h"

#include <math.h>

static const double least = 1e-8;

/* ⟨student, teacher⟩ and both squared norms. */
RT_SIMD static void products(const float *z, const float *t, int width, double sum[3])
{
  double product[3][RT_SOFTMAX_PIECE];

  sum[0] = sum[1] = sum[2] = 0;
  for (int first = 0; first < width; first += RT_SOFTMAX_PIECE) {
    const int rest = width - first, count = rest < RT_SOFTMAX_PIECE ? rest : RT_SOFTMAX_PIECE;

    for (int i = 0; i < count; i++) {
      const double a = (double)z[first + i], b = (double)t[first + i];

      product[0][i] = a * b;
      product[1][i] = a * a;
      product[2][i] = b * b;
    }
    for (int k = 0; k < 3; k++) sum[k] += rt_softmax_sum(product[k], count);
  }
}

RT_SIMD static double row(const RtLossRows *rows, int64_t r, double *gradient)
{
  const float *z = rows->student + r * rows->width, *t = rows->teacher + r * rows->width;
  double sum[3], norm, cosine;

  products(z, t, rows->width, sum);
  norm = sqrt(sum[1]);
  cosine = sum[0] / (fmax(norm, least) * fmax(sqrt(sum[2]), least));
  if (norm <= least) return 1 - cosine;
  for (int i = 0; i < rows->width; i++)
    gradient[i] += rows->weight * (cosine * z[i] / sum[1] - t[i] / (norm * fmax(sqrt(sum[2]), least)));
  return 1 - cosine;
}

static PetscErrorCode evaluate(const RtLossRows *rows, double *value, double *gradient)
{
  PetscFunctionBegin;
  PetscCall(rt_softmax_rows(rows, value, gradient, row));
  PetscFunctionReturn(0);
}

const RtLoss rt_loss_cosine = {.name = "cosine",
                               .help = "one minus the cosine of a layer with the teacher's",
                               .traits = RT_LOSS_TEACHER | RT_LOSS_MAPS,
                               .evaluate = evaluate};
