/* One file of a label store, opened to be read: DIR/shard-NNNNNN.nc with sample_id(sample), logits(sample[, view],
   class), perhaps features(sample[, view], component) and other fields NAME(sample[, view], …), and attributes that say
   what it was made from. Not collective.

   Damage is not an error here: what finds it leaves its words in `why`, and the caller looks there. */
#ifndef RT_STORE_LABELSTORE_SHARD_H
#define RT_STORE_LABELSTORE_SHARD_H

#include <retort/labelstore.h>

typedef struct {
  char path[PETSC_MAX_PATH_LEN];
  int64_t bytes;
  int64_t number, says;               /* which shard it is by the name of its file, and by its attribute */
  int nc, id;                         /* of the file, below 0 where it is not open, and of the sample numbers */
  int variable[RT_LABELSTORE_FIELDS]; /* of the fields that were found; from rt_labelstore_compare on, of those asked */
  char why[RT_LABELSTORE_TEXT];       /* what is wrong; empty: nothing was found so far */
} RtLabelstoreShard;

enum { RT_LABELSTORE_CHUNK = 1 << 18 /* floats in a chunk of logits: 1 MiB */ };

/* Samples whose numbers of all views in the widest field fill a chunk, at least one. */
int64_t rt_labelstore_rows(const RtLabelstoreInfo *info);

/* Open a file that is there and read what it says of itself. found: what it was made from, and all fields that it has.
   Errors: it is not a shard of labels; the system refuses to read it. */
PetscErrorCode rt_labelstore_open(const char *dir, int64_t number, RtLabelstoreShard *shard, RtLabelstoreInfo *found);
void rt_labelstore_close(RtLabelstoreShard *shard);

/* Does an open shard belong to the store that info describes, as shard->number of it? Errors: it does not. */
PetscErrorCode rt_labelstore_compare(RtLabelstoreShard *shard, const RtLabelstoreInfo *found,
                                     const RtLabelstoreInfo *info);

/* Which numbers of a shard: all views, or one of them, of samples [first, first + count). */
typedef struct {
  int field; /* in the info that the shard was compared with */
  int view;  /* below 0: all of them */
  int64_t first, count;
} RtLabelstorePart;
/* Read them of a shard that belongs. data: [count(, views), width]; finite, or else the shard is damaged. */
PetscErrorCode rt_labelstore_read_part(RtLabelstoreShard *shard, const RtLabelstoreInfo *info,
                                       const RtLabelstorePart *part, float *data);
/* The numbers of all samples must be right. */
PetscErrorCode rt_labelstore_check_ids(RtLabelstoreShard *shard, const RtLabelstoreInfo *info);

#endif
