#include "distill/loss.h"

#include <stdio.h>
#include <string.h>

/* Those of users stand behind Retort's own. */
static const RtLoss *losses[RT_LOSS_MOST] = {&rt_loss_kl,   &rt_loss_ce,     &rt_loss_logits, &rt_loss_mse,
                                             &rt_loss_hint, &rt_loss_cosine, &rt_loss_rkd};

enum { TEXT = RT_LOSS_MOST * RT_LOSS_NAME };

const RtLoss *rt_loss_at(int i)
{
  return i < RT_LOSS_MOST ? losses[i] : NULL;
}

const RtLoss *rt_loss_find(const char *name)
{
  for (int i = 0; rt_loss_at(i); i++)
    if (!strcmp(losses[i]->name, name)) return losses[i];
  return NULL;
}

/* Small letters, digits and underscores, a letter first. */
static bool is_name(const char *name)
{
  size_t length = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;

  return length > 0 && length < RT_LOSS_NAME && !name[length] && name[0] >= 'a';
}

/* Two losses may share an option, which then is the same for both. */
static PetscErrorCode check_option(const RtLoss *loss, const RtLossOption *option)
{
  PetscFunctionBegin;
  RtCheck(is_name(option->name), "the loss '%s' has an option whose name is not 1 to %d small letters, digits and _",
          loss->name, RT_LOSS_NAME - 1);
  RtCheck(option->help && option->help[0], "the option '%s' of the loss '%s' has no help", option->name, loss->name);
  RtCheck(option->least <= option->initial && option->initial <= option->most,
          "the option '%s' of the loss '%s' has a default that is out of its bounds", option->name, loss->name);
  for (int i = 0; rt_loss_at(i); i++)
    for (const RtLossOption *o = losses[i]->option; o->name; o++)
      RtCheck(strcmp(o->name, option->name) ||
                  (o->initial == option->initial && o->least == option->least && o->most == option->most),
              "the option '%s' of the loss '%s' has another default or other bounds than that of '%s': give it another "
              "name",
              option->name, loss->name, losses[i]->name);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_loss_add(const RtLoss *loss)
{
  int count = 0;

  PetscFunctionBegin;
  while (rt_loss_at(count)) count++;
  RtCheck(count < RT_LOSS_MOST, "there are %d losses already, which is the most", count);
  RtCheck(is_name(loss->name), "a loss has a name that is not 1 to %d small letters, digits and _", RT_LOSS_NAME - 1);
  RtCheck(!rt_loss_find(loss->name), "there is a loss '%s' already", loss->name);
  RtCheck(loss->help && loss->help[0], "the loss '%s' has no help", loss->name);
  RtCheck(!loss->evaluate != !loss->meet, "the loss '%s' must have either evaluate or meet", loss->name);
  RtCheck(!loss->option[RT_LOSS_OPTIONS].name, "the loss '%s' has more than %d options", loss->name, RT_LOSS_OPTIONS);
  for (const RtLossOption *o = loss->option; o->name; o++) PetscCall(check_option(loss, o));
  losses[count] = loss;
  PetscFunctionReturn(0);
}

/* Names of the losses; only those that compare the output with a teacher's, where `output` says so. */
static const char *join(char names[TEXT], bool output)
{
  const unsigned kinds = RT_LOSS_CLASSES | RT_LOSS_NUMBERS;
  size_t at = 0;

  for (int i = 0; rt_loss_at(i); i++)
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
