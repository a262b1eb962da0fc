#include "job/options.h"

#include "core/message.h"
#include "job/pattern.h"
#include "job/value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A row whose name holds a `*`, with a name that the user gave to something. */
typedef struct {
  int row;
  char name[RT_PATTERN_NAME];
  char word[RT_PATTERN_WORD];
  RtValue value;
} Instance;

struct RtOptions {
  const RtOption *table;
  int count, instances;
  RtValue *value;     /* [count]; of rows with a `*` the default */
  char *defaults;     /* as a record */
  Instance *instance; /* [instances], by the first row of its kind, then by name, then by row: as records have them */
};

/* Options of PETSc, which are not in our table and may be asked for later than now. */
static bool is_petsc(const char *name)
{
  static const char *const prefix[] = {"log_",         "malloc",     "tao_",
                                       "ksp_",         "pc_",        "mat_",
                                       "vec_",         "on_error",   "start_in_debugger",
                                       "fp_trap",      "info",       "options_",
                                       "objects_",     "memory_",    "nox",
                                       "skip_petscrc", "checkstack", "error_output",
                                       "citations",    "mpi_",       "saws",
                                       "get_"};

  for (size_t i = 0; i < sizeof(prefix) / sizeof(*prefix); i++)
    if (!strncmp(name, prefix[i], strlen(prefix[i]))) return true;
  return false;
}

/* Edits (insert, remove, replace) that turn a into b. */
static int distance(const char *a, const char *b)
{
  int row[128], n = (int)strlen(b);

  if (n > 126) return n;
  for (int j = 0; j <= n; j++) row[j] = j;
  for (int i = 1; a[i - 1]; i++) {
    int diagonal = row[0];

    row[0] = i;
    for (int j = 1; j <= n; j++) {
      int keep = row[j];

      row[j] = PetscMin(PetscMin(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
      diagonal = keep;
    }
  }
  return row[n];
}

const char *rt_options_nearest(const char *word, const char *const *names, int count)
{
  const char *best = NULL;
  int least = PetscMax(2, (int)strlen(word) / 3) + 1;

  for (int i = 0; i < count; i++) {
    const char *end = strlen(names[i]) > strlen(word) ? names[i] + strlen(names[i]) - strlen(word) : NULL;
    int d = distance(word, names[i]);

    if (end && end[-1] == '_' && !strcmp(end, word)) d = 1; /* the section was forgotten */
    if (d >= least) continue;
    least = d;
    best = names[i];
  }
  return best;
}

/* The row of an option, -1 where there is none. A row with a `*` is every option that fits it. */
static int find(const RtOption *table, int count, const char *word)
{
  const char *name;
  size_t length;

  for (int i = 0; i < count; i++)
    if (!rt_pattern_is(table[i].name) && !strcmp(table[i].name, word)) return i;
  for (int i = 0; i < count; i++)
    if (rt_pattern_is(table[i].name) && rt_pattern_find(table[i].name, word, &name, &length) &&
        rt_pattern_allows(name, length))
      return i;
  return -1;
}

static PetscErrorCode refuse_unknown(const RtOption *table, int count, const char *word)
{
  const char **names, *near, *name;
  char(*guess)[RT_PATTERN_WORD], best[RT_PATTERN_WORD] = "";
  size_t length;

  PetscFunctionBegin;
  for (int i = 0; i < count; i++)
    if (rt_pattern_is(table[i].name) && rt_pattern_find(table[i].name, word, &name, &length))
      RtUsage("-%s: '%.*s' cannot be a name; it has 1 to %d small letters and digits, and nothing else", word,
              (int)length, name, RT_PATTERN_NAME - 1);
  PetscCall(PetscMalloc2(count, &names, count, &guess));
  for (int i = 0; i < count; i++) {
    names[i] = rt_pattern_is(table[i].name) ? guess[i] : table[i].name;
    if (rt_pattern_is(table[i].name)) rt_pattern_guess(table[i].name, word, guess[i]);
  }
  near = rt_options_nearest(word, names, count);
  if (near) snprintf(best, sizeof(best), "%s", near);
  PetscCall(PetscFree2(names, guess));
  if (best[0]) RtUsage("unknown option -%s; did you mean -%s?", word, best);
  RtUsage("unknown option -%s; `retort VERB -help` lists the options", word);
}

/* A word that starts an option: a dash and a letter. A negative number does not. */
static bool starts_option(const char *word)
{
  return word[0] == '-' && isalpha((unsigned char)word[1 + (word[1] == '-')]);
}

/* Each word must be an option or the value of one. */
static PetscErrorCode check_words(const RtOption *table, int count, int argc, char **argv, const char **job)
{
  PetscFunctionBegin;
  *job = NULL;
  for (int i = 0; i < argc; i++) {
    const char *name = argv[i] + 1;
    int known;

    if (!starts_option(argv[i])) RtUsage("'%s' belongs to no option; options begin with a dash", argv[i]);
    known = find(table, count, name);
    if (known < 0 && !is_petsc(name)) PetscCall(refuse_unknown(table, count, name));
    if (i + 1 < argc && !starts_option(argv[i + 1])) {
      if (!strcmp(name, "job")) *job = argv[i + 1];
      i++;
    } else if (known >= 0 && table[known].type != RT_OPTION_BOOL) {
      RtUsage("the option -%s needs a value", name);
    }
  }
  PetscFunctionReturn(0);
}

/* YAML that PETSc cannot read becomes one line. Rank 0 reads the file, so all ranks get the same answer. */
static PetscErrorCode read_job(MPI_Comm comm, const char *job)
{
  PetscErrorCode error = 0;
  int rank, missing = 0; /* reason why it cannot be read */
  struct stat status;
  const char *reason = NULL;
  char *specific = NULL;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (rank == 0 && (stat(job, &status) || access(job, R_OK))) missing = errno;
  if (rank == 0 && !missing && S_ISDIR(status.st_mode)) missing = EISDIR;
  PetscCallMPI(MPI_Bcast(&missing, 1, MPI_INT, 0, comm));
  RtCheck(!missing, "%s: the job file cannot be read: %s", job, strerror(missing));
  PetscCall(PetscPushErrorHandler(PetscReturnErrorHandler, NULL));
  error = PetscOptionsInsertFileYAML(comm, NULL, job, PETSC_TRUE);
  PetscCall(PetscPopErrorHandler());
  if (!error) PetscFunctionReturn(0);
  PetscCall(PetscErrorMessage(error, &reason, &specific));
  RtFail("%s: is not a YAML job file%s%s; look at its indentation, colons and brackets", job,
         specific && specific[0] ? ": " : "", specific && specific[0] ? specific : "");
}

/* Keys of the job file that nobody knows. */
static PetscErrorCode check_names(const RtOption *table, int count, int names, char **name)
{
  PetscFunctionBegin;
  for (int i = 0; i < names; i++)
    if (find(table, count, name[i]) < 0 && !is_petsc(name[i])) PetscCall(refuse_unknown(table, count, name[i]));
  PetscFunctionReturn(0);
}

static int first_of_kind(const RtOption *table, int row)
{
  for (int i = 0; i < row; i++)
    if (rt_pattern_siblings(table[i].name, table[row].name)) return i;
  return row;
}

/* Instances that are the same but for their rows follow one another, the rows in their order. */
static int compare_instances(const void *a, const void *b)
{
  const Instance *x = a, *y = b;
  int order = strcmp(x->name, y->name);

  return order ? order : x->row - y->row;
}

/* Every row of the kind of `row` for the thing of this name, once. */
static PetscErrorCode add_instances(RtOptions *o, int row, const char *name, size_t length)
{
  PetscFunctionBegin;
  for (int i = 0; i < o->instances; i++)
    if (o->instance[i].row == row && strlen(o->instance[i].name) == length &&
        !strncmp(o->instance[i].name, name, length))
      PetscFunctionReturn(0);
  for (int i = row; i < o->count; i++) {
    Instance *one;

    if (!rt_pattern_siblings(o->table[row].name, o->table[i].name)) continue;
    PetscCall(PetscRealloc(sizeof(*one) * (size_t)(o->instances + 1), &o->instance));
    one = memset(&o->instance[o->instances++], 0, sizeof(*one));
    one->row = i;
    snprintf(one->name, sizeof(one->name), "%.*s", (int)length, name);
    rt_pattern_fill(o->table[i].name, name, length, one->word);
  }
  PetscFunctionReturn(0);
}

/* What the user named, from the words of the database. */
static PetscErrorCode collect_instances(RtOptions *o, int words, char **word)
{
  PetscFunctionBegin;
  for (int row = 0; row < o->count; row++) {
    int begin = o->instances;

    if (!rt_pattern_is(o->table[row].name) || first_of_kind(o->table, row) != row) continue;
    for (int i = 0; i < words; i++) {
      int found = find(o->table, o->count, word[i]);
      const char *name;
      size_t length;

      if (found < 0 || !rt_pattern_siblings(o->table[row].name, o->table[found].name)) continue;
      rt_pattern_find(o->table[found].name, word[i], &name, &length);
      PetscCall(add_instances(o, row, name, length));
    }
    if (o->instances > begin)
      qsort(o->instance + begin, (size_t)(o->instances - begin), sizeof(Instance), compare_instances);
  }
  PetscFunctionReturn(0);
}

/* word: the option's name, with the user's name in place of a `*`. */
static PetscErrorCode parse(const RtOption *row, const char *word, RtValue *value)
{
  char name[RT_PATTERN_WORD + 1], text[RT_VALUE_TEXT] = "";
  RtOption option = *row;
  PetscBool given = PETSC_FALSE;

  PetscFunctionBegin;
  option.name = word; /* for messages */
  snprintf(name, sizeof(name), "-%s", word);
  PetscCall(PetscOptionsGetString(NULL, NULL, name, text, sizeof(text), &given));
  if (strlen(text) >= sizeof(text) - 1)
    RtUsage("-%s: the value is too long; %d characters are allowed", word, RT_VALUE_TEXT - 2);
  PetscCall(rt_value_parse(&option, given ? text : NULL, value));
  PetscFunctionReturn(0);
}

/* The line of an option in a record, appended to text as far as it goes. */
static void append_line(const char *name, const RtValue *value, char *text, size_t length, size_t *used)
{
  int more = snprintf(text ? text + *used : NULL, text ? length - *used : 0, "%s=%s\n", name, value->text);

  *used += (size_t)more;
}

/* The defaults of all rows, as a record has them. */
static PetscErrorCode write_defaults(const RtOption *table, int count, char **text)
{
  size_t length = 0;

  PetscFunctionBegin;
  *text = NULL;
  for (int pass = 0; pass < 2; pass++) {
    size_t used = 0;

    if (pass) PetscCall(PetscMalloc1(length, text));
    for (int i = 0; i < count; i++) {
      RtValue value;

      PetscCall(rt_value_parse(&table[i], NULL, &value));
      append_line(table[i].name, &value, *text, length, &used);
      PetscCall(PetscFree(value.text));
    }
    length = used + 1;
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode fill(RtOptions *o)
{
  char **name, **value;
  PetscInt names;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscOptionsLeftGet(NULL, &names, &name, &value));
  error = check_names(o->table, o->count, (int)names, name);
  if (!error) error = collect_instances(o, (int)names, name);
  PetscCall(PetscOptionsLeftRestore(NULL, &names, &name, &value));
  PetscCall(error);
  for (int i = 0; i < o->count; i++) PetscCall(parse(&o->table[i], o->table[i].name, &o->value[i]));
  for (int i = 0; i < o->instances; i++)
    PetscCall(parse(&o->table[o->instance[i].row], o->instance[i].word, &o->instance[i].value));
  PetscCall(write_defaults(o->table, o->count, &o->defaults));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_options_create(MPI_Comm comm, const RtOption *table, int count, int argc, char **argv,
                                 RtOptions **options)
{
  const char *job;
  RtOptions *o;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(check_words(table, count, argc, argv, &job));
  if (job) PetscCall(read_job(comm, job));
  PetscCall(PetscOptionsInsertArgs(NULL, argc, argv));
  PetscCall(PetscNew(&o));
  o->table = table;
  o->count = count;
  PetscCall(PetscCalloc1(count, &o->value));
  error = fill(o);
  if (error) PetscCall(rt_options_destroy(&o));
  PetscCall(error);
  *options = o;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_options_destroy(RtOptions **options)
{
  PetscFunctionBegin;
  if (!*options) PetscFunctionReturn(0);
  for (int i = 0; i < (*options)->count; i++) PetscCall(PetscFree((*options)->value[i].text));
  for (int i = 0; i < (*options)->instances; i++) PetscCall(PetscFree((*options)->instance[i].value.text));
  PetscCall(PetscFree((*options)->instance));
  PetscCall(PetscFree((*options)->defaults));
  PetscCall(PetscFree((*options)->value));
  PetscCall(PetscFree(*options));
  PetscFunctionReturn(0);
}

static const RtValue *get(const RtOptions *options, const char *prefix, const char *name)
{
  char full[RT_PATTERN_WORD];
  int i;

  snprintf(full, sizeof(full), "%s%s%s", prefix ? prefix : "", prefix ? "_" : "", name);
  for (i = 0; i < options->instances; i++)
    if (!strcmp(options->instance[i].word, full)) return &options->instance[i].value;
  i = find(options->table, options->count, full);
  if (i < 0) PETSCABORT(PETSC_COMM_SELF, PETSC_ERR_PLIB);
  return &options->value[i];
}

int64_t rt_options_int(const RtOptions *options, const char *prefix, const char *name)
{
  return (int64_t)get(options, prefix, name)->number[0];
}

double rt_options_real(const RtOptions *options, const char *prefix, const char *name)
{
  return get(options, prefix, name)->number[0];
}

bool rt_options_bool(const RtOptions *options, const char *prefix, const char *name)
{
  return get(options, prefix, name)->number[0] != 0;
}

const char *rt_options_text(const RtOptions *options, const char *prefix, const char *name)
{
  return get(options, prefix, name)->text;
}

int rt_options_ints(const RtOptions *options, const char *prefix, const char *name, int64_t value[RT_OPTIONS_LIST])
{
  const RtValue *v = get(options, prefix, name);

  for (int i = 0; i < v->count; i++) value[i] = (int64_t)v->number[i];
  return v->count;
}

int rt_options_reals(const RtOptions *options, const char *prefix, const char *name, double value[RT_OPTIONS_LIST])
{
  const RtValue *v = get(options, prefix, name);

  for (int i = 0; i < v->count; i++) value[i] = v->number[i];
  return v->count;
}

bool rt_options_given(const RtOptions *options, const char *prefix, const char *name)
{
  return get(options, prefix, name)->given;
}

PetscErrorCode rt_options_find(const RtOptions *options, const char *name, const char **text)
{
  PetscFunctionBegin;
  if (find(options->table, options->count, name) < 0) PetscCall(refuse_unknown(options->table, options->count, name));
  *text = rt_options_text(options, NULL, name);
  PetscFunctionReturn(0);
}

/* No row has a `*` behind this prefix: a mistake in the program. */
static void check_prefix(const RtOptions *options, const char *prefix)
{
  for (int i = 0; i < options->count; i++)
    if (rt_pattern_under(options->table[i].name, prefix)) return;
  PETSCABORT(PETSC_COMM_SELF, PETSC_ERR_PLIB);
}

int rt_options_names(const RtOptions *options, const char *prefix, const char *name[], int most)
{
  int count = 0, first = -1;

  for (int i = 0; i < options->instances; i++) {
    const Instance *one = &options->instance[i];

    if (!rt_pattern_under(options->table[one->row].name, prefix)) continue;
    if (first < 0) first = one->row;
    if (one->row != first) continue; /* the same name again */
    if (count < most) name[count] = one->name;
    count++;
  }
  if (first < 0) check_prefix(options, prefix);
  return count;
}

static size_t write_record(const RtOptions *o, unsigned content, char *text, size_t length)
{
  size_t used = 0;

  for (int i = 0; i < o->count; i++) {
    if (!rt_pattern_is(o->table[i].name) && o->table[i].content & content)
      append_line(o->table[i].name, &o->value[i], text, length, &used);
    for (int k = 0; k < o->instances; k++)
      if (first_of_kind(o->table, o->instance[k].row) == i && o->table[o->instance[k].row].content & content)
        append_line(o->instance[k].word, &o->instance[k].value, text, length, &used);
  }
  return used;
}

PetscErrorCode rt_options_record(const RtOptions *options, unsigned content, char **text)
{
  size_t length = write_record(options, content, NULL, 0) + 1;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1(length, text));
  write_record(options, content, *text, length);
  PetscFunctionReturn(0);
}

const char *rt_options_defaults(const RtOptions *options)
{
  return options->defaults;
}

void rt_options_help(const RtOption *table, int count, unsigned verb)
{
  static const char *const kind[] = {"whole number",
                                     "number",
                                     "true or false",
                                     "text",
                                     "",
                                     "whole numbers",
                                     "numbers",
                                     "size: bytes, or with K, M, G or T"};

  for (int i = 0; i < count; i++) {
    const RtOption *o = &table[i];
    char name[RT_PATTERN_WORD], head[320], bounds[64] = "";

    if (!(o->verbs & verb)) continue;
    if (rt_pattern_is(o->name))
      rt_pattern_fill(o->name, "NAME", 4, name);
    else
      snprintf(name, sizeof(name), "%s", o->name);
    snprintf(head, sizeof(head), "-%s <%s>", name, o->type == RT_OPTION_CHOICE ? o->choices() : kind[o->type]);
    if (o->type == RT_OPTION_INT || o->type == RT_OPTION_REAL || o->type == RT_OPTION_INTS ||
        o->type == RT_OPTION_REALS)
      snprintf(bounds, sizeof(bounds), o->most >= 9e15 ? ", at least %g" : ", %g to %g", o->least, o->most);
    rt_message_print("  %s", head);
    rt_message_print("      %s (default: %s%s)", o->help, o->initial[0] ? o->initial : "none", bounds);
  }
}
