/* Models bound to datasets: which field each input reads, by name, by the job's pairs, by what is left over; lengths of
   free axes under plans and in files; samples as the types that inputs want, from memory. */
#include "support.h"

#include "data/samples.h"
#include "fields.h"
#include "model/binding.h"

#include <retort/onnx.h>
#include <retort/plan.h>

enum { SAMPLES = 12, POSITIONS = 4, FEATURES = 3, FIELDS = 6 };

static RtField field[FIELDS] = {
    {"input", RT_FLOAT, 1, {FEATURES}, {"feature"}, 1, 0},   {"label", RT_INT32, 0, {0}, {""}, 1, 0},
    {"mask", RT_UINT8, 1, {POSITIONS}, {"position"}, 1, 0},  {"packed", RT_UINT8, 0, {0}, {""}, 0.5f, -1},
    {"token", RT_INT64, 1, {POSITIONS}, {"position"}, 1, 0}, {"word", RT_INT32, 1, {POSITIONS}, {"position"}, 1, 0}};
static RtDatasetInfo info = {.samples = SAMPLES, .fields = FIELDS, .field = field, .classes = 2};

/* --- models ------------------------------------------------------------------------------------------------------- */

static int add_input(RtGraph *graph, const char *name, RtType type, int ndim, const int64_t *dim)
{
  int id;

  RT_MUST(rt_graph_add_value(graph, name, RT_VALUE_INPUT, type, ndim, dim, NULL, &id));
  return id;
}

/* x: [batch, features]; ids: [batch, axis], whole numbers, whose length is free. The output is relu(x), and float(ids).
 */
static RtGraph *make_model(const char *x, const char *ids, RtType type, const char *axis)
{
  int64_t length;
  RtGraph *graph;

  RT_MUST(rt_graph_create(13, &graph));
  RT_MUST(rt_axes_add(graph, axis, &length));
  (void)NODE(graph, "Relu", add_input(graph, x, RT_FLOAT, SHAPE(RT_BATCH, FEATURES)));
  RT_MUST(rt_graph_add_output(graph, graph->values - 1));
  (void)NODE(graph, "Cast", add_input(graph, ids, type, SHAPE(RT_BATCH, length)));
  rt_support_set_int(graph, "to", 1);
  RT_MUST(rt_graph_add_output(graph, graph->values - 1));
  RT_MUST(rt_graph_finish(graph));
  return graph;
}

/* --- choice ------------------------------------------------------------------------------------------------------- */

static void test_names(void)
{
  RtGraph *graph = make_model("input", "token", RT_INT64, "t");
  RtFieldRead read[2];
  bool want[FIELDS] = {false};

  RT_MUST(rt_binding_attach(graph, &info, "", "teacher"));
  RT_MUST(rt_binding_reads(graph, &info, "teacher", read));
  RT_TEST_CHECK(read[0].field == 0 && read[0].type == RT_FLOAT && read[1].field == 4 && read[1].type == RT_INT64,
                "%d %d", read[0].field, read[1].field);
  RT_TEST_CHECK(graph->length[0] == POSITIONS, "length %d", (int)graph->length[0]);
  RT_MUST(rt_binding_want(graph, &info, "teacher", want));
  for (int f = 0; f < FIELDS; f++) RT_TEST_CHECK(want[f] == (f == 0 || f == 4), "field %d", f);
  RT_MUST(rt_binding_attach(graph, &info, "token=word", "teacher")); /* int32 is read as int64 */
  RT_MUST(rt_binding_reads(graph, &info, "teacher", read));
  RT_TEST_CHECK(read[1].field == 5 && read[1].type == RT_INT64 && !strcmp(graph->value[graph->input[1]].field, "word"),
                "the pair is not heard");
  RT_MUST(rt_graph_destroy(&graph));
}

static void test_left_over(void)
{
  RtGraph *graph = make_model("x", "token", RT_INT64, "t");
  RtField few[] = {field[1], field[4], field[0]};
  RtDatasetInfo other = {.samples = SAMPLES, .fields = 3, .field = few};
  RtFieldRead read[2];

  strcpy(few[2].name, "zone");
  rt_field_repeat(&other);
  RT_MUST(rt_binding_attach(graph, &info, "", "teacher"));
  RT_MUST(rt_binding_reads(graph, &info, "teacher", read));
  RT_TEST_CHECK(read[0].field == 0, "x reads %d, not the input", read[0].field);
  RT_MUST(rt_binding_attach(graph, &other, "", "teacher"));
  RT_MUST(rt_binding_reads(graph, &other, "teacher", read));
  RT_TEST_CHECK(read[0].field == 2, "x reads %d, not the one that is left over", read[0].field);
  RT_TEST_SAYS(rt_binding_reads(graph, &info, "teacher", read), RT_ERR_FAILED,
               "the teacher's input 'x'|no field 'zone'");
  RT_TEST_SAYS(rt_binding_attach(graph, &info, "x=input,token=tokem", "teacher"), RT_ERR_FAILED,
               "-teacher_inputs|no field 'tokem'|nearest is 'token'|input, label, mask, packed, token, word");
  RT_TEST_SAYS(rt_binding_attach(graph, &info, "y=input", "student"), RT_ERR_FAILED,
               "-student_inputs|no input 'y'|x, token");
  RT_TEST_SAYS(rt_binding_attach(graph, &info, "x=", "student"), RT_ERR_USAGE, "'x=' is not INPUT=FIELD");
  RT_MUST(rt_graph_destroy(&graph));
  graph = make_model("x", "y", RT_INT64, "t");
  RT_TEST_SAYS(rt_binding_attach(graph, &info, "", "teacher"), RT_ERR_FAILED,
               "'y' is no field of the dataset|-teacher_inputs y=FIELD");
  RT_MUST(rt_graph_destroy(&graph));
}

static void test_lengths(void)
{
  RtGraph *graph = make_model("input", "token", RT_INT64, "t");
  RtField longer[FIELDS];
  RtDatasetInfo other = info;
  RtFieldRead read[2];
  RtPlan *plan;
  int64_t dim[RT_MAX_DIM];

  memcpy(longer, field, sizeof(longer));
  longer[4].dim[0] = POSITIONS + 1;
  other.field = longer;
  RT_TEST_SAYS(rt_plan_create(graph, &(RtPlanParams){.batch = 2}, &plan), RT_ERR_FAILED,
               "axis 't' of 'token' is not known");
  RT_MUST(rt_plan_create(graph, &(RtPlanParams){.batch = 2, .length = (int64_t[]){9}}, &plan));
  RT_TEST_CHECK(rt_plan_shape(plan, graph->output[1], dim) == 2 && dim[0] == 2 && dim[1] == 9, "shape %d", (int)dim[1]);
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_binding_attach(graph, &info, "", "teacher"));
  RT_MUST(rt_plan_create(graph, &(RtPlanParams){.batch = 2}, &plan));
  RT_TEST_CHECK(rt_plan_shape(plan, graph->output[1], dim) == 2 && dim[1] == POSITIONS, "shape %d", (int)dim[1]);
  RT_MUST(rt_plan_destroy(&plan));
  RT_TEST_SAYS(rt_binding_reads(graph, &other, "teacher", read), RT_ERR_FAILED,
               "axis 't' has two lengths: 5 in the field 'token'|elsewhere 4");
  RT_MUST(rt_binding_attach(graph, &other, "", "teacher"));
  RT_TEST_CHECK(graph->length[0] == POSITIONS + 1, "length %d", (int)graph->length[0]);
  RT_MUST(rt_graph_destroy(&graph));
}

/* A free axis keeps its name in a file, and so does that of an output that is as long. */
static void test_file(void)
{
  RtGraph *graph = make_model("input", "token", RT_INT64, "t"), *back;

  RT_MUST(rt_onnx_write(graph, "free.onnx", NULL));
  RT_MUST(rt_onnx_read("free.onnx", &back, NULL));
  RT_TEST_CHECK(back->axes == 1 && !strcmp(back->axis[0], "t") && !back->length[0], "%d axes", back->axes);
  RT_TEST_CHECK(rt_axes_of(back->value[back->input[1]].dim[1]) == 0 && back->value[back->input[0]].dim[1] == FEATURES,
                "the input's shape");
  RT_MUST(rt_graph_destroy(&back));
  RT_MUST(rt_graph_destroy(&graph));
}

/* --- samples ------------------------------------------------------------------------------------------------------ */

static float input[SAMPLES][FEATURES];
static int32_t label[SAMPLES], word[SAMPLES][POSITIONS];
static uint8_t mask[SAMPLES][POSITIONS], packed[SAMPLES];
static int64_t token[SAMPLES][POSITIONS];

static void test_samples(void)
{
  void *all[FIELDS] = {input, label, mask, packed, token, word};
  const int64_t sample[3] = {7, -1, 2};
  const RtSamples samples = {.info = &info, .count = SAMPLES, .field = all};
  float floats[3][POSITIONS];
  int64_t longs[3][POSITIONS];
  int32_t ints[3][POSITIONS];

  for (int i = 0; i < SAMPLES; i++) {
    packed[i] = (uint8_t)(20 * i);
    for (int k = 0; k < POSITIONS; k++) {
      mask[i][k] = (uint8_t)(200 + i + k);
      token[i][k] = ((int64_t)1 << 40) + 10 * i + k;
      word[i][k] = -10 * i - k;
    }
  }
  memset(longs, 1, sizeof(longs));
  rt_samples_fill(&samples, (RtFieldRead){4, RT_INT64}, NULL, 3, sample, 0, longs);
  for (int k = 0; k < POSITIONS; k++)
    RT_TEST_CHECK(longs[0][k] == token[7][k] && !longs[1][k] && longs[2][k] == token[2][k], "token %d", k);
  rt_samples_fill(&samples, (RtFieldRead){5, RT_INT64}, NULL, 3, sample, 0, longs);
  for (int k = 0; k < POSITIONS; k++)
    RT_TEST_CHECK(longs[0][k] == word[7][k] && !longs[1][k] && longs[2][k] == word[2][k], "word %d", k);
  rt_samples_fill(&samples, (RtFieldRead){2, RT_INT32}, NULL, 3, sample, 0, ints);
  for (int k = 0; k < POSITIONS; k++)
    RT_TEST_CHECK(ints[0][k] == mask[7][k] && !ints[1][k] && ints[2][k] == mask[2][k], "mask %d", k);
  rt_samples_fill(&samples, (RtFieldRead){5, RT_FLOAT}, NULL, 3, sample, 0, floats);
  for (int k = 0; k < POSITIONS; k++)
    RT_TEST_CHECK(floats[0][k] == (float)word[7][k] && !floats[1][k], "word %d as float", k);
  rt_samples_fill(&samples, (RtFieldRead){3, RT_FLOAT}, NULL, 3, sample, 0, floats[0]);
  RT_TEST_CHECK(floats[0][0] == 69 && floats[0][1] == 0 && floats[0][2] == 19, "physical units: %g, %g",
                (double)floats[0][0], (double)floats[0][2]);
}

/* A dataset of all of them, written and read again; only what is wanted is read. */
static void test_dataset(void)
{
  const void *all[FIELDS] = {input, label, mask, packed, token, word};
  const bool want[FIELDS] = {[2] = true, [4] = true};
  char hash[2][RT_HASH_TEXT];
  RtDatasetWriter *writer;
  RtDataset *dataset;
  RtSamples samples;

  for (int k = 0; k < 2; k++) {
    RT_MUST(rt_dataset_create("fields.nc", &info, NULL, &writer));
    RT_MUST(rt_dataset_append(writer, SAMPLES, all));
    RT_MUST(rt_dataset_finish(&writer));
    RT_MUST(rt_dataset_open(PETSC_COMM_SELF, "fields.nc", &dataset));
    strcpy(hash[k], rt_dataset_info(dataset)->hash);
    RT_TEST_CHECK(rt_dataset_info(dataset)->fields == FIELDS && rt_dataset_info(dataset)->label == 1, "fields");
    for (int f = 0; f < FIELDS; f++)
      RT_TEST_CHECK(!memcmp(&rt_dataset_info(dataset)->field[f].type, &field[f].type, sizeof(RtType)) &&
                        !strcmp(rt_dataset_info(dataset)->field[f].name, field[f].name),
                    "field %d is '%s'", f, rt_dataset_info(dataset)->field[f].name);
    RT_MUST(rt_samples_load(dataset, want, 3, 5, &samples));
    for (int f = 0; f < FIELDS; f++) RT_TEST_CHECK(!samples.field[f] == !want[f], "field %d", f);
    RT_TEST_CHECK(!memcmp(samples.field[4], token[3], 5 * sizeof(token[0])) &&
                      !memcmp(samples.field[2], mask[3], 5 * sizeof(mask[0])),
                  "other numbers");
    RT_TEST_CHECK(rt_samples_bytes(rt_dataset_info(dataset), want) == POSITIONS * 9, "bytes");
    RT_MUST(rt_samples_free(&samples));
    RT_MUST(rt_dataset_close(&dataset));
    token[11][3]++; /* one number of one further field */
  }
  RT_TEST_CHECK(strcmp(hash[0], hash[1]) != 0, "the hash does not know the field");
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  rt_field_repeat(&info);
  test_names();
  test_left_over();
  test_lengths();
  test_file();
  test_samples();
  test_dataset();
  return 0;
}

RT_TEST_MAIN(test)
