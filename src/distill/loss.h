/* The table of losses. To add one: a file in src/distill and a row in loss.c; what it holds is told in retort/loss.h.
   Not collective. */
#ifndef RT_DISTILL_LOSS_H
#define RT_DISTILL_LOSS_H

#include <retort/loss.h>

extern const RtLoss rt_loss_kl, rt_loss_ce, rt_loss_logits, rt_loss_mse, rt_loss_hint, rt_loss_cosine, rt_loss_rkd;

enum { RT_LOSS_MOST = 128 /* rows of the table, those of users with them */, RT_LOSS_NAME = 32 /* with its end */ };

/* Add a row. loss: must live as long as the process. Errors: a name that is there already or is no name, no help, not
   one way to compute it, an option with bad bounds or with others than a loss has that shares it, too many. */
PetscErrorCode rt_loss_add(const RtLoss *loss);
/* By name; NULL if there is none. */
const RtLoss *rt_loss_find(const char *name);
/* The loss of row i of the table, from 0; NULL after the last. */
const RtLoss *rt_loss_at(int i);
/* Names joined by `|`, for the option table. */
const char *rt_loss_names(void);
/* Those that compare with a teacher's output as a whole: the short form `loss`. */
const char *rt_loss_short_names(void);

#endif
