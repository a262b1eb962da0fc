#include "cli/verbs.h"
#include "core/message.h"
#include "run/stages.h"
#include "run/table.h"

#include <string.h>

/* Take -print and its words out of argv: it is no option of a job. */
static PetscErrorCode take_keys(int *argc, char **argv, const char **keys)
{
  int kept = 0;

  PetscFunctionBegin;
  *keys = NULL;
  for (int i = 0; i < *argc; i++) {
    if (strcmp(argv[i], "-print")) {
      argv[kept++] = argv[i];
      continue;
    }
    if (++i == *argc || argv[i][0] == '-')
      RtUsage("the option -print needs a value: names of options, without the dash");
    *keys = argv[i];
  }
  *argc = kept;
  PetscCall(PetscOptionsClearValue(NULL, "-print")); /* PETSc has read the command line as well */
  if (!*keys) RtUsage("job: name what to print, as in -print run_dir,data_train");
  PetscFunctionReturn(0);
}

/* All are looked up before the first is printed. */
static PetscErrorCode print_values(const RtOptions *options, const char *keys)
{
  PetscFunctionBegin;
  for (int printing = 0; printing < 2; printing++)
    for (const char *at = keys; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
      const char *text;
      char key[128], stages[64];

      PetscCall(PetscSNPrintf(key, sizeof(key), "%.*s", (int)strcspn(at, ","), at));
      if (!strcmp(key, "stages"))
        text = rt_pipeline_stages(options, stages);
      else
        PetscCall(rt_options_find(options, key, &text));
      if (strchr(text, '\n')) RtUsage("-%s: the value has more than one line, and cannot be printed", key);
      if (printing) rt_message_print("%s", text);
    }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_cli_job(MPI_Comm comm, int argc, char **argv)
{
  const RtOption *table;
  const char *keys;
  RtOptions *options;
  int count;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(take_keys(&argc, argv, &keys));
  table = rt_table_options(&count);
  PetscCall(rt_options_create(comm, table, count, argc, argv, &options));
  error = print_values(options, keys);
  PetscCall(rt_options_destroy(&options));
  PetscCall(error);
  PetscFunctionReturn(0);
}
