#include "data/trainset.h"

#include "core/memory.h"
#include "core/message.h"
#include "data/budget.h"
#include "model/model.h"

#include <math.h>
#include <string.h>

typedef struct {
  const RtJob *job;
  const RtDataset *dataset;
} Labels;

/* One field of some samples. */
static PetscErrorCode read_one(const RtDataset *dataset, int field, int64_t first, int64_t count, void *to)
{
  void **all;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscCalloc1(rt_dataset_info(dataset)->fields, &all));
  all[field] = to;
  error = rt_dataset_read(dataset, first, count, all);
  PetscCall(PetscFree(all));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Collective. Rank 0 reads them for all. */
static PetscErrorCode read_labels(const void *context, int64_t first, int64_t count, int32_t *label)
{
  const Labels *labels = context;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  if (labels->job->rank == 0)
    error = read_one(labels->dataset, rt_dataset_info(labels->dataset)->label, first, count, label);
  RtAgree(labels->job->comm, error);
  PetscCallMPI(MPI_Bcast(label, (int)count, MPI_INT32_T, 0, labels->job->comm));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_trainset_augment(const RtJob *job, const RtDatasetInfo *info, RtAugment *augment)
{
  RtAugmentParams params = {.shift = (int)rt_options_int(job->options, "augment", "shift"),
                            .rotate = rt_options_real(job->options, "augment", "rotate"),
                            .scale = rt_options_real(job->options, "augment", "scale"),
                            .shear = rt_options_real(job->options, "augment", "shear")};

  PetscFunctionBegin;
  PetscCall(rt_augment_create(&params, job->seed, info, augment));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_trainset_check_views(const RtAugment *augment, const RtDatasetInfo *info, const RtGraph *graph,
                                       const char *what)
{
  PetscFunctionBegin;
  for (int i = 0; i < graph->inputs; i++) {
    const RtValue *input = &graph->value[graph->input[i]];
    const bool picture = input->field && rt_field_find(info->fields, info->field, input->field) == info->input;

    RtCheck(
        !augment->active || !picture || input->type == RT_FLOAT,
        "augmentation gives pictures between whole numbers, but the %s's input '%s' reads %s: let it read float, or "
        "switch augmentation off",
        what, input->name, rt_field_type_name(input->type));
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_trainset_open(const RtJob *job, const char *section, RtTrainset *data)
{
  const char *path;
  int64_t list[RT_OPTIONS_LIST];
  int omit[RT_OPTIONS_LIST];
  RtSamplerParams params = {.seed = job->seed,
                            .holdout_seed = (uint64_t)rt_options_int(job->options, "data", "holdout_seed"),
                            .holdout = rt_options_int(job->options, "data", "holdout"),
                            .limit = rt_options_int(job->options, section, "samples"),
                            .omit = omit};
  Labels labels = {.job = job};
  PetscErrorCode error;

  PetscFunctionBegin;
  memset(data, 0, sizeof(*data));
  params.omitted = rt_options_ints(job->options, section, "omit", list);
  for (int i = 0; i < params.omitted; i++) omit[i] = (int)list[i];
  PetscCall(rt_job_need(job, "data_train", "the training set, from `retort import`", &path));
  PetscCall(rt_dataset_open(job->comm, path, &data->dataset));
  data->info = rt_dataset_info(data->dataset);
  labels.dataset = data->dataset;
  error = rt_trainset_augment(job, data->info, &data->augment);
  if (!error)
    error = rt_sampler_create(&params, data->info->samples, data->info->classes,
                              data->info->classes ? read_labels : NULL, &labels, &data->sampler);
  error = rt_message_agree(job->comm, error);
  if (error) PetscCall(rt_trainset_close(data));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* What is read: answers, and what the model's inputs are bound to. section: whose model is trained. */
static PetscErrorCode find_want(const RtJob *job, const char *section, RtTrainset *data)
{
  const char *role = strcmp(section, "distill") ? section : "student";
  const RtDatasetInfo *info = data->info;
  const bool cut = !strcmp(role, "student") && !strcmp(rt_options_text(job->options, role, "init"), "svd");
  bool others = false;

  PetscFunctionBegin;
  PetscCall(PetscFree(data->want));
  PetscCall(PetscCalloc1(info->fields, &data->want));
  for (int f = 0; f < info->fields; f++) {
    data->want[f] = rt_field_known(info->field[f].name);
    others = others || !data->want[f];
  }
  if (!others) PetscFunctionReturn(0); /* all of it, also what no input reads: so windows are what they always were */
  if (info->input >= 0) data->want[info->input] = false;
  PetscCall(rt_model_want(job, cut ? "teacher" : role, info, data->want));
  if (!strcmp(section, "distill") && !strcmp(rt_options_text(job->options, section, "teacher"), "here"))
    PetscCall(rt_model_want(job, "teacher", info, data->want));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_trainset_plan(const RtJob *job, const char *section, int views, const RtLabelstoreInfo *store,
                                RtTrainset *data)
{
  const int64_t width = store ? rt_labelstore_width(store) : 0;
  RtBudget budget = {.memory = rt_options_int(job->options, "data", "memory"),
                     .samples = data->info->samples,
                     .held = data->sampler.held,
                     .logits = (int64_t)sizeof(float) * width,
                     .fields = store ? store->fields : 0,
                     .views = views,
                     .batch = rt_options_int(job->options, section, "batch"),
                     .lanes = (int)rt_options_int(job->options, section, "lanes")};
  RtFeedSource *s = &data->source;

  PetscFunctionBegin;
  RtCheck(width <= INT32_MAX / 16, "the fields of the label store that terms read have %lld numbers a sample, too many",
          (long long)width);
  PetscCall(find_want(job, section, data));
  budget.sample = rt_samples_bytes(data->info, data->want);
  *s = (RtFeedSource){.info = data->info,
                      .want = data->want,
                      .augment = &data->augment,
                      .sampler = &data->sampler,
                      .views = views,
                      .width = (int)width,
                      .store = store,
                      .dataset = data->dataset};
  if (rt_budget_fits(&budget)) PetscFunctionReturn(0);
  PetscCall(rt_budget_window(&budget, data->sampler.count, &s->window));
  s->block = rt_budget_block(&budget, s->window);
  s->piece = rt_budget_piece(&budget);
  s->open = rt_budget_open(&budget);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_trainset_load(const RtJob *job, RtTrainset *data)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  if (data->source.window) PetscFunctionReturn(0);
  error = rt_samples_load(data->dataset, data->want, 0, data->info->samples, &data->samples);
  if (!error) error = rt_sampler_list(&data->sampler);
  RtAgree(job->comm, error);
  data->source.samples = &data->samples;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_trainset_close(RtTrainset *data)
{
  PetscFunctionBegin;
  PetscCall(rt_sampler_destroy(&data->sampler));
  PetscCall(rt_samples_free(&data->samples));
  PetscCall(PetscFree(data->want));
  PetscCall(rt_dataset_close(&data->dataset));
  PetscFunctionReturn(0);
}

typedef struct {
  double value, square;
} Sums;

static void add(const RtDatasetInfo *info, int64_t samples, const void *input, Sums *sums)
{
  for (int64_t i = 0; i < samples * info->size; i++) {
    double x = info->type == RT_UINT8 ? ((const uint8_t *)input)[i] : ((const float *)input)[i];

    sums->value += x;
    sums->square += x * x;
  }
}

/* Of samples that are not in memory, in pieces and in the same order. */
static PetscErrorCode add_pieces(const RtTrainset *data, Sums *sums)
{
  const RtDatasetInfo *info = data->info;
  const int64_t bytes = info->size * (int64_t)rt_types_size(info->type);
  const int64_t piece = PetscMin(info->samples, PetscMax(1, data->source.piece / bytes));
  PetscErrorCode error = 0;
  void *input;

  PetscFunctionBegin;
  PetscCall(rt_memory_create((size_t)(piece * bytes), &input));
  for (int64_t first = 0; first < info->samples && !error; first += piece) {
    const int64_t count = PetscMin(piece, info->samples - first);

    error = read_one(data->dataset, info->input, first, count, input);
    if (!error) add(info, count, input, sums);
  }
  PetscCall(rt_memory_destroy(&input));
  PetscFunctionReturn(error);
}

/* Collective. Mean and standard deviation of all its numbers, in physical units: rank 0 adds them in their order. */
static PetscErrorCode measure(const RtJob *job, const RtTrainset *data, double *mean, double *deviation)
{
  const RtDatasetInfo *info = data->info;
  const double count = (double)(info->samples * info->size);
  Sums sums = {0};
  PetscErrorCode error = 0;
  double stored_mean;

  PetscFunctionBegin;
  RtCheck(info->input >= 0, "the dataset has no field 'input' to measure");
  if (job->rank == 0 && data->source.window) error = add_pieces(data, &sums);
  if (job->rank == 0 && !data->source.window) add(info, info->samples, data->samples.field[info->input], &sums);
  RtAgree(job->comm, error);
  PetscCallMPI(MPI_Bcast(&sums, 2, MPI_DOUBLE, 0, job->comm));
  stored_mean = sums.value / count;
  *mean = stored_mean * info->scale + info->offset;
  *deviation = sqrt(PetscMax(sums.square / count - stored_mean * stored_mean, 0)) * fabs(info->scale);
  if (*deviation == 0) *deviation = 1;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_trainset_model(const RtJob *job, const char *role, const RtTrainset *data, int width, RtGraph **graph)
{
  RtModelInput input = {.width = width};

  PetscFunctionBegin;
  if (!rt_options_text(job->options, role, "model")[0] && rt_options_bool(job->options, role, "normalize"))
    PetscCall(measure(job, data, &input.mean, &input.deviation));
  PetscCall(rt_model_sketch(job, role, data->info, &input, graph));
  PetscFunctionReturn(0);
}
