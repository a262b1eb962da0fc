/* Prints every row of the library's tables, a line `kind name` each, for tests that walk them. A new table is a line
   here and a line in RULES of tables.py. */
#include <retort/retort.h>

#include "compress/init.h"
#include "distill/loss.h"
#include "eval/metrics.h"
#include "model/recipe.h"
#include "ops/registry.h"
#include "optim/optimizer.h"
#include "store/form.h"

#include <stdio.h>

/* names: joined by `|`. */
static void print(const char *kind, const char *names)
{
  printf("%s ", kind);
  for (; *names; names++)
    if (*names == '|')
      printf("\n%s ", kind);
    else
      putchar(*names);
  printf("\n");
}

int main(void)
{
  const char *help;

  for (int i = 0; rt_registry_at(i); i++) print("operator", rt_registry_at(i)->type);
  print("loss", rt_loss_names());
  print("form", rt_form_names());
  print("optimizer", rt_optimizer_names());
  for (int i = 0; rt_init_at(i, &help); i++) print("start", rt_init_at(i, &help));
  for (int i = 0; rt_recipe_at(i); i++) print("recipe", rt_recipe_at(i)->name);
  for (int i = 0; rt_metrics_row(i); i++) print("metric", rt_metrics_row(i)->name);
  return 0;
}
