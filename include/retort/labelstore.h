/* The label store: what a teacher gives for the samples of a dataset, in shards, one NetCDF file for each fixed range
   of samples. Its fields are the raw logits and, if wanted, other values of the teacher, each in a form of its own
   (store/form.h).
   A shard is complete or absent. Every shard names what it was made from; a store that does not match is refused. */
#ifndef RETORT_LABELSTORE_H
#define RETORT_LABELSTORE_H

#include <retort/types.h>

#ifdef __cplusplus
extern "C" {
#endif
enum { RT_LABELSTORE_FIELDS = 18 /* most fields of a store */ };

/* A field: one variable of the store. */
typedef struct {
  char name[32];           /* of the variable */
  char layer[128];         /* the value's name in the teacher; logits: empty */
  char form[16];           /* a row of the table of forms; empty: dense */
  double absolute;         /* what is stored may be off by absolute + relative |value| */
  double relative;         /* … as far as its form says so; 0: it is what the teacher gave */
  int width;               /* numbers a sample in each view */
  int axes;                /* shape of these, as far as it is known; 0: one axis */
  int64_t dim[RT_MAX_DIM]; /* [axes] */
  char hash[RT_HASH_TEXT]; /* of the components, in the form of that name */
  double kept;             /* part of the layer's variance that they hold */
} RtLabelstoreField;

typedef struct {
  int64_t samples; /* of the dataset */
  int64_t shard;   /* samples in a shard; the last one may be shorter */
  int views;       /* 1: the plain sample; more: view 0 is plain, the others are augmented */
  char teacher[RT_HASH_TEXT], dataset[RT_HASH_TEXT];
  char precision[8]; /* in which the teacher computed: fp32 or bf16 */
  char augment[160]; /* canonical text of what makes the views; empty where views is 1 */
  int fields;        /* that there are, or that somebody asks for: then a store may hold more */
  RtLabelstoreField field[RT_LABELSTORE_FIELDS]; /* [fields] */
} RtLabelstoreInfo;

/* A store of logits alone. */
void rt_labelstore_logits(RtLabelstoreInfo *info, int width);
/* The number of a field, -1: there is none of that name. */
int rt_labelstore_find(const RtLabelstoreInfo *info, const char *name);
/* Numbers of all fields a sample in each view. */
int64_t rt_labelstore_width(const RtLabelstoreInfo *info);
/* Whether a field holds what is wanted; components any, where `want` has no hash. why: gets what else it holds,
   [RT_LABELSTORE_TEXT]. */
bool rt_labelstore_same(const RtLabelstoreField *has, const RtLabelstoreField *want, char *why);

/* Shard arithmetic. */
static inline int64_t rt_labelstore_shards(const RtLabelstoreInfo *info)
{
  return (info->samples + info->shard - 1) / info->shard;
}
static inline int64_t rt_labelstore_count(const RtLabelstoreInfo *info, int64_t shard)
{
  int64_t rest = info->samples - shard * info->shard;

  return rest < info->shard ? rest : info->shard;
}

/* Of a shard's file. */
typedef enum {
  RT_LABELSTORE_THERE,
  RT_LABELSTORE_MISSING,
  RT_LABELSTORE_DAMAGED, /* not to be opened, cut off, wrong checksums or sample numbers, numbers that are not finite */
  RT_LABELSTORE_UNKNOWN  /* nobody has looked */
} RtLabelstoreState;

enum { RT_LABELSTORE_TEXT = 160 /* most bytes of what is said about damage */ };

/* The state of one shard. Not collective. whole: read all of it; otherwise only what it says of itself. why: what is
   wrong with a damaged one, [RT_LABELSTORE_TEXT].
   Errors: it was made from something else than info says (its name and the difference), or the system refuses to read
   it, by its permissions say, which is no damage. */
PetscErrorCode rt_labelstore_look(const char *dir, const RtLabelstoreInfo *info, int64_t shard, bool whole,
                                  RtLabelstoreState *state, char why[RT_LABELSTORE_TEXT]);

/* The state of every shard of the store in folder dir. Collective on comm: ranks share the reading of the files, which
   are read wholly. Notes name the damaged ones, the first `notes` of them, and say what is wrong.
   stop: NULL, or asked now and then; where it says true on some rank, shards may stay RT_LABELSTORE_UNKNOWN.
   state: [rt_labelstore_shards], the same on all ranks. Errors: as rt_labelstore_look, and a shard too many. */
PetscErrorCode rt_labelstore_check(MPI_Comm comm, const char *dir, const RtLabelstoreInfo *info, int64_t notes,
                                   bool (*stop)(void), RtLabelstoreState *state);

/* Write one shard, in the place of one that is there. Not collective. data: [fields][count, views, width], as the
   teacher gave them; forms are applied here. options: text for the attribute of that name. Errors: a folder that cannot
   be written, a full disk, a number that a form cannot hold. */
PetscErrorCode rt_labelstore_write(const char *dir, const RtLabelstoreInfo *info, int64_t shard,
                                   const float *const *data, const char *options);

/* Read one field of a shard. Not collective. field: its number in info; data: [rt_labelstore_count, views, width].
   Errors: missing, damaged, made from something else. */
PetscErrorCode rt_labelstore_read(const char *dir, const RtLabelstoreInfo *info, int64_t shard, int field, float *data);

/* A store that is read in parts, one view at a time. Not collective. open: shards that stay open, at least 1, the last
   that were read: to open one takes a millisecond, to keep it open takes RT_LABELSTORE_OPEN bytes of memory. */
typedef struct RtLabelstoreReader RtLabelstoreReader;
enum { RT_LABELSTORE_OPEN = 5 << 19 };
PetscErrorCode rt_labelstore_reader_create(const char *dir, const RtLabelstoreInfo *info, int open,
                                           RtLabelstoreReader **reader);
/* Accepts NULL. */
PetscErrorCode rt_labelstore_reader_destroy(RtLabelstoreReader **reader);
/* One field, one view of samples [first, first + count) of the dataset, from as many shards as they are in.
   data: [count, width]. Errors: as rt_labelstore_read. */
PetscErrorCode rt_labelstore_reader_read(RtLabelstoreReader *reader, int field, int view, int64_t first, int64_t count,
                                         float *data);

/* Read what a store in folder dir says of itself, from its first shard that can be read. Not collective. found: false
   where there is none. */
PetscErrorCode rt_labelstore_describe(const char *dir, RtLabelstoreInfo *info, bool *found);

/* The file of a shard. path: [PETSC_MAX_PATH_LEN]. */
PetscErrorCode rt_labelstore_path(const char *dir, int64_t shard, char *path);

/* Remove all shards that are in the folder. Not collective. */
PetscErrorCode rt_labelstore_remove(const char *dir);

#ifdef __cplusplus
}
#endif

#endif
