/* The option table: parsing, bounds, lists, truth values, choices; the job file and what overrides it; mistakes and
   their messages; records. */
#include "support.h"

#include "job/options.h"

#include <math.h>

static const char *colours(void)
{
  return "red|green|dark-blue";
}

static const RtOption table[] = {
    {"job", RT_OPTION_TEXT, "", 0, 0, NULL, 1, 0, "job file"},
    {"run_dir", RT_OPTION_TEXT, "", 0, 0, NULL, 1, 0, "folder"},
    {"run_seed", RT_OPTION_INT, "1", 0, 9e15, NULL, 1, 3, "seed"},
    {"train_rate", RT_OPTION_REAL, "0.05", -2, 1e6, NULL, 1, 1, "rate"},
    {"train_fast", RT_OPTION_BOOL, "false", 0, 0, NULL, 1, 1, "fast"},
    {"train_slow", RT_OPTION_BOOL, "true", 0, 0, NULL, 1, 0, "slow"},
    {"train_colour", RT_OPTION_CHOICE, "green", 0, 0, colours, 1, 1, "colour"},
    {"train_hidden", RT_OPTION_INTS, "100,50", 1, 1000, NULL, 1, 1, "units"},
    {"train_dropout", RT_OPTION_REALS, "", 0, 0.99, NULL, 1, 2, "dropout"},
    {"train_memory", RT_OPTION_SIZE, "4G", 1024, 9e15, NULL, 1, 4, "memory"},
    {"terms_*_colour", RT_OPTION_CHOICE, "red", 0, 0, colours, 1, 8, "colour of a term"},
    {"taps_*_from", RT_OPTION_TEXT, "", 0, 0, NULL, 1, 8, "where a tap is"},
    {"terms_*_weight", RT_OPTION_REAL, "1", 0, 9, NULL, 1, 8, "weight of a term"},
    {"terms_*_units", RT_OPTION_INTS, "1,2", 0, 9, NULL, 1, 1, "units of a term"},
    {"terms_memory", RT_OPTION_SIZE, "1K", 1024, 9e15, NULL, 1, 8, "of all terms"},
};

enum { COUNT = sizeof(table) / sizeof(*table), WORDS = 16 };

/* Options of a command line, words separated by blanks. PETSc's database starts empty. */
static PetscErrorCode parse(const char *line, RtOptions **options)
{
  char copy[2048], *word[WORDS] = {NULL}, *rest = copy, *next;
  int words = 0;

  PetscFunctionBegin;
  PetscCall(PetscOptionsClear(NULL));
  snprintf(copy, sizeof(copy), "%s", line);
  while ((next = strsep(&rest, " ")) && words < WORDS)
    if (*next) word[words++] = next;
  PetscCall(rt_options_create(PETSC_COMM_WORLD, table, COUNT, words, word, options));
  PetscFunctionReturn(0);
}

static RtOptions *must_parse(const char *line)
{
  RtOptions *options = NULL;

  RT_MUST(parse(line, &options));
  return options;
}

static void refuse(const char *line, int code, const char *words)
{
  RtOptions *options = NULL;

  RT_TEST_SAYS(parse(line, &options), code, words);
  RT_TEST_CHECK(!options, "options of '%s' are there", line);
}

static void test_defaults(void)
{
  RtOptions *o = must_parse("");
  int64_t whole[RT_OPTIONS_LIST];
  double real[RT_OPTIONS_LIST];

  RT_TEST_CHECK(rt_options_int(o, "run", "seed") == 1 && rt_options_int(o, NULL, "run_seed") == 1, "int");
  RT_TEST_CHECK(rt_options_real(o, "train", "rate") == 0.05, "real");
  RT_TEST_CHECK(!rt_options_bool(o, "train", "fast") && rt_options_bool(o, "train", "slow"), "bool");
  RT_TEST_CHECK(!strcmp(rt_options_text(o, "train", "colour"), "green") && !*rt_options_text(o, "run", "dir"), "text");
  RT_TEST_CHECK(rt_options_ints(o, "train", "hidden", whole) == 2 && whole[0] == 100 && whole[1] == 50, "ints");
  RT_TEST_CHECK(rt_options_reals(o, "train", "dropout", real) == 0, "reals");
  RT_TEST_CHECK(rt_options_int(o, "train", "memory") == (int64_t)4 << 30, "size");
  for (int i = 0; i < COUNT; i++)
    RT_TEST_CHECK(strchr(table[i].name, '*') || !rt_options_given(o, NULL, table[i].name), "%s was not given",
                  table[i].name);
  RT_MUST(rt_options_destroy(&o));
  RT_TEST_CHECK(!o, "destroy sets NULL");
  RT_MUST(rt_options_destroy(&o));
}

static void test_values(void)
{
  RtOptions *o = must_parse("-run_seed 9000000000000000 -train_rate -1.5e0 -train_fast -train_slow no -run_dir a/b=c "
                            "-train_colour dark-blue -train_hidden 7 -train_dropout 0,.5,9.9e-1");
  int64_t whole[RT_OPTIONS_LIST];
  double real[RT_OPTIONS_LIST];

  RT_TEST_CHECK(rt_options_int(o, "run", "seed") == 9000000000000000, "a large whole number");
  RT_TEST_CHECK(rt_options_real(o, "train", "rate") == -1.5, "a negative number is a value");
  RT_TEST_CHECK(rt_options_bool(o, "train", "fast") && !rt_options_bool(o, "train", "slow"), "bool");
  RT_TEST_CHECK(!strcmp(rt_options_text(o, "run", "dir"), "a/b=c"), "text");
  RT_TEST_CHECK(!strcmp(rt_options_text(o, "train", "colour"), "dark-blue"), "choice");
  RT_TEST_CHECK(rt_options_ints(o, "train", "hidden", whole) == 1 && whole[0] == 7, "ints");
  RT_TEST_CHECK(rt_options_reals(o, "train", "dropout", real) == 3 && real[1] == 0.5 && real[2] == 0.99, "reals");
  RT_TEST_CHECK(rt_options_given(o, "train", "rate") && !rt_options_given(o, NULL, "job"), "given");
  RT_MUST(rt_options_destroy(&o));
  o = must_parse("-train_memory 1.5k");
  RT_TEST_CHECK(rt_options_int(o, "train", "memory") == 1536, "a size");
  RT_MUST(rt_options_destroy(&o));
  o = must_parse("-run_seed 3 -run_seed 4 -train_rate 1e6 -train_hidden 1000,1");
  RT_TEST_CHECK(rt_options_int(o, "run", "seed") == 4, "the last one counts");
  RT_MUST(rt_options_destroy(&o));
}

static void test_truth(void)
{
  static const char *const yes[] = {"true", "yes", "on", "1", ""}, *const no[] = {"false", "no", "off", "0"};
  char line[64];

  for (int i = 0; i < 9; i++) {
    RtOptions *o;

    snprintf(line, sizeof(line), "-train_fast %s -run_seed 5", i < 5 ? yes[i] : no[i - 5]);
    o = must_parse(line);
    RT_TEST_CHECK(rt_options_bool(o, "train", "fast") == (i < 5) && rt_options_int(o, "run", "seed") == 5, "%s", line);
    RT_MUST(rt_options_destroy(&o));
  }
  refuse("-train_fast maybe", RT_ERR_USAGE, "-train_fast|maybe");
  refuse("-train_fast 2", RT_ERR_USAGE, "-train_fast|2");
}

static void test_mistakes(void)
{
  char line[1600] = "-train_hidden 1";

  refuse("-run_seed 1.5", RT_ERR_USAGE, "-run_seed|1.5|whole number");
  refuse("-run_seed x", RT_ERR_USAGE, "-run_seed|'x'|whole number");
  refuse("-run_seed 12z", RT_ERR_USAGE, "-run_seed|12z");
  refuse("-run_seed -1", RT_ERR_USAGE, "-run_seed|-1|out of bounds");
  refuse("-run_seed 1e16", RT_ERR_USAGE, "-run_seed|1e16|out of bounds");
  refuse("-run_seed 1e999", RT_ERR_USAGE, "-run_seed|1e999");
  refuse("-train_rate nan", RT_ERR_USAGE, "-train_rate|nan|number");
  refuse("-train_rate inf", RT_ERR_USAGE, "-train_rate|inf");
  refuse("-train_rate -2.0001", RT_ERR_USAGE, "-train_rate|-2.0001|-2 to 1e+06");
  refuse("-train_memory 12Q", RT_ERR_USAGE, "-train_memory|'12Q'|not a size|K, M, G");
  refuse("-train_memory 1023", RT_ERR_USAGE, "-train_memory|1023|at least 1K");
  refuse("-train_rate", RT_ERR_USAGE, "-train_rate|needs a value");
  refuse("-train_rate -run_seed 3", RT_ERR_USAGE, "-train_rate|needs a value");
  refuse("-train_colour blue", RT_ERR_USAGE, "-train_colour|'blue'|red|green|dark-blue");
  refuse("-train_colour dark", RT_ERR_USAGE, "-train_colour|'dark'");
  refuse("-train_colour red|green", RT_ERR_USAGE, "-train_colour");
  refuse("-train_hidden 5,,6", RT_ERR_USAGE, "-train_hidden");
  refuse("-train_hidden 5,6,", RT_ERR_USAGE, "-train_hidden");
  refuse("-train_hidden ,5", RT_ERR_USAGE, "-train_hidden");
  refuse("-train_hidden 5;6", RT_ERR_USAGE, "-train_hidden|5;6");
  refuse("-train_hidden 5,0", RT_ERR_USAGE, "-train_hidden|0|out of bounds");
  refuse("-train_hidden 5,2000", RT_ERR_USAGE, "-train_hidden|2000|1 to 1000");
  refuse("-train_dropout 0.5,1", RT_ERR_USAGE, "-train_dropout|1|0.99");
  refuse("train_rate 3", RT_ERR_USAGE, "'train_rate'|no option");
  refuse("-run_seed 3 4", RT_ERR_USAGE, "'4'|no option");
  for (int i = 0; i < RT_OPTIONS_LIST; i++) strcat(line, ",1");
  refuse(line, RT_ERR_USAGE, "-train_hidden|more than 64");
  memset(line + 14, 'x', sizeof(line) - 15);
  memcpy(line, "-run_dir      ", 14);
  refuse(line, RT_ERR_USAGE, "-run_dir|too long");
}

static void test_unknown(void)
{
  static const char *const name[] = {"hidden", "dropout", "temperature"};

  refuse("-train_raet 3", RT_ERR_USAGE, "-train_raet|did you mean -train_rate");
  refuse("-trainrate 3", RT_ERR_USAGE, "did you mean -train_rate");
  refuse("--train_rate 3", RT_ERR_USAGE, "did you mean -train_rate");
  refuse("-run_sed 3", RT_ERR_USAGE, "did you mean -run_seed");
  refuse("-TRAIN_RATE 3", RT_ERR_USAGE, "unknown option");
  refuse("-completely_different 3", RT_ERR_USAGE, "unknown option|-help");
  refuse("-seed 3", RT_ERR_USAGE, "unknown option -seed");
  RT_TEST_CHECK(!strcmp(rt_options_nearest("dropuot", name, 3), "dropout"), "two letters swapped");
  RT_TEST_CHECK(!strcmp(rt_options_nearest("temprature", name, 3), "temperature"), "a letter missing");
  RT_TEST_CHECK(!rt_options_nearest("zzzzz", name, 3) && !rt_options_nearest("hidden", name, 0), "none is near");
}

static void write_job(const char *text)
{
  FILE *file = fopen("job.yaml", "w");

  if (!file || fputs(text, file) < 0 || fclose(file)) abort();
}

/* --- names that the user chooses --------------------------------------------------------------------------------- */

static void check_names(const RtOptions *o, const char *prefix, const char *wanted)
{
  const char *name[4];
  char found[200] = "";
  int count = rt_options_names(o, prefix, name, 4);

  for (int i = 0; i < count && i < 4; i++) sprintf(found + strlen(found), "%s ", name[i]);
  RT_TEST_CHECK(!strcmp(found, wanted), "%s: '%s', not '%s'", prefix, found, wanted);
}

static void test_names(void)
{
  RtOptions *o = must_parse("-terms_soft_weight 0.5 -terms_hint2_colour green -terms_soft_units 7 -train_rate 2 "
                            "-terms_soft_colour dark-blue -terms_memory 2K");
  int64_t whole[RT_OPTIONS_LIST];
  const char *name[1] = {NULL};

  check_names(o, "terms", "hint2 soft ");
  check_names(o, "taps", "");
  RT_TEST_CHECK(rt_options_names(o, "terms", name, 1) == 2 && !strcmp(name[0], "hint2"), "more than there is room for");
  RT_TEST_CHECK(rt_options_real(o, "terms_soft", "weight") == 0.5, "a number");
  RT_TEST_CHECK(!strcmp(rt_options_text(o, "terms_soft", "colour"), "dark-blue"), "a choice");
  RT_TEST_CHECK(rt_options_ints(o, "terms_soft", "units", whole) == 1 && whole[0] == 7, "a list");
  RT_TEST_CHECK(rt_options_real(o, "terms_hint2", "weight") == 1, "the default of what is left open");
  RT_TEST_CHECK(rt_options_ints(o, "terms_hint2", "units", whole) == 2 && whole[1] == 2, "the default of a list");
  RT_TEST_CHECK(rt_options_real(o, "terms_nobody", "weight") == 1, "the default of what nobody named");
  RT_TEST_CHECK(rt_options_int(o, "terms", "memory") == 2048, "an option of the same section");
  RT_TEST_CHECK(rt_options_given(o, "terms_soft", "weight") && rt_options_given(o, NULL, "terms_hint2_colour"),
                "given");
  RT_TEST_CHECK(!rt_options_given(o, "terms_hint2", "weight") && !rt_options_given(o, "terms_nobody", "weight"),
                "not given");
  RT_MUST(rt_options_destroy(&o));
  o = must_parse("");
  check_names(o, "terms", "");
  RT_MUST(rt_options_destroy(&o));
}

/* The command line adds to the names of the job file, and overrides their values. */
static void test_names_of_job(void)
{
  RtOptions *o;

  write_job("terms: {z: {weight: 2}, b: {weight: 3, colour: green}}\ntaps: {pool: {from: 'Conv 1'}}\n");
  o = must_parse("-job job.yaml -terms_z_weight 4 -terms_a_units 5 -taps_1_from x");
  check_names(o, "terms", "a b z ");
  check_names(o, "taps", "1 pool ");
  RT_TEST_CHECK(rt_options_real(o, "terms_z", "weight") == 4 && rt_options_real(o, "terms_b", "weight") == 3, "values");
  RT_TEST_CHECK(!strcmp(rt_options_text(o, "taps_pool", "from"), "Conv 1"), "text");
  RT_MUST(rt_options_destroy(&o));
  write_job("terms: {soft: {wieght: 2}}\n");
  refuse("-job job.yaml", RT_ERR_USAGE, "unknown option -terms_soft_wieght|did you mean -terms_soft_weight");
  write_job("terms: {my_soft: {weight: 2}}\n");
  refuse("-job job.yaml", RT_ERR_USAGE, "-terms_my_soft_weight|'my_soft'|letters and digits");
  write_job("terms: {'my soft': {weight: 2}}\n");
  refuse("-job job.yaml", RT_ERR_USAGE, "'my soft'|letters and digits");
}

static void test_bad_names(void)
{
  refuse("-terms_soft_wieght 3", RT_ERR_USAGE, "-terms_soft_wieght|did you mean -terms_soft_weight");
  refuse("-term_soft_weight 3", RT_ERR_USAGE, "did you mean -terms_soft_weight");
  refuse("-terms_weight 3", RT_ERR_USAGE, "unknown option -terms_weight");
  refuse("-tap_x_form 3", RT_ERR_USAGE, "did you mean -taps_x_from");
  refuse("-terms_a_b_weight 3", RT_ERR_USAGE, "'a_b'|letters and digits");
  refuse("-terms__weight 3", RT_ERR_USAGE, "''|letters and digits");
  refuse("-terms_*_weight 3", RT_ERR_USAGE, "'*'|letters and digits");
  refuse("-terms_Soft_weight 3", RT_ERR_USAGE, "'Soft'|small letters and digits");
  refuse("-terms_a23456789012345678901234567890bc_weight 3", RT_ERR_USAGE, "a2345|1 to 31");
  refuse("-terms_soft_weight 10", RT_ERR_USAGE, "-terms_soft_weight: 10|0 to 9");
  refuse("-terms_soft_weight x", RT_ERR_USAGE, "-terms_soft_weight: 'x'");
  refuse("-terms_soft_weight", RT_ERR_USAGE, "-terms_soft_weight|needs a value");
  refuse("-terms_soft_colour blue", RT_ERR_USAGE, "-terms_soft_colour: 'blue'|red|green");
}

/* --- the job file ------------------------------------------------------------------------------------------------- */

static void test_job(void)
{
  RtOptions *o;
  int64_t whole[RT_OPTIONS_LIST];
  double real[RT_OPTIONS_LIST];

  write_job("# a comment\n"
            "run: {dir: runs/one, seed: 7}\n"
            "train:\n"
            "  rate: 1e-3   # small\n"
            "  fast: yes\n"
            "  colour: 'red'\n"
            "  hidden: [30, 20,10]\n"
            "  dropout: [0.5]\n");
  o = must_parse("-job job.yaml -run_seed 8 -train_colour green");
  RT_TEST_CHECK(!strcmp(rt_options_text(o, "run", "dir"), "runs/one"), "nested in braces: %s",
                rt_options_text(o, "run", "dir"));
  RT_TEST_CHECK(rt_options_int(o, "run", "seed") == 8, "the command line overrides the file");
  RT_TEST_CHECK(!strcmp(rt_options_text(o, "train", "colour"), "green"), "the command line overrides the file");
  RT_TEST_CHECK(rt_options_real(o, "train", "rate") == 1e-3 && rt_options_bool(o, "train", "fast"),
                "nested by indentation");
  RT_TEST_CHECK(rt_options_ints(o, "train", "hidden", whole) == 3 && whole[0] == 30 && whole[2] == 10, "a list");
  RT_TEST_CHECK(rt_options_reals(o, "train", "dropout", real) == 1 && real[0] == 0.5, "a list of one");
  RT_TEST_CHECK(rt_options_given(o, "train", "rate") && !rt_options_given(o, "train", "slow"), "given");
  RT_MUST(rt_options_destroy(&o));
  /* before or after -job, the command line wins */
  o = must_parse("-run_seed 8 -job job.yaml");
  RT_TEST_CHECK(rt_options_int(o, "run", "seed") == 8, "what stands before -job is overridden by the file");
  RT_MUST(rt_options_destroy(&o));
}

static void test_bad_job(void)
{
  refuse("-job none.yaml", RT_ERR_FAILED, "none.yaml|No such file");
  refuse("-job .", RT_ERR_FAILED, ".|directory");
  refuse("-job", RT_ERR_USAGE, "-job|needs a value");
  write_job("run: {seed: 7, sede: 8}\n");
  refuse("-job job.yaml", RT_ERR_USAGE, "run_sede|run_seed");
  write_job("train: {rat: {e: 8}}\n");
  refuse("-job job.yaml", RT_ERR_USAGE, "train_rat_e");
  write_job("run: {seed: seven}\n");
  refuse("-job job.yaml", RT_ERR_USAGE, "-run_seed|seven");
  write_job("run: {seed: 7\n");
  refuse("-job job.yaml", RT_ERR_FAILED, "job.yaml|YAML");
  write_job("run:\n\tseed: 7\n");
  refuse("-job job.yaml", RT_ERR_FAILED, "job.yaml|YAML");
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static void record(const char *line, unsigned content, char **text)
{
  RtOptions *o = must_parse(line);

  RT_MUST(rt_options_record(o, content, text));
  RT_MUST(rt_options_destroy(&o));
}

static void test_record(void)
{
  static const char wanted[] =
      "run_seed=1\ntrain_rate=0.05\ntrain_fast=false\ntrain_colour=green\ntrain_hidden=100,50\n";
  static const char *const same[] = {"-train_rate 5e-2",      "-train_rate 0.0500", "-train_fast 0",
                                     "-train_hidden 1e2,+50", "-run_seed 1.0",      "-run_dir elsewhere",
                                     "-train_dropout 0.5"};
  char *text;

  record("", 1, &text);
  RT_TEST_CHECK(!strcmp(text, wanted), "%s", text);
  RT_MUST(PetscFree(text));
  for (int i = 0; i < 7; i++) {
    record(same[i], 1, &text);
    RT_TEST_CHECK(!strcmp(text, wanted), "%s: %s", same[i], text);
    RT_MUST(PetscFree(text));
  }
  record("-train_dropout 0.10,0.2", 2, &text);
  RT_TEST_CHECK(!strcmp(text, "run_seed=1\ntrain_dropout=0.1,0.2\n"), "%s", text);
  RT_MUST(PetscFree(text));
  record("-train_dropout 0.1,0.20 -terms_b_weight 2.50 -taps_z_from x -terms_a_units 03", 8, &text);
  RT_TEST_CHECK(!strcmp(text, "terms_a_colour=red\nterms_a_weight=1\nterms_b_colour=red\nterms_b_weight=2.5\n"
                              "taps_z_from=x\nterms_memory=1024\n"),
                "%s", text);
  RT_MUST(PetscFree(text));
  record("-train_memory 2M", 4, &text);
  RT_TEST_CHECK(!strcmp(text, "train_memory=2097152\n"), "%s", text);
  RT_MUST(PetscFree(text));
}

/* Two values that differ must have two records, also in their last digit. */
static void test_digits(void)
{
  static const char *const pair[][2] = {
      {"-run_seed 8999999999999998", "-run_seed 8999999999999999"},
      {"-run_seed 1234567890123", "-run_seed 1234567890124"},
      {"-train_rate 0.1", "-train_rate 0.10000000000000003"},
  };
  char *text[2];

  for (int i = 0; i < 3; i++) {
    for (int k = 0; k < 2; k++) record(pair[i][k], 1, &text[k]);
    RT_TEST_CHECK(strcmp(text[0], text[1]), "%s and %s have one record", pair[i][0], pair[i][1]);
    for (int k = 0; k < 2; k++) RT_MUST(PetscFree(text[k]));
  }
}

static void test_default_record(void)
{
  RtOptions *o = must_parse("-train_rate 3 -terms_soft_weight 2 -train_hidden 7");
  const char *text = rt_options_defaults(o);

  RT_TEST_CHECK(strstr(text, "train_rate=0.05\n") && strstr(text, "train_hidden=100,50\n"), "%s", text);
  RT_TEST_CHECK(strstr(text, "terms_*_weight=1\n") && strstr(text, "train_memory=4294967296\n"), "%s", text);
  RT_MUST(rt_options_destroy(&o));
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_defaults();
  test_values();
  test_truth();
  test_mistakes();
  test_unknown();
  test_names();
  test_names_of_job();
  test_bad_names();
  test_job();
  test_bad_job();
  test_record();
  test_digits();
  test_default_record();
  return 0;
}

RT_TEST_MAIN(test)
