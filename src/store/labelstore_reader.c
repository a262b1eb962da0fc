/* Reading a label store in parts, one view at a time. */
#include "netcdf/netcdf.h"
#include "store/labelstore_shard.h"

typedef struct {
  RtLabelstoreShard shard;
  int64_t number; /* of the shard; -1: the place is free */
  int64_t used;   /* reads until it was used last */
} Place;

struct RtLabelstoreReader {
  char dir[PETSC_MAX_PATH_LEN];
  RtLabelstoreInfo info;
  int places;
  Place *place; /* [places] */
  int64_t reads;
};

PetscErrorCode rt_labelstore_reader_create(const char *dir, const RtLabelstoreInfo *info, int open,
                                           RtLabelstoreReader **reader)
{
  RtLabelstoreReader *r;

  PetscFunctionBegin;
  PetscCall(PetscNew(&r));
  PetscCall(PetscCalloc1(open, &r->place));
  PetscCall(PetscStrncpy(r->dir, dir, sizeof r->dir));
  r->info = *info;
  r->places = open;
  for (int i = 0; i < open; i++) r->place[i].number = -1;
  *reader = r;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_reader_destroy(RtLabelstoreReader **reader)
{
  PetscFunctionBegin;
  if (!*reader) PetscFunctionReturn(0);
  for (int i = 0; i < (*reader)->places; i++)
    if ((*reader)->place[i].number >= 0) rt_labelstore_close(&(*reader)->place[i].shard);
  PetscCall(PetscFree((*reader)->place));
  PetscCall(PetscFree(*reader));
  PetscFunctionReturn(0);
}

/* What was found wrong with a shard is an error here. */
static PetscErrorCode refuse_damage(const RtLabelstoreShard *shard)
{
  PetscFunctionBegin;
  RtCheck(!shard->why[0], "%s: %s; run `retort label` to make it again", shard->path, shard->why);
  PetscFunctionReturn(0);
}

/* One chunk stays in memory, as the next samples are often in it. */
static PetscErrorCode begin(RtLabelstoreShard *shard, const RtLabelstoreInfo *found, const RtLabelstoreInfo *info)
{
  PetscFunctionBegin;
  if (!shard->why[0]) PetscCall(rt_labelstore_compare(shard, found, info));
  PetscCall(refuse_damage(shard));
  for (int f = 0; f < info->fields; f++) {
    const size_t chunk = (size_t)PetscMax(RT_LABELSTORE_CHUNK, info->field[f].width);

    RtNetcdfRead(shard->path, nc_set_var_chunk_cache(shard->nc, shard->variable[f], sizeof(float) * chunk, 11, 0));
  }
  PetscFunctionReturn(0);
}

/* Open a shard in this place. */
static PetscErrorCode open_at(RtLabelstoreReader *r, Place *place, int64_t number)
{
  RtLabelstoreInfo found;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (place->number >= 0) rt_labelstore_close(&place->shard);
  place->number = -1;
  PetscCall(rt_labelstore_open(r->dir, number, &place->shard, &found));
  error = begin(&place->shard, &found, &r->info);
  if (error) rt_labelstore_close(&place->shard);
  PetscCall(error);
  place->number = number;
  PetscFunctionReturn(0);
}

/* A shard that is not open takes the place of the one that has not been used for longest. */
static PetscErrorCode find_shard(RtLabelstoreReader *r, int64_t number, RtLabelstoreShard **shard)
{
  Place *place = r->place;

  PetscFunctionBegin;
  for (int i = 1; i < r->places; i++)
    if (r->place[i].used < place->used) place = &r->place[i];
  for (int i = 0; i < r->places; i++)
    if (r->place[i].number == number) place = &r->place[i];
  if (place->number != number) PetscCall(open_at(r, place, number));
  place->used = ++r->reads;
  *shard = &place->shard;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_labelstore_reader_read(RtLabelstoreReader *reader, int field, int view, int64_t first, int64_t count,
                                         float *data)
{
  const RtLabelstoreInfo *info = &reader->info;

  PetscFunctionBegin;
  PetscCheck(first >= 0 && count >= 0 && count <= info->samples - first && view >= 0 && view < info->views &&
                 field >= 0 && field < info->fields,
             PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE, "samples %lld + %lld, view %d, field %d", (long long)first,
             (long long)count, view, field);
  while (count > 0) {
    int64_t number = first / info->shard, at = first - number * info->shard, part = PetscMin(count, info->shard - at);
    RtLabelstorePart rows = {field, view, at, part};
    RtLabelstoreShard *shard = NULL;

    PetscCall(find_shard(reader, number, &shard));
    PetscCall(rt_labelstore_read_part(shard, info, &rows, data));
    PetscCall(refuse_damage(shard));
    first += part;
    count -= part;
    data += part * info->field[field].width;
  }
  PetscFunctionReturn(0);
}
