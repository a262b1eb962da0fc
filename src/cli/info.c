#include "cli/info_fields.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/message.h"
#include "job/files.h"
#include "model/model.h"
#include "netcdf/archive.h"
#include "netcdf/seal.h"
#include "train/generations.h"
#include "train/snapshot.h"

#include <retort/retort.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const role_name[] = {"teacher", "student"};

/* axis: names of free axes; NULL where there are none. */
static void write_shape(int ndim, const int64_t *dim, char *const *axis, char *text, size_t length)
{
  size_t used = 0;

  text[0] = 0;
  for (int i = 0; i < ndim && used + 24 < length; i++) {
    if (dim[i] == RT_BATCH)
      used += (size_t)snprintf(text + used, length - used, "%ssample", i ? " x " : "");
    else if (rt_axes_of(dim[i]) >= 0)
      used += (size_t)snprintf(text + used, length - used, "%s%.20s", i ? " x " : "", axis[rt_axes_of(dim[i])]);
    else
      used += (size_t)snprintf(text + used, length - used, "%s%lld", i ? " x " : "", (long long)dim[i]);
  }
}

/* Lines `name=value` of a record, indented. */
static void print_record(const char *title, const char *record)
{
  if (!record || !record[0]) return;
  rt_message_print("  %s", title);
  for (const char *line = record; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
    rt_message_print("    %.*s", (int)strcspn(line, "\n"), line);
}

static PetscErrorCode print_model(const char *path)
{
  RtGraph *graph = NULL;
  char hash[RT_HASH_TEXT], shape[160];

  PetscFunctionBegin;
  PetscCall(rt_onnx_read(path, &graph, hash));
  rt_message_print("%s: ONNX model, complete", path);
  rt_message_print("  %lld parameters, %d nodes, opset %lld", (long long)graph->parameters, graph->nodes,
                   (long long)graph->opset);
  for (int i = 0; i < graph->inputs; i++) {
    const RtValue *value = &graph->value[graph->input[i]];

    write_shape(value->ndim, value->dim, graph->axis, shape, sizeof(shape));
    rt_message_print("  input '%s': %s %s", value->name, rt_field_type_name(value->type), shape);
  }
  for (int o = 0; o < graph->outputs; o++) rt_message_print("  output '%s'", graph->value[graph->output[o]].name);
  rt_message_print("  sha256 %s", hash);
  for (int i = 0; i < graph->metadatas; i++)
    if (strcmp(graph->metadata[2 * i], rt_model_record_key))
      rt_message_print("  %s: %s", graph->metadata[2 * i], graph->metadata[2 * i + 1]);
  print_record("made with:", rt_model_made_with(graph));
  PetscCall(rt_graph_destroy(&graph));
  PetscFunctionReturn(0);
}

static void print_samples(const char *path, const RtDataset *dataset, const RtInfoRange range[])
{
  const RtDatasetInfo *info = rt_dataset_info(dataset);
  char shape[160];

  write_shape(info->ndim, info->dim, NULL, shape, sizeof(shape));
  rt_message_print("%s: dataset, complete", path);
  if (info->input < 0)
    rt_message_print("  %lld samples", (long long)info->samples);
  else
    rt_message_print("  %lld samples of %s (%s)", (long long)info->samples, shape, rt_field_type_name(info->type));
  if (info->classes) rt_message_print("  %d classes%s", info->classes, info->class_name ? ":" : "");
  for (int k = 0; info->class_name && k < PetscMin(info->classes, 20); k++)
    rt_message_print("    %d %s", k, info->class_name[k]);
  if (info->targets) rt_message_print("  %d targets", info->targets);
  rt_info_fields_print(dataset, range);
  rt_message_print("  content %s", info->hash);
}

static PetscErrorCode print_dataset(const char *path)
{
  RtDataset *dataset = NULL;
  RtInfoRange *range;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_dataset_open(PETSC_COMM_SELF, path, &dataset));
  PetscCall(PetscCalloc1(rt_dataset_info(dataset)->fields, &range));
  error = rt_info_fields_look(dataset, range);
  if (!error) print_samples(path, dataset, range);
  PetscCall(PetscFree(range));
  PetscCall(rt_dataset_close(&dataset));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static void print_fields(const RtLabelstoreInfo *info)
{
  const int logits = rt_labelstore_find(info, "logits");

  rt_message_print("  %lld samples in shards of %lld, %d view%s, %d numbers each, %s", (long long)info->samples,
                   (long long)info->shard, info->views, info->views == 1 ? "" : "s", info->field[logits].width,
                   info->precision);
  if (info->augment[0]) rt_message_print("  views by %s", info->augment);
  for (int f = 0; f < info->fields; f++) {
    const RtLabelstoreField *field = &info->field[f];
    char off[64] = "";

    if (field->absolute > 0 || field->relative > 0)
      snprintf(off, sizeof(off), ", off by up to %g%s", field->absolute > 0 ? field->absolute : field->relative,
               field->absolute > 0 ? "" : " of a number");
    if (field->hash[0])
      rt_message_print("  %d components of the layer '%s', with %.2f %% of its variance", field->width, field->layer,
                       100 * field->kept);
    else if (f != logits || field->form[0])
      rt_message_print("  %s: %d numbers of '%s', %s%s", field->name, field->width,
                       f == logits ? field->name : field->layer, field->form, off);
  }
}

static PetscErrorCode print_store(const char *path, const RtLabelstoreInfo *info)
{
  int64_t shards = rt_labelstore_shards(info), count[RT_LABELSTORE_UNKNOWN + 1] = {0};
  RtLabelstoreState *state;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(shards, &state));
  error = rt_labelstore_check(PETSC_COMM_SELF, path, info, INT64_MAX, NULL, state);
  for (int64_t s = 0; s < shards && !error; s++) count[state[s]]++;
  PetscCall(PetscFree(state));
  PetscCall(error);
  if (count[RT_LABELSTORE_THERE] < shards)
    rt_message_print("%s: label store, %lld of %lld shards are missing, %lld damaged", path,
                     (long long)count[RT_LABELSTORE_MISSING], (long long)shards,
                     (long long)count[RT_LABELSTORE_DAMAGED]);
  else
    rt_message_print("%s: label store, complete", path);
  print_fields(info);
  rt_message_print("  teacher %s", info->teacher);
  rt_message_print("  dataset %s", info->dataset);
  PetscFunctionReturn(0);
}

static PetscErrorCode print_made(const RtArchive *archive)
{
  char *version, *options = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_archive_get_text(archive, "retort_version", &version));
  error = rt_archive_get_record(archive, &options);
  if (!error) rt_message_print("  %s%s", version ? "made by Retort " : "not made by Retort", version ? version : "");
  if (rt_archive_length(archive, "epoch") > 0)
    rt_message_print("  %lld epochs", (long long)rt_archive_length(archive, "epoch"));
  if (!error) print_record("made with:", options);
  PetscCall(PetscFree(version));
  PetscCall(PetscFree(options));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Role and step in the name of a checkpoint; role: NULL for other files. */
static int64_t checkpoint_step(const char *path, const char **role)
{
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

  for (int r = 0; r < 2; r++) {
    int64_t step = rt_generations_step(name, *role = role_name[r]);

    if (step >= 0) return step;
  }
  *role = NULL;
  return -1;
}

static PetscErrorCode print_checkpoint(const char *path)
{
  RtSnapshotInfo info;
  const char *role;
  int64_t step = checkpoint_step(path, &role);
  RtArchive *archive = NULL;
  PetscErrorCode error;
  bool found;

  PetscFunctionBegin;
  error = rt_snapshot_describe(path, &info, &found);
  if (error) rt_message_print("%s: checkpoint of the %s after step %lld, damaged", path, role, (long long)step);
  PetscCall(error);
  RtCheck(found, "%s has the name of a checkpoint, but is none", path);
  rt_message_print("%s: checkpoint of the %s after step %lld, whole", path, info.role, (long long)info.step);
  rt_message_print("  %lld epochs are done, and %lld of the next one's %lld steps", (long long)info.records,
                   (long long)(info.step - info.records * info.steps), (long long)info.steps);
  if (info.best_epoch) rt_message_print("  the best was epoch %lld", (long long)info.best_epoch);
  rt_message_print("  %lld parameters with padding", (long long)info.flat);
  PetscCall(rt_archive_open(path, &archive));
  error = print_made(archive);
  PetscCall(rt_archive_close(&archive));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* The checkpoints of a run directory. any: set where there are some. */
static PetscErrorCode list_checkpoints(const char *path, bool *any)
{
  char name[PETSC_MAX_PATH_LEN], text[2048];
  RtSeal seal;
  int64_t *step;
  int count;

  PetscFunctionBegin;
  for (int r = 0; r < 2; r++) {
    PetscCall(rt_generations_list(path, role_name[r], &count, &step));
    for (int i = 0; i < count; i++) {
      PetscCall(rt_generations_path(path, role_name[r], step[i], name));
      if (rt_seal_check(name, NULL, &seal)) {
        rt_message_take(text, sizeof(text));
        seal = RT_SEAL_BROKEN;
      }
      if (!*any) rt_message_print("%s: run directory with", path);
      rt_message_print("  %s, %s", name + strlen(path) + 1, seal == RT_SEAL_WHOLE ? "whole" : "damaged");
      *any = true;
    }
    PetscCall(PetscFree(step));
  }
  PetscFunctionReturn(0);
}

/* A run directory: the files that are there. */
static PetscErrorCode print_run(const char *path)
{
  static const struct {
    RtFilesKind kind;
    const char *role;
  } files[] = {{RT_FILES_MODEL, "teacher"}, {RT_FILES_HISTORY, "teacher"}, {RT_FILES_LABELS, NULL},
               {RT_FILES_COMPONENTS, NULL}, {RT_FILES_MODEL, "student"},   {RT_FILES_HISTORY, "student"},
               {RT_FILES_EVAL, NULL},       {RT_FILES_SIMILARITY, NULL},   {RT_FILES_REPORT, NULL}};
  char file[PETSC_MAX_PATH_LEN], name[RT_FILES_NAME];
  bool any = false;

  PetscFunctionBegin;
  for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
    PetscCall(rt_files_path(path, files[i].kind, files[i].role, file));
    if (!rt_file_exists(file)) continue;
    if (!any) rt_message_print("%s: run directory with", path);
    rt_message_print("  %s", rt_files_name(files[i].kind, files[i].role, name));
    any = true;
  }
  PetscCall(list_checkpoints(path, &any));
  RtCheck(any, "%s: a folder without files of Retort", path);
  PetscFunctionReturn(0);
}

static PetscErrorCode print_folder(const char *path)
{
  RtLabelstoreInfo info;
  bool found;

  PetscFunctionBegin;
  PetscCall(rt_labelstore_describe(path, &info, &found));
  if (found)
    PetscCall(print_store(path, &info));
  else
    PetscCall(print_run(path));
  PetscFunctionReturn(0);
}

/* Of components.nc, what it holds. */
static PetscErrorCode print_components(const RtArchive *archive)
{
  int64_t count = rt_archive_length(archive, "variance");
  double kept;
  char *layer;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_archive_get_text(archive, "layer", &layer));
  if (layer && count > 0) error = rt_archive_get(archive, "kept_variance", RT_ARCHIVE_DOUBLE, 1, &kept);
  if (!error && layer && count > 0)
    rt_message_print("  %lld of %lld components of the layer '%s', with %.2f %% of its variance", (long long)count,
                     (long long)rt_archive_length(archive, "mean"), layer, 100 * kept);
  PetscCall(PetscFree(layer));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Datasets have an input, or say what they hold, or nobody of Retort has made them. */
static PetscErrorCode is_dataset(const RtArchive *archive, bool *dataset)
{
  char *hash, *version;

  PetscFunctionBegin;
  PetscCall(rt_archive_get_text(archive, "content_hash", &hash));
  PetscCall(rt_archive_get_text(archive, "retort_version", &version));
  *dataset = hash || rt_archive_length(archive, "input") >= 0 || (!version && rt_archive_axis(archive, "sample"));
  PetscCall(PetscFree(hash));
  PetscCall(PetscFree(version));
  PetscFunctionReturn(0);
}

/* A NetCDF file of results; dataset: it is a dataset instead. */
static PetscErrorCode print_result(const char *path, bool *dataset)
{
  RtArchive *archive = NULL;
  char *title = NULL;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_archive_open(path, &archive));
  PetscCall(is_dataset(archive, dataset));
  if (!*dataset) {
    error = rt_archive_get_text(archive, "title", &title);
    if (!error) rt_message_print("%s: %s, complete", path, title ? title : "NetCDF file");
    if (!error) error = print_components(archive);
    if (!error) error = print_made(archive);
    PetscCall(PetscFree(title));
  }
  PetscCall(rt_archive_close(&archive));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* NetCDF-4 files begin with HDF5's signature, classic ones with CDF. */
static bool is_netcdf(const char *path)
{
  unsigned char head[4] = {0};
  FILE *file = fopen(path, "rb");
  size_t got = file ? fread(head, 1, sizeof(head), file) : 0;

  if (file) fclose(file);
  return got == 4 && (!memcmp(head, "\x89HDF", 4) || !memcmp(head, "CDF", 3));
}

static PetscErrorCode print_file(const char *path)
{
  struct stat status;
  const char *role;
  bool dataset = false;

  PetscFunctionBegin;
  RtCheck(!stat(path, &status), "%s: there is no such file", path);
  if (S_ISDIR(status.st_mode)) {
    PetscCall(print_folder(path));
    PetscFunctionReturn(0);
  }
  RtCheck(S_ISREG(status.st_mode), "%s: is not a file", path);
  (void)checkpoint_step(path, &role);
  if (role) {
    PetscCall(print_checkpoint(path));
    PetscFunctionReturn(0);
  }
  if (!is_netcdf(path)) {
    PetscCall(print_model(path));
    PetscFunctionReturn(0);
  }
  PetscCall(print_result(path, &dataset));
  if (dataset) PetscCall(print_dataset(path));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_cli_info(MPI_Comm comm, int argc, char **argv)
{
  PetscErrorCode error = 0;
  int rank;

  PetscFunctionBegin;
  if (argc > 1 && !strcmp(argv[0], "-extend")) { /* loaded already */
    argc -= 2;
    argv += 2;
  }
  if (argc == 0) RtUsage("info: name the files to describe");
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  for (int i = 0; i < argc && rank == 0 && !error; i++) error = print_file(argv[i]);
  RtAgree(comm, error);
  PetscFunctionReturn(0);
}
