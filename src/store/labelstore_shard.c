#include "store/labelstore_shard.h"

#include "core/fault.h"
#include "core/file.h"
#include "data/content.h"
#include "netcdf/netcdf.h"
#include "store/form.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The texts among the attributes, in the order in which they are compared, and where they go. */
static const struct {
  const char *name;
  size_t offset, length;
} text_attribute[] = {{"teacher_hash", offsetof(RtLabelstoreInfo, teacher), sizeof(((RtLabelstoreInfo *)0)->teacher)},
                      {"dataset_hash", offsetof(RtLabelstoreInfo, dataset), sizeof(((RtLabelstoreInfo *)0)->dataset)},
                      {"precision", offsetof(RtLabelstoreInfo, precision), sizeof(((RtLabelstoreInfo *)0)->precision)},
                      {"augment", offsetof(RtLabelstoreInfo, augment), sizeof(((RtLabelstoreInfo *)0)->augment)}};

enum { TEXTS = sizeof(text_attribute) / sizeof(*text_attribute), SAMPLES = 0, SHARD, VIEWS, NUMBER, NUMBERS };

static const char *const number_attribute[NUMBERS] = {"samples_total", "shard_size", "views", "shard"};

PetscErrorCode rt_labelstore_path(const char *dir, int64_t shard, char *path)
{
  char name[48];

  PetscFunctionBegin;
  snprintf(name, sizeof name, "shard-%06lld.nc", (long long)shard);
  PetscCall(rt_file_join(dir, name, path, PETSC_MAX_PATH_LEN));
  PetscFunctionReturn(0);
}

int64_t rt_labelstore_rows(const RtLabelstoreInfo *info)
{
  int64_t widest = 1;

  for (int f = 0; f < info->fields; f++) widest = PetscMax(widest, info->field[f].width);
  return PetscMax(RT_LABELSTORE_CHUNK / (info->views * widest), 1);
}

/* --- damage, and what is none ------------------------------------------------------------------------------------ */

/* A call of NetCDF failed: is it the file? system: errno. */
static PetscErrorCode judge(RtLabelstoreShard *shard, const char *what, int status, int system)
{
  const bool inside = status == NC_EHDFERR; /* HDF5 does not hand the reason through, but leaves errno */

  PetscFunctionBegin;
  if ((status > 0 && status != EIO) || (inside && (system == ENOLCK || system == ENOSYS)))
    PetscCall(rt_netcdf_fail(shard->path, false, status, system));
  RtCheck(!inside || (system != EMFILE && system != ENFILE && system != EACCES), "%s: cannot be read: %s", shard->path,
          strerror(system));
  if (status == NC_ENOTNC)
    snprintf(shard->why, sizeof(shard->why), "it is not a NetCDF file");
  else
    snprintf(shard->why, sizeof(shard->why), "%s", what);
  PetscFunctionReturn(0);
}

/* Return from a function where a call fails: the shard is damaged, `what` says how. */
#define Read(shard, what, call)                                                                                        \
  do {                                                                                                                 \
    int status_;                                                                                                       \
    RtNetcdfTry(status_, call);                                                                                        \
    if (PetscUnlikely(status_)) {                                                                                      \
      PetscCall(judge(shard, what, status_, errno));                                                                   \
      PetscFunctionReturn(0);                                                                                          \
    }                                                                                                                  \
  } while (0)

static const char unreadable[] = "it is damaged or cut off";

/* --- attributes -------------------------------------------------------------------------------------------------- */

/* Of a variable, or of the file. *text: allocated with PetscMalloc; NULL where there is no such text. */
static PetscErrorCode get_text(RtLabelstoreShard *shard, int var, const char *name, char **text)
{
  nc_type type;
  size_t length;
  char *string;
  int status;

  PetscFunctionBegin;
  *text = NULL;
  RtNetcdfTry(status, nc_inq_att(shard->nc, var, name, &type, &length));
  if (status == NC_ENOTATT) PetscFunctionReturn(0);
  Read(shard, unreadable, status);
  if (type == NC_STRING && length == 1) {
    Read(shard, unreadable, nc_get_att_string(shard->nc, var, name, &string));
    PetscCall(PetscStrallocpy(string ? string : "", text));
    rt_netcdf_lock();
    nc_free_string(1, &string);
    rt_netcdf_unlock();
  } else if (type == NC_CHAR && (int64_t)length <= shard->bytes) {
    PetscCall(PetscCalloc1(length + 1, &string));
    RtNetcdfTry(status, nc_get_att_text(shard->nc, var, name, string));
    if (status) PetscCall(PetscFree(string));
    Read(shard, unreadable, status);
    *text = string;
  }
  PetscFunctionReturn(0);
}

/* *value stays where there is no such number. */
static PetscErrorCode get_real(RtLabelstoreShard *shard, int var, const char *name, double *value)
{
  nc_type type;
  size_t length;
  int status;

  PetscFunctionBegin;
  RtNetcdfTry(status, nc_inq_att(shard->nc, var, name, &type, &length));
  if (status == NC_ENOTATT) PetscFunctionReturn(0);
  Read(shard, unreadable, status);
  if (length != 1 || type == NC_CHAR || type >= NC_STRING) PetscFunctionReturn(0);
  Read(shard, unreadable, nc_get_att_double(shard->nc, var, name, value));
  PetscFunctionReturn(0);
}

/* The same of whole numbers. */
static PetscErrorCode get_number(RtLabelstoreShard *shard, const char *name, int64_t *value)
{
  double number = -1;

  PetscFunctionBegin;
  PetscCall(get_real(shard, NC_GLOBAL, name, &number));
  if (number >= 0 && number <= 0x1p53 && number == (double)(int64_t)number) *value = (int64_t)number;
  PetscFunctionReturn(0);
}

static PetscErrorCode read_texts(RtLabelstoreShard *shard, RtLabelstoreInfo *found)
{
  PetscFunctionBegin;
  for (int i = 0; i < TEXTS && !shard->why[0]; i++) {
    char *text;

    PetscCall(get_text(shard, NC_GLOBAL, text_attribute[i].name, &text));
    if (shard->why[0]) PetscFunctionReturn(0);
    RtCheck(text, "%s has no attribute '%s'; it is not a shard of labels", shard->path, text_attribute[i].name);
    PetscCall(PetscStrncpy((char *)found + text_attribute[i].offset, text, text_attribute[i].length));
    PetscCall(PetscFree(text));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode read_numbers(RtLabelstoreShard *shard, RtLabelstoreInfo *found)
{
  int64_t value[NUMBERS];

  PetscFunctionBegin;
  for (int i = 0; i < NUMBERS && !shard->why[0]; i++) {
    value[i] = -1;
    PetscCall(get_number(shard, number_attribute[i], &value[i]));
    if (shard->why[0]) PetscFunctionReturn(0);
    RtCheck(value[i] >= (i == NUMBER ? 0 : 1) && value[i] <= (i == VIEWS ? INT32_MAX : INT64_MAX / 2),
            "%s: the attribute '%s' is absent or out of bounds; it is not a shard of labels", shard->path,
            number_attribute[i]);
  }
  found->samples = value[SAMPLES];
  found->shard = value[SHARD];
  found->views = (int)value[VIEWS];
  shard->says = value[NUMBER];
  RtCheck(rt_labelstore_shards(found) <= INT32_MAX, "%s claims too many shards", shard->path);
  PetscFunctionReturn(0);
}

/* --- fields ------------------------------------------------------------------------------------------------------ */

/* Where a field says what: in attributes of its variable; features, which are older than other fields, in those of the
   file. */
static PetscErrorCode read_field_texts(RtLabelstoreShard *shard, int var, RtLabelstoreField *field)
{
  const bool features = !strcmp(field->name, "features");
  const char *const name[] = {"form", features ? "features_layer" : "teacher_value",
                              features ? "features_hash" : "components_hash"};
  char *const to[] = {field->form, field->layer, field->hash}, *text;
  const size_t length[] = {sizeof(field->form), sizeof(field->layer), sizeof(field->hash)};

  PetscFunctionBegin;
  if (features) PetscCall(PetscStrncpy(field->form, rt_form_components.name, sizeof(field->form)));
  for (int i = features ? 1 : 0; i < 3 && !shard->why[0]; i++) {
    PetscCall(get_text(shard, features ? NC_GLOBAL : var, name[i], &text));
    if (shard->why[0]) PetscFunctionReturn(0);
    RtCheck(!features || text, "%s has no attribute '%s'; it is not a shard of labels", shard->path, name[i]);
    if (text) PetscCall(PetscStrncpy(to[i], text, length[i]));
    PetscCall(PetscFree(text));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode read_field_numbers(RtLabelstoreShard *shard, int var, RtLabelstoreField *field)
{
  PetscFunctionBegin;
  PetscCall(get_real(shard, var, "maximum_absolute_error", &field->absolute));
  if (!shard->why[0]) PetscCall(get_real(shard, var, "maximum_relative_error", &field->relative));
  if (shard->why[0]) PetscFunctionReturn(0);
  if (!strcmp(field->name, "features"))
    PetscCall(get_real(shard, NC_GLOBAL, "features_kept_variance", &field->kept));
  else
    PetscCall(get_real(shard, var, "kept_variance", &field->kept));
  PetscFunctionReturn(0);
}

/* Shape of a field's rows: what follows sample and view. */
static PetscErrorCode read_field_shape(RtLabelstoreShard *shard, int var, const RtLabelstoreInfo *found,
                                       RtLabelstoreField *field)
{
  const bool logits = !strcmp(field->name, "logits");
  int ndim, dim[NC_MAX_VAR_DIMS], first = found->views > 1 ? 2 : 1;
  int64_t width = 1;
  nc_type type;
  size_t length;

  PetscFunctionBegin;
  Read(shard, unreadable, nc_inq_var(shard->nc, var, NULL, &type, &ndim, dim, NULL));
  RtCheck(type == NC_FLOAT && ndim > first && ndim - first <= RT_MAX_DIM && (!logits || ndim == first + 1),
          "%s: '%s' must be float with %s%d dimensions", shard->path, field->name, logits ? "" : "at least ",
          first + 1);
  for (int i = first; i < ndim; i++) {
    Read(shard, unreadable, nc_inq_dimlen(shard->nc, dim[i], &length));
    RtCheck(length > 0 && length <= INT32_MAX, "%s: '%s' claims %lld numbers", shard->path, field->name,
            (long long)length);
    field->dim[field->axes++] = (int64_t)length;
    width *= (int64_t)length; /* no overflow: it was below 2^31 */
    RtCheck(width <= (logits ? RT_CONTENT_CLASSES : INT32_MAX / 16), "%s claims %lld %s", shard->path, (long long)width,
            logits ? "classes" : "numbers of a field");
  }
  field->width = (int)width;
  PetscFunctionReturn(0);
}

/* A variable of the file, if it is a field. */
static PetscErrorCode find_field(RtLabelstoreShard *shard, int var, RtLabelstoreInfo *found)
{
  RtLabelstoreField *field = &found->field[PetscMin(found->fields, RT_LABELSTORE_FIELDS - 1)];
  char name[NC_MAX_NAME + 1], *form = NULL;
  bool known;

  PetscFunctionBegin;
  Read(shard, unreadable, nc_inq_varname(shard->nc, var, name));
  known = !strcmp(name, "logits") || !strcmp(name, "features");
  if (!known) PetscCall(get_text(shard, var, "form", &form));
  known = known || form;
  PetscCall(PetscFree(form));
  if (shard->why[0] || !known || strlen(name) >= sizeof(field->name)) PetscFunctionReturn(0);
  RtCheck(found->fields < RT_LABELSTORE_FIELDS, "%s claims more than %d fields", shard->path,
          (int)RT_LABELSTORE_FIELDS);
  *field = (RtLabelstoreField){.kept = 0};
  strcpy(field->name, name);
  PetscCall(read_field_texts(shard, var, field));
  if (!shard->why[0]) PetscCall(read_field_numbers(shard, var, field));
  if (!shard->why[0]) PetscCall(read_field_shape(shard, var, found, field));
  shard->variable[found->fields++] = var;
  PetscFunctionReturn(0);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static PetscErrorCode find_variables(RtLabelstoreShard *shard, RtLabelstoreInfo *found)
{
  int variables;

  PetscFunctionBegin;
  Read(shard, "it has no sample_id", nc_inq_varid(shard->nc, "sample_id", &shard->id));
  Read(shard, unreadable, nc_inq_nvars(shard->nc, &variables));
  for (int var = 0; var < variables && !shard->why[0]; var++) PetscCall(find_field(shard, var, found));
  if (!shard->why[0] && rt_labelstore_find(found, "logits") < 0)
    snprintf(shard->why, sizeof(shard->why), "it has no logits");
  PetscFunctionReturn(0);
}

static PetscErrorCode open_file(RtLabelstoreShard *shard)
{
  struct stat status;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_OPEN));
  RtCheck(!stat(shard->path, &status), "%s: cannot be read: %s", shard->path, strerror(errno));
  RtCheck(S_ISREG(status.st_mode), "%s is not a file", shard->path);
  shard->bytes = (int64_t)status.st_size;
  Read(shard, unreadable, nc_open(shard->path, NC_NOWRITE, &shard->nc));
  PetscFunctionReturn(0);
}

static PetscErrorCode open_and_read(RtLabelstoreShard *shard, RtLabelstoreInfo *found)
{
  PetscFunctionBegin;
  PetscCall(open_file(shard));
  if (!shard->why[0]) PetscCall(read_texts(shard, found));
  if (!shard->why[0]) PetscCall(read_numbers(shard, found));
  if (!shard->why[0]) PetscCall(find_variables(shard, found));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_open(const char *dir, int64_t number, RtLabelstoreShard *shard, RtLabelstoreInfo *found)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  *shard = (RtLabelstoreShard){.nc = -1, .number = number};
  PetscCall(rt_labelstore_path(dir, number, shard->path));
  memset(found, 0, sizeof(*found));
  error = open_and_read(shard, found);
  if (error) rt_labelstore_close(shard);
  PetscCall(error);
  PetscFunctionReturn(0);
}

void rt_labelstore_close(RtLabelstoreShard *shard)
{
  if (shard->nc >= 0) rt_netcdf_close(shard->nc);
  shard->nc = -1;
}

/* --- does it belong? --------------------------------------------------------------------------------------------- */

static PetscErrorCode compare_number(const RtLabelstoreShard *shard, const char *name, int64_t value, int64_t want)
{
  PetscFunctionBegin;
  RtCheck(value == want,
          "%s was made from something else: its %s is %lld, expected %lld; `retort label -run_force` makes all again",
          shard->path, name, (long long)value, (long long)want);
  PetscFunctionReturn(0);
}

/* Has a field as many samples and views as it must, and the sample numbers [count]? */
static PetscErrorCode compare_length(RtLabelstoreShard *shard, const char *name, int var, int64_t want, int views)
{
  int ndim, dim[NC_MAX_VAR_DIMS];
  size_t length;

  PetscFunctionBegin;
  Read(shard, unreadable, nc_inq_var(shard->nc, var, NULL, NULL, &ndim, dim, NULL));
  RtCheck(ndim >= 1 && (var != shard->id || ndim == 1), "%s: '%s' must have one dimension", shard->path, name);
  Read(shard, unreadable, nc_inq_dimlen(shard->nc, dim[0], &length));
  RtCheck((int64_t)length == want, "%s: '%s' has %lld samples, expected %lld", shard->path, name, (long long)length,
          (long long)want);
  if (views == 1) PetscFunctionReturn(0);
  Read(shard, unreadable, nc_inq_dimlen(shard->nc, dim[1], &length));
  RtCheck((int64_t)length == views, "%s: '%s' has %lld views, expected %d", shard->path, name, (long long)length,
          views);
  PetscFunctionReturn(0);
}

/* Are the fields there that are asked for, as they are asked for? Then shard->variable is of these. */
static PetscErrorCode compare_fields(RtLabelstoreShard *shard, const RtLabelstoreInfo *found,
                                     const RtLabelstoreInfo *info)
{
  int variable[RT_LABELSTORE_FIELDS];
  char why[RT_LABELSTORE_TEXT];

  PetscFunctionBegin;
  for (int f = 0; f < info->fields; f++) {
    const int i = rt_labelstore_find(found, info->field[f].name);

    RtCheck(i >= 0, "%s was made from something else: it has no field '%s'; `retort label -run_force` makes all again",
            shard->path, info->field[f].name);
    RtCheck(rt_labelstore_same(&found->field[i], &info->field[f], why),
            "%s was made from something else: its field '%s' %s; `retort label -run_force` makes all again",
            shard->path, info->field[f].name, why);
    variable[f] = shard->variable[i];
  }
  memcpy(shard->variable, variable, sizeof(variable));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_compare(RtLabelstoreShard *shard, const RtLabelstoreInfo *found,
                                     const RtLabelstoreInfo *info)
{
  PetscFunctionBegin;
  for (int i = 0; i < TEXTS; i++) {
    const char *have = (const char *)found + text_attribute[i].offset;
    const char *want = (const char *)info + text_attribute[i].offset;

    RtCheck(!strcmp(have, want),
            "%s was made from something else: its %s is '%s', expected '%s'; `retort label -run_force` makes all again",
            shard->path, text_attribute[i].name, have, want);
  }
  PetscCall(compare_number(shard, number_attribute[SAMPLES], found->samples, info->samples));
  PetscCall(compare_number(shard, number_attribute[SHARD], found->shard, info->shard));
  PetscCall(compare_number(shard, number_attribute[VIEWS], found->views, info->views));
  PetscCall(compare_number(shard, number_attribute[NUMBER], shard->says, shard->number));
  PetscCall(compare_fields(shard, found, info));
  for (int f = 0; f < info->fields && !shard->why[0]; f++)
    PetscCall(compare_length(shard, info->field[f].name, shard->variable[f], rt_labelstore_count(info, shard->number),
                             info->views));
  if (!shard->why[0])
    PetscCall(compare_length(shard, "sample_id", shard->id, rt_labelstore_count(info, shard->number), 1));
  PetscFunctionReturn(0);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

/* The first number that no teacher gave: not finite, or what NetCDF gives where nothing was written. -1: none. */
static int64_t find_bad(int64_t count, const float *value)
{
  const uint32_t infinite = 0x7f800000u;
  uint32_t bits, worst = 0, fills = 0;

  /* a loop without branches, as all logits pass here */
  for (int64_t i = 0; i < count; i++) {
    memcpy(&bits, value + i, sizeof(bits));
    worst |= (bits & infinite) == infinite;
    fills |= value[i] == NC_FILL_FLOAT;
  }
  for (int64_t i = 0; (worst || fills) && i < count; i++) {
    memcpy(&bits, value + i, sizeof(bits));
    if ((bits & infinite) == infinite || value[i] == NC_FILL_FLOAT) return i;
  }
  return -1;
}

PetscErrorCode rt_labelstore_read_part(RtLabelstoreShard *shard, const RtLabelstoreInfo *info,
                                       const RtLabelstorePart *part, float *data)
{
  const RtLabelstoreField *field = &info->field[part->field];
  const int views = part->view < 0 ? info->views : 1, var = shard->variable[part->field];
  size_t start[NC_MAX_VAR_DIMS] = {(size_t)part->first}, size[NC_MAX_VAR_DIMS] = {(size_t)part->count}, length;
  int ndim, dim[NC_MAX_VAR_DIMS], first = info->views > 1 ? 2 : 1;
  int64_t row = (int64_t)views * field->width, bad;
  char damaged[80];

  PetscFunctionBegin;
  snprintf(damaged, sizeof(damaged), "its %s are damaged or cut off", field->name);
  Read(shard, damaged, nc_inq_var(shard->nc, var, NULL, NULL, &ndim, dim, NULL));
  start[1] = (size_t)PetscMax(part->view, 0);
  size[1] = (size_t)views;
  for (int i = first; i < ndim; i++) {
    Read(shard, damaged, nc_inq_dimlen(shard->nc, dim[i], &length));
    start[i] = 0;
    size[i] = length;
  }
  Read(shard, damaged, nc_get_vara_float(shard->nc, var, start, size, data));
  bad = find_bad(part->count * row, data);
  if (bad >= 0)
    snprintf(shard->why, sizeof(shard->why), "the %s of sample %lld are %s", field->name,
             (long long)(shard->number * info->shard + part->first + bad / row),
             data[bad] == NC_FILL_FLOAT ? "absent" : "not finite");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_check_ids(RtLabelstoreShard *shard, const RtLabelstoreInfo *info)
{
  enum { PIECE = 4096 };
  int64_t first = shard->number * info->shard, count = rt_labelstore_count(info, shard->number);
  long long id[PIECE];
  int coordinate, dims, status;

  PetscFunctionBegin;
  RtNetcdfTry(status, nc_inq_varid(shard->nc, "sample", &coordinate));
  if (!status) RtNetcdfTry(status, nc_inq_varndims(shard->nc, coordinate, &dims));
  if (status || dims != 1) coordinate = -1; /* tools drop it or number it anew; then only its checksum counts */
  for (int64_t at = 0; at < count; at += PIECE) {
    size_t start = (size_t)at, size = (size_t)PetscMin(PIECE, count - at);

    if (coordinate >= 0)
      Read(shard, "its sample numbers are damaged or cut off",
           nc_get_vara_longlong(shard->nc, coordinate, &start, &size, id));
    Read(shard, "its sample numbers are damaged or cut off",
         nc_get_vara_longlong(shard->nc, shard->id, &start, &size, id));
    for (size_t i = 0; i < size; i++)
      if (id[i] != first + at + (int64_t)i) {
        snprintf(shard->why, sizeof(shard->why), "sample %lld has the number %lld",
                 (long long)(first + at) + (long long)i, id[i]);
        PetscFunctionReturn(0);
      }
  }
  PetscFunctionReturn(0);
}
