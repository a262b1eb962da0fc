#include "distill/loss.h"

#include <stdio.h>
#include <string.h>

static const RtLoss *const losses[] = {&rt_loss_kl, &rt_loss_logits, &rt_loss_mse};

const RtLoss *rt_loss_find(const char *name)
{
  for (size_t i = 0; i < sizeof(losses) / sizeof(*losses); i++) {
    if (!strcmp(losses[i]->name, name)) return losses[i];
  }
  return NULL;
}

const char *rt_loss_names(void)
{
  static char names[256];

  for (size_t i = 0, at = 0; i < sizeof(losses) / sizeof(*losses); i++)
    at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", i ? "|" : "", losses[i]->name);
  return names;
}
