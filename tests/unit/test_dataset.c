/* Datasets: what is written is read again, files of other tools are understood, damage and nonsense are refused.
   Runs on any number of ranks. With a folder as argument, the files that tests/cli/import.py made there with xarray
   are read and compared with the formula they were made by. */
#include "fields.h"
#include "test.h"

#include <math.h>
#include <netcdf.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAMPLES = 53, SIZE = 6 };

static char folder[64];

static const char *in_folder(const char *name)
{
  static char path[4][256];
  static int turn;

  turn = (turn + 1) % 4;
  snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
  return path[turn];
}

static float formula(int64_t sample, int64_t element)
{
  return (float)sample - (float)element / 8;
}

static RtDatasetInfo bytes_info(void)
{
  static char *names[] = {"cat", "fire engine", "Zaun"};
  RtDatasetInfo info = {.samples = SAMPLES, .ndim = 2, .dim = {2, 3}, .dim_name = {"y", "x"}, .type = RT_UINT8};

  info.scale = 1.0f / 255;
  info.classes = 3;
  info.class_name = names;
  return info;
}

/* Write bytes (7 i + j) mod 256 with labels i mod 3, in pieces. */
static PetscErrorCode write_bytes(const char *path, int64_t piece)
{
  RtDatasetInfo info = bytes_info();
  RtDatasetText text = {.long_name = "brightness", .units = "1", .source = "test"};
  RtDatasetWriter *writer;
  uint8_t input[SAMPLES][SIZE];
  int32_t label[SAMPLES];

  PetscFunctionBegin;
  for (int i = 0; i < SAMPLES; i++) {
    label[i] = i % 3;
    for (int j = 0; j < SIZE; j++) input[i][j] = (uint8_t)(7 * i + j);
  }
  PetscCall(rt_dataset_create(path, &info, &text, &writer));
  for (int64_t first = 0; first < SAMPLES; first += piece)
    PetscCall(rt_fields_append(writer, PetscMin(piece, SAMPLES - first), input[first], label + first, NULL));
  RT_TEST_CHECK(access(path, F_OK), "the file appeared before it was complete");
  PetscCall(rt_dataset_finish(&writer));
  RT_TEST_CHECK(!writer && !access(path, F_OK), "the file is not there");
  PetscFunctionReturn(0);
}

static PetscErrorCode write_floats(const char *path, float last)
{
  RtDatasetInfo info = {.samples = SAMPLES, .ndim = 1, .dim = {SIZE}, .dim_name = {"feature"}, .type = RT_FLOAT};
  RtDatasetText text = {.target_name = "a,b"};
  RtDatasetWriter *writer;
  float input[SAMPLES][SIZE], target[SAMPLES][2];
  PetscErrorCode error;

  PetscFunctionBegin;
  info.scale = 1;
  info.targets = 2;
  for (int i = 0; i < SAMPLES; i++) {
    target[i][0] = (float)i;
    target[i][1] = -(float)i;
    for (int j = 0; j < SIZE; j++) input[i][j] = formula(i, j);
  }
  input[SAMPLES - 1][SIZE - 1] = last;
  PetscCall(rt_dataset_create(path, &info, &text, &writer));
  error = rt_fields_append(writer, SAMPLES, input, NULL, target[0]);
  if (error) PetscCall(rt_dataset_discard(&writer));
  PetscCall(error);
  PetscCall(rt_dataset_finish(&writer));
  PetscFunctionReturn(0);
}

static PetscErrorCode test_bytes(MPI_Comm comm, PetscMPIInt rank)
{
  char hash[RT_HASH_TEXT];
  const RtDatasetInfo *info;
  RtDataset *dataset;
  uint8_t input[SAMPLES][SIZE];
  int32_t label[SAMPLES];

  PetscFunctionBegin;
  if (!rank) PetscCall(write_bytes(in_folder("bytes.nc"), 7));
  if (!rank) PetscCall(write_bytes(in_folder("other.nc"), 11));
  PetscCallMPI(MPI_Barrier(comm));
  PetscCall(rt_dataset_open(comm, in_folder("bytes.nc"), &dataset));
  info = rt_dataset_info(dataset);
  RT_TEST_CHECK(info->samples == SAMPLES && info->ndim == 2 && info->size == SIZE, "shape");
  RT_TEST_CHECK(info->dim[0] == 2 && info->dim[1] == 3 && !strcmp(info->dim_name[1], "x"), "dimensions");
  RT_TEST_CHECK(info->type == RT_UINT8 && info->scale == 1.0f / 255 && info->offset == 0, "type");
  RT_TEST_CHECK(info->classes == 3 && !info->targets && info->class_name, "classes %d", info->classes);
  for (int i = 0; info->class_name && i < 3; i++)
    RT_TEST_CHECK(!strcmp(info->class_name[i], bytes_info().class_name[i]), "name '%s'", info->class_name[i]);
  PetscCall(rt_fields_read(dataset, 10, 20, input, label, NULL));
  for (int i = 0; i < 20; i++)
    for (int j = 0; j < SIZE; j++)
      RT_TEST_CHECK(input[i][j] == (uint8_t)(7 * (i + 10) + j) && label[i] == (i + 10) % 3, "sample %d", i + 10);
  strcpy(hash, info->hash);
  /* as it was before datasets had other fields: labels of earlier runs name it */
  RT_TEST_CHECK(!strcmp(hash, "0364a36d9d769f3fede6b0f3bd528cf082e38634f251873f8cd7c837714bfd31"), "hash '%s'", hash);
  PetscCall(rt_dataset_close(&dataset));
  PetscCall(rt_dataset_open(comm, in_folder("other.nc"), &dataset));
  RT_TEST_CHECK(!strcmp(hash, rt_dataset_info(dataset)->hash), "the hash depends on the pieces");
  PetscCall(rt_dataset_close(&dataset));
  RT_TEST_CHECK(!dataset, "not NULL after close");
  PetscCall(rt_dataset_close(&dataset));
  PetscFunctionReturn(0);
}

static PetscErrorCode test_floats(MPI_Comm comm, PetscMPIInt rank)
{
  RtDataset *dataset;
  float input[SIZE], target[2];

  PetscFunctionBegin;
  if (!rank) PetscCall(write_floats(in_folder("floats.nc"), 1));
  PetscCallMPI(MPI_Barrier(comm));
  PetscCall(rt_dataset_open(comm, in_folder("floats.nc"), &dataset));
  RT_TEST_CHECK(rt_dataset_info(dataset)->targets == 2 && !rt_dataset_info(dataset)->classes, "outputs");
  PetscCall(rt_fields_read(dataset, 5, 1, input, NULL, target));
  for (int j = 0; j < SIZE; j++) RT_TEST_CHECK(input[j] == formula(5, j), "element %d is %f", j, (double)input[j]);
  RT_TEST_CHECK(target[0] == 5 && target[1] == -5, "target");
  PetscCall(rt_dataset_close(&dataset));
  PetscFunctionReturn(0);
}

/* What the writer refuses; it leaves nothing behind. */
static PetscErrorCode test_refused(void)
{
  RtDatasetInfo info = bytes_info();
  RtDatasetWriter *writer;
  uint8_t input[SIZE] = {0};
  int32_t label = 3;

  PetscFunctionBegin;
  RT_TEST_FAILS(write_floats(in_folder("bad.nc"), NAN));
  RT_TEST_FAILS(write_floats(in_folder("bad.nc"), INFINITY));
  RT_TEST_FAILS(write_floats(in_folder("no/such/folder.nc"), 0));
  PetscCall(rt_dataset_create(in_folder("bad.nc"), &info, NULL, &writer));
  RT_TEST_FAILS(rt_fields_append(writer, 1, input, &label, NULL));
  label = -1;
  RT_TEST_FAILS(rt_fields_append(writer, 1, input, &label, NULL));
  label = 1;
  PetscCall(rt_fields_append(writer, 1, input, &label, NULL));
  RT_TEST_FAILS(rt_dataset_finish(&writer));
  RT_TEST_CHECK(!writer && access(in_folder("bad.nc"), F_OK), "an incomplete file appeared");
  PetscFunctionReturn(0);
}

/* A disk that is full, played by the limit of a file's size. */
static PetscErrorCode test_full(void)
{
  struct rlimit before, small;

  PetscFunctionBegin;
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  small.rlim_cur = 4096;
  setrlimit(RLIMIT_FSIZE, &small);
  RT_TEST_FAILS(write_floats(in_folder("full.nc"), 0));
  setrlimit(RLIMIT_FSIZE, &before);
  RT_TEST_CHECK(access(in_folder("full.nc"), F_OK), "an incomplete file appeared");
  PetscFunctionReturn(0);
}

/* How a foreign file is made. Zero means the plain choice. */
typedef struct {
  int format;                /* of nc_create */
  nc_type input, label;      /* types */
  const char *input_name;    /* of the variable */
  double scale, offset;      /* attributes, where scale is not 0 */
  double bad;                /* put at sample 40 */
  int label_shift, label_at; /* the label of sample label_at is shifted */
  int classes;               /* attribute of label */
  size_t short_label;        /* label has a dimension of its own of this length */
  size_t huge;               /* an input of so many samples, of which none is written */
  bool flags, scalar;
} Foreign;

static int define_label(int nc, const Foreign *f, int sample, int *label)
{
  const int flag[] = {0, 1, 2};
  int dim = sample, status = 0;

  if (f->short_label) status = nc_def_dim(nc, "case", f->short_label, &dim);
  if (!status) status = nc_def_var(nc, "label", f->label, 1, &dim, label);
  if (!status && f->classes) status = nc_put_att_int(nc, *label, "classes", NC_INT, 1, &f->classes);
  if (!status && f->flags) status = nc_put_att_int(nc, *label, "flag_values", NC_INT, 3, flag);
  if (!status && f->flags) status = nc_put_att_text(nc, *label, "flag_meanings", 7, "a b c_d");
  return status;
}

static PetscErrorCode make_foreign(const char *path, const Foreign *f)
{
  int nc, dim[2], input, label, status;
  double value[SAMPLES][SIZE];
  long long class[SAMPLES];

  PetscFunctionBegin;
  for (int i = 0; i < SAMPLES; i++) {
    class[i] = i % 3 + (i == f->label_at ? f->label_shift : 0);
    for (int j = 0; j < SIZE; j++) value[i][j] = f->scale != 0 ? i + j : (double)formula(i, j);
  }
  if (f->bad != 0) value[40][2] = f->bad;
  status = nc_create(path, NC_CLOBBER | f->format, &nc);
  if (!status) status = nc_def_dim(nc, "case_number", f->huge ? f->huge : SAMPLES, &dim[0]);
  if (!status) status = nc_def_dim(nc, "band", SIZE, &dim[1]);
  if (!status)
    status = nc_def_var(nc, f->input_name ? f->input_name : "input", f->input, f->scalar ? 0 : 2, dim, &input);
  if (!status && f->huge) status = nc_def_var_chunking(nc, input, NC_CHUNKED, (size_t[]){1000, SIZE});
  if (!status && f->scale != 0) status = nc_put_att_double(nc, input, "scale_factor", NC_DOUBLE, 1, &f->scale);
  if (!status && f->scale != 0) status = nc_put_att_double(nc, input, "add_offset", NC_DOUBLE, 1, &f->offset);
  if (!status && f->label) status = define_label(nc, f, dim[0], &label);
  if (!status) status = nc_enddef(nc);
  if (!status && !f->huge && !f->scalar) status = nc_put_var_double(nc, input, value[0]);
  if (!status && f->label && !f->short_label && !f->huge) status = nc_put_var_longlong(nc, label, class);
  if (!status) status = nc_close(nc);
  RT_TEST_CHECK(!status, "%s", nc_strerror(status));
  PetscFunctionReturn(0);
}

/* Open and read everything. */
static PetscErrorCode read_all(MPI_Comm comm, const char *path)
{
  const RtDatasetInfo *info;
  RtDataset *dataset;
  void *input = NULL;
  int32_t *label = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_dataset_open(comm, path, &dataset));
  info = rt_dataset_info(dataset);
  PetscCall(PetscMalloc1((size_t)(info->samples * info->size) * 4, (char **)&input));
  if (info->classes) PetscCall(PetscMalloc1((size_t)info->samples, &label));
  error = rt_fields_read(dataset, 0, info->samples, input, label, NULL);
  PetscCall(PetscFree(input));
  PetscCall(PetscFree(label));
  PetscCall(rt_dataset_close(&dataset));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode test_foreign(void)
{
  const Foreign good[] = {
      {.format = NC_NETCDF4, .input = NC_DOUBLE, .label = NC_INT64},
      {.format = NC_NETCDF4, .input = NC_FLOAT, .label = NC_UBYTE, .classes = 7},
      {.format = NC_NETCDF4, .input = NC_SHORT, .label = NC_SHORT, .scale = 0.5, .offset = 2, .flags = true},
      {.format = NC_NETCDF4, .input = NC_UBYTE, .label = NC_BYTE, .scale = 0.5},
      {.format = 0, .input = NC_FLOAT, .label = NC_INT},
      {.format = NC_NETCDF4, .input = NC_FLOAT},
  };
  const int classes[] = {3, 7, 3, 3, 3, 0};
  uint8_t bytes[SIZE];
  float input[SIZE];
  int32_t label;

  PetscFunctionBegin;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    const RtDatasetInfo *info;
    RtDataset *dataset;

    PetscCall(make_foreign(in_folder("foreign.nc"), &good[i]));
    PetscCall(rt_dataset_open(PETSC_COMM_SELF, in_folder("foreign.nc"), &dataset));
    info = rt_dataset_info(dataset);
    RT_TEST_CHECK(info->classes == classes[i], "case %d: %d classes", (int)i, info->classes);
    RT_TEST_CHECK(info->samples == SAMPLES && info->size == SIZE, "case %d: shape", (int)i);
    RT_TEST_CHECK((info->type == RT_UINT8) == (good[i].input == NC_UBYTE), "case %d: type", (int)i);
    RT_TEST_CHECK(!good[i].flags || (info->class_name && !strcmp(info->class_name[2], "c_d")), "case %d", (int)i);
    PetscCall(rt_fields_read(dataset, 20, 1, info->type == RT_UINT8 ? (void *)bytes : input,
                             info->classes ? &label : NULL, NULL));
    RT_TEST_CHECK(!info->classes || label == 20 % 3, "case %d: label %d", (int)i, label);
    for (int j = 0; j < SIZE; j++) {
      double stored = info->type == RT_UINT8 ? (double)bytes[j] : (double)input[j];
      double want = good[i].scale != 0 ? (20 + j) * good[i].scale + good[i].offset : (double)formula(20, j);

      RT_TEST_CHECK(stored * (double)info->scale + (double)info->offset == want, "case %d: element %d", (int)i, j);
    }
    PetscCall(rt_dataset_close(&dataset));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode test_nonsense(void)
{
  const Foreign bad[] = {
      {.format = NC_NETCDF4, .input = NC_DOUBLE, .bad = NAN},
      {.format = NC_NETCDF4, .input = NC_DOUBLE, .bad = 1e300},
      {.format = NC_NETCDF4, .input = NC_FLOAT, .bad = NC_FILL_FLOAT},
      {.format = NC_NETCDF4, .input = NC_FLOAT, .label = NC_INT, .label_at = 50, .label_shift = -9},
      {.format = NC_NETCDF4, .input = NC_FLOAT, .label = NC_INT, .classes = 3, .label_at = 50, .label_shift = 9},
      {.format = NC_NETCDF4, .input = NC_FLOAT, .label = NC_INT, .classes = -3},
      {.format = NC_NETCDF4, .input = NC_FLOAT, .label = NC_FLOAT},
      {.format = NC_NETCDF4, .input = NC_FLOAT, .label = NC_INT, .short_label = SAMPLES},
      {.format = NC_NETCDF4, .input = NC_FLOAT, .input_name = "inputs"},
      {.format = NC_NETCDF4, .input = NC_FLOAT, .scalar = true},
      {.format = NC_NETCDF4, .input = NC_FLOAT, .huge = (size_t)1 << 60},
      {.format = NC_NETCDF4, .input = NC_UBYTE, .huge = (size_t)1 << 40},
      {.format = NC_NETCDF4, .input = NC_FLOAT, .scale = INFINITY},
      {.format = NC_NETCDF4, .input = NC_CHAR, .scalar = true},
  };
  FILE *file;

  PetscFunctionBegin;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    PetscErrorCode error;

    PetscCall(make_foreign(in_folder("foreign.nc"), &bad[i]));
    error = read_all(PETSC_COMM_SELF, in_folder("foreign.nc"));
    RT_TEST_CHECK(error == RT_ERR_FAILED, "case %d returned %d", (int)i, (int)error);
  }
  file = fopen(in_folder("text.nc"), "w");
  fputs("This is not NetCDF.\n", file);
  fclose(file);
  RT_TEST_FAILS(read_all(PETSC_COMM_SELF, in_folder("text.nc")));
  RT_TEST_FAILS(read_all(PETSC_COMM_SELF, folder));
  PetscFunctionReturn(0);
}

/* A hash that was copied together with other attributes to a file of other content does not count. */
static PetscErrorCode test_stale(void)
{
  char hash[3][RT_HASH_TEXT];
  RtDataset *dataset;
  int nc, input;
  uint8_t byte = 99;

  PetscFunctionBegin;
  for (int i = 0; i < 3; i++) {
    PetscCall(rt_dataset_open(PETSC_COMM_SELF, in_folder("other.nc"), &dataset));
    strcpy(hash[i], rt_dataset_info(dataset)->hash);
    PetscCall(rt_dataset_close(&dataset));
    RT_TEST_CHECK(!nc_open(in_folder("other.nc"), NC_WRITE, &nc) && !nc_inq_varid(nc, "input", &input), "NetCDF");
    /* As xarray does when it changes a variable: its attributes go, those of the file stay. */
    if (!i)
      RT_TEST_CHECK(!nc_del_att(nc, input, "sha256") && !nc_put_var1_uchar(nc, input, (size_t[]){0, 0, 0}, &byte),
                    "NetCDF");
    if (i == 1) RT_TEST_CHECK(!nc_del_att(nc, NC_GLOBAL, "content_hash"), "NetCDF");
    nc_close(nc);
  }
  RT_TEST_CHECK(strcmp(hash[0], hash[1]) && !strcmp(hash[1], hash[2]), "a stale hash was believed");
  PetscFunctionReturn(0);
}

static void copy_damaged(const char *from, const char *to, long length, long at)
{
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");

  for (long i = 0; i < length; i++) fputc(fgetc(in) ^ (i == at ? 0x55 : 0), out);
  fclose(in);
  fclose(out);
}

/* Cut off anywhere: refused. A byte changed anywhere: refused or harmless, never a crash. */
static PetscErrorCode test_damage(void)
{
  const char *from = in_folder("floats.nc"), *to = in_folder("damaged.nc");
  struct stat status;
  int refused = 0;

  PetscFunctionBegin;
  stat(from, &status);
  for (long length = 0; length < status.st_size; length += status.st_size / 37) {
    copy_damaged(from, to, length, -1);
    RT_TEST_FAILS(read_all(PETSC_COMM_SELF, to));
  }
  for (long at = 0; at < status.st_size; at += status.st_size / 211) {
    copy_damaged(from, to, status.st_size, at);
    refused += read_all(PETSC_COMM_SELF, to) != 0;
  }
  RT_TEST_CHECK(refused > 0, "no damage was found");
  PetscFunctionReturn(0);
}

/* The elements are the last but the tail of the file; one wrong byte among them must be found by its checksum. */
static PetscErrorCode test_checksum(void)
{
  RtDatasetInfo info = {.samples = 1000, .ndim = 1, .dim = {64}, .dim_name = {"feature"}, .type = RT_UINT8};
  const char *path = in_folder("noise.nc"), *to = in_folder("damaged.nc");
  RtDatasetWriter *writer;
  uint8_t *input;
  struct stat status;
  uint32_t state = 1;

  PetscFunctionBegin;
  info.scale = 1;
  PetscCall(PetscMalloc1(64000, &input));
  for (int i = 0; i < 64000; i++) input[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
  PetscCall(rt_dataset_create(path, &info, NULL, &writer));
  PetscCall(rt_fields_append(writer, 1000, input, NULL, NULL));
  PetscCall(rt_dataset_finish(&writer));
  PetscCall(PetscFree(input));
  PetscCall(read_all(PETSC_COMM_SELF, path));
  stat(path, &status);
  copy_damaged(path, to, status.st_size, status.st_size / 2);
  RT_TEST_FAILS(read_all(PETSC_COMM_SELF, to));
  PetscFunctionReturn(0);
}

/* Files of xarray: input[i, j] = i - j / 8, label[i] = i mod 3 or target[i] = i. */
static PetscErrorCode test_xarray(MPI_Comm comm, const char *made)
{
  static const char *const name[] = {"float32.nc", "float64.nc", "packed.nc", "netcdf3.nc", "target.nc"};
  char path[512];

  PetscFunctionBegin;
  for (size_t k = 0; k < sizeof name / sizeof *name; k++) {
    const RtDatasetInfo *info;
    RtDataset *dataset;
    float input[SIZE], target;
    int32_t label = 1;

    snprintf(path, sizeof path, "%s/%s", made, name[k]);
    PetscCall(rt_dataset_open(comm, path, &dataset));
    info = rt_dataset_info(dataset);
    RT_TEST_CHECK(info->samples == SAMPLES && info->size == SIZE && info->type == RT_FLOAT, "%s", path);
    RT_TEST_CHECK(info->targets ? info->targets == 1 : info->classes == 3, "%s: %d classes", path, info->classes);
    PetscCall(rt_fields_read(dataset, 31, 1, input, info->classes ? &label : NULL, info->targets ? &target : NULL));
    for (int j = 0; j < SIZE; j++)
      RT_TEST_CHECK(input[j] * info->scale + info->offset == formula(31, j), "%s: element %d", path, j);
    RT_TEST_CHECK(info->targets ? target == 31 : label == 31 % 3, "%s: output", path);
    PetscCall(rt_dataset_close(&dataset));
  }
  PetscFunctionReturn(0);
}

/* The lowest descriptor that is free: it rises where a file stays open. */
static int next_descriptor(void)
{
  int next = dup(0);

  close(next);
  return next;
}

static PetscErrorCode test(int argc, char **argv)
{
  MPI_Comm comm = PETSC_COMM_WORLD;
  PetscMPIInt rank;
  char command[128];
  int next;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (argc > 1) {
    PetscCall(test_xarray(comm, argv[1]));
    PetscFunctionReturn(0);
  }
  strcpy(folder, "test_dataset-XXXXXX");
  RT_TEST_CHECK(rank || mkdtemp(folder), "mkdtemp");
  PetscCallMPI(MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, comm));
  PetscCall(test_bytes(comm, rank));
  PetscCall(test_floats(comm, rank));
  RT_TEST_FAILS(read_all(comm, in_folder("absent.nc"))); /* on all ranks, and none waits */
  if (!rank) {
    next = next_descriptor();
    PetscCall(test_refused());
    PetscCall(test_foreign());
    PetscCall(test_nonsense());
    PetscCall(test_stale());
    RT_TEST_CHECK(next_descriptor() == next, "files stay open");
    PetscCall(test_damage());
    PetscCall(test_checksum());
    PetscCall(test_full());
    snprintf(command, sizeof command, "ls -A %s | grep tmp-", folder);
    RT_TEST_CHECK(system(command), "temporary files are left");
    snprintf(command, sizeof command, "rm -r %s", folder);
    RT_TEST_CHECK(!system(command), "cannot remove the folder");
  }
  PetscCallMPI(MPI_Barrier(comm));
  PetscFunctionReturn(0);
}

RT_TEST_MAIN(test)
