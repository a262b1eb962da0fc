#include "compress/init.h"
#include "compress/start.h"
#include "compress/thin.h"
#include "core/memory.h"
#include "core/message.h"
#include "data/trainset.h"
#include "distill/regressor.h"
#include "label/features.h"
#include "label/here.h"
#include "label/kept.h"
#include "label/store.h"
#include "model/binding.h"
#include "model/recipe.h"
#include "run/stages.h"
#include "run/training.h"

#include <string.h>

/* The teacher's soft labels. */
typedef struct {
  int width; /* of its logits; 0: no term reads a teacher */
  char hash[RT_HASH_TEXT];
  RtLabelstoreInfo store; /* the fields that terms read */
  char dir[PETSC_MAX_PATH_LEN];
  float *data; /* [samples, views, fields] where they are kept in memory */
  bool runs;   /* here, beside the student; then: */
  RtMixture teacher;
  RtMixture average; /* of a student that teaches itself: its graph, which is not owned */
  RtHere *here;
} Soft;

/* What the store must hold, in the order in which terms read it. */
static PetscErrorCode describe_store(const RtJob *job, const RtTrainset *data, const RtTerms *terms, Soft *soft)
{
  const RtGraph *teacher = rt_mixture_named(job->options) ? NULL : soft->teacher.graph[0];
  const char *name[RT_TERMS];
  RtKept kept;

  PetscFunctionBegin;
  PetscCall(rt_store_describe(job, data->info, soft->hash, soft->width, &data->augment, &soft->store, soft->dir));
  PetscCall(rt_kept_describe(job, teacher, soft->width, &soft->store, &kept));
  PetscCall(rt_kept_pick(rt_terms_teachers(terms, name), name, &soft->store));
  PetscFunctionReturn(0);
}

/* The hash of the teacher, and what is read of it. */
static PetscErrorCode read_teacher(const RtJob *job, const RtTrainset *data, const RtTerms *terms, Soft *soft)
{
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_mixture_read(job, data->info, RT_MIXTURE_ALL, &soft->teacher, soft->hash));
  soft->width = soft->teacher.width;
  soft->runs = rt_training_teacher(job->options) == RT_TRAINING_HERE;
  if (soft->runs) PetscFunctionReturn(0);
  error = describe_store(job, data, terms, soft);
  PetscCall(rt_mixture_free(&soft->teacher));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* What the store has, which is made whole before; into memory where it is kept. */
static PetscErrorCode load_labels(const RtJob *job, RtTrainset *data, Soft *soft, bool *stopped)
{
  PetscFunctionBegin;
  PetscCall(rt_labeller_mend(job, soft->dir, &soft->store, stopped));
  if (!*stopped && !data->source.window) PetscCall(rt_store_load(job, soft->dir, &soft->store, &soft->data));
  data->source.teacher = soft->data;
  data->source.labels = soft->dir;
  PetscFunctionReturn(0);
}

/* Remove what a run goes on from. */
static PetscErrorCode clean(const RtJob *job, const RtTrainerParams *params)
{
  PetscFunctionBegin;
  PetscCall(rt_start_remove(job));
  PetscCall(rt_trainer_clean(job->comm, params));
  PetscFunctionReturn(0);
}

/* Also a student that was kept in a file of its own since it was made; files do not say what is frozen. */
static PetscErrorCode bind(const RtJob *job, const RtTrainset *data, RtGraph **graph)
{
  PetscErrorCode error = rt_binding_attach(*graph, data->info, rt_model_inputs(job, "student"), "student");

  PetscFunctionBegin;
  if (!error) error = rt_trainset_check_views(&data->augment, data->info, *graph, "student");
  if (!error) error = rt_training_freeze(job, "student", *graph);
  error = rt_message_agree(job->comm, error);
  if (error) PetscCall(rt_graph_destroy(graph));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* The teacher that runs beside the student: a model of its own, or the moving average of what is trained. */
static PetscErrorCode start_here(const RtJob *job, const RtTrainset *data, RtGraph *student, Soft *soft,
                                 RtTrainerParams *params)
{
  const bool self = rt_training_teacher(job->options) == RT_TRAINING_SELF;
  RtHereParams here = {.teacher = &soft->teacher,
                       .role = "teacher",
                       .info = data->info,
                       .terms = &params->terms,
                       .precision = strcmp(rt_options_text(job->options, "label", "precision"), "bf16")
                                        ? RT_PRECISION_FP32
                                        : RT_PRECISION_BF16};

  PetscFunctionBegin;
  if (self) {
    soft->average = (RtMixture){.models = 1, .graph = {student}};
    here.teacher = &soft->average;
    here.role = "student";
    here.precision = params->precision;
    here.decay = rt_options_real(job->options, "distill", "decay");
    params->self = here.decay == 0;
  }
  if (params->self || !(self || soft->runs)) PetscFunctionReturn(0);
  for (int m = 0; m < soft->teacher.models; m++)
    PetscCall(rt_trainset_check_views(&data->augment, data->info, soft->teacher.graph[m], "teacher"));
  PetscCall(rt_here_create(&here, &soft->here));
  params->teacher = rt_here_teacher(soft->here);
  PetscFunctionReturn(0);
}

/* What is trained: the student itself, *trained NULL, or a copy with the maps that its terms attach. */
static PetscErrorCode attach(const RtJob *job, const RtTrainset *data, const Soft *soft, const RtGraph *graph,
                             RtTrainerParams *params, RtGraph **trained)
{
  const bool self = rt_training_teacher(job->options) == RT_TRAINING_SELF;
  const RtGraph *teacher = soft->runs && soft->teacher.models == 1 ? soft->teacher.graph[0] : NULL;
  int64_t from[RT_TERMS], to[RT_TERMS];
  PetscErrorCode error;

  PetscFunctionBegin;
  *trained = NULL;
  if (self) teacher = graph;
  error = rt_training_ends(&params->terms, graph, teacher, from, to);
  for (int k = 0; k < params->terms.count && !error; k++) {
    const RtTerm *term = &params->terms.term[k];
    const int field = soft->runs || self ? -1 : rt_terms_teacher_of(&params->terms, k);

    if (to[k]) continue;
    to[k] = field < 0 ? soft->width : soft->store.field[field].width;
    if (term->reference == RT_TERMS_TEACHER) error = rt_terms_check_widths(term, from[k], to[k]);
  }
  if (!error && rt_regressor_needed(&params->terms, from, to)) {
    error = rt_thin_build(graph, 0, NULL, false, trained);
    if (!error) error = rt_regressor_attach(*trained, job->seed, from, to, &params->terms);
  }
  error = rt_message_agree(job->comm, error);
  if (error) PetscCall(rt_graph_destroy(trained));
  PetscCall(error);
  if (*trained) PetscCall(bind(job, data, trained));
  PetscFunctionReturn(0);
}

static PetscErrorCode train(const RtJob *job, RtTrainset *data, Soft *soft, RtTrainerParams *params, bool *stopped)
{
  const RtInitTeacher start = {soft->hash, soft->width};
  RtTrainerResult result;
  RtGraph *graph = NULL, *trained = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_trainset_load(job, data));
  PetscCall(rt_init_make(job, data, &start, params->record, &graph, stopped));
  if (*stopped) PetscFunctionReturn(0);
  error = attach(job, data, soft, graph, params, &trained);
  if (!error) error = bind(job, data, &graph);
  if (!error) error = rt_message_agree(job->comm, start_here(job, data, trained ? trained : graph, soft, params));
  if (!error) {
    rt_recipe_say(graph, "student");
    rt_training_say(job, params, graph, data->sampler.count);
    error = rt_trainer_run(job->comm, params, &data->source, trained ? trained : graph, &result);
  }
  if (!error && trained) rt_regressor_detach(trained, graph);
  if (!error && !result.stopped)
    error = rt_model_write(job, "student", params->record, result.best_epoch, result.accuracy, graph);
  if (!error && !result.stopped) error = clean(job, params);
  PetscCall(rt_here_destroy(&soft->here)); /* which may run one of them */
  PetscCall(rt_graph_destroy(&graph));
  PetscCall(rt_graph_destroy(&trained));
  PetscCall(error);
  *stopped = result.stopped;
  PetscFunctionReturn(0);
}

static PetscErrorCode check_start(const RtJob *job)
{
  const RtTrainingTeacher teacher = rt_training_teacher(job->options);
  const bool store = teacher == RT_TRAINING_STORE;

  PetscFunctionBegin;
  PetscCall(rt_init_check(job, store || teacher == RT_TRAINING_HERE, store));
  PetscFunctionReturn(0);
}

static PetscErrorCode distill(const RtJob *job, RtTrainset *data, bool *stopped)
{
  RtTrainerParams params;
  Soft soft = {.width = 0};
  char start[RT_HASH_TEXT] = "", name[RT_FILES_NAME], *record = NULL, *labels = NULL;
  const char *model = rt_options_text(job->options, "student", "model");
  const RtTrainingTeacher teacher = rt_training_teacher(job->options);
  const bool store = teacher == RT_TRAINING_STORE, here = teacher == RT_TRAINING_HERE || teacher == RT_TRAINING_SELF;
  int views = (int)rt_options_int(job->options, "label", "views");
  PetscErrorCode error;
  bool done = false;

  PetscFunctionBegin;
  PetscCall(check_start(job));
  PetscCall(rt_training_params(job, "distill", "student", &params));
  PetscCall(rt_training_terms(job, data->info, &params.terms));
  PetscCall(rt_trainer_check(&params, job->size, NULL));
  error = store || teacher == RT_TRAINING_HERE ? read_teacher(job, data, &params.terms, &soft) : 0;
  if (!error && model[0]) error = rt_model_hash(job, "student", model, start);
  if (here && !rt_options_given(job->options, "label", "views")) views = 0; /* a new one each epoch */
  if (!error) error = rt_trainset_plan(job, "distill", views, store ? &soft.store : NULL, data);
  if (!error) error = rt_kept_record(&soft.store, &labels);
  if (!error)
    error = rt_training_record(job, RT_CONTENT_STUDENT, data->source.window, data->info->hash, soft.hash, start, labels,
                               &record);
  params.record = record;
  if (!error) error = rt_model_done(job, "student", record, &done);
  if (!error && done)
    rt_message_print("student: %s/%s is done already", job->dir, rt_files_name(RT_FILES_MODEL, "student", name));
  if (!error && done) error = clean(job, &params);
  if (!error && !done && store) error = load_labels(job, data, &soft, stopped);
  if (!error && !done && !*stopped) error = train(job, data, &soft, &params, stopped);
  PetscCall(PetscFree(record));
  PetscCall(PetscFree(labels));
  PetscCall(rt_mixture_free(&soft.teacher));
  PetscCall(rt_memory_destroy(&soft.data));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* The student as it begins, but for what a start in closed form makes of it; NULL for one that is cut from the
   teacher. */
static PetscErrorCode sketch(const RtJob *job, const RtDatasetInfo *info, int width, RtGraph **graph)
{
  const RtModelInput input = {.mean = 0, .deviation = 1, .width = width};

  PetscFunctionBegin;
  *graph = NULL;
  if (strcmp(rt_options_text(job->options, "student", "init"), "svd"))
    PetscCall(rt_model_sketch(job, "student", info, &input, graph));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_distiller_check(const RtJob *job, const RtDatasetInfo *info, const RtGraph *teacher)
{
  const bool self = rt_training_teacher(job->options) == RT_TRAINING_SELF;
  RtTrainerParams params;
  RtGraph *student = NULL;
  PetscErrorCode error;
  int64_t from[RT_TERMS], to[RT_TERMS];
  int width = 0;

  PetscFunctionBegin;
  PetscCall(check_start(job));
  if (teacher) PetscCall(rt_init_check_teacher(job, teacher));
  if (teacher) PetscCall(rt_recipe_width(teacher, &width));
  PetscCall(rt_training_params(job, "distill", "student", &params));
  PetscCall(rt_training_terms(job, info, &params.terms));
  PetscCall(sketch(job, info, width, &student));
  for (int k = 0; k < params.terms.count; k++) { /* what the store keeps are taps of the teacher */
    RtTerm *term = &params.terms.term[k];

    (void)rt_kept_tap(job, term->teacher, term->teacher, sizeof(term->teacher));
  }
  if (rt_mixture_named(job->options)) teacher = NULL; /* whose only tap are the logits */
  error = rt_training_ends(&params.terms, student, self ? student : teacher, from, to);
  if (!error && student) error = rt_training_freeze(job, "student", student);
  if (!error) error = rt_trainer_check(&params, job->size, student);
  PetscCall(rt_graph_destroy(&student));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_distiller_run(const RtJob *job, bool *stopped)
{
  RtTrainset data;
  PetscErrorCode error;

  PetscFunctionBegin;
  *stopped = false;
  PetscCall(rt_trainset_open(job, "distill", &data));
  error = distill(job, &data, stopped);
  PetscCall(rt_trainset_close(&data));
  PetscCall(error);
  PetscFunctionReturn(0);
}
