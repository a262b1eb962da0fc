/* retort import: make a dataset from foreign files. Its few words are read here, as files come in an order. */
#include "cli/verbs.h"

#include "core/message.h"
#include "import/import.h"
#include <retort/dataset.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES = 2 };

typedef struct {
  const char *kind;
  const char *file[FILES];
  int files;
  const char *output;
  RtImportCsvParams csv;
} Arguments;

/* Where the value of an option goes; NULL where there is no such option. */
static const char **place_of(Arguments *arguments, const char *option)
{
  if (!strcmp(option, "-o")) return &arguments->output;
  if (!strcmp(option, "-label")) return &arguments->csv.label;
  if (!strcmp(option, "-target")) return &arguments->csv.target;
  if (!strcmp(option, "-features")) return &arguments->csv.features;
  return NULL;
}

static PetscErrorCode parse(int argc, char **argv, Arguments *arguments)
{
  PetscFunctionBegin;
  for (int i = 0; i < argc; i++) {
    if (argv[i][0] == '-') {
      const char **place = place_of(arguments, argv[i]);

      if (!place) RtUsage("import has no option '%s'; it knows -o, -label, -target and -features", argv[i]);
      if (*place) RtUsage("import: the option '%s' is given twice", argv[i]);
      if (i + 1 == argc) RtUsage("import: the option '%s' wants a value", argv[i]);
      *place = argv[++i];
    } else if (!arguments->kind)
      arguments->kind = argv[i];
    else if (arguments->files < FILES)
      arguments->file[arguments->files++] = argv[i];
    else
      RtUsage("import: the file '%s' is one too many", argv[i]);
  }
  PetscFunctionReturn(0);
}

/* Do the arguments fit the kind? */
static PetscErrorCode check(const Arguments *arguments)
{
  const char *kind = arguments->kind ? arguments->kind : "";
  bool csv = !strcmp(kind, "csv"), npy = !strcmp(kind, "npy"), idx = !strcmp(kind, "idx");
  int files = arguments->files;

  PetscFunctionBegin;
  if (!idx && !npy && !csv) RtUsage("import: '%s' is not a kind of file; write import idx, npy or csv", kind);
  if (idx && files != 2) RtUsage("import idx wants two files: import idx IMAGES LABELS -o DATASET");
  if (npy && files < 1) RtUsage("import npy wants one or two files: import npy X.npy [Y.npy] -o DATASET");
  if (csv && files != 1) RtUsage("import csv wants one file: import csv FILE.csv -label COLUMN -o DATASET");
  if (!arguments->output) RtUsage("import: say where the dataset goes with -o DATASET");
  if (!csv && (arguments->csv.label || arguments->csv.target || arguments->csv.features))
    RtUsage("import %s: the options -label, -target and -features are for csv", kind);
  if (csv && !arguments->csv.label == !arguments->csv.target)
    RtUsage("import csv wants either -label COLUMN for classes or -target COLUMN[,...] for a regression");
  PetscFunctionReturn(0);
}

/* The dataset must not replace what it is made from. */
static PetscErrorCode check_output(const Arguments *arguments)
{
  struct stat output, file;

  PetscFunctionBegin;
  if (stat(arguments->output, &output)) PetscFunctionReturn(0);
  RtCheck(!S_ISDIR(output.st_mode), "%s is a folder; name a file for the dataset", arguments->output);
  for (int i = 0; i < arguments->files; i++)
    RtCheck(stat(arguments->file[i], &file) || file.st_dev != output.st_dev || file.st_ino != output.st_ino,
            "%s would be overwritten by the dataset made from it; choose another name", arguments->file[i]);
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

static PetscErrorCode work(const Arguments *arguments)
{
  const char *const *file = arguments->file, *output = arguments->output;

  PetscFunctionBegin;
  PetscCall(check_output(arguments));
  if (!strcmp(arguments->kind, "idx"))
    PetscCall(rt_import_idx(file[0], file[1], output));
  else if (!strcmp(arguments->kind, "npy"))
    PetscCall(rt_import_npy(file[0], file[1], output));
  else
    PetscCall(rt_import_csv(file[0], &arguments->csv, output));
  PetscCall(say(output));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_cli_import(MPI_Comm comm, int argc, char **argv)
{
  Arguments arguments = {0};
  PetscErrorCode error = 0;
  PetscMPIInt rank;

  PetscFunctionBegin;
  PetscCall(parse(argc, argv, &arguments));
  PetscCall(check(&arguments));
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (!rank) error = work(&arguments);
  RtAgree(comm, error);
  PetscFunctionReturn(0);
}
