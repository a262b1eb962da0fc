#include "store/labelstore_shard.h"

#include "core/fault.h"
#include "core/file.h"
#include "data/content.h"
#include "netcdf/netcdf.h"

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
  int64_t rows = RT_LABELSTORE_CHUNK / ((int64_t)info->views * info->classes);

  return PetscMax(rows, 1);
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

/* *text: allocated with PetscMalloc; NULL where there is no such text. */
static PetscErrorCode get_text(RtLabelstoreShard *shard, const char *name, char **text)
{
  nc_type type;
  size_t length;
  char *string;
  int status;

  PetscFunctionBegin;
  *text = NULL;
  RtNetcdfTry(status, nc_inq_att(shard->nc, NC_GLOBAL, name, &type, &length));
  if (status == NC_ENOTATT) PetscFunctionReturn(0);
  Read(shard, unreadable, status);
  if (type == NC_STRING && length == 1) {
    Read(shard, unreadable, nc_get_att_string(shard->nc, NC_GLOBAL, name, &string));
    PetscCall(PetscStrallocpy(string ? string : "", text));
    rt_netcdf_lock();
    nc_free_string(1, &string);
    rt_netcdf_unlock();
  } else if (type == NC_CHAR && (int64_t)length <= shard->bytes) {
    PetscCall(PetscCalloc1(length + 1, &string));
    RtNetcdfTry(status, nc_get_att_text(shard->nc, NC_GLOBAL, name, string));
    if (status) PetscCall(PetscFree(string));
    Read(shard, unreadable, status);
    *text = string;
  }
  PetscFunctionReturn(0);
}

/* *value stays where there is no such number. */
static PetscErrorCode get_real(RtLabelstoreShard *shard, const char *name, double *value)
{
  nc_type type;
  size_t length;
  int status;

  PetscFunctionBegin;
  RtNetcdfTry(status, nc_inq_att(shard->nc, NC_GLOBAL, name, &type, &length));
  if (status == NC_ENOTATT) PetscFunctionReturn(0);
  Read(shard, unreadable, status);
  if (length != 1 || type == NC_CHAR || type >= NC_STRING) PetscFunctionReturn(0);
  Read(shard, unreadable, nc_get_att_double(shard->nc, NC_GLOBAL, name, value));
  PetscFunctionReturn(0);
}

/* The same of whole numbers. */
static PetscErrorCode get_number(RtLabelstoreShard *shard, const char *name, int64_t *value)
{
  double number = -1;

  PetscFunctionBegin;
  PetscCall(get_real(shard, name, &number));
  if (number >= 0 && number <= 0x1p53 && number == (double)(int64_t)number) *value = (int64_t)number;
  PetscFunctionReturn(0);
}

static PetscErrorCode read_texts(RtLabelstoreShard *shard, RtLabelstoreInfo *found)
{
  PetscFunctionBegin;
  for (int i = 0; i < TEXTS && !shard->why[0]; i++) {
    char *text;

    PetscCall(get_text(shard, text_attribute[i].name, &text));
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

/* Of the features, where the shard has any. */
static PetscErrorCode find_features(RtLabelstoreShard *shard, RtLabelstoreInfo *found)
{
  static const char *const name[] = {"features_hash", "features_layer"};
  char *to[] = {found->features, found->layer}, *text;
  const size_t length[] = {sizeof(found->features), sizeof(found->layer)};
  size_t components;
  int dim, status;

  PetscFunctionBegin;
  shard->features = -1;
  RtNetcdfTry(status, nc_inq_varid(shard->nc, "features", &shard->features));
  if (status == NC_ENOTVAR) PetscFunctionReturn(0);
  Read(shard, unreadable, status);
  Read(shard, "its features have no components", nc_inq_dimid(shard->nc, "component", &dim));
  Read(shard, unreadable, nc_inq_dimlen(shard->nc, dim, &components));
  RtCheck(components > 0 && components <= RT_CONTENT_CLASSES, "%s claims %lld components", shard->path,
          (long long)components);
  found->components = (int)components;
  for (int i = 0; i < 2 && !shard->why[0]; i++) {
    PetscCall(get_text(shard, name[i], &text));
    if (shard->why[0]) PetscFunctionReturn(0);
    RtCheck(text, "%s has no attribute '%s'; it is not a shard of labels", shard->path, name[i]);
    PetscCall(PetscStrncpy(to[i], text, length[i]));
    PetscCall(PetscFree(text));
  }
  PetscCall(get_real(shard, "features_kept_variance", &found->kept));
  PetscFunctionReturn(0);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static PetscErrorCode find_variables(RtLabelstoreShard *shard, RtLabelstoreInfo *found)
{
  size_t classes;
  int dim;

  PetscFunctionBegin;
  Read(shard, "it has no classes", nc_inq_dimid(shard->nc, "class", &dim));
  Read(shard, unreadable, nc_inq_dimlen(shard->nc, dim, &classes));
  RtCheck(classes > 0 && classes <= RT_CONTENT_CLASSES, "%s claims %lld classes", shard->path, (long long)classes);
  found->classes = (int)classes;
  Read(shard, "it has no logits", nc_inq_varid(shard->nc, "logits", &shard->logits));
  Read(shard, "it has no sample_id", nc_inq_varid(shard->nc, "sample_id", &shard->id));
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
  if (!shard->why[0]) PetscCall(find_features(shard, found));
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

/* Has a variable of rows the shape [count, views, width]? */
static PetscErrorCode compare_rows(RtLabelstoreShard *shard, const RtLabelstoreInfo *info, const char *name,
                                   int variable, int64_t width)
{
  int64_t want[3] = {rt_labelstore_count(info, shard->number), info->views, width};
  int ndim, dim[NC_MAX_VAR_DIMS], dims = info->views > 1 ? 3 : 2;
  nc_type type;
  size_t length;

  PetscFunctionBegin;
  if (dims == 2) want[1] = width;
  Read(shard, unreadable, nc_inq_var(shard->nc, variable, NULL, &type, &ndim, dim, NULL));
  RtCheck(type == NC_FLOAT && ndim == dims, "%s: '%s' must be float with %d dimensions", shard->path, name, dims);
  for (int i = 0; i < dims; i++) {
    Read(shard, unreadable, nc_inq_dimlen(shard->nc, dim[i], &length));
    RtCheck((int64_t)length == want[i], "%s: dimension %d of '%s' is %lld, expected %lld", shard->path, i + 1, name,
            (long long)length, (long long)want[i]);
  }
  PetscFunctionReturn(0);
}

/* Have the logits and features their shape, and the sample numbers [count]? */
static PetscErrorCode compare_shape(RtLabelstoreShard *shard, const RtLabelstoreInfo *info)
{
  int64_t want = rt_labelstore_count(info, shard->number);
  int ndim, dim[NC_MAX_VAR_DIMS];
  size_t length;

  PetscFunctionBegin;
  PetscCall(compare_rows(shard, info, "logits", shard->logits, info->classes));
  if (info->components && !shard->why[0])
    PetscCall(compare_rows(shard, info, "features", shard->features, info->components));
  if (shard->why[0]) PetscFunctionReturn(0);
  Read(shard, unreadable, nc_inq_var(shard->nc, shard->id, NULL, NULL, &ndim, dim, NULL));
  RtCheck(ndim == 1, "%s: 'sample_id' must have one dimension", shard->path);
  Read(shard, unreadable, nc_inq_dimlen(shard->nc, dim[0], &length));
  RtCheck((int64_t)length == want, "%s: 'sample_id' has %lld samples, expected %lld", shard->path, (long long)length,
          (long long)want);
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
  RtCheck(!info->components || !strcmp(found->features, info->features),
          "%s was made from something else: its features are %s, expected components of '%s' %.16s…; `retort label "
          "-run_force` makes all again",
          shard->path, found->components ? found->features : "absent", info->layer, info->features);
  PetscCall(compare_shape(shard, info));
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

/* A part of a variable of rows, logits or features. */
typedef struct {
  const char *name;
  int variable;
  int64_t width;
  int view, views;      /* `views` of them from `view` on */
  int64_t first, count; /* samples of the shard */
} Part;

static PetscErrorCode read_part(RtLabelstoreShard *shard, const RtLabelstoreInfo *info, const Part *part, float *data)
{
  size_t start[3] = {(size_t)part->first, (size_t)part->view};
  size_t size[3] = {(size_t)part->count, (size_t)part->views, (size_t)part->width};
  int64_t row = part->views * part->width, bad;
  char damaged[64];

  PetscFunctionBegin;
  if (info->views == 1) size[1] = (size_t)part->width;
  snprintf(damaged, sizeof(damaged), "its %s are damaged or cut off", part->name);
  Read(shard, damaged, nc_get_vara_float(shard->nc, part->variable, start, size, data));
  bad = find_bad(part->count * row, data);
  if (bad >= 0)
    snprintf(shard->why, sizeof(shard->why), "the %s of sample %lld are %s", part->name,
             (long long)(shard->number * info->shard + part->first + bad / row),
             data[bad] == NC_FILL_FLOAT ? "absent" : "not finite");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_read_rows(RtLabelstoreShard *shard, const RtLabelstoreInfo *info, int64_t first,
                                       int64_t count, float *logits)
{
  Part part = {"logits", shard->logits, info->classes, 0, info->views, first, count};

  PetscFunctionBegin;
  PetscCall(read_part(shard, info, &part, logits));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_read_view(RtLabelstoreShard *shard, const RtLabelstoreInfo *info, int view, int64_t first,
                                       int64_t count, float *logits)
{
  Part part = {"logits", shard->logits, info->classes, view, 1, first, count};

  PetscFunctionBegin;
  PetscCall(read_part(shard, info, &part, logits));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_read_feature_rows(RtLabelstoreShard *shard, const RtLabelstoreInfo *info, int64_t first,
                                               int64_t count, float *features)
{
  Part part = {"features", shard->features, info->components, 0, info->views, first, count};

  PetscFunctionBegin;
  PetscCall(read_part(shard, info, &part, features));
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
