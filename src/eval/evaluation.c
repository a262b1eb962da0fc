#include "eval/evaluation.h"

#include "core/message.h"
#include "netcdf/archive.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const role[RT_MODELS] = {"teacher", "student"};

static PetscErrorCode put_number(RtArchive *archive, const char *name, const char *units, const char *long_name,
                                 double value)
{
  RtArchiveArray array = {
      .name = name, .units = units, .long_name = long_name, .type = RT_ARCHIVE_DOUBLE, .data = &value};

  PetscFunctionBegin;
  PetscCall(rt_archive_put(archive, &array));
  PetscFunctionReturn(0);
}

/* long_name: a format for the name of the role. */
static PetscErrorCode put_model_number(RtArchive *archive, int model, const char *what, const char *units,
                                       const char *long_name, double value)
{
  char name[64], text[128];

  PetscFunctionBegin;
  snprintf(name, sizeof(name), "%s_%s", role[model], what);
  snprintf(text, sizeof(text), long_name, role[model]);
  PetscCall(put_number(archive, name, units, text, value));
  PetscFunctionReturn(0);
}

/* The rows of the table of metrics for one model, or for the whole: model -1. */
static PetscErrorCode put_metrics(const RtEvaluation *e, RtArchive *archive, int model)
{
  const RtMetricCase *about = &e->metrics->about;
  const RtMetric *row;
  char name[64], text[128];

  PetscFunctionBegin;
  for (int i = 0; (row = rt_metrics_row(i)); i++) {
    RtArchiveArray array = {.name = name,
                            .units = row->units,
                            .long_name = text,
                            .dimension = {row->axis[0], row->axis[1]},
                            .type = row->counts ? RT_ARCHIVE_INT64 : RT_ARCHIVE_DOUBLE};
    PetscErrorCode error;
    double *value; /* or int64_t */

    if (!rt_metrics_fits(about, row, model)) continue;
    snprintf(name, sizeof(name), "%s%s%s", model < 0 ? "" : role[model], model < 0 ? "" : "_", row->name);
    snprintf(text, sizeof(text), row->long_name, model < 0 ? "" : role[model]);
    PetscCall(PetscMalloc1(rt_metrics_length(about, row), &value));
    rt_metrics_value(e->metrics, row, model, &e->outcomes, value);
    array.data = value;
    error = rt_archive_put(archive, &array);
    PetscCall(PetscFree(value));
    PetscCall(error);
  }
  PetscFunctionReturn(0);
}

/* Whether a variable of eval.nc lies along an axis. */
static bool uses(const RtEvaluation *e, const char *axis)
{
  const RtMetric *row;

  for (int i = 0; (row = rt_metrics_row(i)); i++)
    for (int m = -1; m < RT_MODELS; m++)
      for (int a = 0; a < 2 && row->axis[a]; a++)
        if (!strcmp(row->axis[a], axis) && rt_metrics_fits(&e->metrics->about, row, m)) return true;
  return false;
}

/* Middles of the bins, as their coordinate. */
static PetscErrorCode put_bin_axis(const RtMetricCase *about, RtArchive *archive)
{
  double *middle;
  RtArchiveArray array = {.name = "bin",
                          .units = "1",
                          .long_name = "middle of the bin of the largest probability",
                          .dimension = {"bin"},
                          .type = RT_ARCHIVE_DOUBLE};
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_archive_dimension(archive, "bin", about->bins));
  PetscCall(PetscMalloc1(about->bins, &middle));
  for (int b = 0; b < about->bins; b++) middle[b] = (b + 0.5) / about->bins;
  array.data = middle;
  error = rt_archive_put(archive, &array);
  PetscCall(PetscFree(middle));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Names of the classes as CF's flags on a coordinate: class, or prediction. */
static PetscErrorCode put_class_axis(const RtEvaluation *e, const char *axis, const char *long_name, RtArchive *archive)
{
  int64_t *number;
  RtArchiveArray array = {
      .name = axis, .units = "1", .long_name = long_name, .dimension = {axis}, .type = RT_ARCHIVE_INT64};
  PetscErrorCode error;

  PetscFunctionBegin;
  if (!uses(e, axis)) PetscFunctionReturn(0);
  PetscCall(PetscMalloc1(e->info->classes, &number));
  for (int k = 0; k < e->info->classes; k++) number[k] = k;
  array.data = number;
  error = rt_archive_dimension(archive, axis, e->info->classes);
  if (!error) error = rt_archive_put(archive, &array);
  PetscCall(PetscFree(number));
  PetscCall(error);
  PetscCall(rt_archive_put_flags(archive, axis, e->info));
  PetscFunctionReturn(0);
}

/* A number for each sample of the test set. model >= 0: ROLE_ is put before the name, and long_name is a format for
   the role. */
static PetscErrorCode put_sample(RtArchive *archive, int model, const char *what, const char *long_name,
                                 RtArchiveType type, const void *data)
{
  char name[64], text[128];
  RtArchiveArray array = {.name = name,
                          .units = "1",
                          .long_name = text,
                          .dimension = {"sample"},
                          .type = type,
                          .data = data,
                          .deflate = true};

  PetscFunctionBegin;
  snprintf(name, sizeof(name), "%s%s%s", model < 0 ? "" : role[model], model < 0 ? "" : "_", what);
  snprintf(text, sizeof(text), long_name, model < 0 ? "" : role[model]);
  PetscCall(rt_archive_put(archive, &array));
  PetscFunctionReturn(0);
}

static PetscErrorCode put_sample_classes(const RtEvaluation *e, RtArchive *archive, int m)
{
  char name[64];

  PetscFunctionBegin;
  snprintf(name, sizeof(name), "%s_prediction", role[m]);
  PetscCall(put_sample(archive, m, "prediction", "class that the %s gives to each sample of the test set",
                       RT_ARCHIVE_INT32, e->outcomes.prediction[m]));
  if (e->info->classes) PetscCall(rt_archive_put_flags(archive, name, e->info));
  PetscCall(put_sample(archive, m, "confidence", "probability that the %s gives to that class", RT_ARCHIVE_FLOAT,
                       e->outcomes.certainty[m]));
  PetscFunctionReturn(0);
}

/* What the models say to each sample. */
static PetscErrorCode put_samples(const RtEvaluation *e, RtArchive *archive)
{
  const RtMetricCase *s = &e->metrics->about;

  PetscFunctionBegin;
  PetscCall(rt_archive_dimension(archive, "sample", e->metrics->count));
  if (s->classes) {
    PetscCall(
        put_sample(archive, -1, "label", "class of each sample of the test set", RT_ARCHIVE_INT32, e->outcomes.label));
    PetscCall(rt_archive_put_flags(archive, "label", e->info));
  }
  for (int m = 0; m < RT_MODELS; m++) {
    if (!s->has[m]) continue;
    if (s->targets)
      PetscCall(put_sample(archive, m, "error", "root of the mean squared error of the %s, of each sample",
                           RT_ARCHIVE_FLOAT, e->outcomes.certainty[m]));
    else
      PetscCall(put_sample_classes(e, archive, m));
  }
  if (!s->has[RT_TEACHER] || !s->has[RT_STUDENT]) PetscFunctionReturn(0);
  if (s->targets)
    PetscCall(put_sample(archive, -1, "sample_difference",
                         "root of the mean squared difference of the models' outputs, of each sample", RT_ARCHIVE_FLOAT,
                         e->outcomes.gap));
  else
    PetscCall(put_sample(archive, -1, "sample_kl", "KL(teacher || student) at temperature 1 of each sample, in nats",
                         RT_ARCHIVE_FLOAT, e->outcomes.gap));
  PetscFunctionReturn(0);
}

static PetscErrorCode put_model(const RtEvaluation *e, RtArchive *archive, int m)
{
  char name[64];

  PetscFunctionBegin;
  if (!e->metrics->about.has[m]) PetscFunctionReturn(0);
  PetscCall(put_model_number(archive, m, "parameters", "1", "trained numbers of the %s", (double)e->parameters[m]));
  PetscCall(put_model_number(archive, m, "bytes", "byte", "size of all weights and constants of the %s",
                             (double)e->bytes[m]));
  snprintf(name, sizeof(name), "%s_hash", role[m]);
  PetscCall(rt_archive_put_text(archive, NULL, name, e->hash[m]));
  PetscCall(put_metrics(e, archive, m));
  PetscFunctionReturn(0);
}

/* The student with a bias on some classes. */
static PetscErrorCode put_corrected(const RtEvaluation *e, RtArchive *archive)
{
  RtArchiveArray confusion = {.name = "student_confusion_corrected",
                              .units = "1",
                              .long_name = "samples by label and prediction with that bias",
                              .dimension = {"class", "prediction"},
                              .type = RT_ARCHIVE_INT64,
                              .data = e->bias.confusion};

  PetscFunctionBegin;
  PetscCall(
      put_number(archive, "bias", "1", "added to the student's logits of the classes in bias_classes", e->bias.fixed));
  PetscCall(put_number(archive, "student_accuracy_corrected", "1",
                       "fraction of samples that the student gets right with that bias",
                       (double)e->bias.correct / (double)e->bias.count));
  if (e->bias.confusion) PetscCall(rt_archive_put(archive, &confusion));
  PetscFunctionReturn(0);
}

static PetscErrorCode put_all(const RtEvaluation *e, RtArchive *archive)
{
  char *record;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(put_class_axis(e, "class", "class of the label", archive));
  PetscCall(put_class_axis(e, "prediction", "class that the model gives", archive));
  if (uses(e, "bin")) PetscCall(put_bin_axis(&e->metrics->about, archive));
  PetscCall(put_number(archive, "samples", "1", "samples in the test set", (double)e->metrics->count));
  for (int m = 0; m < RT_MODELS; m++) PetscCall(put_model(e, archive, m));
  PetscCall(put_metrics(e, archive, -1));
  if (e->corrected) PetscCall(put_corrected(e, archive));
  PetscCall(put_samples(e, archive));
  PetscCall(rt_archive_put_text(archive, NULL, "source", "retort eval: the models of a run and its test set"));
  PetscCall(rt_options_record(e->job->options, RT_CONTENT_EVAL, &record));
  error = rt_archive_put_record(archive, record);
  PetscCall(PetscFree(record));
  PetscCall(error);
  PetscCall(rt_archive_put_text(archive, NULL, "dataset_hash", e->info->hash));
  PetscFunctionReturn(0);
}

static PetscErrorCode write_file(const RtEvaluation *e)
{
  char path[PETSC_MAX_PATH_LEN];
  RtArchive *archive = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_job_path(e->job, RT_FILES_EVAL, NULL, path));
  PetscCall(rt_archive_create(path, "Evaluation of teacher and student", &archive));
  error = put_all(e, archive);
  if (error) {
    PetscCall(rt_archive_discard(&archive));
    PetscCall(error);
  }
  PetscCall(rt_archive_commit(&archive));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_evaluation_write(const RtEvaluation *evaluation)
{
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  if (evaluation->job->rank == 0) error = write_file(evaluation);
  RtAgree(evaluation->job->comm, error);
  PetscFunctionReturn(0);
}

static void print_model(const RtEvaluation *e, int m)
{
  const RtMetricCase *about = &e->metrics->about;
  const double count = (double)e->metrics->count, accuracy = rt_metrics_number(e->metrics, "accuracy", m);

  if (about->targets)
    rt_message_print("%-9s %12lld   %14.6g", role[m], (long long)e->parameters[m],
                     rt_metrics_number(e->metrics, "rmse", m));
  else if (about->classes)
    rt_message_print("%-9s %12lld   %12.2f %%   %8lld", role[m], (long long)e->parameters[m], 100 * accuracy,
                     llround(count - accuracy * count));
  else
    rt_message_print("%-9s %12lld", role[m], (long long)e->parameters[m]);
}

void rt_evaluation_print(const RtEvaluation *evaluation)
{
  const RtMetrics *s = evaluation->metrics;
  const RtMetricCase *about = &s->about;
  const bool both = about->has[RT_TEACHER] && about->has[RT_STUDENT];
  const double ratio = (double)evaluation->parameters[RT_TEACHER] / (double)evaluation->parameters[RT_STUDENT];

  rt_message_print("%s", "");
  rt_message_print("%-9s   parameters   %s", "model",
                   about->targets   ? "rms error, test"
                   : about->classes ? "test accuracy     errors"
                                    : "");
  for (int m = 0; m < RT_MODELS; m++)
    if (about->has[m]) print_model(evaluation, m);
  if (evaluation->corrected)
    rt_message_print("%-9s %12s   %12.2f %%   %8lld   with %+.1f on the logits of the named classes", " corrected", "",
                     100.0 * (double)evaluation->bias.correct / (double)evaluation->bias.count,
                     (long long)(evaluation->bias.count - evaluation->bias.correct), evaluation->bias.fixed);
  if (both && about->classes)
    rt_message_print("The student is %.1f times %s and keeps %.2f %% of the teacher's accuracy.",
                     fmax(ratio, 1 / ratio), ratio < 1 ? "larger" : "smaller",
                     100 * rt_metrics_number(s, "accuracy", RT_STUDENT) / rt_metrics_number(s, "accuracy", RT_TEACHER));
  if (both && !about->targets)
    rt_message_print("They agree on %.2f %% of %lld samples; KL divergence %.5f.",
                     100 * rt_metrics_number(s, "agreement", -1), (long long)s->count,
                     rt_metrics_number(s, "kl_divergence", -1));
  if (about->classes > RT_METRIC_CONFUSION)
    rt_message_print("%d classes: eval.nc counts each alone; up to %d there is a matrix of label and prediction.",
                     about->classes, RT_METRIC_CONFUSION);
}
