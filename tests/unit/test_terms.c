/* Terms of an objective: the short form, schedules, taps of the teacher, and the weighted sum over the rows of a lane,
   whose gradients begin at the taps that terms name. */
#include "support.h"

#include "model/recipe.h"
#include "train/objective.h"

#include <math.h>
#include <string.h>

enum { ROWS = 5, FEATURES = 6, HIDDEN = 8, CLASSES = 3 };

static void test_short(void)
{
  const char *name[RT_TERMS];
  RtTerms terms;

  rt_terms_short(rt_loss_find("kl"), 4, 0.75, 0.1, &terms);
  RT_TEST_CHECK(terms.count == 2 && rt_terms_teachers(&terms, name) > 0 && !rt_terms_meet(&terms), "%d terms",
                terms.count);
  RT_TEST_CHECK(!strcmp(terms.term[0].name, "soft") && terms.term[0].loss == &rt_loss_kl, "%s", terms.term[0].name);
  RT_TEST_CHECK(terms.term[0].weight == 0.75 && terms.term[0].temperature == 4, "weight %g", terms.term[0].weight);
  RT_TEST_CHECK(!strcmp(terms.term[1].name, "hard") && terms.term[1].loss == &rt_loss_ce, "%s", terms.term[1].name);
  RT_TEST_CHECK(terms.term[1].weight == 0.25 && terms.term[1].option[0] == 0.1, "weight %g", terms.term[1].weight);
  RT_TEST_CHECK(terms.term[1].reference == RT_TERMS_NOTHING, "the label is no reference");
  rt_terms_short(rt_loss_find("logits"), 4, 1, 0, &terms);
  RT_TEST_CHECK(terms.count == 1 && terms.term[0].loss == &rt_loss_logits, "%d terms", terms.count);
  rt_terms_short(rt_loss_find("logits"), 4, 0, 0, &terms);
  RT_TEST_CHECK(terms.count == 1 && terms.term[0].loss == &rt_loss_ce && rt_terms_teachers(&terms, name) == 0,
                "no teacher");
  rt_terms_short(rt_loss_find("mse"), 4, 0.5, 0, &terms);
  RT_TEST_CHECK(terms.count == 2 && terms.term[1].loss == &rt_loss_mse, "numbers have no cross-entropy");
  RT_TEST_CHECK(terms.term[0].reference == RT_TERMS_TEACHER && terms.term[1].reference == RT_TERMS_TARGET,
                "references");
}

/* What a term weighs at the first, a middle and the last of 101 steps, 10 of them an epoch. */
static void test_schedules(void)
{
  static const int64_t step[] = {0, 9, 50, 100};
  static const double weight[] = {2, 1.91, 1.5, 1}, warm[] = {0.1, 0.955, 1.5, 1}, temperature[] = {4, 3.82, 3, 2};
  RtTerm term, still;
  double w, T;

  rt_terms_start("a", rt_loss_find("rkd"), &still);
  RT_TEST_CHECK(still.option[0] == 25 && still.option[1] == 50 && still.weight == 1, "defaults");
  rt_terms_start("a", rt_loss_find("kl"), &term);
  term.weight = 2;
  term.weight_last = 1;
  term.temperature = 4;
  term.temperature_last = 2;
  for (int i = 0; i < 4; i++) {
    term.warmup = 0;
    rt_terms_now(&term, step[i], 101, 10, &w, &T);
    RT_TEST_CHECK(fabs(w - weight[i]) < 1e-12 && fabs(T - temperature[i]) < 1e-12, "step %d: %g at %g", (int)step[i], w,
                  T);
    term.warmup = 2;
    rt_terms_now(&term, step[i], 101, 10, &w, &T);
    RT_TEST_CHECK(fabs(w - warm[i]) < 1e-12, "step %d: %g after a warm-up", (int)step[i], w);
    rt_terms_now(&still, step[i], 101, 10, &w, &T);
    RT_TEST_CHECK(w == 1 && T == 1, "step %d: %g at %g changed", (int)step[i], w, T);
  }
  rt_terms_now(&term, 0, 1, 0, &w, &T);
  RT_TEST_CHECK(w == 2 && T == 4, "a single step: %g at %g", w, T);
}

static RtGraph *make_model(void)
{
  static const RtDatasetInfo info = {.ndim = 1,
                                     .dim = {FEATURES},
                                     .dim_name = {"feature"},
                                     .size = FEATURES,
                                     .type = RT_FLOAT,
                                     .scale = 1,
                                     .classes = CLASSES};
  static const int64_t hidden[] = {HIDDEN};
  static const double dropout[] = {0, 0};
  RtRecipe recipe = {.layers = 1, .hidden = hidden, .dropouts = 2, .dropout = dropout, .seed = 1};
  RtGraph *graph;

  RT_MUST(rt_recipe_mlp(&recipe, &info, &graph));
  return graph;
}

/* Two terms of the logits, one of a layer, and one that meets. */
static void list_terms(RtTerms *terms)
{
  rt_terms_short(rt_loss_find("kl"), 2, 0.75, 0, terms);
  terms->count = 4;
  rt_terms_start("layer", rt_loss_find("hint"), &terms->term[2]);
  snprintf(terms->term[2].student, RT_TERMS_END, "hidden:1");
  snprintf(terms->term[2].teacher, RT_TERMS_END, "pool");
  terms->term[2].weight = terms->term[2].weight_last = 0.5;
  rt_terms_start("relations", rt_loss_find("rkd"), &terms->term[3]);
  snprintf(terms->term[3].teacher, RT_TERMS_END, "pool");
  terms->term[3].weight = terms->term[3].weight_last = 3;
}

typedef struct {
  float logits[ROWS * CLASSES], layer[ROWS * HIDDEN], soft[ROWS * CLASSES], pool[ROWS * HIDDEN];
  int64_t sample[ROWS];
  int32_t label[ROWS];
  double met_value[ROWS], met_gradient[ROWS * CLASSES];
} Data;

/* Row 3 is padding. Of the others, the largest logit is the label's in rows 0 and 4: in row 0 it is the first of
   equals, in row 1 it is not. */
static void draw(Data *d)
{
  rt_support_normal(ROWS * CLASSES, d->logits);
  rt_support_normal(ROWS * HIDDEN, d->layer);
  rt_support_normal(ROWS * CLASSES, d->soft);
  rt_support_normal(ROWS * HIDDEN, d->pool);
  for (int r = 0; r < ROWS; r++) {
    d->sample[r] = r == 3 ? -1 : r;
    d->label[r] = r == 1 || r == 4 ? 1 : 0;
    d->met_value[r] = r == 3 ? 0 : 10 + r;
    for (int c = 0; c < CLASSES; c++) d->met_gradient[r * CLASSES + c] = r == 3 ? 0 : r + 0.25 * c;
  }
  memcpy(d->logits, (float[]){1, 1, 0, 2, 2, 0, 0, 0, 3}, 9 * sizeof(float));
  memcpy(d->logits + 4 * CLASSES, (float[]){0, 5, 1}, 3 * sizeof(float));
}

/* One term alone, by its loss. */
static void evaluate(const RtTerm *term, const Data *d, int width, const float *student, const float *teacher,
                     double value[ROWS], double *gradient)
{
  RtLossRows rows = {ROWS, width, d->sample, student, teacher, d->label, term->weight, term->temperature, term->option};

  RT_MUST(term->loss->evaluate(&rows, value, gradient));
}

static void check_sums(const RtTerms *terms, const Data *d, const RtObjectiveSums *sums, const RtObjectiveWork *work)
{
  double value[3][ROWS], logits[ROWS * CLASSES] = {0}, layer[ROWS * HIDDEN] = {0}, total = 0;

  evaluate(&terms->term[0], d, CLASSES, d->logits, d->soft, value[0], logits);
  evaluate(&terms->term[1], d, CLASSES, d->logits, NULL, value[1], logits);
  evaluate(&terms->term[2], d, HIDDEN, d->layer, d->pool, value[2], layer);
  for (int i = 0; i < ROWS * CLASSES; i++) logits[i] += d->met_gradient[i];
  for (int r = 0; r < ROWS; r++)
    total += 0.75 * value[0][r] + 0.25 * value[1][r] + 0.5 * value[2][r] + 3 * d->met_value[r];
  RT_TEST_CHECK(fabs(sums->total - total) < 1e-12 * total, "total %.17g, not %.17g", sums->total, total);
  RT_TEST_CHECK(sums->term[3] == 10 + 11 + 12 + 14, "the meeting's values: %g", sums->term[3]);
  RT_TEST_CHECK(sums->count == 4 && sums->correct == 2, "%g correct of %g", sums->correct, sums->count);
  RT_TEST_CHECK(!memcmp(work->gradient[0], logits, sizeof(logits)), "gradients of the logits");
  RT_TEST_CHECK(!memcmp(work->gradient[1], layer, sizeof(layer)), "gradients of the layer");
}

/* Twice, as nothing may be left of the time before; the second time without a meeting. */
static void test_objective(void)
{
  static Data d;
  const float *tap[] = {d.logits, d.layer}, *teacher[] = {d.soft, d.pool};
  const int width[] = {CLASSES, HIDDEN};
  RtObjectiveRows rows = {
      .rows = ROWS, .sample = d.sample, .tap = tap, .teacher = teacher, .label = d.label, .step = 3, .total = 10};
  RtObjectiveMet met = {.value = {[3] = d.met_value}, .gradient = {[3] = d.met_gradient}};
  RtObjectiveSums sums = {0};
  RtGraph *graph = make_model();
  RtPlanParams params = {.training = true, .batch = ROWS};
  RtObjective objective;
  RtObjectiveWork of;
  RtTerms terms;
  RtPlan *plan;
  RtWork *work;

  list_terms(&terms);
  RT_MUST(rt_objective_create(&terms, graph, false, &objective));
  params.taps = objective.taps;
  params.tap = objective.tap;
  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_MUST(rt_work_create(plan, &work));
  RT_MUST(rt_objective_bind(plan, ROWS, 2, width, &objective));
  RT_MUST(rt_objective_work_create(&objective, ROWS, &of));
  RT_TEST_CHECK(objective.taps == 2 && objective.teachers == 2 && rt_terms_meet(&terms), "%d taps", objective.taps);
  draw(&d);
  RT_MUST(rt_objective_evaluate(&objective, &rows, &met, &of, &sums));
  check_sums(&terms, &d, &sums, &of);
  rt_objective_put(&objective, plan, work, ROWS, 0.125, &of);
  for (int i = 0; i < ROWS * CLASSES; i++)
    RT_TEST_CHECK(rt_work_dtap(work, 0)[i] == (float)(0.125 * of.gradient[0][i]), "%g", rt_work_dtap(work, 0)[i]);
  for (int i = 0; i < ROWS * HIDDEN; i++)
    RT_TEST_CHECK(rt_work_dtap(work, 1)[i] == (float)(0.125 * of.gradient[1][i]), "%g", rt_work_dtap(work, 1)[i]);
  memset(d.met_gradient, 0, sizeof(d.met_gradient));
  RT_MUST(rt_objective_evaluate(&objective, &rows, NULL, &of, &sums));
  RT_TEST_CHECK(sums.term[3] == 47 && sums.count == 8 && sums.correct == 4, "sums are added to");
  RT_TEST_CHECK(rt_objective_finite(&objective, &sums), "finite");
  d.layer[0] = NAN;
  RT_MUST(rt_objective_evaluate(&objective, &rows, NULL, &of, &sums));
  RT_TEST_CHECK(!rt_objective_finite(&objective, &sums), "a NaN is lost");
  RT_MUST(rt_objective_work_destroy(&of));
  RT_MUST(rt_work_destroy(&work));
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}

/* What a store without the teacher's layers says, and taps that are not there. */
static void test_mistakes(void)
{
  const int width[] = {CLASSES, HIDDEN};
  RtGraph *graph = make_model();
  RtPlanParams params = {.training = true, .batch = ROWS};
  RtObjective objective;
  RtTerms terms;
  RtPlan *plan;

  list_terms(&terms);
  RT_MUST(rt_objective_create(&terms, graph, false, &objective));
  params.taps = objective.taps;
  params.tap = objective.tap;
  RT_MUST(rt_plan_create(graph, &params, &plan));
  RT_TEST_SAYS(rt_objective_bind(plan, ROWS, 1, width, &objective), RT_ERR_FAILED, "pool|-distill_teacher here");
  snprintf(terms.term[2].student, RT_TERMS_END, "hidden:7");
  RT_TEST_SAYS(rt_objective_create(&terms, graph, false, &objective), RT_ERR_FAILED, "student|hidden:7");
  RT_MUST(rt_plan_destroy(&plan));
  RT_MUST(rt_graph_destroy(&graph));
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  test_short();
  test_schedules();
  test_objective();
  test_mistakes();
  return 0;
}

RT_TEST_MAIN(test)
