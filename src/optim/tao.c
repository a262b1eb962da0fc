#include "optim/tao.h"

#include "comm/agree.h"
#include "optim/optimizer.h"

#include <ctype.h>
#include <math.h>
#include <petsctao.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Works on the whole training set at once, so there is no update of a part. */
const RtOptimizer rt_tao_optimizer = {"tao", "all samples in each step, by line searches", 0, NULL};

enum { SAID = 160 /* characters of what PETSc says */ };

struct RtTao {
  RtTaoParams params;
  char type[16];
  Tao tao;
  Vec x, taken; /* TAO's own, and the point taken last */
  bool started, stopping;
  int64_t most, iterations, evaluations; /* most: iterations over all starts */
  int restarts;
  int walls;    /* values in a row that were not finite */
  double value; /* at `taken` */
};

const char *rt_tao_types(void)
{
  return "lmvm|blmvm|cg|bncg|bqnls|bqnkls";
}

static PetscErrorCode choose_type(char *type, size_t size)
{
  const char *at = rt_tao_types();
  size_t length;

  PetscFunctionBegin;
  PetscCall(PetscStrncpy(type, TAOLMVM, size));
  PetscCall(PetscOptionsGetString(NULL, NULL, "-tao_type", type, size, NULL));
  length = strlen(type);
  while (at && length && !strchr(type, '|')) {
    if (!strncmp(at, type, length) && (at[length] == '|' || !at[length])) PetscFunctionReturn(0);
    at = strchr(at, '|');
    if (at) at++;
  }
  RtUsage("-tao_type %s needs more than values and gradients, or is none of TAO's; take one of %s", type,
          rt_tao_types());
}

/* What stands for a value that is not finite: above the point that the line search comes from, and higher each time
   that it has not come back far enough; but not so high that its polynomials lose that point to rounding, as they do
   with infinity. */
static double beyond(const RtTao *t)
{
  return t->value + fmax(fabs(t->value), 1e-100) * pow(100, PetscMin(t->walls, 6));
}

static PetscErrorCode objective(Tao tao, Vec x, PetscReal *value, Vec gradient, void *context)
{
  RtTao *t = context;
  const double *at;
  double *slope;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  (void)tao;
  *value = NAN;
  if (!t->stopping) {
    PetscCall(VecGetArrayRead(x, &at));
    PetscCall(VecGetArrayWrite(gradient, &slope));
    error = t->params.evaluate(t->params.context, at, slope, value, &t->stopping);
    PetscCall(VecRestoreArrayWrite(gradient, &slope));
    PetscCall(VecRestoreArrayRead(x, &at));
    PetscCall(error);
    t->evaluations++;
  }
  if (t->stopping || !isfinite(*value)) {
    RtCheck(t->stopping || t->started, "the objective is not finite where the minimization starts");
    t->walls++;
    *value = beyond(t);
    PetscCall(VecSet(gradient, 0));
  } else {
    t->walls = 0;
  }
  t->started = true;
  PetscFunctionReturn(0);
}

static PetscErrorCode take(RtTao *t, Vec x, const RtTaoPoint *status)
{
  RtTaoPoint point = *status;
  PetscErrorCode error;

  PetscFunctionBegin;
  t->value = point.value;
  point.iteration = ++t->iterations;
  PetscCall(VecCopy(x, t->taken));
  PetscCall(VecGetArrayRead(x, &point.x));
  error = t->params.accept(t->params.context, &point, &t->stopping);
  PetscCall(VecRestoreArrayRead(x, &point.x));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* TAO calls this after each iteration, also where none took a new point, and some types twice. */
static PetscErrorCode monitor(Tao tao, void *context)
{
  RtTao *t = context;
  RtTaoPoint point;
  PetscInt iteration;
  Vec x;

  PetscFunctionBegin;
  PetscCall(TaoGetSolutionStatus(tao, &iteration, &point.value, &point.gradient_norm, NULL, &point.step, NULL));
  PetscCall(TaoGetSolution(tao, &x));
  if (!t->stopping && iteration == 0) {
    t->value = point.value;
  } else if (!t->stopping && point.value != t->value) {
    PetscCall(take(t, x, &point));
    if (t->iterations == t->most && !t->stopping) PetscCall(TaoSetConvergedReason(tao, TAO_DIVERGED_MAXITS));
  }
  if (t->stopping) PetscCall(TaoSetConvergedReason(tao, TAO_DIVERGED_USER));
  PetscFunctionReturn(0);
}

/* What TAO has no functions for, but options, becomes one where the user did not give it, while TAO reads them: more
   memory than PETSc's 5 pairs of vectors, which need more passes; fewer tries than its 30 before a line search fails.
 */
static PetscErrorCode read_options(RtTao *t)
{
  static const char *const value[] = {"20", "20"};
  char name[2][64];
  PetscBool given[2];

  PetscFunctionBegin;
  snprintf(name[0], sizeof(name[0]), "-tao_%s_mat_lmvm_hist_size", t->type);
  snprintf(name[1], sizeof(name[1]), "-tao_ls_max_funcs");
  for (int i = 0; i < 2; i++) {
    PetscCall(PetscOptionsHasName(NULL, NULL, name[i], &given[i]));
    if (!given[i]) PetscCall(PetscOptionsSetValue(NULL, name[i], value[i]));
  }
  PetscCall(TaoSetFromOptions(t->tao));
  for (int i = 0; i < 2; i++)
    if (!given[i]) PetscCall(PetscOptionsClearValue(NULL, name[i]));
  PetscFunctionReturn(0);
}

/* What an option allows over all starts, without what is used up; negative: no limit. */
static PetscErrorCode still_allowed(const char *option, int64_t used, PetscInt *left)
{
  PetscInt most;
  PetscBool given;

  PetscFunctionBegin;
  PetscCall(PetscOptionsGetInt(NULL, NULL, option, &most, &given));
  if (given && most >= 0) *left = (PetscInt)PetscMin(*left, PetscMax(0, most - used));
  PetscFunctionReturn(0);
}

/* A TAO that knows nothing yet, at the point taken last. */
static PetscErrorCode begin(RtTao *t)
{
  PetscInt evaluations = PETSC_MAX_INT, left = (PetscInt)PetscMin(t->most - t->iterations, PETSC_MAX_INT);

  PetscFunctionBegin;
  PetscCall(TaoDestroy(&t->tao));
  PetscCall(VecCopy(t->taken, t->x));
  PetscCall(TaoCreate(t->params.comm, &t->tao));
  PetscCall(TaoSetType(t->tao, t->type));
  PetscCall(TaoSetSolution(t->tao, t->x));
  PetscCall(TaoSetObjectiveAndGradient(t->tao, NULL, objective, t));
  PetscCall(TaoSetMonitor(t->tao, monitor, t, NULL));
  PetscCall(read_options(t));
  PetscCall(still_allowed("-tao_max_it", t->iterations, &left));
  PetscCall(still_allowed("-tao_max_funcs", t->evaluations, &evaluations));
  PetscCall(TaoSetMaximumIterations(t->tao, left));
  PetscCall(TaoSetMaximumFunctionEvaluations(t->tao, evaluations));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_tao_create(const RtTaoParams *params, RtTao **tao)
{
  int64_t total = params->count;
  char type[sizeof((*tao)->type)];
  RtTao *t;

  PetscFunctionBegin;
  PetscCall(choose_type(type, sizeof(type)));
  PetscCall(rt_agree_count(params->comm, 1, &total));
  RtCheck(total < PETSC_MAX_INT, "%lld unknowns are more than this PETSc can count (%lld)", (long long)total,
          (long long)PETSC_MAX_INT);
  PetscCall(PetscNew(&t));
  *tao = t;
  t->params = *params;
  PetscCall(PetscStrncpy(t->type, type, sizeof(t->type)));
  PetscCall(VecCreate(params->comm, &t->x));
  PetscCall(VecSetSizes(t->x, (PetscInt)params->count, PETSC_DETERMINE));
  PetscCall(VecSetType(t->x, VECSTANDARD));
  PetscCall(VecDuplicate(t->x, &t->taken));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_tao_destroy(RtTao **tao)
{
  PetscFunctionBegin;
  if (!*tao) PetscFunctionReturn(0);
  PetscCall(TaoDestroy(&(*tao)->tao));
  PetscCall(VecDestroy(&(*tao)->x));
  PetscCall(VecDestroy(&(*tao)->taken));
  PetscCall(PetscFree(*tao));
  PetscFunctionReturn(0);
}

static PetscErrorCode explain(RtTao *t, TaoConvergedReason reason, char *text, size_t length)
{
  PetscReal absolute, relative, total;

  PetscFunctionBegin;
  PetscCall(TaoGetTolerances(t->tao, &absolute, &relative, &total));
  switch (reason) {
  case TAO_CONVERGED_GATOL:
    snprintf(text, length, "the norm of the gradient is below -tao_gatol %g", absolute);
    break;
  case TAO_CONVERGED_GRTOL:
    snprintf(text, length, "the norm of the gradient is below -tao_grtol %g of the value", relative);
    break;
  case TAO_CONVERGED_GTTOL:
    snprintf(text, length, "the norm of the gradient is below -tao_gttol %g of that at the start", total);
    break;
  case TAO_CONVERGED_STEPTOL:
    snprintf(text, length, "the steps have become shorter than -tao_steptol");
    break;
  case TAO_CONVERGED_MINF:
    snprintf(text, length, "the value is below -tao_fmin");
    break;
  case TAO_DIVERGED_MAXITS:
    snprintf(text, length, "all iterations that were allowed are done");
    break;
  case TAO_DIVERGED_MAXFCN:
    snprintf(text, length, "all evaluations that -tao_max_funcs allows are done (%lld)", (long long)t->evaluations);
    break;
  case TAO_DIVERGED_LS_FAILURE:
    snprintf(text, length, "the line search finds no lower value (new starts: %d)", t->restarts);
    break;
  case TAO_DIVERGED_USER:
    snprintf(text, length, "it was asked to stop");
    break;
  default:
    snprintf(text, length, "TAO says %s", TaoConvergedReasons[reason]);
  }
  PetscFunctionReturn(0);
}

/* Start after start, until one ends otherwise than by a failed search, or takes no point. */
static PetscErrorCode run(RtTao *t, TaoConvergedReason *reason)
{
  PetscFunctionBegin;
  for (;; t->restarts++) {
    int64_t before = t->iterations;

    PetscCall(begin(t));
    PetscCall(TaoSolve(t->tao));
    PetscCall(TaoGetConvergedReason(t->tao, reason));
    if (t->stopping) *reason = TAO_DIVERGED_USER;
    if (*reason != TAO_DIVERGED_LS_FAILURE) break;
    if (t->iterations == before || t->iterations == t->most || t->restarts == t->params.restarts) break;
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_tao_solve(RtTao *tao, double *x, int64_t iterations, RtTaoResult *result)
{
  TaoConvergedReason reason = TAO_CONTINUE_ITERATING;
  const double *from;
  double *to;

  PetscFunctionBegin;
  PetscCall(VecGetArrayWrite(tao->taken, &to));
  PetscCall(PetscArraycpy(to, x, tao->params.count));
  PetscCall(VecRestoreArrayWrite(tao->taken, &to));
  tao->started = tao->stopping = false;
  tao->iterations = tao->evaluations = tao->restarts = tao->walls = 0;
  tao->most = iterations;
  PetscCall(run(tao, &reason));
  PetscCall(VecGetArrayRead(tao->taken, &from));
  PetscCall(PetscArraycpy(x, from, tao->params.count));
  PetscCall(VecRestoreArrayRead(tao->taken, &from));
  *result = (RtTaoResult){.stopped = tao->stopping,
                          .iterations = tao->iterations,
                          .evaluations = tao->evaluations,
                          .restarts = tao->restarts,
                          .value = tao->value};
  PetscCall(explain(tao, reason, result->reason, sizeof(result->reason)));
  PetscFunctionReturn(0);
}

static int compare_words(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether an option, without its dash, changes the way of TAO. */
static bool matters(const char *name)
{
  static const char *const idle[] = {"tao_type",       "tao_monitor", "tao_view", "tao_converged_reason",
                                     "tao_ls_monitor", "tao_ls_view", "tao_test"};

  if (strncmp(name, "tao_", 4)) return false;
  for (size_t i = 0; i < sizeof(idle) / sizeof(*idle); i++)
    if (!strncmp(name, idle[i], strlen(idle[i]))) return false;
  return true;
}

/* The lines of `words`, which is cut into them: -name value …. A value does not begin with a dash and a letter. */
static int cut_lines(char *words, int most, char **line)
{
  int lines = 0;
  bool taken = false;

  for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) {
    if (word[0] == '-' && isalpha((unsigned char)word[1])) {
      taken = lines < most && matters(word + 1);
      if (taken) line[lines++] = word + 1;
    } else if (taken) {
      word[-1] = '='; /* where strtok wrote the end of the name */
    }
  }
  return lines;
}

PetscErrorCode rt_tao_record(char **text)
{
  char *words, *line[64];
  size_t length, used = 0;
  int lines;

  PetscFunctionBegin;
  PetscCall(PetscOptionsGetAll(NULL, &words));
  length = strlen(words) + 64 * 2 + 1;
  PetscCall(PetscCalloc1(length, text));
  lines = cut_lines(words, 64, line);
  qsort(line, (size_t)lines, sizeof(*line), compare_words);
  for (int i = 0; i < lines; i++)
    used += (size_t)snprintf(*text + used, length - used, "%s%s\n", line[i], strchr(line[i], '=') ? "" : "=");
  PetscCall(PetscFree(words));
  PetscFunctionReturn(0);
}

/* --- a rehearsal ----------------------------------------------------------------------------------------------------
 */

/* Keeps the first thing that PETSc says. */
static PetscErrorCode listen(MPI_Comm comm, int line, const char *function, const char *file, PetscErrorCode code,
                             PetscErrorType type, const char *text, void *context)
{
  char *said = context;

  (void)comm;
  (void)line;
  (void)function;
  (void)file;
  if (type == PETSC_ERROR_INITIAL && text && !said[0]) {
    snprintf(said, SAID, "%s", text);
    said[strcspn(said, "\n")] = 0;
  }
  return code;
}

static PetscErrorCode small_objective(void *context, const double *x, double *gradient, double *value, bool *stop)
{
  PetscFunctionBegin;
  (void)context;
  (void)stop;
  *value = 0.5 * (x[0] * x[0] + 9 * x[1] * x[1]);
  gradient[0] = x[0];
  gradient[1] = 9 * x[1];
  PetscFunctionReturn(0);
}

static PetscErrorCode small_accept(void *context, const RtTaoPoint *point, bool *stop)
{
  PetscFunctionBegin;
  (void)context;
  (void)point;
  (void)stop;
  PetscFunctionReturn(0);
}

/* Minimize something small, by the options of the database on top. */
static PetscErrorCode rehearse(void)
{
  RtTaoParams params = {.comm = PETSC_COMM_SELF, .count = 2, .evaluate = small_objective, .accept = small_accept};
  double x[2] = {1, 1};
  RtTaoResult result;
  RtTao *tao = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_tao_create(&params, &tao);
  if (!error) error = rt_tao_solve(tao, x, 3, &result);
  (void)rt_tao_destroy(&tao);
  PetscFunctionReturn(error);
}

/* A database of the options that matter, and of the type. lines: as rt_tao_record gives them; they are cut up. */
static PetscErrorCode copy_options(char *lines, PetscOptions own)
{
  char type[16], name[128];

  PetscFunctionBegin;
  PetscCall(choose_type(type, sizeof(type)));
  PetscCall(PetscOptionsSetValue(own, "-tao_type", type));
  for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n")) {
    char *value = strchr(line, '=');

    *value++ = 0;
    snprintf(name, sizeof(name), "-%s", line);
    PetscCall(PetscOptionsSetValue(own, name, value[0] ? value : NULL));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode refuse_unused(PetscOptions own)
{
  char **name, **value, type[16], first[128] = "";
  PetscInt left;

  PetscFunctionBegin;
  PetscCall(choose_type(type, sizeof(type)));
  PetscCall(PetscOptionsLeftGet(own, &left, &name, &value));
  if (left) PetscCall(PetscStrncpy(first, name[0], sizeof(first)));
  PetscCall(PetscOptionsLeftRestore(own, &left, &name, &value));
  if (first[0])
    RtUsage("unknown option -%s: TAO's %s does not read it; PETSc's manual lists what it reads", first, type);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_tao_check(void)
{
  char *lines, said[SAID] = "";
  PetscOptions own;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscOptionsCreate(&own));
  PetscCall(rt_tao_record(&lines));
  error = copy_options(lines, own);
  PetscCall(PetscFree(lines));
  if (!error) {
    PetscCall(PetscOptionsPush(own));
    PetscCall(PetscPushErrorHandler(listen, said));
    error = rehearse();
    PetscCall(PetscPopErrorHandler());
    PetscCall(PetscOptionsPop());
    if (!error) error = refuse_unused(own);
  }
  PetscCall(PetscOptionsDestroy(&own));
  if (said[0]) RtUsage("the optimizer tao: PETSc refuses an option: %s", said);
  PetscCall(error);
  PetscFunctionReturn(0);
}
