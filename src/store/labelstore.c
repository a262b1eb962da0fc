/* A label store as a whole: which shards are there, and in what state. */
#include <retort/labelstore.h>

#include "core/file.h"
#include "core/message.h"
#include "netcdf/seal.h"
#include "store/labelstore_shard.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number in the name of a shard's file; -1 for any other name, temporary ones too. */
static int64_t shard_number(const char *name)
{
  long long number;
  char again[48];

  if (sscanf(name, "shard-%lld.nc", &number) != 1 || number < 0) return -1;
  snprintf(again, sizeof again, "shard-%06lld.nc", number);
  return strcmp(name, again) ? -1 : (int64_t)number;
}

static int ascending(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

  return (x > y) - (x < y);
}

/* The numbers of the shards in the folder, ascending. *number is allocated with malloc. No folder: none. */
static PetscErrorCode list(const char *dir, int64_t *count, int64_t **number)
{
  DIR *folder = opendir(dir);
  const struct dirent *entry;
  int64_t room = 0, next;

  PetscFunctionBegin;
  *count = 0;
  *number = NULL;
  while (folder && (entry = readdir(folder))) {
    next = shard_number(entry->d_name);
    if (next < 0) continue;
    if (*count == room) {
      int64_t *more = realloc(*number, (size_t)(room = 2 * room + 64) * sizeof(**number));

      if (!more) {
        free(*number);
        closedir(folder);
        RtFail("%s: not enough memory to list its shards", dir);
      }
      *number = more;
    }
    (*number)[(*count)++] = next;
  }
  if (folder) closedir(folder);
  if (*count) qsort(*number, (size_t)*count, sizeof(**number), ascending);
  PetscFunctionReturn(0);
}

/* --- one shard --------------------------------------------------------------------------------------------------- */

/* Read all of an open shard that belongs, in pieces. buffer: [rt_labelstore_rows, views, widest field]. ended: false
   where stop said so before the end. */
static PetscErrorCode read_wholly(RtLabelstoreShard *shard, const RtLabelstoreInfo *info, bool (*stop)(void),
                                  float *buffer, bool *ended)
{
  int64_t rows = rt_labelstore_rows(info), count = rt_labelstore_count(info, shard->number), at = 0;

  PetscFunctionBegin;
  PetscCall(rt_labelstore_check_ids(shard, info));
  for (; at < count && !shard->why[0] && !(stop && stop()); at += rows)
    for (int f = 0; f < info->fields && !shard->why[0]; f++) {
      const RtLabelstorePart part = {f, -1, at, PetscMin(rows, count - at)};

      PetscCall(rt_labelstore_read_part(shard, info, &part, buffer));
    }
  *ended = at >= count || shard->why[0];
  PetscFunctionReturn(0);
}

/* What the seal says comes first: some damaged files are too much for HDF5. */
static PetscErrorCode look_at_seal(const char *path, bool (*stop)(void), RtSeal *seal, RtLabelstoreState *state,
                                   char why[RT_LABELSTORE_TEXT])
{
  PetscFunctionBegin;
  PetscCall(rt_seal_check(path, stop, seal));
  if (*seal == RT_SEAL_UNKNOWN) *state = RT_LABELSTORE_UNKNOWN;
  if (*seal != RT_SEAL_BROKEN) PetscFunctionReturn(0);
  *state = RT_LABELSTORE_DAMAGED;
  strcpy(why, "its bytes do not agree with its checksum");
  PetscFunctionReturn(0);
}

/* buffer: as above; NULL reads only what the shard says of itself. */
static PetscErrorCode look(const char *dir, const RtLabelstoreInfo *info, int64_t number, bool (*stop)(void),
                           float *buffer, RtLabelstoreState *state, char why[RT_LABELSTORE_TEXT])
{
  RtLabelstoreShard shard;
  RtLabelstoreInfo found;
  RtSeal seal = RT_SEAL_NONE;
  PetscErrorCode error = 0;
  char path[PETSC_MAX_PATH_LEN];
  bool ended = true;

  PetscFunctionBegin;
  why[0] = 0;
  *state = RT_LABELSTORE_MISSING;
  PetscCall(rt_labelstore_path(dir, number, path));
  if (!rt_file_exists(path)) PetscFunctionReturn(0);
  if (buffer) PetscCall(look_at_seal(path, stop, &seal, state, why));
  if (*state != RT_LABELSTORE_MISSING) PetscFunctionReturn(0);
  PetscCall(rt_labelstore_open(dir, number, &shard, &found));
  if (!shard.why[0]) error = rt_labelstore_compare(&shard, &found, info);
  if (!error && !shard.why[0] && buffer && seal == RT_SEAL_NONE)
    error = read_wholly(&shard, info, stop, buffer, &ended);
  rt_labelstore_close(&shard);
  PetscCall(error);
  *state = shard.why[0] ? RT_LABELSTORE_DAMAGED : ended ? RT_LABELSTORE_THERE : RT_LABELSTORE_UNKNOWN;
  strcpy(why, shard.why);
  PetscFunctionReturn(0);
}

static PetscErrorCode make_buffer(const RtLabelstoreInfo *info, float **buffer)
{
  int64_t widest = 1, most = (int64_t)1 << 34; /* numbers: 64 GiB */

  PetscFunctionBegin;
  for (int f = 0; f < info->fields; f++) widest = PetscMax(widest, info->field[f].width);
  RtCheck(info->views <= most / widest, "a label store of %d views with %lld numbers each is too large for any memory",
          info->views, (long long)widest);
  PetscCall(PetscMalloc1(rt_labelstore_rows(info) * info->views * widest, buffer));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_look(const char *dir, const RtLabelstoreInfo *info, int64_t shard, bool whole,
                                  RtLabelstoreState *state, char why[RT_LABELSTORE_TEXT])
{
  float *buffer = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (whole) PetscCall(make_buffer(info, &buffer));
  error = look(dir, info, shard, NULL, buffer, state, why);
  PetscCall(PetscFree(buffer));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Read a field of an open shard at once. */
static PetscErrorCode read_all(RtLabelstoreShard *shard, const RtLabelstoreInfo *found, const RtLabelstoreInfo *info,
                               int field, float *data)
{
  const RtLabelstorePart part = {field, -1, 0, rt_labelstore_count(info, shard->number)};

  PetscFunctionBegin;
  if (!shard->why[0]) PetscCall(rt_labelstore_compare(shard, found, info));
  if (!shard->why[0]) PetscCall(rt_labelstore_read_part(shard, info, &part, data));
  RtCheck(!shard->why[0], "%s: %s; run `retort label` to make it again", shard->path, shard->why);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_read(const char *dir, const RtLabelstoreInfo *info, int64_t shard, int field, float *data)
{
  RtLabelstoreShard open;
  RtLabelstoreInfo found;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCheck(shard >= 0 && shard < rt_labelstore_shards(info) && field >= 0 && field < info->fields, PETSC_COMM_SELF,
             PETSC_ERR_ARG_OUTOFRANGE, "shard %lld, field %d", (long long)shard, field);
  PetscCall(rt_labelstore_open(dir, shard, &open, &found));
  error = read_all(&open, &found, info, field, data);
  rt_labelstore_close(&open);
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

/* The share of one rank in a check: shards rank, rank + size, …, each at [shard / size]. */
typedef struct {
  int rank, size;
  int part; /* shards in a share, at most */
  unsigned char *state;
  char (*why)[RT_LABELSTORE_TEXT];
} Share;

static PetscErrorCode refuse_surplus(const char *dir, int64_t shards)
{
  int64_t count, *number, most;

  PetscFunctionBegin;
  PetscCall(list(dir, &count, &number));
  most = count ? number[count - 1] : -1;
  free(number);
  RtCheck(most < shards,
          "%s/shard-%06lld.nc does not belong to these labels, which have %lld shards; remove the folder or choose "
          "another",
          dir, (long long)most, (long long)shards);
  PetscFunctionReturn(0);
}

static PetscErrorCode look_share(const char *dir, const RtLabelstoreInfo *info, bool (*stop)(void), Share *share)
{
  int64_t shards = rt_labelstore_shards(info);
  float *buffer;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  if (!share->rank) PetscCall(refuse_surplus(dir, shards));
  PetscCall(make_buffer(info, &buffer));
  for (int64_t i = share->rank; i < shards && !error && !(stop && stop()); i += share->size) {
    RtLabelstoreState state;

    error = look(dir, info, i, stop, buffer, &state, share->why[i / share->size]);
    share->state[i / share->size] = (unsigned char)state;
  }
  PetscCall(PetscFree(buffer));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Collective. Rank 0 tells what is wrong with the damaged shards, of which other ranks know. */
static PetscErrorCode tell(MPI_Comm comm, const char *dir, int64_t shards, int64_t notes, const Share *share,
                           const RtLabelstoreState *state)
{
  char why[RT_LABELSTORE_TEXT] = "", path[PETSC_MAX_PATH_LEN];
  int64_t damaged = 0;

  PetscFunctionBegin;
  for (int64_t s = 0; s < shards; s++) {
    if (state[s] != RT_LABELSTORE_DAMAGED || damaged++ >= notes) continue;
    if (s % share->size == share->rank) strcpy(why, share->why[s / share->size]);
    PetscCallMPI(MPI_Bcast(why, sizeof(why), MPI_CHAR, (int)(s % share->size), comm));
    PetscCall(rt_labelstore_path(dir, s, path));
    rt_message_note("%s is damaged: %s", path, why);
  }
  if (notes > 0 && damaged > notes) rt_message_note("and %lld more are damaged", (long long)(damaged - notes));
  PetscFunctionReturn(0);
}

static PetscErrorCode check(MPI_Comm comm, const char *dir, const RtLabelstoreInfo *info, int64_t notes,
                            bool (*stop)(void), Share *share, RtLabelstoreState *state)
{
  int64_t shards = rt_labelstore_shards(info);
  unsigned char *all;

  PetscFunctionBegin;
  memset(share->state, RT_LABELSTORE_UNKNOWN, (size_t)share->part);
  PetscCall(rt_message_meet(comm, look_share(dir, info, stop, share)));
  PetscCall(PetscMalloc1((size_t)share->part * (size_t)share->size, &all));
  PetscCallMPI(MPI_Allgather(share->state, share->part, MPI_UNSIGNED_CHAR, all, share->part, MPI_UNSIGNED_CHAR, comm));
  for (int64_t i = 0; i < shards; i++)
    state[i] = (RtLabelstoreState)all[i % share->size * share->part + i / share->size];
  PetscCall(PetscFree(all));
  PetscCall(tell(comm, dir, shards, notes, share, state));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_check(MPI_Comm comm, const char *dir, const RtLabelstoreInfo *info, int64_t notes,
                                   bool (*stop)(void), RtLabelstoreState *state)
{
  Share share = {.rank = 0};
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(comm, &share.rank));
  PetscCallMPI(MPI_Comm_size(comm, &share.size));
  PetscCall(PetscMPIIntCast(rt_labelstore_shards(info) / share.size + 1, &share.part));
  PetscCall(PetscMalloc2((size_t)share.part, &share.state, (size_t)share.part, &share.why));
  error = check(comm, dir, info, notes, stop, &share, state);
  PetscCall(PetscFree2(share.state, share.why));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode describe(const char *dir, int64_t number, RtLabelstoreInfo *info, bool *found)
{
  RtLabelstoreShard shard;
  RtLabelstoreState state = RT_LABELSTORE_THERE;
  RtSeal seal;
  char path[PETSC_MAX_PATH_LEN], why[RT_LABELSTORE_TEXT];

  PetscFunctionBegin;
  PetscCall(rt_labelstore_path(dir, number, path));
  PetscCall(look_at_seal(path, NULL, &seal, &state, why));
  if (state == RT_LABELSTORE_DAMAGED) PetscFunctionReturn(0);
  PetscCall(rt_labelstore_open(dir, number, &shard, info));
  *found = !shard.why[0];
  rt_labelstore_close(&shard);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_describe(const char *dir, RtLabelstoreInfo *info, bool *found)
{
  int64_t count, *number;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  *found = false;
  PetscCall(list(dir, &count, &number));
  for (int64_t i = 0; i < count && !error && !*found; i++) error = describe(dir, number[i], info, found);
  free(number);
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_remove(const char *dir)
{
  int64_t count, *number;
  PetscErrorCode error = 0;
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  PetscCall(list(dir, &count, &number));
  for (int64_t i = 0; i < count && !error; i++) {
    error = rt_labelstore_path(dir, number[i], path);
    if (!error) error = rt_file_remove(path);
  }
  free(number);
  PetscCall(error);
  PetscFunctionReturn(0);
}
