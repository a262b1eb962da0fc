#include "train/objective.h"

#include "distill/softmax.h"

#include <math.h>

/* The place of a value among the taps; a new one where it is not there yet. */
static int place_of(RtObjective *o, int value)
{
  for (int i = 0; i < o->taps; i++)
    if (o->tap[i].value == value) return i;
  o->tap[o->taps] = (RtTap){.value = value};
  return o->taps++;
}

/* What the student is compared with of its own. */
static PetscErrorCode place_own(const RtGraph *student, RtObjective *o)
{
  const char *name[RT_TERMS];

  PetscFunctionBegin;
  o->teachers = rt_terms_teachers(o->terms, name);
  for (int i = 0; i < o->teachers; i++) {
    int value;

    PetscCall(rt_tap_find(student, name[i], "student as its own teacher", &value));
    o->own[i] = place_of(o, value);
  }
  for (int k = 0; k < o->terms->count; k++) {
    const int i = rt_terms_teacher_of(o->terms, k);

    RtCheck(i < 0 || o->own[i] != o->student[k], "the term '%s' compares '%s' of the student with itself",
            o->terms->term[k].name, o->terms->term[k].teacher);
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_objective_create(const RtTerms *terms, const RtGraph *student, bool self, RtObjective *objective)
{
  RtObjective *o = objective;

  PetscFunctionBegin;
  *o = (RtObjective){.terms = terms, .self = self};
  (void)place_of(o, rt_tap_logits(student));
  for (int k = 0; k < terms->count; k++) {
    int value = -1;

    PetscCall(rt_tap_find(student, terms->term[k].student, "student", &value));
    o->student[k] = place_of(o, value);
    o->tap[o->student[k]].gradient = true;
  }
  if (self) PetscCall(place_own(student, o));
  PetscFunctionReturn(0);
}

void rt_objective_own(const RtObjective *objective, const float *const *tap, const float **teacher)
{
  for (int i = 0; i < objective->teachers; i++) teacher[i] = tap[objective->own[i]];
}

/* Widths of the teacher's taps, and whether those that are compared fit. */
static PetscErrorCode bind_teacher(int teachers, const int *teacher_width, RtObjective *o)
{
  const char *name[RT_TERMS];

  PetscFunctionBegin;
  o->teachers = rt_terms_teachers(o->terms, name);
  for (int i = 0; i < o->teachers; i++) {
    RtCheck(o->self || i < teachers, "the tap '%s' is not in the store: keep it there, or set -distill_teacher here",
            name[i]);
    o->teacher_width[i] = o->self ? o->width[o->own[i]] : teacher_width[i];
  }
  for (int k = 0; k < o->terms->count; k++) {
    const RtTerm *term = &o->terms->term[k];
    const int width = o->width[o->student[k]], i = o->teacher[k] = rt_terms_teacher_of(o->terms, k);

    if (i >= 0 && !(term->loss->traits & RT_LOSS_WIDTHS))
      RtCheck(width == o->teacher_width[i], "the map of the term '%s' to %d numbers is not attached", term->name,
              o->teacher_width[i]);
    RtCheck(i >= 0 || width == o->width[0],
            "the term '%s' of the objective compares %d numbers of the student ('%s') with the dataset's %d",
            term->name, width, term->student, o->width[0]);
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_objective_bind(const RtPlan *plan, int64_t batch, int teachers, const int *width,
                                 RtObjective *objective)
{
  PetscFunctionBegin;
  for (int i = 0; i < objective->taps; i++) {
    int64_t dim[RT_MAX_DIM], numbers = 1;
    int ndim = rt_plan_shape(plan, objective->tap[i].value, dim);

    for (int k = 1; k < ndim; k++) numbers *= dim[k]; /* the plan has checked that it fits */
    RtCheck(ndim >= 2 && dim[0] == batch && rt_plan_type(plan, objective->tap[i].value) == RT_FLOAT &&
                numbers <= INT32_MAX / 16,
            "a term of the objective reads a value of the student that has no row of floats for each sample");
    objective->width[i] = (int)numbers;
  }
  PetscCall(bind_teacher(teachers, width, objective));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_objective_work_create(const RtObjective *objective, int64_t rows, RtObjectiveWork *work)
{
  PetscFunctionBegin;
  *work = (RtObjectiveWork){0};
  PetscCall(PetscMalloc1(rows * objective->terms->count + 1, &work->value));
  for (int i = 0; i < objective->taps; i++)
    if (objective->tap[i].gradient) PetscCall(PetscMalloc1(rows * objective->width[i], &work->gradient[i]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_objective_work_destroy(RtObjectiveWork *work)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(work->value));
  for (int i = 0; i < RT_OBJECTIVE_TAPS; i++) PetscCall(PetscFree(work->gradient[i]));
  PetscFunctionReturn(0);
}

/* Rows, and those whose largest output is the label's, the first of equals. */
static void count(const RtObjective *o, const RtObjectiveRows *rows, RtObjectiveSums *sums)
{
  const int width = o->width[0];

  for (int64_t r = 0; r < rows->rows; r++) {
    if (rows->sample[r] < 0) continue;
    sums->count += 1;
    if (rows->label) sums->correct += rt_softmax_largest(width, rows->tap[0] + r * width) == rows->label[r];
  }
}

/* A term whose loss couples rows: what the meeting made of these. */
static void take_met(const RtObjective *o, const RtObjectiveRows *rows, const RtObjectiveMet *met, int k,
                     RtObjectiveWork *work)
{
  const int64_t width = o->width[o->student[k]];
  double *value = work->value + k * rows->rows, *gradient = work->gradient[o->student[k]];

  for (int64_t r = 0; r < rows->rows; r++) value[r] = met ? met->value[k][r] : 0;
  for (int64_t i = 0; met && i < rows->rows * width; i++) gradient[i] += met->gradient[k][i];
}

static PetscErrorCode evaluate_term(const RtObjective *o, const RtObjectiveRows *rows, const RtObjectiveMet *met, int k,
                                    RtObjectiveWork *work, double *weight)
{
  const RtTerm *term = &o->terms->term[k];
  RtLossRows loss = {.rows = rows->rows,
                     .width = o->width[o->student[k]],
                     .sample = rows->sample,
                     .student = rows->tap[o->student[k]],
                     .teacher = term->reference == RT_TERMS_TARGET ? rows->target : NULL,
                     .label = rows->label,
                     .option = term->option};

  PetscFunctionBegin;
  rt_terms_now(term, rows->step, rows->total, rows->epoch, &loss.weight, &loss.temperature);
  *weight = loss.weight;
  if (term->loss->meet) {
    take_met(o, rows, met, k, work);
    PetscFunctionReturn(0);
  }
  if (o->teacher[k] >= 0) loss.teacher = rows->teacher[o->teacher[k]];
  PetscCheck(!(term->loss->traits & RT_LOSS_TEACHER) || loss.teacher, PETSC_COMM_SELF, PETSC_ERR_ARG_NULL,
             "Term %s has nothing to compare with", term->name);
  PetscCheck(!(term->loss->traits & RT_LOSS_LABEL) || loss.label, PETSC_COMM_SELF, PETSC_ERR_ARG_NULL,
             "Term %s has no labels", term->name);
  PetscCall(term->loss->evaluate(&loss, work->value + k * rows->rows, work->gradient[o->student[k]]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_objective_evaluate(const RtObjective *objective, const RtObjectiveRows *rows,
                                     const RtObjectiveMet *met, RtObjectiveWork *work, RtObjectiveSums *sums)
{
  const RtObjective *o = objective;
  double weight[RT_TERMS];

  PetscFunctionBegin;
  for (int i = 0; i < o->taps; i++)
    if (work->gradient[i]) PetscCall(PetscArrayzero(work->gradient[i], rows->rows * o->width[i]));
  for (int k = 0; k < o->terms->count; k++) PetscCall(evaluate_term(o, rows, met, k, work, &weight[k]));
  count(o, rows, sums);
  for (int64_t r = 0; r < rows->rows; r++) {
    double total = 0;

    for (int k = 0; k < o->terms->count; k++) {
      const double value = work->value[k * rows->rows + r];

      total += weight[k] * value;
      sums->term[k] += value;
    }
    sums->total += total;
  }
  PetscFunctionReturn(0);
}

bool rt_objective_finite(const RtObjective *objective, const RtObjectiveSums *sums)
{
  bool finite = fabs(sums->total) < 0x1p60;

  for (int k = 0; k < objective->terms->count; k++) finite = finite && fabs(sums->term[k]) < 0x1p60;
  return finite;
}

/* The first of the taps with a gradient that share the place of tap i. */
static int owner_of(const RtObjective *o, const RtPlan *plan, int i)
{
  int first = 0;

  while (!o->tap[first].gradient || rt_plan_shared(plan, first) != rt_plan_shared(plan, i)) first++;
  return first;
}

void rt_objective_put(const RtObjective *objective, const RtPlan *plan, RtWork *work, int64_t rows, double scale,
                      RtObjectiveWork *of)
{
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < objective->taps; i++) {
      const int64_t count = rows * objective->width[i];
      const double *from = of->gradient[i];
      int owner;

      if (!from) continue;
      owner = owner_of(objective, plan, i);
      if (!pass && owner != i)
        for (int64_t k = 0; k < count; k++) of->gradient[owner][k] += from[k];
      if (pass && owner == i) {
        float *to = rt_work_dtap(work, i);

        for (int64_t k = 0; k < count; k++) to[k] = (float)(scale * from[k]);
      }
    }
}
