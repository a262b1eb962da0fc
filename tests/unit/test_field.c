/* Fields: what fits what, names and shapes for people, and what a dataset's description says twice. */
#include "support.h"

#include <retort/dataset.h>

static RtField field(RtType type, int ndim, const int64_t *dim, const char *const *axis)
{
  RtField made = {.name = "has", .type = type, .ndim = ndim, .scale = 1};

  for (int i = 0; i < ndim; i++) {
    made.dim[i] = dim[i];
    if (axis) strcpy(made.axis[i], axis[i]);
  }
  return made;
}

/* says: NULL where they fit. */
static void check(const RtField *want, const RtField *has, const char *says, int line)
{
  char why[800] = "";
  bool fits = rt_field_fits(want, has, why, sizeof(why));

  RT_TEST_CHECK(fits == !says, "line %d: fits %d: %s", line, fits, why);
  RT_TEST_CHECK(fits || !says || strstr(why, says), "line %d: '%s'", line, why);
}
#define FITS(want, has) check((RtField[]){want}, (RtField[]){has}, NULL, __LINE__)
#define FITS_NOT(want, has, says) check((RtField[]){want}, (RtField[]){has}, says, __LINE__)

static void test_types(void)
{
  static const bool reads[RT_TYPES][RT_TYPES] = {[RT_FLOAT] = {true, true, true, true},
                                                 [RT_UINT8] = {false, true, false, false},
                                                 [RT_INT32] = {false, true, true, false},
                                                 [RT_INT64] = {false, true, true, true}};

  for (int w = 0; w < RT_TYPES; w++)
    for (int h = 0; h < RT_TYPES; h++) {
      RtField want = field((RtType)w, SHAPE(4), NULL), has = field((RtType)h, SHAPE(4), NULL);

      check(&want, &has, reads[w][h] ? NULL : "holds", __LINE__);
      has.scale = 0.5f;
      check(&want, &has, reads[w][h] && (w == RT_FLOAT || h == RT_UINT8) ? NULL : "the field 'has' of the dataset",
            __LINE__);
    }
}

static void test_shapes(void)
{
  const RtField image = field(RT_FLOAT, SHAPE(3, 4, 5), NULL), flat = field(RT_FLOAT, SHAPE(60), NULL);
  const RtField turned = field(RT_FLOAT, SHAPE(4, 5, 3), NULL), one = field(RT_FLOAT, SHAPE(1, 4, 5), NULL);
  const RtField plane = field(RT_FLOAT, SHAPE(4, 5), NULL), scalar = field(RT_FLOAT, 0, NULL, NULL);
  const RtField single = field(RT_FLOAT, SHAPE(1), NULL), less = field(RT_FLOAT, SHAPE(59), NULL);

  FITS(image, image);
  FITS(image, flat);
  FITS(flat, image);
  FITS(one, plane);
  FITS(plane, one);
  FITS(scalar, single);
  FITS(single, scalar);
  FITS_NOT(image, turned, "reads 3 x 4 x 5 numbers a sample, the field 'has' of the dataset has 4 x 5 x 3");
  FITS_NOT(image, less, "has 59");
  FITS_NOT(scalar, flat, "reads 1 numbers a sample, the field 'has' of the dataset has 60");
}

static void test_free(void)
{
  const char *const text[] = {"t", ""}, *const other[] = {"position", "feature"};
  const RtField want = field(RT_FLOAT, SHAPE(RT_FIELD_FREE, 5), text);

  FITS(want, field(RT_FLOAT, SHAPE(7, 5), other));
  FITS(want, field(RT_FLOAT, SHAPE(1, 5), other));
  FITS_NOT(want, field(RT_FLOAT, SHAPE(7, 6), other),
           "reads t x 5 numbers a sample, the field 'has' of the dataset has 7 x 6");
  FITS_NOT(want, field(RT_FLOAT, SHAPE(35), NULL), "has 35");
  FITS_NOT(want, field(RT_FLOAT, SHAPE(7, 5, 1), NULL), "has 7 x 5 x 1");
}

/* Where both have names. */
static void test_order(void)
{
  const char *const wanted[] = {"channel", "y", "x"}, *const turned[] = {"y", "x", "channel"};
  const char *const other[] = {"plane", "row", "column"}, *const some[] = {"channel", "", "x"};
  const RtField want = field(RT_FLOAT, SHAPE(4, 4, 4), wanted);

  FITS(want, field(RT_FLOAT, SHAPE(4, 4, 4), wanted));
  FITS(want, field(RT_FLOAT, SHAPE(4, 4, 4), other));
  FITS(want, field(RT_FLOAT, SHAPE(4, 4, 4), some));
  FITS(want, field(RT_FLOAT, SHAPE(4, 4, 4), NULL));
  FITS_NOT(
      want, field(RT_FLOAT, SHAPE(4, 4, 4), turned),
      "has the axis 'channel' in place 1, the field 'has' of the dataset in place 3: write the field in the other");
  FITS_NOT(field(RT_FLOAT, SHAPE(4, 16), ((const char *const[]){"x", "y"})),
           field(RT_FLOAT, SHAPE(1, 16, 4), ((const char *const[]){"a", "y", "x"})), "has the axis 'y'");
}

static void test_words(void)
{
  const RtField f[] = {field(RT_UINT8, SHAPE(3, 28), ((const char *const[]){"channel", ""})),
                       field(RT_INT64, 0, NULL, NULL)};
  char text[100];

  rt_field_shape(&f[0], true, text, sizeof(text));
  RT_TEST_CHECK(!strcmp(text, "channel 3, 28"), "'%s'", text);
  rt_field_shape(&f[0], false, text, sizeof(text));
  RT_TEST_CHECK(!strcmp(text, "3 x 28"), "'%s'", text);
  rt_field_shape(&f[1], false, text, sizeof(text));
  RT_TEST_CHECK(!strcmp(text, "1"), "'%s'", text);
  rt_field_shape(&f[0], true, text, 6); /* cut, not overrun */
  RT_TEST_CHECK(strlen(text) == 5, "'%s'", text);
  rt_field_names(2, f, text, sizeof(text));
  RT_TEST_CHECK(!strcmp(text, "has, has"), "'%s'", text);
  RT_TEST_CHECK(rt_field_size(&f[0]) == 84 && rt_field_bytes(&f[0]) == 84 && rt_field_bytes(&f[1]) == 8, "sizes");
}

static void test_derive(void)
{
  RtDatasetInfo info = {.samples = 9,
                        .ndim = 2,
                        .dim = {2, 3},
                        .dim_name = {"y", "x"},
                        .type = RT_UINT8,
                        .scale = 0.5f,
                        .classes = 3,
                        .targets = 4};
  RtDatasetInfo back = {0};
  RtField f[3];

  rt_field_derive(&info, f);
  RT_TEST_CHECK(info.fields == 3 && info.input == 0 && info.label == 1 && info.target == 2 && info.size == 6,
                "numbers");
  RT_TEST_CHECK(!strcmp(f[0].name, "input") && f[0].type == RT_UINT8 && f[0].scale == 0.5f && f[0].dim[1] == 3 &&
                    !strcmp(f[0].axis[1], "x"),
                "input");
  RT_TEST_CHECK(!strcmp(f[1].name, "label") && f[1].type == RT_INT32 && !f[1].ndim && f[1].scale == 1, "label");
  RT_TEST_CHECK(!strcmp(f[2].name, "target") && f[2].type == RT_FLOAT && f[2].ndim == 1 && f[2].dim[0] == 4, "target");
  back.fields = 3;
  back.field = f;
  rt_field_repeat(&back);
  RT_TEST_CHECK(back.ndim == 2 && back.dim[0] == 2 && !strcmp(back.dim_name[1], "x") && back.size == 6 &&
                    back.type == RT_UINT8 && back.scale == 0.5f && back.targets == 4,
                "what is said twice differs");
  info.ndim = 0;
  info.classes = 0;
  info.targets = 1;
  rt_field_derive(&info, f);
  RT_TEST_CHECK(info.fields == 1 && info.input == -1 && info.label == -1 && info.target == 0 && !f[0].ndim &&
                    info.targets == 1,
                "one target");
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_types();
  test_shapes();
  test_free();
  test_order();
  test_words();
  test_derive();
  return 0;
}

RT_TEST_MAIN(test)
