#include "run/training.h"

#include "core/message.h"
#include "label/features.h"
#include "label/kept.h"
#include "label/mixture.h"
#include "optim/tao.h"
#include "run/extend.h"
#include "store/form.h"

#include <stdio.h>
#include <string.h>

PetscErrorCode rt_training_params(const RtJob *job, const char *section, const char *role, RtTrainerParams *params)
{
  const RtOptions *o = job->options;

  PetscFunctionBegin;
  *params = (RtTrainerParams){
      .role = role,
      .dir = job->dir,
      .force = job->force,
      .defaults = rt_options_defaults(o),
      .train_set = rt_options_text(o, "data", "train"),
      .test_set = rt_options_text(o, "data", "test"),
      .seed = job->seed,
      .epochs = rt_options_int(o, section, "epochs"),
      .batch = rt_options_int(o, section, "batch"),
      .lanes = (int)rt_options_int(o, section, "lanes"),
      .threads = job->threads,
      .reduce = strcmp(rt_options_text(o, NULL, "reduce"), "fast") ? RT_REDUCE_TREE : RT_REDUCE_FAST,
      .reduce_memory = rt_options_int(o, NULL, "reduce_memory"),
      .precision = strcmp(rt_options_text(o, section, "precision"), "bf16") ? RT_PRECISION_FP32 : RT_PRECISION_BF16,
      .meeting_memory = rt_options_int(o, "distill", "memory"),
      .optimizer = rt_optimizer_find(rt_options_text(o, section, "optimizer")),
      .optimizer_params = {.momentum = rt_options_real(o, section, "momentum"),
                           .nesterov = rt_options_bool(o, section, "nesterov"),
                           .beta1 = rt_options_real(o, section, "beta1"),
                           .beta2 = rt_options_real(o, section, "beta2"),
                           .epsilon = rt_options_real(o, section, "epsilon")},
      .weight_decay = rt_options_real(o, section, "weight_decay"),
      .max_norm = rt_options_real(o, section, "max_norm"),
      .clip = rt_options_real(o, section, "clip"),
      .skip_bad = rt_options_bool(o, section, "skip_bad"),
      .schedule = {.kind = rt_options_text(o, section, "schedule"),
                   .rate = rt_options_real(o, section, "rate"),
                   .final = rt_options_real(o, section, "final"),
                   .factor = rt_options_real(o, section, "factor")},
      .warmup_epochs = rt_options_real(o, section, "warmup"),
      .every_epochs = rt_options_real(o, section, "every"),
      .select_best = !strcmp(rt_options_text(o, section, "select"), "best"),
      .checkpoint_epochs = rt_options_int(o, NULL, "checkpoint_epochs"),
      .checkpoint_steps = rt_options_int(o, NULL, "checkpoint_steps"),
      .checkpoint_seconds = rt_options_real(o, NULL, "checkpoint_seconds"),
      .checkpoint_keep = rt_options_int(o, NULL, "checkpoint_keep")};
  PetscFunctionReturn(0);
}

RtTrainingTeacher rt_training_teacher(const RtOptions *o)
{
  static const struct {
    const char *name;
    RtTrainingTeacher teacher;
  } kind[] = {{"here", RT_TRAINING_HERE}, {"self", RT_TRAINING_SELF}};
  const char *name[RT_TERMS];
  int count = PetscMin(RT_TERMS, rt_options_names(o, "distill_terms", name, RT_TERMS));
  bool reads = !count && rt_options_real(o, "distill", "alpha") != 0;

  for (int k = 0; k < count; k++) {
    char prefix[RT_TERMS_NAME + 32];

    snprintf(prefix, sizeof(prefix), "distill_terms_%s", name[k]);
    reads = reads || (rt_loss_find(rt_options_text(o, prefix, "loss"))->traits & RT_LOSS_TEACHER &&
                      strcmp(rt_options_text(o, prefix, "label"), "target") != 0);
  }
  if (!reads) return RT_TRAINING_ALONE;
  for (size_t i = 0; i < sizeof(kind) / sizeof(*kind); i++)
    if (!strcmp(rt_options_text(o, "distill", "teacher"), kind[i].name)) return kind[i].teacher;
  return RT_TRAINING_STORE;
}

/* Numbers in a row of a tap. */
static PetscErrorCode measure(const RtGraph *graph, const char *tap, const char *what, const RtTerm *term,
                              int64_t *width)
{
  char where[RT_TERMS_NAME + 32];
  int value;

  PetscFunctionBegin;
  snprintf(where, sizeof(where), "%s of the term '%s'", what, term->name);
  PetscCall(rt_tap_find(graph, tap, where, &value));
  RtCheck(graph->value[value].kind == RT_VALUE_RESULT, "the %s is compared at '%s', which no layer computes", where,
          tap);
  PetscCall(rt_features_check(graph, value, width));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_training_ends(const RtTerms *terms, const RtGraph *student, const RtGraph *teacher,
                                int64_t from[RT_TERMS], int64_t to[RT_TERMS])
{
  PetscFunctionBegin;
  for (int k = 0; k < terms->count; k++) {
    const RtTerm *term = &terms->term[k];

    from[k] = to[k] = 0;
    if (student) PetscCall(measure(student, term->student, "student", term, &from[k]));
    if (teacher && term->reference == RT_TERMS_TEACHER)
      PetscCall(measure(teacher, term->teacher, "teacher", term, &to[k]));
    if (from[k] && to[k]) PetscCall(rt_terms_check_widths(term, from[k], to[k]));
  }
  PetscFunctionReturn(0);
}

static bool has_option(const RtLoss *loss, const char *name)
{
  for (int i = 0; loss->option[i].name; i++)
    if (!strcmp(loss->option[i].name, name)) return true;
  return false;
}

/* Options that a term's loss does not read. */
static PetscErrorCode refuse_foreign(const RtOptions *o, const char *prefix, const RtLoss *loss)
{
  const char *other = NULL;

  PetscFunctionBegin;
  if (!(loss->traits & RT_LOSS_TEACHER) && rt_options_given(o, prefix, "teacher")) other = "teacher";
  if (!(loss->traits & RT_LOSS_TEMPERATURE) && rt_options_given(o, prefix, "temperature")) other = "temperature";
  if (!(loss->traits & RT_LOSS_TEMPERATURE) && rt_options_given(o, prefix, "temperature_last"))
    other = "temperature_last";
  for (int i = 0; rt_loss_at(i); i++)
    for (int k = 0; rt_loss_at(i)->option[k].name; k++) {
      const char *name = rt_loss_at(i)->option[k].name;

      if (!has_option(loss, name) && rt_options_given(o, prefix, name)) other = name;
    }
  if (other) RtUsage("-%s_%s: the loss %s does not read it", prefix, other, loss->name);
  PetscFunctionReturn(0);
}

/* A term by its options, distill_terms_NAME_…. */
static PetscErrorCode read_term(const RtJob *job, const char *name, RtTerm *term)
{
  const RtOptions *o = job->options;
  char prefix[RT_TERMS_NAME + 32];
  const char *label, *student, *teacher;
  double last;

  PetscFunctionBegin;
  snprintf(prefix, sizeof(prefix), "distill_terms_%s", name);
  rt_terms_start(name, rt_loss_find(rt_options_text(o, prefix, "loss")), term);
  term->weight = term->weight_last = rt_options_real(o, prefix, "weight");
  term->temperature = term->temperature_last = rt_options_real(o, prefix, "temperature");
  term->warmup = rt_options_real(o, prefix, "warmup");
  last = rt_options_real(o, prefix, "weight_last");
  if (last >= 0) term->weight_last = last;
  last = rt_options_real(o, prefix, "temperature_last");
  if (last > 0) term->temperature_last = last;
  if (!(term->weight > 0 || term->weight_last > 0)) RtUsage("-%s_weight: the term has no weight; leave it out", prefix);
  student = rt_options_text(o, prefix, "student");
  teacher = rt_options_text(o, prefix, "teacher");
  label = rt_options_text(o, prefix, "label");
  if (strlen(student) >= RT_TERMS_END || strlen(teacher) >= RT_TERMS_END)
    RtUsage("-%s: the tap's name is too long", prefix);
  PetscCall(PetscStrncpy(term->student, student, sizeof(term->student)));
  PetscCall(PetscStrncpy(term->teacher, teacher, sizeof(term->teacher)));
  if (!strcmp(label, "target") && term->loss->traits & RT_LOSS_NUMBERS)
    term->reference = RT_TERMS_TARGET;
  else if (label[0] && !(term->loss->traits & RT_LOSS_LABEL && !strcmp(label, "label")))
    RtUsage("-%s_label %s: the loss %s cannot be bound to that field", prefix, label, term->loss->name);
  for (int i = 0; term->loss->option[i].name; i++)
    term->option[i] = rt_options_real(o, prefix, term->loss->option[i].name);
  PetscCall(refuse_foreign(o, prefix, term->loss));
  PetscFunctionReturn(0);
}

static PetscErrorCode read_terms(const RtJob *job, int count, const char *const *name, RtTerms *terms)
{
  static const char *const short_form[] = {"loss", "temperature", "alpha", "label_smoothing"};

  PetscFunctionBegin;
  if (count > RT_TERMS) RtUsage("-distill_terms has %d terms, more than %d", count, (int)RT_TERMS);
  for (size_t i = 0; i < sizeof(short_form) / sizeof(*short_form); i++)
    if (rt_options_given(job->options, "distill", short_form[i]))
      RtUsage("-distill_%s is the short form of an objective, which -distill_terms says in full; give one of them",
              short_form[i]);
  terms->count = count;
  for (int k = 0; k < count; k++) PetscCall(read_term(job, name[k], &terms->term[k]));
  PetscFunctionReturn(0);
}

/* What a term reads of the teacher: a field of the store, or a tap. */
static PetscErrorCode bind_teacher(const RtJob *job, RtTerm *term)
{
  const bool store = rt_training_teacher(job->options) == RT_TRAINING_STORE;
  char kept[256], tap[RT_TERMS_END];
  const char *field = rt_kept_field(job, term->teacher);
  const char *to = store ? field : rt_kept_tap(job, term->teacher, tap, sizeof(tap));
  const RtForm *form;

  PetscFunctionBegin;
  if (term->reference != RT_TERMS_TEACHER) PetscFunctionReturn(0);
  if (rt_mixture_named(job->options) && (!to || strcmp(to, "logits")))
    RtUsage("-distill_terms_%s_teacher %s: several teachers have nothing in common but logits; take one of them",
            term->name, term->teacher);
  rt_kept_names(job, kept, sizeof(kept));
  if (!to)
    RtUsage("-distill_terms_%s_teacher %s: the store keeps %s; keep this as well, with -label_taps_NAME_from, or set "
            "-distill_teacher here, so that the teacher runs beside the student",
            term->name, term->teacher, kept);
  form = store ? rt_form_find(rt_kept_form(job, field)) : rt_form_at(0);
  if (!(form->traits & RT_FORM_OWN) && !(term->loss->traits & (RT_LOSS_MAPS | RT_LOSS_WIDTHS)))
    RtUsage(
        "-distill_terms_%s_loss %s: the field '%s' has the form %s, which serves %s; take another -label_taps_%s_form",
        term->name, term->loss->name, field, form->name, form->serves, field);
  snprintf(term->teacher, sizeof(term->teacher), "%s", to);
  PetscFunctionReturn(0);
}

/* Each term must suit the dataset. */
static PetscErrorCode check_term(const RtDatasetInfo *info, const RtTerm *term, const char *where)
{
  const unsigned traits = term->loss->traits;

  PetscFunctionBegin;
  if (info->targets && traits & RT_LOSS_CLASSES && !strcmp(term->student, "logits"))
    RtUsage("%s %s is for classes, but the dataset has float targets; take mse", where, term->loss->name);
  if (info->classes && traits & RT_LOSS_NUMBERS && !strcmp(term->student, "logits"))
    RtUsage("%s %s is for float targets, but the dataset has classes; take kl or logits", where, term->loss->name);
  if (!info->classes && traits & RT_LOSS_LABEL)
    RtUsage("%s %s reads labels, but the dataset has none", where, term->loss->name);
  if (!info->targets && term->reference == RT_TERMS_TARGET)
    RtUsage("%s %s reads targets, but the dataset has none", where, term->loss->name);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_training_terms(const RtJob *job, const RtDatasetInfo *info, RtTerms *terms)
{
  const RtOptions *o = job->options;
  const char *name[RT_TERMS];
  int count = rt_options_names(o, "distill_terms", name, RT_TERMS);
  double alpha = rt_options_real(o, "distill", "alpha");
  char where[RT_TERMS_NAME + 32];
  RtTerm whole;

  PetscFunctionBegin;
  if (count) {
    PetscCall(read_terms(job, count, name, terms));
    for (int k = 0; k < count; k++) {
      PetscCall(bind_teacher(job, &terms->term[k]));
      snprintf(where, sizeof(where), "-distill_terms_%s_loss", name[k]);
      PetscCall(check_term(info, &terms->term[k], where));
    }
    PetscFunctionReturn(0);
  }
  rt_terms_start("soft", rt_loss_find(rt_options_text(o, "distill", "loss")), &whole);
  PetscCall(check_term(info, &whole, "-distill_loss"));
  if (!info->classes && !info->targets && alpha < 1)
    RtUsage("the dataset has neither labels nor targets: -distill_alpha must be 1");
  rt_terms_short(whole.loss, rt_options_real(o, "distill", "temperature"), alpha,
                 rt_options_real(o, "distill", "label_smoothing"), terms);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_training_record(const RtJob *job, unsigned content, int64_t window, const char *dataset,
                                  const char *teacher, const char *start, const char *labels, char **record)
{
  const char *section = content == RT_CONTENT_TEACHER ? "teacher" : "distill";
  char *tao = NULL, *extend = NULL, *extra;
  size_t length;

  PetscFunctionBegin;
  if (!strcmp(rt_options_text(job->options, section, "optimizer"), "tao")) PetscCall(rt_tao_record(&tao));
  if (content == RT_CONTENT_STUDENT) PetscCall(rt_extend_record(&extend));
  length = (tao ? strlen(tao) : 0) + strlen(labels) + (extend ? strlen(extend) : 0) + 1;
  PetscCall(PetscMalloc1(length, &extra));
  snprintf(extra, length, "%s%s%s", tao ? tao : "", labels, extend ? extend : "");
  PetscCall(rt_model_record(job, content, window, dataset, teacher, start, extra, record));
  PetscCall(PetscFree(tao));
  PetscCall(PetscFree(extend));
  PetscCall(PetscFree(extra));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_training_freeze(const RtJob *job, const char *role, RtGraph *graph)
{
  const char *patterns = rt_options_text(job->options, role, "freeze");
  char option[64];

  PetscFunctionBegin;
  snprintf(option, sizeof(option), "-%s_freeze", role);
  PetscCall(rt_graph_freeze(graph, patterns, option));
  PetscFunctionReturn(0);
}

void rt_training_say(const RtJob *job, const RtTrainerParams *params, const RtGraph *graph, int64_t samples)
{
  char names[256];
  int frozen = rt_graph_frozen(graph, names, sizeof(names));

  rt_message_print("%s: %lld parameters, %lld samples, batches of %lld in %d lanes, %d x %d threads", params->role,
                   (long long)graph->parameters, (long long)samples, (long long)params->batch, params->lanes, job->size,
                   job->threads);
  if (frozen)
    rt_message_print("%s: %d constant%s stay%s as in the model: %s", params->role, frozen, frozen == 1 ? "" : "s",
                     frozen == 1 ? "s" : "", names);
}
