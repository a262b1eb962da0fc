#include "eval/similarity.h"

#include "core/message.h"
#include "label/moments.h"
#include "netcdf/archive.h"

#include <math.h>
#include <retort/tap.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  const RtJob *job;
  const RtDataset *dataset;
  const RtSimilarityModel *model; /* [2] */
  int count[2];                   /* layers of each */
  RtMomentsLayer *layer;          /* [count[0] + count[1]] */
  int64_t *start;                 /* [count[0] + count[1] + 1] columns of the sums */
  double *cka;                    /* [count[0], count[1]] */
} Similarity;

static PetscErrorCode list_layers(Similarity *s)
{
  int *value[2] = {NULL, NULL}, used = 0;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  for (int m = 0; m < 2 && !error; m++) error = rt_tap_layers(s->model[m].graph, &s->count[m], &value[m]);
  if (!error)
    error = PetscCalloc3(s->count[0] + s->count[1], &s->layer, s->count[0] + s->count[1] + 1, &s->start,
                         s->count[0] * s->count[1], &s->cka);
  for (int m = 0; m < 2 && !error; m++)
    for (int i = 0; i < s->count[m]; i++) s->layer[used++] = (RtMomentsLayer){s->model[m].graph, value[m][i], 0};
  for (int m = 0; m < 2; m++) PetscCall(PetscFree(value[m]));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* ‖Cov‖² between two layers. */
static double overlap(const Similarity *s, const RtGram *gram, int a, int b)
{
  double sum = 0;

  for (int64_t i = s->start[a]; i < s->start[a + 1]; i++)
    for (int64_t j = s->start[b]; j < s->start[b + 1]; j++) {
      double covariance = rt_gram_covariance(gram, i, j);

      sum += covariance * covariance;
    }
  return sum;
}

static void compute(Similarity *s, const RtGram *gram)
{
  int layers = s->count[0] + s->count[1];

  for (int i = 0; i < layers; i++) s->start[i + 1] = s->start[i] + s->layer[i].columns;
  for (int t = 0; t < s->count[0]; t++)
    for (int u = 0; u < s->count[1]; u++) s->cka[t * s->count[1] + u] = overlap(s, gram, t, s->count[0] + u);
  for (int i = 0; i < layers; i++) {
    double own = sqrt(overlap(s, gram, i, i)); /* a layer that never changes is alike to none: 0 / 0 */

    for (int k = 0; k < s->count[i < s->count[0]]; k++)
      s->cka[i < s->count[0] ? i * s->count[1] + k : k * s->count[1] + i - s->count[0]] /= own;
  }
}

/* The coordinate of one model's layers, with the names of their values in the model. */
static PetscErrorCode put_layers(const Similarity *s, RtArchive *archive, int m)
{
  int64_t *number;
  char coordinate[32], width[32], *names;
  RtArchiveArray array = {.units = "1", .dimension = {coordinate}, .type = RT_ARCHIVE_INT64};
  size_t length = 1, used = 0;
  PetscErrorCode error;

  PetscFunctionBegin;
  snprintf(coordinate, sizeof(coordinate), "%s_layer", s->model[m].role);
  snprintf(width, sizeof(width), "%s_width", s->model[m].role);
  PetscCall(rt_archive_dimension(archive, coordinate, s->count[m]));
  for (int i = 0; i < s->count[m]; i++)
    length += strlen(s->model[m].graph->value[s->layer[m * s->count[0] + i].value].name) + 1;
  PetscCall(PetscMalloc2(s->count[m], &number, length, &names));
  for (int i = 0; i < s->count[m]; i++) {
    number[i] = i + 1;
    used += (size_t)snprintf(names + used, length - used, "%s%s", i ? " " : "",
                             s->model[m].graph->value[s->layer[m * s->count[0] + i].value].name);
  }
  array.data = number;
  array.name = coordinate;
  array.long_name = "layer whose activations are compared";
  error = rt_archive_put(archive, &array);
  if (!error) error = rt_archive_put_text(archive, coordinate, "names", names);
  for (int i = 0; i < s->count[m]; i++) number[i] = s->layer[m * s->count[0] + i].columns;
  array.name = width;
  array.long_name = "numbers that the layer gives a sample";
  if (!error) error = rt_archive_put(archive, &array);
  PetscCall(PetscFree2(number, names));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode put_all(const Similarity *s, RtArchive *archive)
{
  RtArchiveArray array = {.name = "cka",
                          .units = "1",
                          .long_name = "linear centred kernel alignment of teacher and student layers",
                          .dimension = {"teacher_layer", "student_layer"},
                          .type = RT_ARCHIVE_DOUBLE,
                          .data = s->cka};
  char name[32];

  PetscFunctionBegin;
  for (int m = 0; m < 2; m++) {
    PetscCall(put_layers(s, archive, m));
    snprintf(name, sizeof(name), "%s_hash", s->model[m].role);
    PetscCall(rt_archive_put_text(archive, NULL, name, s->model[m].hash));
  }
  PetscCall(rt_archive_put_text(archive, NULL, "dataset_hash", rt_dataset_info(s->dataset)->hash));
  PetscCall(rt_archive_put(archive, &array));
  PetscFunctionReturn(0);
}

static PetscErrorCode write_file(const Similarity *s, const char *path)
{
  RtArchive *archive = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_archive_create(path, "similarity of teacher and student layers", &archive));
  error = put_all(s, archive);
  if (error) PetscCall(rt_archive_discard(&archive));
  PetscCall(error);
  PetscCall(rt_archive_commit(&archive));
  PetscFunctionReturn(0);
}

static PetscErrorCode measure(Similarity *s, bool *stopped)
{
  RtMoments moments = {
      .job = s->job, .dataset = s->dataset, .layers = s->count[0] + s->count[1], .layer = s->layer, .joined = true};
  char path[PETSC_MAX_PATH_LEN];
  RtGram *gram = NULL;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(rt_job_path(s->job, RT_FILES_SIMILARITY, NULL, path));
  PetscCall(rt_moments_collect(&moments, &gram, stopped));
  if (s->job->rank == 0 && !*stopped) {
    compute(s, gram);
    error = write_file(s, path);
  }
  PetscCall(rt_gram_destroy(&gram));
  RtAgree(s->job->comm, error);
  if (!*stopped) rt_message_print("similarity of %d teacher and %d student layers: %s", s->count[0], s->count[1], path);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_similarity_write(const RtJob *job, const RtDataset *dataset, const RtSimilarityModel model[2],
                                   bool *stopped)
{
  Similarity s = {.job = job, .dataset = dataset, .model = model};
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_message_agree(job->comm, list_layers(&s));
  if (!error) error = measure(&s, stopped);
  PetscCall(PetscFree3(s.layer, s.start, s.cka));
  PetscCall(error);
  PetscFunctionReturn(0);
}
