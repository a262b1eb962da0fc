/* Store forms: every row of the table keeps what it says: numbers are off by no more than the field's tolerance, what
   is rounded once stays when it is rounded again, and fields are read as their forms leave them. */
#include "support.h"

#include "core/half.h"
#include "store/form.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 20000, ROWS = 40, WIDTH = 6 };

/* Numbers of all sizes and signs, ties, zero, and the smallest that are not denormal. */
static void make(float *value)
{
  uint32_t state = 12345;

  for (int i = 0; i < COUNT; i++) {
    state = state * 1664525u + 1013904223u;
    value[i] = (float)ldexp((double)(int32_t)state, -31 + (int)(state >> 8 & 31) - 16);
  }
  value[0] = 0;
  value[1] = -0.0f;
  value[2] = 1 + 0x1p-8f;
  value[3] = 1 + 3 * 0x1p-8f;
  value[4] = 0x1p-126f;
  value[5] = -0.375f;
}

/* Tolerances to try: pairs of absolute and relative, as a form's options. */
static const double tried[][2] = {{0.5, 0}, {1e-3, 0}, {0.1, 0},    {100, 0}, {1e-30, 0},
                                  {0, 0.5}, {0, 1e-3}, {0, 0x1p-8}, {0, 1e-9}};

enum { TRIED = sizeof(tried) / sizeof(*tried) };

static void test_encode(const RtForm *form, const double *option)
{
  static float value[COUNT], once[COUNT], twice[COUNT];
  RtLabelstoreField field = {.width = 1};
  bool within = true, stays = true;

  if (form->tolerate) RT_TEST_CHECK(!form->tolerate(option, &field.absolute, &field.relative), "%s", form->name);
  make(value);
  memcpy(once, value, sizeof(once));
  if (form->encode) form->encode(&field, COUNT, once);
  memcpy(twice, once, sizeof(twice));
  if (form->encode) form->encode(&field, COUNT, twice);
  for (int i = 0; i < COUNT; i++) {
    const double off = fabs((double)once[i] - value[i]), allowed = field.absolute + field.relative * fabs(value[i]);

    within = within && off <= allowed * (1 + 1e-12);
    stays = stays && !memcmp(&once[i], &twice[i], sizeof(float));
  }
  RT_TEST_CHECK(within, "%s of %g, %g: a number is off by more", form->name, field.absolute, field.relative);
  RT_TEST_CHECK(stays, "%s of %g, %g: rounding what is rounded changes it", form->name, field.absolute, field.relative);
}

/* Rounding to 2^-8 of a number is rounding to bf16, ties and all; and it does save bits. */
static void test_known(void)
{
  static float value[COUNT];
  static uint16_t half[COUNT];
  RtLabelstoreField field = {.relative = 0x1p-8};
  bool equal = true;

  make(value);
  rt_half_to_bf16(COUNT, value, half);
  rt_form_rounded.encode(&field, COUNT, value);
  for (int i = 0; i < COUNT; i++) equal = equal && value[i] == rt_half_from_bf16(half[i]);
  RT_TEST_CHECK(equal, "rounded to 2^-8 is not bf16");
  RT_TEST_CHECK(value[2] == 1 && value[3] == 1 + 4 * 0x1p-8f, "ties go to even: %.9g %.9g", value[2], value[3]);
  field = (RtLabelstoreField){.absolute = 0.125};
  make(value);
  rt_form_rounded.encode(&field, COUNT, value);
  RT_TEST_CHECK(value[5] == -0.5f && !signbit(value[1]), "multiples of 1/4, ties to even: %.9g", value[5]);
}

/* What tolerances are refused. */
static void test_refused(void)
{
  double absolute, relative;

  RT_TEST_CHECK(rt_form_rounded.tolerate((double[]){0, 0}, &absolute, &relative) &&
                    rt_form_rounded.tolerate((double[]){1, 1}, &absolute, &relative),
                "none, or both tolerances");
  RT_TEST_CHECK(!rt_form_find("nonsense") && rt_form_find("") == rt_form_at(0), "names");
}

static float number_of(int64_t sample, int k)
{
  return (float)sin((double)(sample * WIDTH + k));
}

/* A store of a field of each form: read back, it is what the form makes of it, and logits are as they were. */
static void test_store(void)
{
  static float data[ROWS][WIDTH], want[ROWS][WIDTH], got[ROWS][WIDTH];
  RtLabelstoreInfo info = {.samples = ROWS, .shard = ROWS, .views = 2}, found;
  const float *all[RT_LABELSTORE_FIELDS];
  char folder[64] = "test_form-XXXXXX", command[128];
  bool any;

  RT_TEST_CHECK(mkdtemp(folder) != NULL, "mkdtemp");
  info.samples = info.shard = ROWS / 2; /* of two views each */
  for (int i = 0; i < ROWS; i++)
    for (int k = 0; k < WIDTH; k++) data[i][k] = number_of(i, k);
  strcpy(info.precision, "fp32");
  strcpy(info.augment, "some");
  rt_labelstore_logits(&info, WIDTH);
  for (int i = 0; rt_form_at(i); i++, info.fields++) {
    RtLabelstoreField *field = &info.field[info.fields];

    *field = (RtLabelstoreField){.layer = "a/b:0", .width = WIDTH, .axes = 2, .dim = {2, 3}};
    snprintf(field->name, sizeof(field->name), "f%s", rt_form_at(i)->name);
    snprintf(field->form, sizeof(field->form), "%s", rt_form_at(i)->name);
    if (rt_form_at(i)->tolerate) (void)rt_form_at(i)->tolerate((double[]){0.01, 0}, &field->absolute, &field->relative);
    if (rt_form_at(i)->traits & RT_FORM_PROJECTED) memset(field->hash, 'c', RT_HASH_TEXT - 1);
    if (rt_form_at(i)->traits & RT_FORM_PROJECTED) field->axes = 0;
  }
  for (int f = 0; f < info.fields; f++) all[f] = data[0];
  RT_MUST(rt_labelstore_write(folder, &info, 0, all, ""));
  RT_MUST(rt_labelstore_describe(folder, &found, &any));
  RT_TEST_CHECK(any && found.fields == info.fields, "%d fields found", found.fields);
  for (int f = 0; f < info.fields; f++) {
    char why[RT_LABELSTORE_TEXT];
    const RtForm *form = rt_form_find(info.field[f].form);

    RT_TEST_CHECK(rt_labelstore_same(&found.field[f], &info.field[f], why), "%s %s", info.field[f].name, why);
    RT_TEST_CHECK(!info.field[f].axes || (found.field[f].axes == 2 && found.field[f].dim[1] == 3), "shape");
    memcpy(want, data, sizeof(want));
    if (form->encode) form->encode(&info.field[f], ROWS * WIDTH, want[0]);
    RT_MUST(rt_labelstore_read(folder, &info, 0, f, got[0]));
    RT_TEST_CHECK(!memcmp(got, want, sizeof(got)), "%s: other numbers", info.field[f].name);
  }
  snprintf(command, sizeof(command), "rm -r %s", folder);
  RT_TEST_CHECK(!system(command), "rm");
}

/* A number that rounding would make infinite is refused. */
static void test_overflow(void)
{
  static float data[WIDTH] = {1, 3.4e38f};
  RtLabelstoreInfo info = {.samples = 1, .shard = 1, .views = 1};

  strcpy(info.precision, "fp32");
  rt_labelstore_logits(&info, WIDTH);
  strcpy(info.field[0].form, "bf16");
  info.field[0].relative = 0x1p-8;
  RT_TEST_SAYS(rt_labelstore_write("overflow", &info, 0, (const float *[]){data}, ""), RT_ERR_FAILED,
               "sample 0 is not finite");
  RT_TEST_CHECK(!system("rm -r overflow"), "rm");
}

static PetscErrorCode test(int argc, char **argv)
{
  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  for (int i = 0; rt_form_at(i); i++)
    for (int k = 0; k < TRIED; k++) test_encode(rt_form_at(i), tried[k]);
  test_known();
  test_refused();
  test_store();
  test_overflow();
  PetscFunctionReturn(0);
}

RT_TEST_MAIN(test)
