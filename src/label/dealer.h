/* Which shard a rank makes next. The ranks of a job share a counter; several jobs agree by claims. A shard that another
   job has in hand is put aside and tried again when the counter has no more. */
#ifndef RT_LABEL_DEALER_H
#define RT_LABEL_DEALER_H

#include "label/inference.h"

typedef struct RtDealer RtDealer;

/* Collective. Deals the shards whose state is not RT_LABELSTORE_THERE. teacher and state: [shards] must live as long.
   Makes the store's folder. */
PetscErrorCode rt_dealer_create(const RtInference *teacher, const RtLabelstoreState *state, RtDealer **dealer);
/* Collective. Gives back claims that are left. Accepts NULL. */
PetscErrorCode rt_dealer_destroy(RtDealer **dealer);

/* The rest is not collective. */

/* Try to get a shard: the next of the counter, or when that has no more, one of those put aside.
   shard: claimed for this rank; -1: there is none to get now. Errors: the folder cannot be written, a shard was made
   from something else meanwhile. */
PetscErrorCode rt_dealer_next(RtDealer *dealer, int64_t *shard);
/* A shard is made, or left to others. Any thread may call it. */
void rt_dealer_release(RtDealer *dealer, int64_t shard);
/* Whether the counter has no more, and whether nothing is put aside either. */
bool rt_dealer_dealt(const RtDealer *dealer);
bool rt_dealer_empty(const RtDealer *dealer);
/* Shards in all; those that the counter has given, to this rank's knowledge; those of this rank's share that other jobs
   made. */
int64_t rt_dealer_count(const RtDealer *dealer);
int64_t rt_dealer_given(const RtDealer *dealer);
int64_t rt_dealer_others(const RtDealer *dealer);

/* Call it often: it lets MPI serve the other ranks. stop: this rank was asked to stop, or another rank ends. */
PetscErrorCode rt_dealer_look(RtDealer *dealer, bool *stop);
/* End on all ranks: they get no more shards, and rt_dealer_look says stop. */
PetscErrorCode rt_dealer_close(RtDealer *dealer);
/* This rank has no more to do. Comes back when that holds for all, or when they are to stop. */
PetscErrorCode rt_dealer_wait(RtDealer *dealer);

#endif
