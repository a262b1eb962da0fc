#include "run/table.h"

#include "compress/init.h"
#include "distill/loss.h"
#include "label/mixture.h"
#include "model/recipe.h"
#include "optim/optimizer.h"
#include "optim/tao.h"
#include "store/form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tables whose rows are the choices of an option: the name of row i and what it is; NULL after the last. */
static const char *arch(int i, const char **help)
{
  const RtRecipeKind *kind = rt_recipe_at(i);

  *help = kind ? kind->help : NULL;
  return kind ? kind->name : NULL;
}
static const char *optimizer(int i, const char **help)
{
  const RtOptimizer *row = rt_optimizer_at(i);

  *help = row ? row->help : NULL;
  return row ? row->name : NULL;
}
static const char *loss(int i, const char **help)
{
  const RtLoss *row = rt_loss_at(i);

  *help = row ? row->help : NULL;
  return row ? row->name : NULL;
}

enum { TEXT = RT_LOSS_MOST * RT_LOSS_NAME };

/* Names of the rows, joined by `|`. */
static const char *join(const char *(*row)(int i, const char **help), char *text)
{
  const char *name, *help;
  size_t at = 0;

  text[0] = 0;
  for (int i = 0; at < TEXT && (name = row(i, &help)); i++)
    at += (size_t)snprintf(text + at, TEXT - at, "%s%s", i ? "|" : "", name);
  return text;
}

static const char *archs(void)
{
  static char text[TEXT];

  return join(arch, text);
}
static const char *starts(void)
{
  static char text[TEXT];

  return join(rt_init_at, text);
}
static const char *precisions(void)
{
  return "fp32|bf16";
}
static const char *schedules(void)
{
  return "constant|step|cosine";
}
static const char *selections(void)
{
  return "best|last";
}
static const char *teachers(void)
{
  return "store|here|self";
}
static const char *reductions(void)
{
  return "tree|fast";
}
static const char *fits(void)
{
  return "none|holdout|test";
}

static char form_help[512]; /* from the table of forms */

#define MOST 9e15 /* no upper bound: whole numbers are exact up to here */

#define TEACHER RT_CONTENT_TEACHER
#define LABELS RT_CONTENT_LABELS
#define STUDENT RT_CONTENT_STUDENT
#define EVAL RT_CONTENT_EVAL
#define COMPRESSED RT_CONTENT_COMPRESSED
#define TRAIN (RT_VERB_TRAIN | RT_VERB_RUN)
#define LABEL (RT_VERB_LABEL | RT_VERB_RUN)
#define DISTILL (RT_VERB_DISTILL | RT_VERB_RUN)
#define EVALUATE (RT_VERB_EVAL | RT_VERB_RUN)
#define TRAINING (RT_VERB_TRAIN | RT_VERB_DISTILL | RT_VERB_RUN)
#define ALL (TRAINING | RT_VERB_LABEL | RT_VERB_VERIFY | RT_VERB_EVAL | RT_VERB_COMPRESS)

#define MODEL(section, verbs, content, hidden, what)                                                                   \
  {section "_model", RT_OPTION_TEXT, "", 0, 0, NULL, verbs, 0, "ONNX file of your own " what "; empty: made by arch"}, \
      {section "_inputs",                                                                                              \
       RT_OPTION_TEXT,                                                                                                 \
       "",                                                                                                             \
       0,                                                                                                              \
       0,                                                                                                              \
       NULL,                                                                                                           \
       verbs,                                                                                                          \
       0,                                                                                                              \
       "fields that its inputs read, INPUT=FIELD,…; empty: those of the same names"},                                  \
      {section "_freeze",                                                                                              \
       RT_OPTION_TEXT,                                                                                                 \
       "",                                                                                                             \
       0,                                                                                                              \
       0,                                                                                                              \
       NULL,                                                                                                           \
       verbs,                                                                                                          \
       content,                                                                                                        \
       "parameters that are not trained, by patterns of their names, PATTERN,…"},                                      \
      {section "_arch", RT_OPTION_CHOICE, "mlp", 0, 0, archs, verbs, content, "kind of network"},                      \
      {section "_hidden", RT_OPTION_INTS, hidden, 1, 1e6, NULL, verbs, content, "units of each hidden layer"},         \
      {section "_dropout",                                                                                             \
       RT_OPTION_REALS,                                                                                                \
       "",                                                                                                             \
       0,                                                                                                              \
       0.99,                                                                                                           \
       NULL,                                                                                                           \
       verbs,                                                                                                          \
       content,                                                                                                        \
       "dropout of the input, then of each hidden layer"},                                                             \
  {                                                                                                                    \
    section "_normalize", RT_OPTION_BOOL, "false", 0, 0, NULL, verbs, content,                                         \
        "subtract the training set's mean from the input and divide by its deviation"                                  \
  }

#define TRAINING_OPTIONS(section, verbs, content)                                                                      \
  {section "_epochs",                                                                                                  \
   RT_OPTION_INT,                                                                                                      \
   "20",                                                                                                               \
   1,                                                                                                                  \
   1e6,                                                                                                                \
   NULL,                                                                                                               \
   verbs,                                                                                                              \
   content,                                                                                                            \
   "passes over the training set; tao: iterations"},                                                                   \
      {section "_batch", RT_OPTION_INT, "256", 1, 1e8, NULL, verbs, content, "samples in a global batch"},             \
      {section "_lanes",                                                                                               \
       RT_OPTION_INT,                                                                                                  \
       "8",                                                                                                            \
       1,                                                                                                              \
       1e5,                                                                                                            \
       NULL,                                                                                                           \
       verbs,                                                                                                          \
       content,                                                                                                        \
       "logical workers that share a batch; at least the number of ranks"},                                            \
      {section "_optimizer", RT_OPTION_CHOICE, "sgd", 0, 0, rt_optimizer_names, verbs, content, "optimizer"},          \
      {section "_rate", RT_OPTION_REAL, "0.05", 0, 1e6, NULL, verbs, content, "learning rate"},                        \
      {section "_momentum", RT_OPTION_REAL, "0.9", 0, 1, NULL, verbs, content, "sgd: momentum"},                       \
      {section "_nesterov", RT_OPTION_BOOL, "true", 0, 0, NULL, verbs, content, "sgd: Nesterov's momentum"},           \
      {section "_beta1", RT_OPTION_REAL, "0.9", 0, 1, NULL, verbs, content, "adamw: decay of the first moment"},       \
      {section "_beta2", RT_OPTION_REAL, "0.999", 0, 1, NULL, verbs, content, "adamw: decay of the second moment"},    \
      {section "_epsilon", RT_OPTION_REAL, "1e-8", 0, 1, NULL, verbs, content, "adamw: added to the denominator"},     \
      {section "_weight_decay",                                                                                        \
       RT_OPTION_REAL,                                                                                                 \
       "0",                                                                                                            \
       0,                                                                                                              \
       1e3,                                                                                                            \
       NULL,                                                                                                           \
       verbs,                                                                                                          \
       content,                                                                                                        \
       "weight decay; biases are left alone"},                                                                         \
      {section "_max_norm",                                                                                            \
       RT_OPTION_REAL,                                                                                                 \
       "0",                                                                                                            \
       0,                                                                                                              \
       1e6,                                                                                                            \
       NULL,                                                                                                           \
       verbs,                                                                                                          \
       content,                                                                                                        \
       "largest norm of the weights that enter a hidden unit; 0: no limit"},                                           \
      {section "_clip",                                                                                                \
       RT_OPTION_REAL,                                                                                                 \
       "0",                                                                                                            \
       0,                                                                                                              \
       1e30,                                                                                                           \
       NULL,                                                                                                           \
       verbs,                                                                                                          \
       content,                                                                                                        \
       "largest norm of the gradient of a step, larger ones are scaled down; 0: no limit"},                            \
      {section "_skip_bad",                                                                                            \
       RT_OPTION_BOOL,                                                                                                 \
       "false",                                                                                                        \
       0,                                                                                                              \
       0,                                                                                                              \
       NULL,                                                                                                           \
       verbs,                                                                                                          \
       content,                                                                                                        \
       "leave out steps whose loss or gradient is not finite, instead of stopping"},                                   \
      {section "_label_smoothing",                                                                                     \
       RT_OPTION_REAL,                                                                                                 \
       "0",                                                                                                            \
       0,                                                                                                              \
       1,                                                                                                              \
       NULL,                                                                                                           \
       verbs,                                                                                                          \
       content,                                                                                                        \
       "part of a hard label that is spread over all classes"},                                                        \
      {section "_schedule", RT_OPTION_CHOICE, "cosine", 0, 0, schedules, verbs, content, "learning rate over time"},   \
      {section "_warmup", RT_OPTION_REAL, "0", 0, 1e6, NULL, verbs, content, "epochs of linear growth at the start"},  \
      {section "_final", RT_OPTION_REAL, "0", 0, 1, NULL, verbs, content, "cosine: last rate as a part of the first"}, \
      {section "_factor", RT_OPTION_REAL, "0.1", 0, 1, NULL, verbs, content, "step: multiply the rate by this"},       \
      {section "_every", RT_OPTION_REAL, "10", 1e-3, 1e6, NULL, verbs, content, "step: after each so many epochs"},    \
      {section "_precision",                                                                                           \
       RT_OPTION_CHOICE,                                                                                               \
       "fp32",                                                                                                         \
       0,                                                                                                              \
       0,                                                                                                              \
       precisions,                                                                                                     \
       verbs,                                                                                                          \
       content,                                                                                                        \
       "of the factors of matrix products; sums stay float"},                                                          \
      {section "_select",                                                                                              \
       RT_OPTION_CHOICE,                                                                                               \
       "best",                                                                                                         \
       0,                                                                                                              \
       0,                                                                                                              \
       selections,                                                                                                     \
       verbs,                                                                                                          \
       content,                                                                                                        \
       "which epoch's model to keep, by the held-out part; without one the last"},                                     \
      {section "_samples",                                                                                             \
       RT_OPTION_INT,                                                                                                  \
       "0",                                                                                                            \
       0,                                                                                                              \
       MOST,                                                                                                           \
       NULL,                                                                                                           \
       verbs,                                                                                                          \
       content,                                                                                                        \
       "train on so many samples only, chosen at random; 0: all"},                                                     \
  {                                                                                                                    \
    section "_omit", RT_OPTION_INTS, "", 0, 1e8, NULL, verbs, content, "classes to leave out of training"              \
  }

static const RtOption table[] = {
    {"job", RT_OPTION_TEXT, "", 0, 0, NULL, ALL, 0, "YAML job file; a nested key a: {b: 1} is the option -a_b 1"},
    {"extend", RT_OPTION_TEXT, "", 0, 0, NULL, ALL, 0,
     "shared libraries with losses and operators of your own, FILE.so,…; see retort/extend.h"},
    {"run_dir", RT_OPTION_TEXT, "", 0, 0, NULL, ALL, 0, "directory of the run"},
    {"run_seed", RT_OPTION_INT, "1", 0, MOST, NULL, TRAINING | LABEL | RT_VERB_VERIFY, TEACHER | LABELS | STUDENT,
     "all random numbers are a function of it"},
    {"run_force", RT_OPTION_BOOL, "false", 0, 0, NULL, ALL, 0, "make again what was made with other options or inputs"},
    {"run_claim_seconds", RT_OPTION_REAL, "60", 1, 1e6, NULL, TRAINING | EVALUATE, 0,
     "seconds without a sign of life after which another host's job in this directory counts as dead"},
    {"stop_after", RT_OPTION_REAL, "0", 0, 1e9, NULL, TRAINING | LABEL, 0,
     "seconds after which to write a checkpoint and exit with 75; 0: never"},
    {"reduce", RT_OPTION_CHOICE, "tree", 0, 0, reductions, TRAINING, TEACHER | STUDENT,
     "sum of gradients: tree gives the same bits on any number of ranks, fast is MPI's own"},
    {"reduce_memory", RT_OPTION_SIZE, "0", 0, MOST, NULL, TRAINING, 0,
     "gradients and sums that a rank may hold; where it is short, fewer threads have lanes; 0: any"},
    {"data_train", RT_OPTION_TEXT, "", 0, 0, NULL, ALL, 0, "training set, from `retort import`"},
    {"data_test", RT_OPTION_TEXT, "", 0, 0, NULL, EVALUATE, 0, "test set"},
    {"data_holdout", RT_OPTION_INT, "0", 0, MOST, NULL, TRAINING | EVALUATE, TEACHER | STUDENT | EVAL,
     "training samples held out to choose the best epoch"},
    {"data_holdout_seed", RT_OPTION_INT, "0", 0, MOST, NULL, TRAINING | EVALUATE, TEACHER | STUDENT | EVAL,
     "which samples those are"},
    {"data_memory", RT_OPTION_SIZE, "4G", 1024, MOST, NULL, TRAINING | EVALUATE, 0,
     "samples and soft labels that a rank may hold; more are read in windows, which change the order of samples"},
    {"augment_shift", RT_OPTION_INT, "0", 0, 1e4, NULL, TRAINING | LABEL | RT_VERB_VERIFY, TEACHER | LABELS | STUDENT,
     "views are shifted by up to so many pixels"},
    {"augment_rotate", RT_OPTION_REAL, "0", 0, 180, NULL, TRAINING | LABEL | RT_VERB_VERIFY, TEACHER | LABELS | STUDENT,
     "views are turned by up to so many degrees"},
    {"augment_scale", RT_OPTION_REAL, "0", 0, 0.9, NULL, TRAINING | LABEL | RT_VERB_VERIFY, TEACHER | LABELS | STUDENT,
     "views are scaled by 1 plus or minus up to this"},
    {"augment_shear", RT_OPTION_REAL, "0", 0, 2, NULL, TRAINING | LABEL | RT_VERB_VERIFY, TEACHER | LABELS | STUDENT,
     "views are sheared by up to this"},
    MODEL("teacher", ALL, TEACHER, "1200,1200", "teacher"),
    {"teacher_models", RT_OPTION_TEXT, "", 0, 0, NULL, ALL, 0, "or several ONNX files, FILE,…, which teach together"},
    {"teacher_weights", RT_OPTION_REALS, "", 0, 1e9, NULL, ALL, 0, "weight of each of them; empty: equal ones"},
    {"teacher_mix", RT_OPTION_CHOICE, "probabilities", 0, 0, rt_mixture_names, ALL, 0,
     "what is averaged: probabilities, whose logarithms are the labels, or logits"},
    TRAINING_OPTIONS("teacher", TRAIN, TEACHER),
    {"label_precision", RT_OPTION_CHOICE, "fp32", 0, 0, precisions, LABEL | DISTILL | RT_VERB_VERIFY, LABELS | STUDENT,
     "of the teacher's matrix products"},
    {"label_shard", RT_OPTION_INT, "8192", 1, MOST, NULL, LABEL | DISTILL | RT_VERB_VERIFY, LABELS,
     "samples in one file of the label store"},
    {"label_views", RT_OPTION_INT, "1", 1, 1e5, NULL, LABEL | DISTILL | RT_VERB_VERIFY, LABELS | STUDENT,
     "views of each sample; the first is the plain one, the others are augmented"},
    {"label_features", RT_OPTION_TEXT, "", 0, 0, NULL, LABEL | RT_VERB_VERIFY | DISTILL, LABELS,
     "also keep this layer's activations: a hidden layer's number from 1, a node or a value; empty: none"},
    {"label_components", RT_OPTION_INT, "64", 1, 1e6, NULL, LABEL | RT_VERB_VERIFY | DISTILL, LABELS,
     "so many principal components of them"},
    {"label_taps_*_from", RT_OPTION_TEXT, "", 0, 0, NULL, LABEL | RT_VERB_VERIFY | DISTILL, LABELS,
     "also keep this tap of the teacher, as a field of this name; `logits` are there in any case"},
    {"label_taps_*_form", RT_OPTION_CHOICE, "dense", 0, 0, rt_form_names, LABEL | RT_VERB_VERIFY | DISTILL, LABELS,
     form_help},
    {"label_batch", RT_OPTION_INT, "256", 1, 1e6, NULL, LABEL | DISTILL | RT_VERB_VERIFY, LABELS,
     "samples that the teacher sees at once"},
    {"label_claim_seconds", RT_OPTION_REAL, "60", 1, 1e6, NULL, LABEL | DISTILL | RT_VERB_VERIFY, 0,
     "seconds without a sign of life after which another job's shards in hand are taken over"},
    {"verify_samples", RT_OPTION_INT, "256", 1, MOST, NULL, RT_VERB_VERIFY, 0, "samples to label again and compare"},
    {"o", RT_OPTION_TEXT, "", 0, 0, NULL, RT_VERB_COMPRESS, 0, "file to write"},
    {"compress_parameters", RT_OPTION_INT, "0", 0, MOST, NULL, RT_VERB_COMPRESS, COMPRESSED,
     "cut the teacher's layers to low rank, to so many parameters at most in all"},
    {"compress_energy", RT_OPTION_REAL, "0", 0, 1, NULL, RT_VERB_COMPRESS, COMPRESSED,
     "or so that each layer's output keeps this part of its variance"},
    {"compress_samples", RT_OPTION_INT, "0", 0, MOST, NULL, RT_VERB_COMPRESS, COMPRESSED,
     "so many samples of the training set, evenly spread, say what enters the layers; 0: all"},
    {"compress_weighted", RT_OPTION_BOOL, "true", 0, 0, NULL, RT_VERB_COMPRESS, COMPRESSED,
     "weigh errors by what enters the layers on the training set; false: plain singular values"},
    {"compress_ranks", RT_OPTION_INTS, "", 1, MOST, NULL, RT_VERB_COMPRESS, COMPRESSED,
     "or to these ranks of the first layers; the others stay whole"},
    MODEL("student", DISTILL | RT_VERB_EVAL, STUDENT, "100", "student: its graph and initial weights"),
    {"student_init", RT_OPTION_CHOICE, "random", 0, 0, starts, DISTILL, STUDENT, "where it begins"},
    {"student_init_lambda", RT_OPTION_REAL, "0.1", 0, 1e6, NULL, DISTILL, STUDENT,
     "ridge: penalty, in mean variances of what enters the layer"},
    {"student_init_samples", RT_OPTION_INT, "0", 0, MOST, NULL, DISTILL, STUDENT,
     "sums of the start run over so many training samples, evenly spread; 0: all"},
    {"student_init_parameters", RT_OPTION_INT, "0", 0, MOST, NULL, DISTILL, STUDENT,
     "svd: cut to so many parameters at most; 0: by energy"},
    {"student_init_energy", RT_OPTION_REAL, "0", 0, 1, NULL, DISTILL, STUDENT,
     "svd: part of each layer's output variance to keep, 0: ranks are -student_hidden; pca: of the input's, 0: 0.75"},
    {"distill_loss", RT_OPTION_CHOICE, "kl", 0, 0, rt_loss_short_names, DISTILL, STUDENT, "objective"},
    {"distill_temperature", RT_OPTION_REAL, "4", 0.01, 1e6, NULL, DISTILL, STUDENT, "temperature of the soft targets"},
    {"distill_alpha", RT_OPTION_REAL, "0.9", 0, 1, NULL, DISTILL, STUDENT,
     "weight of the soft term, 1 - alpha weighs the hard one; 0 needs no teacher"},
    {"distill_terms_*_loss", RT_OPTION_CHOICE, "kl", 0, 0, rt_loss_names, DISTILL, STUDENT,
     "instead of loss, temperature and alpha: the objective as a list of terms with names; what this one compares"},
    {"distill_terms_*_weight", RT_OPTION_REAL, "1", 0, 1e9, NULL, DISTILL, STUDENT, "weight of the term"},
    {"distill_terms_*_weight_last", RT_OPTION_REAL, "-1", -1, 1e9, NULL, DISTILL, STUDENT,
     "its weight at the last step, linear between; -1: it stays"},
    {"distill_terms_*_warmup", RT_OPTION_REAL, "0", 0, 1e6, NULL, DISTILL, STUDENT,
     "epochs in which the weight grows from 0"},
    {"distill_terms_*_temperature", RT_OPTION_REAL, "4", 0.01, 1e6, NULL, DISTILL, STUDENT, "temperature of the term"},
    {"distill_terms_*_temperature_last", RT_OPTION_REAL, "0", 0, 1e6, NULL, DISTILL, STUDENT,
     "its temperature at the last step, linear between; 0: it stays"},
    {"distill_terms_*_student", RT_OPTION_TEXT, "logits", 0, 0, NULL, DISTILL, STUDENT,
     "tap of the student: logits, hidden:N, output:N, a node or a value"},
    {"distill_terms_*_teacher", RT_OPTION_TEXT, "logits", 0, 0, NULL, DISTILL, STUDENT,
     "tap of the teacher that it is compared with"},
    {"distill_terms_*_label", RT_OPTION_TEXT, "", 0, 0, NULL, DISTILL, STUDENT,
     "field of the dataset that it is compared with instead: target for mse"},
    {"distill_teacher", RT_OPTION_CHOICE, "store", 0, 0, teachers, DISTILL, STUDENT,
     "store: soft labels are read; here: the teacher runs beside the student, all its taps are there; self: the "
     "student "
     "teaches itself; with both each epoch sees new views unless label_views says how many"},
    {"distill_decay", RT_OPTION_REAL, "0", 0, 0.999999, NULL, DISTILL, STUDENT,
     "teacher self: decay of the student's moving average, which is then the teacher; 0: taps of the student as it is"},
    {"distill_memory", RT_OPTION_SIZE, "0", 0, MOST, NULL, DISTILL, 0,
     "where lanes meet (rkd): bytes of their buffers that a rank may keep from forward to backward; with less they run "
     "forward again; 0: no limit"},
    TRAINING_OPTIONS("distill", DISTILL, STUDENT),
    {"tao_type", RT_OPTION_CHOICE, "lmvm", 0, 0, rt_tao_types, TRAINING, TEACHER | STUDENT,
     "optimizer tao: method, lmvm is L-BFGS; PETSc's other options -tao_... work as well"},
    {"checkpoint_epochs", RT_OPTION_INT, "1", 0, MOST, NULL, TRAINING, 0,
     "write a checkpoint after so many epochs; 0: never"},
    {"checkpoint_steps", RT_OPTION_INT, "0", 0, MOST, NULL, TRAINING, 0, "write one after so many steps; 0: never"},
    {"checkpoint_seconds", RT_OPTION_REAL, "300", 0, 1e9, NULL, TRAINING, 0,
     "write one after so many seconds without one; 0: never"},
    {"checkpoint_keep", RT_OPTION_INT, "2", 1, MOST, NULL, TRAINING, 0,
     "keep the last so many, and the one of the best epoch"},
    {"eval_batch", RT_OPTION_INT, "256", 1, 1e6, NULL, EVALUATE, EVAL, "samples that a model sees at once"},
    {"eval_cka", RT_OPTION_BOOL, "false", 0, 0, NULL, EVALUATE, 0,
     "also write cka.nc: how alike the layers of teacher and student are"},
    {"eval_bins", RT_OPTION_INT, "15", 1, 1000, NULL, EVALUATE, EVAL, "bins of the reliability diagram"},
    {"eval_bias_classes", RT_OPTION_INTS, "", 0, 1e8, NULL, EVALUATE, EVAL,
     "classes whose bias in the student is corrected"},
    {"eval_bias", RT_OPTION_REAL, "0", -1e6, 1e6, NULL, EVALUATE, EVAL, "what to add to their logits"},
    {"eval_bias_fit", RT_OPTION_CHOICE, "none", 0, 0, fits, EVALUATE, EVAL,
     "choose that number, in tenths from -20 to 20, by the accuracy on this set"},
};

enum {
  FIXED = sizeof(table) / sizeof(*table),
  LOSS_OPTIONS = RT_LOSS_MOST * RT_LOSS_OPTIONS,
  FORM_OPTIONS = 16,
  NAME = RT_LOSS_NAME + 24,
  NUMBER = 32
};

bool rt_table_has(const char *name)
{
  bool found = false;

  for (int i = 0; i < FIXED; i++) found = found || !strcmp(table[i].name, name);
  return found;
}

/* The rows of the losses' own options, from their table; two losses may share a name. */
static int add_loss_options(RtOption *row)
{
  static char name[LOSS_OPTIONS][NAME], initial[LOSS_OPTIONS][NUMBER], help[LOSS_OPTIONS][160];
  int count = 0;

  for (int l = 0; rt_loss_at(l); l++)
    for (const RtLossOption *o = rt_loss_at(l)->option; o->name && count < LOSS_OPTIONS; o++) {
      bool known = false;

      snprintf(name[count], NAME, "distill_terms_*_%s", o->name);
      for (int i = 0; i < count; i++) known = known || !strcmp(name[i], name[count]);
      if (known) continue;
      for (int digits = 6; digits <= 17 && (digits == 6 || strtod(initial[count], NULL) != o->initial); digits++)
        snprintf(initial[count], NUMBER, "%.*g", digits, o->initial);
      snprintf(help[count], sizeof(help[count]), "%s: %s", rt_loss_at(l)->name, o->help);
      row[count] = (RtOption){name[count], RT_OPTION_REAL, initial[count], o->least,   o->most,
                              NULL,        DISTILL,        STUDENT,        help[count]};
      count++;
    }
  return count;
}

/* What the choices are is told by their table, behind the help of the option: only those that are among the choices. */
static void tell_choices(RtOption *option, const char *(*row)(int i, const char **help), char *text)
{
  char choices[TEXT + 2], word[RT_LOSS_NAME + 2];
  const char *name, *help;
  size_t at = (size_t)snprintf(text, TEXT, "%s", option->help);
  bool first = true;

  snprintf(choices, sizeof(choices), "|%s|", option->choices());
  for (int i = 0; at < TEXT && (name = row(i, &help)); i++) {
    snprintf(word, sizeof(word), "|%s|", name);
    if (!strstr(choices, word)) continue;
    at += (size_t)snprintf(text + at, TEXT - at, "%s%s: %s", first ? ". " : "; ", name, help);
    first = false;
  }
  option->help = text;
}

static void tell_tables(RtOption *option, int count)
{
  static const struct {
    const char *(*choices)(void);
    const char *(*row)(int i, const char **help);
  } told[] = {{archs, arch},
              {rt_optimizer_names, optimizer},
              {starts, rt_init_at},
              {rt_loss_short_names, loss},
              {rt_loss_names, loss}};
  enum { TOLD = sizeof(told) / sizeof(*told) };
  static char text[TOLD][2][TEXT]; /* of the teacher and of the student */
  int used[TOLD] = {0};

  for (int i = 0; i < count; i++)
    for (int k = 0; k < TOLD; k++)
      if (option[i].choices == told[k].choices) tell_choices(&option[i], told[k].row, text[k][used[k]++]);
}

/* Those of the forms, and what the forms are. */
static int add_form_options(RtOption *row)
{
  static char name[FORM_OPTIONS][NAME], help[FORM_OPTIONS][160];
  size_t at = 0;
  int count = 0;

  for (int f = 0; rt_form_at(f); f++) {
    const RtForm *form = rt_form_at(f);

    at += (size_t)snprintf(form_help + at, sizeof(form_help) - at, "%s%s %s",
                           f ? "; " : "how it is stored: ", form->name, form->help);
    for (const RtFormOption *o = form->option; o->name && count < FORM_OPTIONS; o++) {
      snprintf(name[count], NAME, "label_taps_*_%s", o->name);
      snprintf(help[count], sizeof(help[count]), "%s: %s", form->name, o->help);
      row[count] = (RtOption){name[count], o->whole ? RT_OPTION_INT : RT_OPTION_REAL, o->initial, o->least,   o->most,
                              NULL,        LABEL | RT_VERB_VERIFY | DISTILL,          LABELS,     help[count]};
      count++;
    }
  }
  return count;
}

/* Options of losses and forms stand with the others of a term or a tap. */
static int join_options(RtOption *all)
{
  int rows = 0;

  for (int i = 0; i < FIXED; i++) {
    if (!strcmp(table[i].name, "label_batch")) rows += add_form_options(all + rows);
    if (!strcmp(table[i].name, "distill_teacher")) rows += add_loss_options(all + rows);
    all[rows++] = table[i];
  }
  return rows;
}

const RtOption *rt_table_options(int *count)
{
  static RtOption all[FIXED + LOSS_OPTIONS + FORM_OPTIONS];
  static int rows;

  if (!rows) {
    rows = join_options(all);
    tell_tables(all, rows);
  }
  *count = rows;
  return all;
}
