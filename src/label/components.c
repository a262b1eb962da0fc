#include "label/components.h"

#include "core/claims.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/message.h"
#include "core/simd.h"
#include "core/stop.h"
#include "label/features.h"
#include "label/moments.h"
#include "linalg/eigen.h"
#include "netcdf/archive.h"
#include "netcdf/seal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const double pause_seconds = 0.2; /* between two looks for the file that another job has in hand */

/* What is done next; rank 0 finds out. */
enum { LOAD, MAKE, WAIT };

/* components.nc of features, components-NAME.nc of other fields; what the file is called without its end is also what
   jobs claim. */
static PetscErrorCode name_file(const RtComponentsSource *s, char claim[64], char *path)
{
  char role[48] = "";

  PetscFunctionBegin;
  if (strcmp(s->want->field, "features")) snprintf(role, sizeof(role), "-%s", s->want->field);
  snprintf(claim, 64, "components%s", role);
  PetscCall(rt_job_path(s->job, RT_FILES_COMPONENTS, role, path));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_components_close(RtComponents *components)
{
  PetscFunctionBegin;
  PetscCall(PetscFree2(components->mean, components->vector));
  PetscFunctionReturn(0);
}

/* --- making ----------------------------------------------------------------------------------------------------------
 */

/* Everything but the hash. */
static PetscErrorCode solve(const RtGram *gram, RtGrid *grid, RtComponents *c, double *variance)
{
  RtMatrix *moments = NULL, *all = NULL;
  double *value, *vector, total = 0, kept = 0;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc2(c->width, &value, c->width * c->count, &vector));
  error = rt_matrix_create(grid, c->width, c->width, &moments);
  if (!error) error = rt_matrix_create(grid, c->width, c->width, &all);
  if (!error) error = rt_gram_fill(gram, 0, 0, moments);
  if (!error) error = rt_eigen_solve(moments, value, all, NULL);
  if (!error) error = rt_eigen_leading(all, c->count, vector);
  for (int64_t i = 0; i < c->width && !error; i++) {
    total += PetscMax(value[i], 0);
    c->mean[i] = (float)rt_gram_mean(gram, i);
    for (int k = 0; k < c->count; k++) c->vector[i * c->count + k] = (float)vector[i * c->count + k];
  }
  for (int k = 0; k < c->count && !error; k++) kept += variance[k] = PetscMax(value[c->width - 1 - k], 0);
  c->kept = total > 0 ? kept / total : 1;
  PetscCall(rt_matrix_destroy(&moments));
  PetscCall(rt_matrix_destroy(&all));
  PetscCall(PetscFree2(value, vector));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode put_all(const RtComponentsSource *s, const RtComponents *c, const double *variance,
                              RtArchive *archive)
{
  RtArchiveArray array[] = {{.name = "mean",
                             .units = "1",
                             .long_name = "mean of the layer's activations",
                             .dimension = {"feature"},
                             .type = RT_ARCHIVE_FLOAT,
                             .data = c->mean},
                            {.name = "component_vector",
                             .units = "1",
                             .long_name = "principal directions of the layer's activations, as columns",
                             .dimension = {"feature", "component"},
                             .type = RT_ARCHIVE_FLOAT,
                             .data = c->vector},
                            {.name = "variance",
                             .units = "1",
                             .long_name = "variance of the activations along each direction",
                             .dimension = {"component"},
                             .type = RT_ARCHIVE_DOUBLE,
                             .data = variance},
                            {.name = "kept_variance",
                             .units = "1",
                             .long_name = "part of the activations' variance that the components hold",
                             .type = RT_ARCHIVE_DOUBLE,
                             .data = &c->kept}};

  PetscFunctionBegin;
  PetscCall(rt_archive_dimension(archive, "feature", c->width));
  PetscCall(rt_archive_dimension(archive, "component", c->count));
  for (int i = 0; i < 4; i++) PetscCall(rt_archive_put(archive, &array[i]));
  PetscCall(rt_archive_put_text(archive, NULL, "comment", "of the plain view of all training samples"));
  PetscCall(rt_archive_put_text(archive, NULL, "layer", c->layer));
  PetscCall(rt_archive_put_text(archive, NULL, "teacher_hash", s->hash));
  PetscCall(rt_archive_put_text(archive, NULL, "dataset_hash", rt_dataset_info(s->dataset)->hash));
  PetscFunctionReturn(0);
}

static PetscErrorCode write_file(const RtComponentsSource *s, const RtComponents *c, const double *variance,
                                 const char *path)
{
  RtArchive *archive = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_archive_create(path, "principal components of a teacher's layer", &archive));
  rt_archive_seal(archive);
  error = put_all(s, c, variance, archive);
  if (error) PetscCall(rt_archive_discard(&archive));
  PetscCall(error);
  PetscCall(rt_archive_commit(&archive));
  PetscFunctionReturn(0);
}

/* Collective: what rank 0 has. */
static PetscErrorCode share(MPI_Comm comm, RtComponents *c)
{
  RtHash *hash = NULL;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Bcast(c->mean, (int)c->width, MPI_FLOAT, 0, comm));
  PetscCallMPI(MPI_Bcast(c->vector, (int)c->width * c->count, MPI_FLOAT, 0, comm));
  PetscCallMPI(MPI_Bcast(&c->kept, 1, MPI_DOUBLE, 0, comm));
  PetscCall(rt_hash_create(&hash));
  PetscCall(rt_hash_add(hash, c->layer, strlen(c->layer)));
  PetscCall(rt_hash_add(hash, c->mean, (size_t)c->width * sizeof(float)));
  PetscCall(rt_hash_add(hash, c->vector, (size_t)c->width * (size_t)c->count * sizeof(float)));
  PetscCall(rt_hash_finish(&hash, c->hash));
  PetscFunctionReturn(0);
}

/* On rank 0: shards that are there must hold the same components. A large layer's come out otherwise on another number
   of ranks, by their last bits; before a file says so that would never agree with those shards. */
static PetscErrorCode check_shards(const RtComponentsSource *s, const RtComponents *c)
{
  char dir[PETSC_MAX_PATH_LEN];
  RtLabelstoreInfo old;
  const RtLabelstoreField *field;
  bool found;

  PetscFunctionBegin;
  PetscCall(rt_job_path(s->job, RT_FILES_LABELS, NULL, dir));
  PetscCall(rt_labelstore_describe(dir, &old, &found));
  if (!found || s->job->force || rt_labelstore_find(&old, s->want->field) < 0) PetscFunctionReturn(0);
  field = &old.field[rt_labelstore_find(&old, s->want->field)];
  RtCheck(
      strcmp(field->layer, c->layer) || !strcmp(field->hash, c->hash),
      "%s: its shards hold other components of the layer '%s' than come out now; run on as many ranks as made them, "
      "or make all again with `retort label -run_force`",
      dir, c->layer);
  PetscFunctionReturn(0);
}

/* Collective. */
static PetscErrorCode make(const RtComponentsSource *s, RtComponents *c, const char *path, bool *stopped)
{
  RtMomentsLayer layer = {s->teacher, c->value, c->width};
  RtMoments moments = {.job = s->job, .dataset = s->dataset, .layers = 1, .layer = &layer};
  RtGram *gram = NULL;
  RtGrid *grid = NULL;
  double *variance;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_moments_collect(&moments, &gram, stopped));
  if (*stopped) PetscFunctionReturn(0);
  PetscCall(PetscMalloc1(c->count, &variance));
  PetscCall(rt_grid_create(s->job->comm, rt_grid_worth(c->width), s->job->threads, &grid));
  error = rt_grid_meet(grid, solve(gram, grid, c, variance));
  PetscCall(rt_grid_destroy(&grid));
  PetscCall(rt_gram_destroy(&gram));
  if (!error) error = share(s->job->comm, c);
  if (!error && s->job->rank == 0) error = check_shards(s, c);
  if (!error && s->job->rank == 0) error = write_file(s, c, variance, path);
  PetscCall(PetscFree(variance));
  RtAgree(s->job->comm, error);
  rt_message_print("label: %d components of '%s' hold %.2f %% of the variance of its %lld numbers", c->count, c->layer,
                   100 * c->kept, (long long)c->width);
  PetscFunctionReturn(0);
}

/* --- loading ---------------------------------------------------------------------------------------------------------
 */

/* What the file was made from otherwise than the job says; empty: nothing. */
static PetscErrorCode compare(const RtComponentsSource *s, const RtComponents *c, const RtArchive *archive,
                              char *differs, size_t size)
{
  static const char *const name[] = {"layer", "teacher_hash", "dataset_hash"};
  static const char *const what[] = {"layer", "teacher", "dataset"};
  const char *want[] = {c->layer, s->hash, rt_dataset_info(s->dataset)->hash};
  int64_t count = rt_archive_length(archive, "variance");
  char *text;

  PetscFunctionBegin;
  differs[0] = 0;
  if (count != c->count) snprintf(differs, size, "%lld components, not %d", (long long)count, c->count);
  for (int i = 2; i >= 0; i--) {
    PetscCall(rt_archive_get_text(archive, name[i], &text));
    if (!text || strcmp(text, want[i]))
      snprintf(differs, size, "the %s %.40s, not %.40s", what[i], text ? text : "nobody knows", want[i]);
    PetscCall(PetscFree(text));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode read_all(const RtComponentsSource *s, RtComponents *c, const char *path, const RtArchive *archive,
                               int *next)
{
  char differs[160];

  PetscFunctionBegin;
  PetscCall(compare(s, c, archive, differs, sizeof(differs)));
  RtCheck(!differs[0] || s->job->force, "%s was made with %s; take another -run_dir, or make it again with -run_force",
          path, differs);
  *next = differs[0] ? MAKE : LOAD;
  if (differs[0]) PetscFunctionReturn(0);
  PetscCall(rt_archive_get(archive, "mean", RT_ARCHIVE_FLOAT, c->width, c->mean));
  PetscCall(rt_archive_get(archive, "component_vector", RT_ARCHIVE_FLOAT, c->width * c->count, c->vector));
  PetscCall(rt_archive_get(archive, "kept_variance", RT_ARCHIVE_DOUBLE, 1, &c->kept));
  PetscFunctionReturn(0);
}

static PetscErrorCode load(const RtComponentsSource *s, RtComponents *c, const char *path, int *next)
{
  RtArchive *archive = NULL;
  RtSeal seal;
  PetscErrorCode error;

  PetscFunctionBegin;
  *next = MAKE;
  PetscCall(rt_seal_check(path, NULL, &seal));
  if (seal != RT_SEAL_WHOLE) {
    rt_message_note("%s is damaged; it is made again", path);
    PetscFunctionReturn(0);
  }
  PetscCall(rt_archive_open(path, &archive));
  error = read_all(s, c, path, archive, next);
  PetscCall(rt_archive_close(&archive));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* --- which of the two ------------------------------------------------------------------------------------------------
 */

/* On rank 0: load the file, or get the right to make it, or learn that another job has it in hand. */
static PetscErrorCode decide(const RtComponentsSource *s, RtComponents *c, const char *path, RtClaims *claims,
                             int *next)
{
  const bool there = rt_file_exists(path);
  char claim[64], same[PETSC_MAX_PATH_LEN];
  bool mine;

  PetscFunctionBegin;
  *next = MAKE;
  PetscCall(name_file(s, claim, same));
  if (there) PetscCall(load(s, c, path, next));
  if (*next == LOAD) PetscFunctionReturn(0);
  PetscCall(rt_claims_take(claims, claim, &mine));
  *next = mine ? MAKE : WAIT;
  if (!mine || there || !rt_file_exists(path)) PetscFunctionReturn(0);
  PetscCall(load(s, c, path, next)); /* it came meanwhile */
  if (*next == LOAD) rt_claims_release(claims, claim);
  PetscFunctionReturn(0);
}

/* Collective. claims: on rank 0. */
static PetscErrorCode load_or_make(const RtComponentsSource *s, RtComponents *c, RtClaims *claims, bool *stopped)
{
  int said[2] = {WAIT, 0};
  char path[PETSC_MAX_PATH_LEN], claim[64];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(name_file(s, claim, path));
  while (said[0] == WAIT && !said[1]) {
    if (s->job->rank == 0) {
      error = decide(s, c, path, claims, &said[0]);
      said[1] = said[0] == WAIT && rt_stop_asked();
      if (!error && said[0] == WAIT) nanosleep(&(struct timespec){0, (long)(1e9 * pause_seconds)}, NULL);
    }
    RtAgree(s->job->comm, error);
    PetscCallMPI(MPI_Bcast(said, 2, MPI_INT, 0, s->job->comm));
  }
  *stopped = said[1];
  if (*stopped) PetscFunctionReturn(0);
  if (said[0] == MAKE) {
    error = make(s, c, path, stopped);
    if (s->job->rank == 0) rt_claims_release(claims, claim);
    PetscCall(error);
    PetscFunctionReturn(0);
  }
  PetscCall(share(s->job->comm, c));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_components_describe(const RtComponentsWant *want, const RtGraph *teacher, RtComponents *c)
{
  PetscFunctionBegin;
  *c = (RtComponents){.value = want->value};
  PetscCall(PetscStrncpy(c->layer, teacher->value[c->value].name, sizeof(c->layer)));
  PetscCall(rt_features_check(teacher, c->value, &c->width));
  RtCheck(want->count <= c->width, "-%s %d: '%s' has only %lld numbers a sample", want->option, want->count, c->layer,
          (long long)c->width);
  RtCheck(c->width * want->count <= INT32_MAX / 2, "-%s %d of %lld numbers are too many", want->option, want->count,
          (long long)c->width);
  c->count = want->count;
  PetscFunctionReturn(0);
}

/* Shards that are there must hold what is asked for: said before any work. */
static PetscErrorCode check_field(const RtComponentsSource *s, const RtComponents *c, const char *dir)
{
  RtLabelstoreInfo old;
  bool found;
  int f;

  PetscFunctionBegin;
  PetscCall(rt_labelstore_describe(dir, &old, &found));
  if (!found || s->job->force) PetscFunctionReturn(0);
  f = rt_labelstore_find(&old, s->want->field);
  RtCheck(f >= 0 && old.field[f].width == c->count && !strcmp(old.field[f].layer, c->layer),
          "%s: its shards hold %s %s, and the job asks for %d components of '%s'; `retort label -run_force` makes all "
          "again",
          dir, f >= 0 ? "other" : "no", s->want->field, c->count, c->layer);
  PetscFunctionReturn(0);
}

/* What the options say, before any work. */
static PetscErrorCode start(const RtComponentsSource *s, RtComponents *c, RtClaims **claims)
{
  char dir[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  PetscCall(rt_components_describe(s->want, s->teacher, c));
  PetscCall(PetscMalloc2(c->width, &c->mean, c->width * c->count, &c->vector));
  if (s->job->rank) PetscFunctionReturn(0);
  PetscCall(rt_job_path(s->job, RT_FILES_LABELS, NULL, dir));
  PetscCall(check_field(s, c, dir));
  PetscCall(rt_file_mkdir(dir));
  PetscCall(rt_claims_create(dir, rt_options_real(s->job->options, "label", "claim_seconds"), claims));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_components_open(const RtComponentsSource *source, RtComponents *components, bool *stopped)
{
  RtClaims *claims = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  *components = (RtComponents){.count = 0};
  error = rt_message_agree(source->job->comm, start(source, components, &claims));
  if (!error) error = load_or_make(source, components, claims, stopped);
  PetscCall(rt_claims_destroy(&claims));
  if (error || *stopped) {
    PetscCall(rt_components_close(components));
    components->count = 0;
  }
  PetscCall(error);
  PetscFunctionReturn(0);
}

RT_SIMD void rt_components_project(const RtComponents *components, int64_t rows, const float *row, int64_t stride,
                                   float *out)
{
  const int64_t width = components->width, count = components->count;

  for (int64_t r = 0; r < rows; r++, row += width, out += stride) {
    for (int64_t k = 0; k < count; k++) out[k] = 0;
    for (int64_t i = 0; i < width; i++) {
      const float x = row[i] - components->mean[i];
      const float *restrict vector = components->vector + i * count;

      for (int64_t k = 0; k < count; k++) out[k] += x * vector[k];
    }
  }
}
