/* bf16 as floats whose lower half is zero: two bytes a number before packing, exponents pack further. */
#include "core/half.h"
#include "store/form.h"

enum { PIECE = 4096 };

static const char *tolerate(const double *option, double *absolute, double *relative)
{
  (void)option;
  *absolute = 0;
  *relative = 0x1p-8;
  return NULL;
}

static void encode(const RtLabelstoreField *field, int64_t count, float *value)
{
  uint16_t half[PIECE];

  (void)field;
  for (int64_t at = 0; at < count; at += PIECE) {
    const int64_t piece = PetscMin(PIECE, count - at);

    rt_half_to_bf16(piece, value + at, half);
    for (int64_t i = 0; i < piece; i++) value[at + i] = rt_half_from_bf16(half[i]);
  }
}

const RtForm rt_form_bf16 = {.name = "bf16",
                             .help = "rounded to 8 significant bits",
                             .serves = "every loss",
                             .traits = RT_FORM_OWN | RT_FORM_PACKED,
                             .tolerate = tolerate,
                             .encode = encode};
