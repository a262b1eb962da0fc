#include "import/csvrows.h"

#include "import/source.h"

#include <csv.h>
#include <string.h>

enum {
  BUFFER = 1 << 18, /* bytes read at once */
  FIELD = 1 << 20,  /* longest value: beyond, a quote was not closed */
  ROW = 1 << 28     /* longest row */
};

typedef struct {
  const char *path;
  RtCsvRow take;
  void *context;
  struct csv_parser parser;
  PetscErrorCode error; /* of libcsv's callbacks, which cannot return one */
  int64_t lines;        /* before what is parsed now */
  int64_t line;         /* where the current row begins */
  char *text;           /* values of the current row, each with its end */
  size_t used, room;
  int count, slots;
  size_t *place; /* [slots] where in text each value begins */
  char **field;  /* [slots] */
} Rows;

static PetscErrorCode add_field(Rows *rows, const char *value, size_t length)
{
  PetscFunctionBegin;
  RtCheck(!length || strlen(value) == length, "%s:%lld: a value contains a zero byte", rows->path,
          (long long)rows->line);
  RtCheck(length < FIELD, "%s:%lld: a value is longer than %d bytes; is a quote not closed?", rows->path,
          (long long)rows->line, FIELD);
  RtCheck(rows->used < ROW, "%s:%lld: the row is longer than %d bytes", rows->path, (long long)rows->line, ROW);
  if (rows->used + length + 1 > rows->room) {
    rows->room = 2 * (rows->used + length + 1);
    PetscCall(PetscRealloc(rows->room, &rows->text));
  }
  if (rows->count == rows->slots) {
    rows->slots = 2 * rows->slots + 16;
    PetscCall(PetscRealloc((size_t)rows->slots * sizeof *rows->place, &rows->place));
    PetscCall(PetscRealloc((size_t)rows->slots * sizeof *rows->field, &rows->field));
  }
  rows->place[rows->count++] = rows->used;
  if (length) memcpy(rows->text + rows->used, value, length);
  rows->used += length;
  rows->text[rows->used++] = 0;
  PetscFunctionReturn(0);
}

static void on_field(void *value, size_t length, void *context)
{
  Rows *rows = context;

  if (!rows->error) rows->error = add_field(rows, value, length);
}

static void on_row(int end, void *context)
{
  Rows *rows = context;

  (void)end;
  for (int i = 0; !rows->error && i < rows->count; i++) rows->field[i] = rows->text + rows->place[i];
  if (!rows->error) rows->error = rows->take(rows->context, rows->line, rows->count, rows->field);
  rows->count = 0;
  rows->used = 0;
}

static PetscErrorCode parse_error(const Rows *rows)
{
  int code = csv_error(&((Rows *)rows)->parser);

  PetscFunctionBegin;
  RtCheck(code != CSV_EPARSE, "%s:%lld: a quote stands where none may be; put the value into quotes and double it",
          rows->path, (long long)rows->line);
  SETERRQ(PETSC_COMM_SELF, PETSC_ERR_MEM, "%s: %s", rows->path, csv_strerror(code));
  PetscFunctionReturn(0);
}

/* Parse a part that ends with a newline or has none, so that the number of each line is known. */
static PetscErrorCode parse_part(Rows *rows, const char *part, size_t length)
{
  size_t parsed;

  PetscFunctionBegin;
  if (!rows->count && !rows->parser.entry_pos) rows->line = rows->lines + 1;
  parsed = csv_parse(&rows->parser, part, length, on_field, on_row, rows);
  PetscCall(rows->error);
  if (parsed != length) PetscCall(parse_error(rows));
  RtCheck(rows->parser.entry_pos < FIELD, "%s:%lld: a value is longer than %d bytes; is a quote not closed?",
          rows->path, (long long)rows->line, FIELD);
  if (part[length - 1] == '\n') rows->lines++;
  PetscFunctionReturn(0);
}

static PetscErrorCode parse_all(Rows *rows, RtSource *source, char *buffer)
{
  size_t got, length;
  bool start = true;

  PetscFunctionBegin;
  do {
    const char *part = buffer;

    PetscCall(rt_source_read_some(source, buffer, BUFFER, &got));
    if (start && got >= 3 && !memcmp(buffer, "\xef\xbb\xbf", 3)) part += 3; /* the byte order mark of UTF-8 */
    start = false;
    for (; part < buffer + got; part += length) {
      const char *newline = memchr(part, '\n', (size_t)(buffer + got - part));

      length = (size_t)((newline ? newline + 1 : buffer + got) - part);
      PetscCall(parse_part(rows, part, length));
    }
  } while (got == BUFFER);
  if (csv_fini(&rows->parser, on_field, on_row, rows)) {
    PetscCall(rows->error);
    RtFail("%s:%lld: the quote that begins here is not closed", rows->path, (long long)rows->line);
  }
  PetscCall(rows->error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_csvrows_read(const char *path, RtCsvRow row, void *context)
{
  Rows rows = {.path = path, .take = row, .context = context, .line = 1};
  RtSource *source = NULL;
  char *buffer;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_source_open(path, &source));
  PetscCall(PetscMalloc1(BUFFER, &buffer));
  PetscCheck(!csv_init(&rows.parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL), PETSC_COMM_SELF, PETSC_ERR_LIB,
             "csv_init");
  error = parse_all(&rows, source, buffer);
  csv_free(&rows.parser);
  PetscCall(rt_source_close(&source));
  PetscCall(PetscFree(buffer));
  PetscCall(PetscFree(rows.text));
  PetscCall(PetscFree(rows.place));
  PetscCall(PetscFree(rows.field));
  PetscCall(error);
  PetscFunctionReturn(0);
}
