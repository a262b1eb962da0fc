/* retort import: make a dataset from foreign files. Its few words are read here, as files come in an order. */
#include "cli/verbs.h"

#include "core/message.h"
#include "import/import.h"
#include <retort/dataset.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The kind is the first word that is neither an option nor its value: every option has one. */
static PetscErrorCode find_kind(int argc, char **argv, const RtImporter **kind)
{
  int i = 0;

  PetscFunctionBegin;
  while (i < argc && argv[i][0] == '-') i += 2;
  *kind = i < argc ? rt_importer_find(argv[i]) : NULL;
  if (!*kind)
    RtUsage("import: '%s' is not a kind of file; write import %s", i < argc ? argv[i] : "", rt_importer_names());
  PetscFunctionReturn(0);
}

static PetscErrorCode refuse_option(const RtImporter *kind, const char *option)
{
  char names[256] = "";
  size_t at = 0;

  PetscFunctionBegin;
  for (int i = 0; kind->option[i]; i++)
    at += (size_t)snprintf(names + at, sizeof(names) - at, ", -%s", kind->option[i]);
  RtUsage("import %s has no option '%s'; it knows -o%s", kind->name, option, names);
}

/* Where the value of an option goes. */
static PetscErrorCode find_place(const RtImporter *kind, const char *option, RtImportWords *words, const char ***place)
{
  PetscFunctionBegin;
  *place = strcmp(option, "-o") ? NULL : &words->output;
  for (int i = 0; kind->option[i]; i++)
    if (!strcmp(option + 1, kind->option[i])) *place = &words->option[i];
  if (!*place) PetscCall(refuse_option(kind, option));
  PetscFunctionReturn(0);
}

static PetscErrorCode parse(int argc, char **argv, const RtImporter *kind, RtImportWords *words)
{
  bool named = false;
  int files = 0;

  PetscFunctionBegin;
  for (int i = 0; i < argc; i++) {
    const char **place;

    if (argv[i][0] == '-') {
      PetscCall(find_place(kind, argv[i], words, &place));
      if (*place) RtUsage("import: the option '%s' is given twice", argv[i]);
      if (i + 1 == argc) RtUsage("import: the option '%s' wants a value", argv[i]);
      *place = argv[++i];
    } else if (!named) {
      named = true;
    } else {
      if (files == kind->files_most) RtUsage("import %s: the file '%s' is one too many", kind->name, argv[i]);
      words->file[files++] = argv[i];
    }
  }
  if (files < kind->files_least)
    RtUsage("import %s wants %s: %.*s", kind->name, kind->files_least == 1 ? "a file" : "two files",
            (int)strcspn(kind->help, "\n"), kind->help);
  if (!words->output) RtUsage("import: say where the dataset goes with -o DATASET");
  if (kind->check) PetscCall(kind->check(words));
  PetscFunctionReturn(0);
}

void rt_cli_import_help(void)
{
  for (int i = 0; rt_importer_at(i); i++)
    for (const char *line = rt_importer_at(i)->help; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
      rt_message_print("  %.*s", (int)strcspn(line, "\n"), line);
}

/* The dataset must not replace what it is made from. */
static PetscErrorCode check_output(const RtImportWords *words)
{
  struct stat output, file;

  PetscFunctionBegin;
  if (stat(words->output, &output)) PetscFunctionReturn(0);
  RtCheck(!S_ISDIR(output.st_mode), "%s is a folder; name a file for the dataset", words->output);
  for (int i = 0; i < RT_IMPORT_FILES && words->file[i]; i++)
    RtCheck(stat(words->file[i], &file) || file.st_dev != output.st_dev || file.st_ino != output.st_ino,
            "%s would be overwritten by the dataset made from it; choose another name", words->file[i]);
  PetscFunctionReturn(0);
}

/* The one line at the end. */
static PetscErrorCode say(const char *path)
{
  const char *slash = strrchr(path, '/');
  char shape[256] = "", what[64] = "no labels";
  const RtDatasetInfo *info;
  RtDataset *dataset;
  struct stat file;
  size_t used = 0;

  PetscFunctionBegin;
  PetscCall(rt_dataset_open(PETSC_COMM_SELF, path, &dataset));
  info = rt_dataset_info(dataset);
  for (int i = 0; i < info->ndim; i++)
    used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%lld", i ? " x " : "", (long long)info->dim[i]);
  if (info->classes)
    snprintf(what, sizeof what, "%d classes", info->classes);
  else if (info->targets)
    snprintf(what, sizeof what, "%d target%s", info->targets, info->targets > 1 ? "s" : "");
  if (stat(path, &file)) file.st_size = 0;
  rt_message_print("%s: %lld samples of %s (%s), %s, %.1f MB", slash ? slash + 1 : path, (long long)info->samples,
                   shape, info->type == RT_UINT8 ? "uint8" : "float", what, (double)file.st_size / 1e6);
  PetscCall(rt_dataset_close(&dataset));
  PetscFunctionReturn(0);
}

static PetscErrorCode work(const RtImporter *kind, const RtImportWords *words)
{
  PetscFunctionBegin;
  PetscCall(check_output(words));
  PetscCall(kind->run(words));
  PetscCall(say(words->output));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_cli_import(MPI_Comm comm, int argc, char **argv)
{
  RtImportWords words = {.output = NULL};
  const RtImporter *kind;
  PetscErrorCode error = 0;
  PetscMPIInt rank;

  PetscFunctionBegin;
  PetscCall(find_kind(argc, argv, &kind));
  PetscCall(parse(argc, argv, kind, &words));
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (!rank) error = work(kind, &words);
  RtAgree(comm, error);
  PetscFunctionReturn(0);
}
