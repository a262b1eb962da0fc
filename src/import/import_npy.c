/* NumPy's .npy and .npz. A .npy file begins with \x93NUMPY, two bytes of version, the header's length, and the header:
   the text of a Python dictionary with descr, fortran_order and shape. An .npz file is a zip archive of them.
   https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#include "import/import.h"

#include "core/message.h"
#include "import/arrays.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 1 << 16, NAME = 256 };

/* Where to find an array. */
typedef struct {
  const char *path, *member; /* member: NULL for a .npy file */
} Place;

/* Reads the header's text from left to right. */
typedef struct {
  const char *next;
  bool bad;
} Reader;

static bool accept(Reader *reader, char c)
{
  while (isspace((unsigned char)*reader->next)) reader->next++;
  if (*reader->next != c) return false;
  reader->next++;
  return true;
}

static void expect(Reader *reader, char c)
{
  if (!accept(reader, c)) reader->bad = true;
}

/* A text in quotes; word: [length]. */
static void quoted(Reader *reader, char *word, size_t length)
{
  char quote = accept(reader, '\'') ? '\'' : '"';
  size_t used = 0;

  word[0] = 0;
  if (quote == '"') expect(reader, quote);
  while (!reader->bad && *reader->next && *reader->next != quote && used + 1 < length) word[used++] = *reader->next++;
  word[used] = 0;
  expect(reader, quote);
}

/* A tuple of numbers. */
static void shape(Reader *reader, RtArray *array)
{
  char *end;

  expect(reader, '(');
  array->ndim = 0;
  while (!reader->bad && !accept(reader, ')')) {
    if (!isdigit((unsigned char)*reader->next) || array->ndim > RT_MAX_DIM) {
      reader->bad = true;
      return;
    }
    /* A number that is too large becomes LLONG_MAX and is refused when sizes are multiplied. */
    array->dim[array->ndim++] = strtoll(reader->next, &end, 10);
    reader->next = end;
    (void)accept(reader, 'L'); /* Python 2 */
    if (accept(reader, ')')) return;
    expect(reader, ',');
    while (isspace((unsigned char)*reader->next)) reader->next++;
  }
}

static bool truth(Reader *reader)
{
  bool value;

  while (isspace((unsigned char)*reader->next)) reader->next++;
  value = !strncmp(reader->next, "True", 4);
  if (!value && strncmp(reader->next, "False", 5))
    reader->bad = true;
  else
    reader->next += value ? 4 : 5;
  return value;
}

/* descr: byte order, kind, bytes an element. */
static PetscErrorCode find_element(const char *name, const char *descr, RtElement *element)
{
  static const struct {
    const char *text;
    RtElementKind kind;
  } known[] = {{"u1", RT_ELEMENT_UINT8},  {"i1", RT_ELEMENT_INT8},   {"b1", RT_ELEMENT_BOOL},
               {"u2", RT_ELEMENT_UINT16}, {"i2", RT_ELEMENT_INT16},  {"u4", RT_ELEMENT_UINT32},
               {"i4", RT_ELEMENT_INT32},  {"u8", RT_ELEMENT_UINT64}, {"i8", RT_ELEMENT_INT64},
               {"f2", RT_ELEMENT_HALF},   {"f4", RT_ELEMENT_FLOAT},  {"f8", RT_ELEMENT_DOUBLE}};

  PetscFunctionBegin;
  element->swap = descr[0] == '>';
  if (descr[0] && strchr("<>=|", descr[0]))
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
      if (!strcmp(descr + 1, known[i].text)) {
        element->kind = known[i].kind;
        PetscFunctionReturn(0);
      }
  RtFail("%s: elements of type '%s' are not supported; convert with numpy.astype('float32')", name, descr);
  PetscFunctionReturn(0);
}

static PetscErrorCode parse(const char *text, RtArray *array)
{
  const char *name = rt_source_name(array->source);
  char key[24], descr[24] = "";
  Reader reader = {.next = text};
  bool fortran = false;
  int keys = 0;

  PetscFunctionBegin;
  expect(&reader, '{');
  while (!reader.bad && !accept(&reader, '}')) {
    quoted(&reader, key, sizeof key);
    expect(&reader, ':');
    keys++;
    if (!strcmp(key, "descr")) {
      RtCheck(!accept(&reader, '['), "%s: an array of records is not supported; save its columns as one array", name);
      quoted(&reader, descr, sizeof descr);
    } else if (!strcmp(key, "fortran_order"))
      fortran = truth(&reader);
    else if (!strcmp(key, "shape"))
      shape(&reader, array);
    else
      reader.bad = true;
    if (!accept(&reader, ',')) {
      expect(&reader, '}');
      break;
    }
  }
  RtCheck(!reader.bad && keys == 3 && descr[0], "%s: the NumPy header cannot be read", name);
  RtCheck(array->ndim > 0, "%s holds a single number, not an array", name);
  RtCheck(!fortran || array->ndim == 1,
          "%s is in Fortran order; save it with numpy.save(name, numpy.ascontiguousarray(x))", name);
  PetscCall(find_element(name, descr, &array->element));
  PetscFunctionReturn(0);
}

static PetscErrorCode read_header(RtArray *array)
{
  const char *name = rt_source_name(array->source);
  unsigned char head[12];
  size_t got, length, before;
  char *text;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_source_read_some(array->source, head, 10, &got));
  RtCheck(got == 10 && !memcmp(head, "\x93NUMPY", 6), "%s is not a NumPy file", name);
  RtCheck(head[6] >= 1 && head[6] <= 3, "%s: version %d of the NumPy format is not known", name, head[6]);
  if (head[6] > 1) PetscCall(rt_source_read(array->source, head + 10, 2));
  before = head[6] > 1 ? 12 : 10;
  length = head[8] | (size_t)head[9] << 8;
  if (head[6] > 1) length |= (size_t)head[10] << 16 | (size_t)head[11] << 24;
  RtCheck(length <= HEADER, "%s: the NumPy header announces %lld bytes; at most %d are read", name, (long long)length,
          HEADER);
  PetscCall(PetscMalloc1(length + 1, &text));
  error = rt_source_read(array->source, text, length);
  text[error ? 0 : length] = 0;
  if (!error) error = parse(text, array);
  PetscCall(PetscFree(text));
  PetscCall(error);
  PetscCall(rt_arrays_check(array, (int64_t)(before + length)));
  PetscFunctionReturn(0);
}

static PetscErrorCode open_npy(const void *context, RtArray *array)
{
  const Place *place = context;

  PetscFunctionBegin;
  if (place->member)
    PetscCall(rt_source_open_member(place->path, place->member, &array->source));
  else
    PetscCall(rt_source_open(place->path, &array->source));
  PetscCall(read_header(array));
  PetscFunctionReturn(0);
}

/* Index of the array with this name, -1 if there is none. */
static int member_index(int count, char *const *names, const char *name)
{
  for (int i = 0; i < count; i++)
    if (!strcmp(names[i], name)) return i;
  return -1;
}

/* Choose the arrays of an archive: x and y, X and Y, or the first two. */
static PetscErrorCode choose(const char *path, int count, char *const *names, char x[NAME], char y[NAME])
{
  int first = -1, second = -1;

  PetscFunctionBegin;
  for (int i = 0; i < 2 && first < 0; i++) {
    first = member_index(count, names, i ? "X.npy" : "x.npy");
    if (first < 0) continue;
    second = member_index(count, names, i ? "Y.npy" : "y.npy");
    /* The habit of scikit-learn: X, y. */
    if (second < 0) second = member_index(count, names, i ? "y.npy" : "Y.npy");
  }
  for (int i = 0; i < count && first < 0; i++)
    if (strstr(names[i], ".npy")) {
      first = i;
      for (int j = i + 1; j < count && second < 0; j++)
        if (strstr(names[j], ".npy")) second = j;
    }
  RtCheck(first >= 0, "%s holds no NumPy arrays", path);
  snprintf(x, NAME, "%s", names[first]);
  snprintf(y, NAME, "%s", second < 0 ? "" : names[second]);
  if (second < 0)
    rt_message_note("%s: %s is the input, there are no labels", path, x);
  else
    rt_message_note("%s: %s is the input, %s the labels or targets", path, x, y);
  PetscFunctionReturn(0);
}

static PetscErrorCode is_archive(const char *path, bool *archive)
{
  FILE *file = fopen(path, "rb");
  char head[4] = "";

  PetscFunctionBegin;
  *archive = file && fread(head, 1, 4, file) == 4 && !memcmp(head, "PK\x03\x04", 4);
  if (file) fclose(file);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_import_npy(const char *x, const char *y, const char *output)
{
  char origin[1024], member_x[NAME] = "", member_y[NAME] = "", **names;
  Place place_x = {.path = x}, place_y = {.path = y};
  PetscErrorCode error;
  bool archive;
  int count;

  PetscFunctionBegin;
  PetscCall(rt_source_describe(x, y, origin, sizeof origin));
  PetscCall(is_archive(x, &archive));
  if (archive) {
    RtCheck(!y, "%s is an archive and holds its labels itself; give it alone, or two .npy files", x);
    PetscCall(rt_source_members(x, &count, &names));
    error = choose(x, count, names, member_x, member_y);
    PetscCall(rt_source_free_members(count, &names));
    PetscCall(error);
    place_x.member = member_x;
    if (member_y[0]) place_y = (Place){.path = x, .member = member_y};
  }
  PetscCall(rt_arrays_import(open_npy, &place_x, place_y.path ? &place_y : NULL, origin, output));
  PetscFunctionReturn(0);
}

static PetscErrorCode run(const RtImportWords *words)
{
  PetscFunctionBegin;
  PetscCall(rt_import_npy(words->file[0], words->file[1], words->output));
  PetscFunctionReturn(0);
}

const RtImporter rt_importer_npy = {.name = "npy",
                                    .help = "import npy X.npy [Y.npy] -o D.nc\n"
                                            "import npy XY.npz -o D.nc",
                                    .files_least = 1,
                                    .files_most = 2,
                                    .run = run};
