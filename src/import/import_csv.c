/* CSV files with a header line. The file is read twice: once to count rows and collect classes, once to convert. */
#define _GNU_SOURCE
#include "import/import.h"

#include "import/csvrows.h"
#include "import/source.h"
#include <retort/dataset.h>

#include <ctype.h>
#include <math.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  PIECE = 4 << 20,  /* bytes of input and target written at once */
  CLASSES = 1 << 16 /* most classes: beyond, the column holds something else */
};

typedef struct {
  const char *path;
  const RtImportCsvParams *params;
  int columns;
  char **name;           /* [columns] */
  int label;             /* column; -1: none */
  int *feature, *target; /* [info.size], [info.targets] columns */
  RtDatasetInfo info;
  void *tree; /* the different labels, by tsearch; it owns the texts */
  bool whole; /* all of them are whole numbers */
  RtDatasetWriter *writer;
  int64_t piece, held; /* samples that the buffers can hold and do hold */
  float *input, *targets;
  int32_t *labels;
} Table;

/* Text for messages: short, on one line. */
static const char *show(const char *text, char shown[48])
{
  int i;

  for (i = 0; text[i] && i < 40; i++) shown[i] = iscntrl((unsigned char)text[i]) ? '?' : text[i];
  strcpy(shown + i, text[i] ? "..." : "");
  return shown;
}

/* Classes. */

static int compare_text(const void *a, const void *b)
{
  return strcmp(a, b);
}

static int compare_names(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_whole(const void *a, const void *b)
{
  long long x = atoll(*(char *const *)a), y = atoll(*(char *const *)b);

  return x < y ? -1 : x > y ? 1 : compare_names(a, b);
}

static bool is_whole(const char *text)
{
  const char *digit = text + (*text == '-' || *text == '+');
  size_t length = strspn(digit, "0123456789");

  return length > 0 && length < 18 && !digit[length];
}

static bool is_missing(const char *text)
{
  static const char *const word[] = {"", "na", "n/a", "nan", "null", "none", "?"};

  for (size_t i = 0; i < sizeof word / sizeof *word; i++)
    if (!strcasecmp(text, word[i])) return true;
  return false;
}

/* Remember a label that is new. */
static PetscErrorCode collect(Table *table, int64_t line, const char *text)
{
  char column[48], *copy;

  PetscFunctionBegin;
  show(table->name[table->label], column);
  RtCheck(*text, "%s:%lld: column '%s' has no value; fill or drop such rows first", table->path, (long long)line,
          column);
  RtCheck(!strpbrk(text, "\r\n"), "%s:%lld: column '%s': a label must stand on one line", table->path, (long long)line,
          column);
  if (tfind(text, &table->tree, compare_text)) PetscFunctionReturn(0);
  RtCheck(table->info.classes < CLASSES, "%s:%lld: column '%s' has more than %d different labels; is it the class?",
          table->path, (long long)line, column, CLASSES);
  PetscCall(PetscStrallocpy(text, &copy));
  PetscCheck(tsearch(copy, &table->tree, compare_text), PETSC_COMM_SELF, PETSC_ERR_MEM, "no memory for a label");
  table->info.classes++;
  PetscFunctionReturn(0);
}

static void add_name(const void *node, VISIT visit, void *context)
{
  char ***next = context;

  if (visit == postorder || visit == leaf) *(*next)++ = *(char *const *)node;
}

static void free_name(void *name)
{
  (void)PetscFree(name);
}

static PetscErrorCode sort_classes(Table *table)
{
  int classes = table->info.classes;
  char **next;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1((size_t)classes, &table->info.class_name));
  next = table->info.class_name;
  twalk_r(table->tree, add_name, &next);
  table->whole = true;
  for (int i = 0; i < classes; i++) table->whole = table->whole && is_whole(table->info.class_name[i]);
  qsort(table->info.class_name, (size_t)classes, sizeof *next, table->whole ? compare_whole : compare_names);
  PetscFunctionReturn(0);
}

static PetscErrorCode find_class(const Table *table, int64_t line, const char *text, int32_t *class)
{
  char **names = table->info.class_name, **found = NULL;

  PetscFunctionBegin;
  if (!table->whole || is_whole(text))
    found =
        bsearch(&text, names, (size_t)table->info.classes, sizeof *names, table->whole ? compare_whole : compare_names);
  RtCheck(found, "%s:%lld: the file changed while it was read", table->path, (long long)line);
  *class = (int32_t)(found - names);
  PetscFunctionReturn(0);
}

/* Columns. */

static PetscErrorCode find_column(const Table *table, const char *name, int *column)
{
  char shown[48], known[800] = "";
  size_t used = 0;

  PetscFunctionBegin;
  *column = -1;
  for (int i = 0; i < table->columns; i++)
    if (!strcmp(table->name[i], name)) {
      RtCheck(*column < 0, "%s: the header has two columns '%s'", table->path, show(name, shown));
      *column = i;
    }
  if (*column >= 0) PetscFunctionReturn(0);
  for (int i = 0; i < table->columns && used < sizeof known - 60; i++)
    used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", show(table->name[i], shown));
  RtFail("%s has no column '%s'; its first line names: %s%s", table->path, show(name, shown), known,
         used < sizeof known - 60 ? "" : ", ...");
  PetscFunctionReturn(0);
}

/* Columns from a list of names; used: [columns] is set for each. */
static PetscErrorCode find_columns(const Table *table, const char *list, bool *used, int *count, int **column)
{
  char **name;
  char shown[48];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(PetscStrToArray(list, ',', count, &name));
  PetscCall(PetscMalloc1((size_t)*count + 1, column));
  for (int i = 0; i < *count && !error; i++) {
    error = find_column(table, name[i], &(*column)[i]);
    if (error) break;
    show(name[i], shown);
    if (used[(*column)[i]]) break;
    used[(*column)[i]] = true;
    shown[0] = 0;
  }
  PetscCall(PetscStrToArrayDestroy(*count, name));
  PetscCall(error);
  RtCheck(*count > 0, "the list of columns '%s' is empty", list);
  RtCheck(!shown[0], "the column '%s' is used twice; features, label and targets must differ", shown);
  PetscFunctionReturn(0);
}

static PetscErrorCode assign_columns(Table *table, bool *used)
{
  const RtImportCsvParams *params = table->params;
  int features = 0;

  PetscFunctionBegin;
  if (params->label) {
    PetscCall(find_column(table, params->label, &table->label));
    used[table->label] = true;
  }
  if (params->target) PetscCall(find_columns(table, params->target, used, &table->info.targets, &table->target));
  if (params->features)
    PetscCall(find_columns(table, params->features, used, &features, &table->feature));
  else {
    PetscCall(PetscMalloc1((size_t)table->columns, &table->feature));
    for (int i = 0; i < table->columns; i++)
      if (!used[i]) table->feature[features++] = i;
  }
  RtCheck(features > 0, "%s: no column is left for the input", table->path);
  table->info.size = features;
  PetscFunctionReturn(0);
}

static PetscErrorCode take_header(Table *table, int count, char *const *field)
{
  bool *used;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1((size_t)count, &table->name));
  for (; table->columns < count; table->columns++)
    PetscCall(PetscStrallocpy(field[table->columns], &table->name[table->columns]));
  PetscCall(PetscCalloc1((size_t)count, &used));
  error = assign_columns(table, used);
  PetscCall(PetscFree(used));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Rows. */

static PetscErrorCode check_row(const Table *table, int64_t line, int count)
{
  PetscFunctionBegin;
  RtCheck(count == table->columns, "%s:%lld: %d values, but the header has %d columns", table->path, (long long)line,
          count, table->columns);
  PetscFunctionReturn(0);
}

/* First reading. */
static PetscErrorCode count_row(void *context, int64_t line, int count, char *const *field)
{
  Table *table = context;

  PetscFunctionBegin;
  if (!table->name)
    PetscCall(take_header(table, count, field));
  else {
    PetscCall(check_row(table, line, count));
    if (table->label >= 0) PetscCall(collect(table, line, field[table->label]));
    table->info.samples++;
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode to_number(const Table *table, int64_t line, int column, const char *text, float *value)
{
  char shown[48], name[48], *end;
  double number;

  PetscFunctionBegin;
  show(table->name[column], name);
  RtCheck(!is_missing(text), "%s:%lld: column '%s' has no value; fill or drop such rows first", table->path,
          (long long)line, name);
  number = strtod(text, &end);
  RtCheck(!*end && !text[strspn(text, "0123456789.eE+-")], "%s:%lld: column '%s': '%s' is not a number", table->path,
          (long long)line, name, show(text, shown));
  *value = (float)number;
  RtCheck(isfinite(*value), "%s:%lld: column '%s': '%s' is too large for a float", table->path, (long long)line, name,
          show(text, shown));
  PetscFunctionReturn(0);
}

static PetscErrorCode flush_rows(Table *table)
{
  const void *field[3] = {table->input};
  int fields = 1;

  PetscFunctionBegin;
  if (table->labels) field[fields++] = table->labels;
  if (table->targets) field[fields++] = table->targets;
  PetscCall(rt_dataset_append(table->writer, table->held, field));
  table->held = 0;
  PetscFunctionReturn(0);
}

/* Second reading. */
static PetscErrorCode convert_row(void *context, int64_t line, int count, char *const *field)
{
  Table *table = context;
  const RtDatasetInfo *info = &table->info;
  float *input, *target;

  PetscFunctionBegin;
  PetscCall(check_row(table, line, count));
  if (table->held < 0) { /* the header */
    table->held = 0;
    PetscFunctionReturn(0);
  }
  input = table->input + table->held * info->size;
  for (int64_t i = 0; i < info->size; i++)
    PetscCall(to_number(table, line, table->feature[i], field[table->feature[i]], input + i));
  if (info->targets) target = table->targets + table->held * info->targets;
  for (int i = 0; i < info->targets; i++)
    PetscCall(to_number(table, line, table->target[i], field[table->target[i]], target + i));
  if (info->classes) PetscCall(find_class(table, line, field[table->label], &table->labels[table->held]));
  if (++table->held == table->piece) PetscCall(flush_rows(table));
  PetscFunctionReturn(0);
}

/* "columns a, b, c", as far as there is room. */
static void describe(const Table *table, char *text, size_t length)
{
  size_t used = (size_t)snprintf(text, length, "columns");
  char shown[48];

  for (int64_t i = 0; i < table->info.size; i++) {
    if (used + 60 > length) {
      snprintf(text + used, length - used, ", ...");
      return;
    }
    used += (size_t)snprintf(text + used, length - used, "%s%s", i ? ", " : " ",
                             show(table->name[table->feature[i]], shown));
  }
}

static PetscErrorCode allocate(Table *table)
{
  const RtDatasetInfo *info = &table->info;
  int64_t bytes = 4 * (info->size + info->targets + 1);
  size_t samples;

  PetscFunctionBegin;
  table->piece = bytes < PIECE ? PIECE / bytes : 1;
  if (table->piece > info->samples) table->piece = info->samples;
  samples = (size_t)table->piece;
  PetscCall(PetscMalloc1(samples * (size_t)info->size, &table->input));
  if (info->targets) PetscCall(PetscMalloc1(samples * (size_t)info->targets, &table->targets));
  if (info->classes) PetscCall(PetscMalloc1(samples, &table->labels));
  PetscFunctionReturn(0);
}

static PetscErrorCode import(Table *table, const char *output)
{
  RtDatasetInfo *info = &table->info;
  char origin[1024], columns[4096];
  RtDatasetText text = {.long_name = columns, .units = "1", .source = origin, .target_name = table->params->target};

  PetscFunctionBegin;
  PetscCall(rt_source_describe(table->path, NULL, origin, sizeof origin));
  PetscCall(rt_csvrows_read(table->path, count_row, table));
  RtCheck(table->name, "%s is empty; its first line must name the columns", table->path);
  RtCheck(info->samples > 0, "%s has no rows below its header", table->path);
  if (table->label >= 0) PetscCall(sort_classes(table));
  info->ndim = 1;
  info->dim[0] = info->size;
  strcpy(info->dim_name[0], "feature");
  describe(table, columns, sizeof columns);
  PetscCall(allocate(table));
  PetscCall(rt_dataset_create(output, info, &text, &table->writer));
  table->held = -1;
  PetscCall(rt_csvrows_read(table->path, convert_row, table));
  if (table->held > 0) PetscCall(flush_rows(table));
  PetscCall(rt_dataset_finish(&table->writer));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_import_csv(const char *path, const RtImportCsvParams *params, const char *output)
{
  Table table = {.path = path, .params = params, .label = -1, .info = {.type = RT_FLOAT, .scale = 1}};
  PetscErrorCode error;

  PetscFunctionBegin;
  error = import(&table, output);
  PetscCall(rt_dataset_discard(&table.writer));
  for (int i = 0; i < table.columns; i++) PetscCall(PetscFree(table.name[i]));
  PetscCall(PetscFree(table.name));
  PetscCall(PetscFree(table.feature));
  PetscCall(PetscFree(table.target));
  PetscCall(PetscFree(table.info.class_name));
  tdestroy(table.tree, free_name);
  PetscCall(PetscFree(table.input));
  PetscCall(PetscFree(table.targets));
  PetscCall(PetscFree(table.labels));
  PetscCall(error);
  PetscFunctionReturn(0);
}

enum { OPTION_LABEL, OPTION_TARGET, OPTION_FEATURES };

static PetscErrorCode check(const RtImportWords *words)
{
  PetscFunctionBegin;
  if (!words->option[OPTION_LABEL] == !words->option[OPTION_TARGET])
    RtUsage("import csv wants either -label COLUMN for classes or -target COLUMN[,...] for a regression");
  PetscFunctionReturn(0);
}

static PetscErrorCode run(const RtImportWords *words)
{
  const RtImportCsvParams params = {.label = words->option[OPTION_LABEL],
                                    .target = words->option[OPTION_TARGET],
                                    .features = words->option[OPTION_FEATURES]};

  PetscFunctionBegin;
  PetscCall(rt_import_csv(words->file[0], &params, words->output));
  PetscFunctionReturn(0);
}

const RtImporter rt_importer_csv = {
    .name = "csv",
    .help = "import csv FILE.csv -label COLUMN -o D.nc\n"
            "import csv FILE.csv -target COLUMN[,COLUMN] -o D.nc\n"
            "    -features COLUMN[,COLUMN] takes only these columns as input; files may be compressed with gzip",
    .files_least = 1,
    .files_most = 1,
    .option = {[OPTION_LABEL] = "label", [OPTION_TARGET] = "target", [OPTION_FEATURES] = "features"},
    .check = check,
    .run = run};
