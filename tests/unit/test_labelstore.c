/* Label stores: shards are read as they were written, what is missing or damaged is known on all ranks, what does not
   belong to the store is refused. Runs on any number of ranks. With a folder as argument, stores are written there for
   tests/cli/labelstore.py to read with xarray. */
#include "test.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAMPLES = 103, SHARD = 10, CLASSES = 5, SHARDS = 11 };

static RtLabelstoreInfo make_info(int views)
{
  RtLabelstoreInfo info = {.samples = SAMPLES, .shard = SHARD, .views = views};

  rt_labelstore_logits(&info, CLASSES);
  memset(info.teacher, 'a', RT_HASH_TEXT - 1);
  memset(info.dataset, 'b', RT_HASH_TEXT - 1);
  strcpy(info.precision, "fp32");
  if (views > 1) strcpy(info.augment, "shift 2, seed 1");
  return info;
}

static float formula(int64_t sample, int view, int class)
{
  return (float)sample + (float)view / 4 - (float)class / 16;
}

static PetscErrorCode write_shard(const char *dir, const RtLabelstoreInfo *info, int64_t shard, float extra)
{
  float logits[SHARD * 3 * CLASSES], *next = logits;
  int64_t first = shard * info->shard, count = rt_labelstore_count(info, shard);

  PetscFunctionBegin;
  for (int64_t i = 0; i < count; i++)
    for (int v = 0; v < info->views; v++)
      for (int c = 0; c < info->field[0].width; c++) *next++ = formula(first + i, v, c) + extra;
  PetscCall(rt_labelstore_write(dir, info, shard, (const float *[]){logits}, "label_precision: fp32"));
  PetscFunctionReturn(0);
}

static PetscErrorCode check_shard(const char *dir, const RtLabelstoreInfo *info, int64_t shard)
{
  float logits[SHARD * 3 * CLASSES], *next = logits;
  int64_t first = shard * info->shard, count = rt_labelstore_count(info, shard);

  PetscFunctionBegin;
  PetscCall(rt_labelstore_read(dir, info, shard, 0, logits));
  for (int64_t i = 0; i < count; i++)
    for (int v = 0; v < info->views; v++)
      for (int c = 0; c < info->field[0].width; c++, next++)
        RT_TEST_CHECK(*next == formula(first + i, v, c), "shard %d, sample %d", (int)shard, (int)(first + i));
  PetscFunctionReturn(0);
}

/* A store of all but the shards 3 and 10, with what a killed job leaves behind. */
static PetscErrorCode test_store(MPI_Comm comm, PetscMPIInt rank, const char *dir, int views)
{
  RtLabelstoreInfo info = make_info(views), found;
  RtLabelstoreState state[SHARDS];
  bool any;
  char path[512];
  FILE *left;

  PetscFunctionBegin;
  RT_TEST_CHECK(rt_labelstore_shards(&info) == SHARDS && rt_labelstore_count(&info, 10) == 3, "arithmetic");
  PetscCall(rt_labelstore_check(comm, dir, &info, 0, NULL, state));
  for (int i = 0; i < SHARDS; i++) RT_TEST_CHECK(state[i] == RT_LABELSTORE_MISSING, "shard %d of no folder", i);
  PetscCallMPI(MPI_Barrier(comm));
  if (!rank) {
    for (int i = 0; i < SHARDS; i++)
      if (i != 3 && i != 10) PetscCall(write_shard(dir, &info, i, 0));
    snprintf(path, sizeof path, "%s/.shard-000003.nc.tmp-host-1", dir);
    left = fopen(path, "w");
    fclose(left);
  }
  PetscCallMPI(MPI_Barrier(comm));
  PetscCall(rt_labelstore_check(comm, dir, &info, 0, NULL, state));
  for (int i = 0; i < SHARDS; i++)
    RT_TEST_CHECK((state[i] == RT_LABELSTORE_MISSING) == (i == 3 || i == 10), "shard %d", i);
  if (!rank) PetscCall(write_shard(dir, &info, 3, 0));
  if (!rank) PetscCall(write_shard(dir, &info, 10, 0));
  PetscCallMPI(MPI_Barrier(comm));
  PetscCall(rt_labelstore_check(comm, dir, &info, 0, NULL, state));
  for (int i = 0; i < SHARDS; i++) {
    RT_TEST_CHECK(state[i] == RT_LABELSTORE_THERE, "shard %d", i);
    PetscCall(check_shard(dir, &info, i));
  }
  memset(&found, 0, sizeof found);
  PetscCall(rt_labelstore_describe(dir, &found, &any));
  RT_TEST_CHECK(any && found.samples == SAMPLES && found.shard == SHARD && found.views == views && found.fields == 1 &&
                    found.field[0].width == CLASSES && !strcmp(found.teacher, info.teacher) &&
                    !strcmp(found.dataset, info.dataset) && !strcmp(found.precision, info.precision) &&
                    !strcmp(found.augment, info.augment),
                "describe");
  PetscFunctionReturn(0);
}

/* Change one thing in what is expected: the whole store is refused, on all ranks. */
static PetscErrorCode test_strangers(MPI_Comm comm, const char *dir)
{
  RtLabelstoreInfo other;
  RtLabelstoreState state[2 * SAMPLES];

  PetscFunctionBegin;
#define REFUSED(change)                                                                                                \
  do {                                                                                                                 \
    other = make_info(1);                                                                                              \
    change;                                                                                                            \
    RT_TEST_FAILS(rt_labelstore_check(comm, dir, &other, 0, NULL, state));                                             \
    RT_TEST_FAILS(check_shard(dir, &other, 1));                                                                        \
  } while (0)
  REFUSED(other.teacher[3] = 'x');
  REFUSED(other.dataset[3] = 'x');
  REFUSED(strcpy(other.precision, "bf16"));
  REFUSED(strcpy(other.augment, "shift 3"));
  REFUSED(other.views = 2);
  REFUSED(other.field[0].width = 4);
  REFUSED(strcpy(other.field[0].form, "bf16"));
  REFUSED(other.field[0].relative = 0.1);
  REFUSED(strcpy(other.field[0].name, "pool"));
  REFUSED(other.samples = SAMPLES - 1);
  REFUSED(other.shard = SHARD - 1);
#undef REFUSED
  PetscFunctionReturn(0);
}

/* A shard too many: it would be read with the others by open_mfdataset. */
static PetscErrorCode test_too_many(const char *dir)
{
  RtLabelstoreInfo info = make_info(1), large = info;
  RtLabelstoreState state[SHARDS];
  char path[512];

  PetscFunctionBegin;
  large.samples = 10000;
  PetscCall(write_shard(dir, &large, 50, 0));
  RT_TEST_FAILS(rt_labelstore_check(PETSC_COMM_SELF, dir, &info, 0, NULL, state));
  snprintf(path, sizeof path, "%s/shard-000050.nc", dir);
  unlink(path);
  PetscFunctionReturn(0);
}

static void copy_damaged(const char *from, const char *to, long length, long at)
{
  FILE *in = fopen(from, "rb"), *out;

  unlink(to); /* HDF5 keeps open what it could not read, and knows it again */
  out = fopen(to, "wb");
  for (long i = 0; i < length; i++) fputc(fgetc(in) ^ (i == at ? 0x55 : 0), out);
  fclose(in);
  fclose(out);
}

/* Damage to any byte before the seal is found. */
static PetscErrorCode test_damage(const char *dir)
{
  RtLabelstoreInfo info = make_info(1);
  RtLabelstoreState state;
  char from[512], to[512], why[RT_LABELSTORE_TEXT];
  struct stat status;
  int found = 0, tried = 0;

  PetscFunctionBegin;
  snprintf(from, sizeof from, "%s/whole", dir);
  snprintf(to, sizeof to, "%s/shard-000001.nc", dir);
  RT_TEST_CHECK(!rename(to, from) && !stat(from, &status), "rename");
  PetscCall(rt_labelstore_look(dir, &info, 1, true, &state, why));
  RT_TEST_CHECK(state == RT_LABELSTORE_MISSING, "state %d", (int)state);
  RT_TEST_FAILS(check_shard(dir, &info, 1));
  for (long length = 0; length < status.st_size; length += status.st_size / 23) {
    copy_damaged(from, to, length, -1);
    PetscCall(rt_labelstore_look(dir, &info, 1, true, &state, why));
    RT_TEST_CHECK(state == RT_LABELSTORE_DAMAGED && why[0], "cut off after %ld bytes: state %d", length, (int)state);
    if (length < status.st_size - 80) RT_TEST_FAILS(check_shard(dir, &info, 1));
  }
  for (long at = 0; at < status.st_size - 80; at += 13, tried++) {
    copy_damaged(from, to, status.st_size, at);
    PetscCall(rt_labelstore_look(dir, &info, 1, true, &state, why));
    found += state == RT_LABELSTORE_DAMAGED;
  }
  RT_TEST_CHECK(found == tried, "%d of %d wrong bytes were found", found, tried);
  /* The logits are the only large array here: a wrong byte among them is found by its checksum. */
  for (long at = 0; at < status.st_size; at++) {
    float value = formula(SHARD + 4, 0, 2), have;
    FILE *file = fopen(from, "rb");

    fseek(file, at, SEEK_SET);
    if (fread(&have, sizeof have, 1, file) == 1 && have == value) {
      copy_damaged(from, to, status.st_size, at);
      RT_TEST_FAILS(check_shard(dir, &info, 1));
      at = status.st_size;
    }
    RT_TEST_CHECK(at != status.st_size - 1, "the logit was not found");
    fclose(file);
  }
  rename(from, to);
  PetscCall(check_shard(dir, &info, 1));
  PetscFunctionReturn(0);
}

static PetscErrorCode test_same_bytes(const char *dir)
{
  RtLabelstoreInfo info = make_info(1);
  char command[1024];

  PetscFunctionBegin;
  snprintf(command, sizeof command, "cp %s/shard-000002.nc %s/before", dir, dir);
  RT_TEST_CHECK(!system(command), "cp");
  sleep(1);
  PetscCall(write_shard(dir, &info, 2, 0));
  snprintf(command, sizeof command, "cmp %s/shard-000002.nc %s/before", dir, dir);
  RT_TEST_CHECK(!system(command), "the same shard written twice differs");
  PetscFunctionReturn(0);
}

static PetscErrorCode test_unwritable(const char *dir)
{
  RtLabelstoreInfo info = make_info(1);
  struct rlimit before, small;

  PetscFunctionBegin;
  RT_TEST_FAILS(write_shard("/proc/labels", &info, 0, 0));
  RT_TEST_FAILS(write_shard(dir, &info, 4, NAN));
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  small.rlim_cur = 4096;
  setrlimit(RLIMIT_FSIZE, &small);
  RT_TEST_FAILS(write_shard(dir, &info, 4, 1));
  setrlimit(RLIMIT_FSIZE, &before);
  PetscCall(check_shard(dir, &info, 4)); /* the old one is still there */
  PetscFunctionReturn(0);
}

static PetscErrorCode test(int argc, char **argv)
{
  MPI_Comm comm = PETSC_COMM_WORLD;
  PetscMPIInt rank;
  char folder[64] = "test_labelstore-XXXXXX", plain[256], views[256], command[300];

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (argc < 2) RT_TEST_CHECK(rank || mkdtemp(folder), "mkdtemp");
  PetscCallMPI(MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, comm));
  snprintf(plain, sizeof plain, "%s/plain/labels", argc < 2 ? folder : argv[1]);
  snprintf(views, sizeof views, "%s/views/labels", argc < 2 ? folder : argv[1]);
  PetscCall(test_store(comm, rank, plain, 1));
  PetscCall(test_store(comm, rank, views, 3));
  if (argc > 1) PetscFunctionReturn(0);
  PetscCall(test_strangers(comm, plain));
  PetscCallMPI(MPI_Barrier(comm));
  if (!rank) {
    PetscCall(test_too_many(plain));
    PetscCall(test_damage(plain));
    PetscCall(test_same_bytes(plain));
    PetscCall(test_unwritable(plain));
    snprintf(command, sizeof command, "rm -r %s", folder);
    RT_TEST_CHECK(!system(command), "cannot remove the folder");
  }
  PetscCallMPI(MPI_Barrier(comm));
  PetscFunctionReturn(0);
}

RT_TEST_MAIN(test)
