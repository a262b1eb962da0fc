/* Reading chosen samples of a dataset, and their soft labels, into a list. Not collective; one thread at a time. */
#ifndef RT_DATA_GATHER_H
#define RT_DATA_GATHER_H

#include "data/samples.h"

#include <retort/labelstore.h>

typedef struct RtGather RtGather;

/* dataset: must stay open. want: as in data/samples.h, and as the lists have it that are filled. store, dir: the label
   store; NULL where no logits are read. bytes: how much is read at once, of each. open: shards of the store that stay
   open. */
PetscErrorCode rt_gather_create(const RtDataset *dataset, const bool *want, const RtLabelstoreInfo *store,
                                const char *dir, int64_t bytes, int open, RtGather **gather);
/* Accepts NULL. */
PetscErrorCode rt_gather_destroy(RtGather **gather);
/* Bytes of memory that it takes. sample, logits: bytes of one sample, and of its logits of one view. */
int64_t rt_gather_bytes(int64_t bytes, int64_t sample, int64_t logits);

/* Fill places [first, first + count) of a list, whose numbers are there already and ascend. logits: [list->count,
   numbers of all fields], gets those of one view, the fields of a sample one after the other; NULL: not read. Errors:
   as rt_dataset_read and rt_labelstore_read. */
PetscErrorCode rt_gather_read(RtGather *gather, int64_t first, int64_t count, RtSamples *list, int view, float *logits);

#endif
