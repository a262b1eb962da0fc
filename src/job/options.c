#include "job/options.h"

#include "core/message.h"
#include "core/size.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT = 1024 /* longest value */ };

typedef struct {
  bool given;
  char *text; /* canonical */
  int count;
  double number[RT_OPTIONS_LIST]; /* whole numbers up to 2^53 are exact */
} Value;

struct RtOptions {
  const RtOption *table;
  int count;
  Value *value; /* [count] */
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

static int find(const RtOption *table, int count, const char *name)
{
  for (int i = 0; i < count; i++)
    if (!strcmp(table[i].name, name)) return i;
  return -1;
}

static PetscErrorCode refuse_unknown(const RtOption *table, int count, const char *name)
{
  const char **names, *near;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(count, &names));
  for (int i = 0; i < count; i++) names[i] = table[i].name;
  near = rt_options_nearest(name, names, count);
  PetscCall(PetscFree(names));
  if (near) RtUsage("unknown option -%s; did you mean -%s?", name, near);
  RtUsage("unknown option -%s; `retort VERB -help` lists the options", name);
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
static PetscErrorCode check_database(const RtOption *table, int count)
{
  PetscInt left;
  char **name, **value;
  int unknown = -1;
  char copy[128] = "";

  PetscFunctionBegin;
  PetscCall(PetscOptionsLeftGet(NULL, &left, &name, &value));
  for (PetscInt i = 0; i < left && unknown < 0; i++)
    if (find(table, count, name[i]) < 0 && !is_petsc(name[i])) unknown = (int)i;
  if (unknown >= 0) snprintf(copy, sizeof(copy), "%s", name[unknown]);
  PetscCall(PetscOptionsLeftRestore(NULL, &left, &name, &value));
  if (unknown >= 0) PetscCall(refuse_unknown(table, count, copy));
  PetscFunctionReturn(0);
}

static PetscErrorCode parse_number(const RtOption *option, const char *text, double *number)
{
  bool whole = option->type == RT_OPTION_INT || option->type == RT_OPTION_INTS;
  char *end;

  PetscFunctionBegin;
  errno = 0;
  *number = strtod(text, &end);
  while (isspace((unsigned char)*end)) end++;
  if (end == text || *end || !isfinite(*number) || (whole && *number != trunc(*number)))
    RtUsage("-%s: '%s' is not a %snumber", option->name, text, whole ? "whole " : "");
  if (*number < option->least || *number > option->most) {
    char bounds[64]; /* PETSc's own %g would write 1 as "1." */

    snprintf(bounds, sizeof(bounds), option->most >= 9e15 ? "must be at least %g" : "goes from %g to %g", option->least,
             option->most);
    RtUsage("-%s: %s is out of bounds; it %s", option->name, text, bounds);
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode parse_size(const RtOption *option, const char *text, double *bytes)
{
  char least[RT_SIZE_TEXT];
  int64_t size;

  PetscFunctionBegin;
  if (!rt_size_parse(text, &size))
    RtUsage("-%s: '%s' is not a size: give bytes, or a number with K, M, G or T", option->name, text);
  *bytes = (double)size;
  if (*bytes < option->least || *bytes > option->most)
    RtUsage("-%s: %s is out of bounds; it must be at least %s", option->name, text,
            rt_size_text((int64_t)option->least, least));
  PetscFunctionReturn(0);
}

static PetscErrorCode parse_list(const RtOption *option, const char *text, Value *value)
{
  char copy[TEXT], *word, *next;

  PetscFunctionBegin;
  snprintf(copy, sizeof(copy), "%s", text);
  value->count = 0;
  for (word = copy[0] ? copy : NULL; word; word = next) {
    next = strchr(word, ',');
    if (next) *next++ = 0;
    if (value->count == RT_OPTIONS_LIST) RtUsage("-%s: more than %d numbers", option->name, RT_OPTIONS_LIST);
    PetscCall(parse_number(option, word, &value->number[value->count++]));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode parse_bool(const RtOption *option, const char *text, double *number)
{
  static const char *const yes[] = {"", "1", "true", "yes", "on"}, *const no[] = {"0", "false", "no", "off"};

  PetscFunctionBegin;
  for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
    if (!strcmp(text, yes[i])) *number = 1;
  for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
    if (!strcmp(text, no[i])) *number = 0;
  if (*number < 0) RtUsage("-%s: '%s' is neither true nor false", option->name, text);
  PetscFunctionReturn(0);
}

static PetscErrorCode parse_choice(const RtOption *option, const char *text)
{
  const char *names = option->choices(), *at = names;
  size_t length = strlen(text);

  PetscFunctionBegin;
  while (at && length && !strchr(text, '|')) {
    if (!strncmp(at, text, length) && (at[length] == '|' || !at[length])) PetscFunctionReturn(0);
    at = strchr(at, '|');
    if (at) at++;
  }
  RtUsage("-%s: '%s' is not one of %s", option->name, text, names);
}

/* The same number always gets the same text and another number another, so that records can be compared: as few digits
   as give the number back. */
static void write_numbers(const Value *value, char *text, size_t length)
{
  size_t used = 0;

  text[0] = 0;
  for (int i = 0; i < value->count && used + 32 < length; i++) {
    char number[32];

    for (int digits = 15; digits <= 17; digits++) {
      snprintf(number, sizeof(number), "%.*g", digits, value->number[i]);
      if (strtod(number, NULL) == value->number[i]) break;
    }
    used += (size_t)snprintf(text + used, length - used, "%s%s", i ? "," : "", number);
  }
}

static PetscErrorCode parse(const RtOption *option, Value *value)
{
  char name[96], text[TEXT] = "";
  PetscBool given = PETSC_FALSE;

  PetscFunctionBegin;
  snprintf(name, sizeof(name), "-%s", option->name);
  PetscCall(PetscOptionsGetString(NULL, NULL, name, text, sizeof(text), &given));
  if (strlen(text) >= sizeof(text) - 1)
    RtUsage("-%s: the value is too long; %d characters are allowed", option->name, TEXT - 2);
  value->given = given;
  if (!given) snprintf(text, sizeof(text), "%s", option->initial);
  value->count = 1;
  value->number[0] = -1;
  switch (option->type) {
  case RT_OPTION_INT:
  case RT_OPTION_REAL:
    PetscCall(parse_number(option, text, &value->number[0]));
    break;
  case RT_OPTION_INTS:
  case RT_OPTION_REALS:
    PetscCall(parse_list(option, text, value));
    break;
  case RT_OPTION_SIZE:
    PetscCall(parse_size(option, text, &value->number[0]));
    break;
  case RT_OPTION_BOOL:
    PetscCall(parse_bool(option, text, &value->number[0]));
    break;
  case RT_OPTION_CHOICE:
    PetscCall(parse_choice(option, text));
    break;
  default:
    break;
  }
  if (option->type == RT_OPTION_BOOL)
    snprintf(text, sizeof(text), "%s", value->number[0] ? "true" : "false");
  else if (option->type != RT_OPTION_TEXT && option->type != RT_OPTION_CHOICE)
    write_numbers(value, text, sizeof(text));
  PetscCall(PetscStrallocpy(text, &value->text));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_options_create(MPI_Comm comm, const RtOption *table, int count, int argc, char **argv,
                                 RtOptions **options)
{
  const char *job;
  RtOptions *o;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(check_words(table, count, argc, argv, &job));
  if (job) PetscCall(read_job(comm, job));
  PetscCall(PetscOptionsInsertArgs(NULL, argc, argv));
  PetscCall(check_database(table, count));
  PetscCall(PetscNew(&o));
  o->table = table;
  o->count = count;
  PetscCall(PetscCalloc1(count, &o->value));
  for (int i = 0; i < count && !error; i++) error = parse(&table[i], &o->value[i]);
  if (error) {
    PetscCall(rt_options_destroy(&o));
    PetscCall(error);
  }
  *options = o;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_options_destroy(RtOptions **options)
{
  PetscFunctionBegin;
  if (!*options) PetscFunctionReturn(0);
  for (int i = 0; i < (*options)->count; i++) PetscCall(PetscFree((*options)->value[i].text));
  PetscCall(PetscFree((*options)->value));
  PetscCall(PetscFree(*options));
  PetscFunctionReturn(0);
}

static const Value *get(const RtOptions *options, const char *prefix, const char *name)
{
  char full[96];
  int i;

  snprintf(full, sizeof(full), "%s%s%s", prefix ? prefix : "", prefix ? "_" : "", name);
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
  const Value *v = get(options, prefix, name);

  for (int i = 0; i < v->count; i++) value[i] = (int64_t)v->number[i];
  return v->count;
}

int rt_options_reals(const RtOptions *options, const char *prefix, const char *name, double value[RT_OPTIONS_LIST])
{
  const Value *v = get(options, prefix, name);

  for (int i = 0; i < v->count; i++) value[i] = v->number[i];
  return v->count;
}

bool rt_options_given(const RtOptions *options, const char *prefix, const char *name)
{
  return get(options, prefix, name)->given;
}

PetscErrorCode rt_options_record(const RtOptions *options, unsigned content, char **text)
{
  size_t length = 1, used = 0;

  PetscFunctionBegin;
  for (int i = 0; i < options->count; i++)
    if (options->table[i].content & content)
      length += strlen(options->table[i].name) + strlen(options->value[i].text) + 2;
  PetscCall(PetscCalloc1(length, text));
  for (int i = 0; i < options->count; i++)
    if (options->table[i].content & content)
      used += (size_t)snprintf(*text + used, length - used, "%s=%s\n", options->table[i].name, options->value[i].text);
  PetscFunctionReturn(0);
}

/* The line of `record` that begins with name=, NULL where there is none; its value copied, as far as there is room. */
static const char *look_up(const char *record, const char *name, size_t name_length, char value[96])
{
  value[0] = 0;
  for (const char *line = record; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    if (strncmp(line, name, name_length) || line[name_length] != '=') continue;
    snprintf(value, 96, "%.*s", (int)strcspn(line + name_length + 1, "\n"), line + name_length + 1);
    return line;
  }
  return NULL;
}

bool rt_options_differ(const char *before, const char *now, char name[64], char old_value[96], char new_value[96])
{
  const char *record[2] = {now, before};

  if (!strcmp(before, now)) return false;
  for (int k = 0; k < 2; k++)
    for (const char *line = record[k]; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
      size_t length = strcspn(line, "=\n");
      const char *old_line = look_up(before, line, length, old_value),
                 *new_line = look_up(now, line, length, new_value);
      size_t bytes = strcspn(line, "\n");

      if (old_line && new_line && strcspn(old_line, "\n") == bytes && strcspn(new_line, "\n") == bytes &&
          !memcmp(old_line, new_line, bytes))
        continue;
      snprintf(name, 64, "%.*s", (int)PetscMin(length, 63), line);
      return true;
    }
  snprintf(name, 64, "order of options");
  return true;
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
    char head[160], bounds[64] = "";

    if (!(o->verbs & verb)) continue;
    snprintf(head, sizeof(head), "-%s <%s>", o->name, o->type == RT_OPTION_CHOICE ? o->choices() : kind[o->type]);
    if (o->type == RT_OPTION_INT || o->type == RT_OPTION_REAL || o->type == RT_OPTION_INTS ||
        o->type == RT_OPTION_REALS)
      snprintf(bounds, sizeof(bounds), o->most >= 9e15 ? ", at least %g" : ", %g to %g", o->least, o->most);
    rt_message_print("  %s", head);
    rt_message_print("      %s (default: %s%s)", o->help, o->initial[0] ? o->initial : "none", bounds);
  }
}
