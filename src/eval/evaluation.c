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

static PetscErrorCode put_confusion(RtArchive *archive, const char *name, const char *long_name, const int64_t *data)
{
  RtArchiveArray array = {.name = name,
                          .units = "1",
                          .long_name = long_name,
                          .dimension = {"class", "prediction"},
                          .type = RT_ARCHIVE_INT64,
                          .data = data};

  PetscFunctionBegin;
  PetscCall(rt_archive_put(archive, &array));
  PetscFunctionReturn(0);
}

/* Reliability diagram of one model. */
static PetscErrorCode put_bins(RtArchive *archive, const RtMetrics *s, int model)
{
  char name[64], text[96];
  double *value;
  RtArchiveArray array = {
      .name = name, .units = "1", .long_name = text, .dimension = {"bin"}, .type = RT_ARCHIVE_DOUBLE};
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(s->bins, &value));
  array.data = value;
  for (int b = 0; b < s->bins; b++)
    value[b] =
        s->bin_count[model][b] ? rt_exact_value(&s->bin_confidence[model][b]) / (double)s->bin_count[model][b] : NAN;
  snprintf(name, sizeof(name), "%s_bin_confidence", role[model]);
  snprintf(text, sizeof(text), "mean of the %s's largest probability in the bin", role[model]);
  error = rt_archive_put(archive, &array);
  for (int b = 0; b < s->bins; b++)
    value[b] = s->bin_count[model][b] ? (double)s->bin_correct[model][b] / (double)s->bin_count[model][b] : NAN;
  snprintf(name, sizeof(name), "%s_bin_accuracy", role[model]);
  snprintf(text, sizeof(text), "fraction of the bin's samples that the %s gets right", role[model]);
  if (!error) error = rt_archive_put(archive, &array);
  snprintf(name, sizeof(name), "%s_bin_count", role[model]);
  snprintf(text, sizeof(text), "samples in the bin, by the %s's largest probability", role[model]);
  array.type = RT_ARCHIVE_INT64;
  array.data = s->bin_count[model];
  if (!error) error = rt_archive_put(archive, &array);
  PetscCall(PetscFree(value));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Middles of the bins, as their coordinate. */
static PetscErrorCode put_bin_axis(const RtMetrics *s, RtArchive *archive)
{
  double *middle;
  RtArchiveArray array = {.name = "bin",
                          .units = "1",
                          .long_name = "middle of the bin of the largest probability",
                          .dimension = {"bin"},
                          .type = RT_ARCHIVE_DOUBLE};
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_archive_dimension(archive, "bin", s->bins));
  PetscCall(PetscMalloc1(s->bins, &middle));
  for (int b = 0; b < s->bins; b++) middle[b] = (b + 0.5) / s->bins;
  array.data = middle;
  error = rt_archive_put(archive, &array);
  PetscCall(PetscFree(middle));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Names of the classes as CF's flags on a coordinate. */
static PetscErrorCode put_classes(const RtEvaluation *e, RtArchive *archive)
{
  int64_t *number;
  RtArchiveArray array = {.units = "1", .type = RT_ARCHIVE_INT64};
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(e->info->classes, &number));
  for (int k = 0; k < e->info->classes; k++) number[k] = k;
  array.data = number;
  for (int d = 0; d < 2 && !error; d++) {
    array.name = array.dimension[0] = d ? "prediction" : "class";
    array.long_name = d ? "class that the model gives" : "class of the label";
    error = rt_archive_dimension(archive, array.name, e->info->classes);
    if (!error) error = rt_archive_put(archive, &array);
  }
  PetscCall(PetscFree(number));
  PetscCall(error);
  PetscCall(rt_archive_put_flags(archive, "class", e->info));
  PetscCall(rt_archive_put_flags(archive, "prediction", e->info));
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
  const RtMetrics *s = e->metrics;

  PetscFunctionBegin;
  PetscCall(rt_archive_dimension(archive, "sample", s->count));
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
  const RtMetrics *s = e->metrics;
  double count = (double)s->count, loss = rt_exact_value(&s->loss[m]) / count;
  char name[64];

  PetscFunctionBegin;
  if (!s->has[m]) PetscFunctionReturn(0);
  PetscCall(put_model_number(archive, m, "parameters", "1", "trained numbers of the %s", (double)e->parameters[m]));
  PetscCall(put_model_number(archive, m, "bytes", "byte", "size of all weights and constants of the %s",
                             (double)e->bytes[m]));
  snprintf(name, sizeof(name), "%s_hash", role[m]);
  PetscCall(rt_archive_put_text(archive, NULL, name, e->hash[m]));
  if (s->targets)
    PetscCall(put_model_number(archive, m, "rmse", "1", "root of the mean squared error of the %s", sqrt(loss)));
  if (!s->classes) PetscFunctionReturn(0);
  PetscCall(put_model_number(archive, m, "accuracy", "1", "fraction of samples that the %s gets right",
                             (double)s->correct[m] / count));
  PetscCall(put_model_number(archive, m, "cross_entropy", "1", "mean cross-entropy of the %s, in nats", loss));
  PetscCall(put_model_number(archive, m, "ece", "1", "expected calibration error of the %s", rt_metrics_ece(s, m)));
  PetscCall(put_bins(archive, s, m));
  snprintf(name, sizeof(name), "%s_confusion", role[m]);
  PetscCall(put_confusion(archive, name, "samples by label and prediction", s->confusion[m]));
  PetscFunctionReturn(0);
}

static PetscErrorCode put_all(const RtEvaluation *e, RtArchive *archive)
{
  const RtMetrics *s = e->metrics;
  char *record;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (s->classes) {
    PetscCall(put_classes(e, archive));
    PetscCall(put_bin_axis(s, archive));
  }
  PetscCall(put_number(archive, "samples", "1", "samples in the test set", (double)s->count));
  for (int m = 0; m < RT_MODELS; m++) PetscCall(put_model(e, archive, m));
  if (s->has[0] && s->has[1] && !s->targets) {
    PetscCall(put_number(archive, "agreement", "1", "fraction of samples to which both models give the same class",
                         (double)s->agree / (double)s->count));
    PetscCall(put_number(archive, "kl_divergence", "1", "mean KL(teacher || student) at temperature 1, in nats",
                         rt_exact_value(&s->kl) / (double)s->count));
  }
  if (s->has[0] && s->has[1] && s->targets)
    PetscCall(put_number(archive, "difference", "1", "root of the mean squared difference of the models' outputs",
                         sqrt(rt_exact_value(&s->difference) / (double)s->count)));
  if (e->corrected) {
    PetscCall(put_number(archive, "bias", "1", "added to the student's logits of the classes in bias_classes",
                         e->bias.fixed));
    PetscCall(put_number(archive, "student_accuracy_corrected", "1",
                         "fraction of samples that the student gets right with that bias",
                         (double)e->bias.correct / (double)e->bias.count));
    if (e->bias.confusion)
      PetscCall(put_confusion(archive, "student_confusion_corrected", "samples by label and prediction with that bias",
                              e->bias.confusion));
  }
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
  const RtMetrics *s = e->metrics;
  double count = (double)s->count;

  if (s->targets)
    rt_message_print("%-9s %12lld   %14.6g", role[m], (long long)e->parameters[m],
                     sqrt(rt_exact_value(&s->loss[m]) / count));
  else if (s->classes)
    rt_message_print("%-9s %12lld   %12.2f %%   %8lld", role[m], (long long)e->parameters[m],
                     100.0 * (double)s->correct[m] / count, (long long)(s->count - s->correct[m]));
  else
    rt_message_print("%-9s %12lld", role[m], (long long)e->parameters[m]);
}

void rt_evaluation_print(const RtEvaluation *evaluation)
{
  const RtMetrics *s = evaluation->metrics;
  const bool both = s->has[RT_TEACHER] && s->has[RT_STUDENT];
  const double ratio = (double)evaluation->parameters[RT_TEACHER] / (double)evaluation->parameters[RT_STUDENT];

  rt_message_print("%s", "");
  rt_message_print("%-9s   parameters   %s", "model",
                   s->targets   ? "rms error, test"
                   : s->classes ? "test accuracy     errors"
                                : "");
  for (int m = 0; m < RT_MODELS; m++)
    if (s->has[m]) print_model(evaluation, m);
  if (evaluation->corrected)
    rt_message_print("%-9s %12s   %12.2f %%   %8lld   with %+.1f on the logits of the named classes", " corrected", "",
                     100.0 * (double)evaluation->bias.correct / (double)evaluation->bias.count,
                     (long long)(evaluation->bias.count - evaluation->bias.correct), evaluation->bias.fixed);
  if (both && s->classes)
    rt_message_print("The student is %.1f times %s and keeps %.2f %% of the teacher's accuracy.",
                     fmax(ratio, 1 / ratio), ratio < 1 ? "larger" : "smaller",
                     100.0 * (double)s->correct[RT_STUDENT] / (double)s->correct[RT_TEACHER]);
  if (both && !s->targets)
    rt_message_print("They agree on %.2f %% of %lld samples; KL divergence %.5f.",
                     100.0 * (double)s->agree / (double)s->count, (long long)s->count,
                     rt_exact_value(&s->kl) / (double)s->count);
}
