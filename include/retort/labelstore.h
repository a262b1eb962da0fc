/* The label store: a teacher's raw logits for a dataset, in shards, one NetCDF file for each fixed range of samples; if
   wanted, also the activations of one of its layers, as their leading principal components.
   A shard is complete or absent. Every shard names what it was made from; a store that does not match is refused. */
#ifndef RETORT_LABELSTORE_H
#define RETORT_LABELSTORE_H

#include <retort/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int64_t samples; /* of the dataset */
  int64_t shard;   /* samples in a shard; the last one may be shorter */
  int views;       /* 1: the plain sample; more: view 0 is plain, the others are augmented */
  int classes;     /* or numbers a sample, for regression */
  char teacher[RT_HASH_TEXT], dataset[RT_HASH_TEXT];
  char precision[8];           /* fp32 or bf16 */
  char augment[160];           /* canonical text of what makes the views; empty where views is 1 */
  int components;              /* of the layer's activations; 0: none are kept, or nobody asks for them */
  char features[RT_HASH_TEXT]; /* hash of the layer and its components */
  char layer[128];             /* its name in the teacher */
  double kept;                 /* part of the activations' variance that the components hold */
} RtLabelstoreInfo;

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
  RT_LABELSTORE_DAMAGED, /* not to be opened, cut off, wrong checksums or sample numbers, logits that are not finite */
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

/* Write one shard, in the place of one that is there. Not collective. logits: [count, views, classes], raw; features:
   [count, views, components], NULL where there are none. options: text for the attribute of that name. Errors: a folder
   that cannot be written, a full disk. */
PetscErrorCode rt_labelstore_write(const char *dir, const RtLabelstoreInfo *info, int64_t shard, const float *logits,
                                   const float *features, const char *options);

/* Read one shard. Not collective. logits: [rt_labelstore_count, views, classes].
   Errors: missing, damaged, made from something else. */
PetscErrorCode rt_labelstore_read(const char *dir, const RtLabelstoreInfo *info, int64_t shard, float *logits);
/* The same for the features, where info asks for them. features: [rt_labelstore_count, views, components]. */
PetscErrorCode rt_labelstore_read_features(const char *dir, const RtLabelstoreInfo *info, int64_t shard,
                                           float *features);

/* A store that is read in parts, one view at a time. Not collective. open: shards that stay open, at least 1, the last
   that were read: to open one takes a millisecond, to keep it open takes RT_LABELSTORE_OPEN bytes of memory. */
typedef struct RtLabelstoreReader RtLabelstoreReader;
enum { RT_LABELSTORE_OPEN = 5 << 19 };
PetscErrorCode rt_labelstore_reader_create(const char *dir, const RtLabelstoreInfo *info, int open,
                                           RtLabelstoreReader **reader);
/* Accepts NULL. */
PetscErrorCode rt_labelstore_reader_destroy(RtLabelstoreReader **reader);
/* Logits of one view of samples [first, first + count) of the dataset, from as many shards as they are in.
   logits: [count, classes]. Errors: as rt_labelstore_read. */
PetscErrorCode rt_labelstore_reader_read(RtLabelstoreReader *reader, int view, int64_t first, int64_t count,
                                         float *logits);

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
