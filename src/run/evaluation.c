#include "run/evaluation.h"

#include "core/message.h"
#include "data/archive.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const role[RT_MODELS] = {"teacher", "student"};

static PetscErrorCode put_number(RtArchive *archive, const char *name, const char *long_name, double value)
{
  RtArchiveArray array = {
      .name = name, .units = "1", .long_name = long_name, .type = RT_ARCHIVE_DOUBLE, .data = &value};

  PetscFunctionBegin;
  PetscCall(rt_archive_put(archive, &array));
  PetscFunctionReturn(0);
}

static PetscErrorCode put_model_number(RtArchive *archive, int model, const char *what, const char *long_name,
                                       double value)
{
  char name[64], text[128];

  PetscFunctionBegin;
  snprintf(name, sizeof(name), "%s_%s", role[model], what);
  snprintf(text, sizeof(text), "%s of the %s", long_name, role[model]);
  PetscCall(put_number(archive, name, text, value));
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
  char name[64];
  double *value;
  RtArchiveArray array = {.name = name, .units = "1", .dimension = {"bin"}, .type = RT_ARCHIVE_DOUBLE};
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(s->bins, &value));
  array.data = value;
  for (int b = 0; b < s->bins; b++)
    value[b] =
        s->bin_count[model][b] ? rt_exact_value(&s->bin_confidence[model][b]) / (double)s->bin_count[model][b] : NAN;
  snprintf(name, sizeof(name), "%s_bin_confidence", role[model]);
  array.long_name = "mean of the largest probability in the bin";
  error = rt_archive_put(archive, &array);
  for (int b = 0; b < s->bins; b++)
    value[b] = s->bin_count[model][b] ? (double)s->bin_correct[model][b] / (double)s->bin_count[model][b] : NAN;
  snprintf(name, sizeof(name), "%s_bin_accuracy", role[model]);
  array.long_name = "fraction of the bin's samples that are right";
  if (!error) error = rt_archive_put(archive, &array);
  snprintf(name, sizeof(name), "%s_bin_count", role[model]);
  array.long_name = "samples in the bin, by their largest probability";
  array.type = RT_ARCHIVE_INT64;
  array.data = s->bin_count[model];
  if (!error) error = rt_archive_put(archive, &array);
  PetscCall(PetscFree(value));
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
  PetscFunctionReturn(0);
}

static PetscErrorCode put_model(const RtEvaluation *e, RtArchive *archive, int m)
{
  const RtMetrics *s = e->metrics;
  double count = (double)s->count, loss = rt_exact_value(&s->loss[m]) / count;
  char name[64];

  PetscFunctionBegin;
  if (!s->has[m]) PetscFunctionReturn(0);
  PetscCall(put_model_number(archive, m, "parameters", "trained numbers", (double)e->parameters[m]));
  snprintf(name, sizeof(name), "%s_hash", role[m]);
  PetscCall(rt_archive_put_text(archive, NULL, name, e->hash[m]));
  if (s->targets) PetscCall(put_model_number(archive, m, "rmse", "root of the mean squared error", sqrt(loss)));
  if (!s->classes) PetscFunctionReturn(0);
  PetscCall(put_model_number(archive, m, "accuracy", "fraction right", (double)s->correct[m] / count));
  PetscCall(put_model_number(archive, m, "cross_entropy", "mean cross-entropy", loss));
  PetscCall(put_model_number(archive, m, "ece", "expected calibration error", rt_metrics_ece(s, m)));
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
    PetscCall(rt_archive_dimension(archive, "bin", s->bins));
  }
  PetscCall(put_number(archive, "samples", "samples in the test set", (double)s->count));
  for (int m = 0; m < RT_MODELS; m++) PetscCall(put_model(e, archive, m));
  if (s->has[0] && s->has[1] && !s->targets) {
    PetscCall(put_number(archive, "agreement", "fraction of samples to which both models give the same class",
                         (double)s->agree / (double)s->count));
    PetscCall(put_number(archive, "kl_divergence", "mean KL(teacher || student) at temperature 1, in nats",
                         rt_exact_value(&s->kl) / (double)s->count));
  }
  if (e->corrected) {
    PetscCall(
        put_number(archive, "bias", "added to the student's logits of the classes in bias_classes", e->bias.fixed));
    PetscCall(put_number(archive, "student_accuracy_corrected", "fraction right with that bias",
                         (double)e->bias.correct / (double)e->bias.count));
    if (e->bias.confusion)
      PetscCall(put_confusion(archive, "student_confusion_corrected", "samples by label and prediction with that bias",
                              e->bias.confusion));
  }
  PetscCall(rt_options_record(e->job->options, RT_CONTENT_EVAL, &record));
  error = rt_archive_put_text(archive, NULL, "options", record);
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
  PetscCall(rt_job_path(e->job, "eval.nc", path));
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
  bool both = s->has[RT_TEACHER] && s->has[RT_STUDENT];

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
    rt_message_print("The student is %.1f times smaller and keeps %.2f %% of the teacher's accuracy.",
                     (double)evaluation->parameters[RT_TEACHER] / (double)evaluation->parameters[RT_STUDENT],
                     100.0 * (double)s->correct[RT_STUDENT] / (double)s->correct[RT_TEACHER]);
  if (both && !s->targets)
    rt_message_print("They agree on %.2f %% of %lld samples; KL divergence %.5f.",
                     100.0 * (double)s->agree / (double)s->count, (long long)s->count,
                     rt_exact_value(&s->kl) / (double)s->count);
}
