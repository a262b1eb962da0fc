#include "distill/loss.h"

#include <stdio.h>
#include <string.h>

static const RtLoss *const losses[] = {&rt_loss_kl,  &rt_loss_ce,   &rt_loss_logits,
                                       &rt_loss_mse, &rt_loss_hint, &rt_loss_rkd};

enum { LOSSES = sizeof(losses) / sizeof(*losses), TEXT = 256 };

const RtLoss *rt_loss_at(int i)
{
  return i < LOSSES ? losses[i] : NULL;
}

const RtLoss *rt_loss_find(const char *name)
{
  for (int i = 0; i < LOSSES; i++)
    if (!strcmp(losses[i]->name, name)) return losses[i];
  return NULL;
}

/* Names of the losses; only those that compare the output with a teacher's, where `output` says so. */
static const char *join(char names[TEXT], bool output)
{
  const unsigned kinds = RT_LOSS_CLASSES | RT_LOSS_NUMBERS;
  size_t at = 0;

  for (int i = 0; i < LOSSES; i++)
    if (!output || (losses[i]->traits & RT_LOSS_TEACHER && losses[i]->traits & kinds))
      at += (size_t)snprintf(names + at, TEXT - at, "%s%s", at ? "|" : "", losses[i]->name);
  return names;
}

const char *rt_loss_names(void)
{
  static char names[TEXT];

  return join(names, false);
}

const char *rt_loss_short_names(void)
{
  static char names[TEXT];

  return join(names, true);
}
