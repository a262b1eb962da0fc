/* TAO in double on any number of ranks: a quadratic against its closed form, logistic regression against Newton's
   method, to 1e-8, for every type; walls of infinity, stops, failing line searches, mistakes. */
#include "support.h"

#include "optim/tao.h"

#include <math.h>

enum { MOST = 37, SAMPLES = 60, FEATURES = 9 };

typedef enum { NOTHING, UNTIL_RESTART, FOR_EVER } Lie;

typedef struct Problem {
  int n, first, count; /* unknowns: all, and those of this rank */
  double (*compute)(const struct Problem *problem, const double *x, double *gradient);
  double x[MOST], gradient[MOST]; /* all of the last evaluation */
  double taken[MOST];             /* the point that was taken last */
  double value;
  int64_t evaluations, points, stop_evaluation, stop_point, fail_evaluation, lie_point;
  Lie lie;
  int upwards; /* values of points that were not below the one before */
} Problem;

static double matrix[MOST][MOST], solution[MOST];
static double feature[SAMPLES][FEATURES], label[SAMPLES];
static int rank, size;

/* --- problems ----------------------------------------------------------------------------------------------------- */

static double quadratic(const Problem *problem, const double *x, double *gradient)
{
  double value = 0;

  for (int i = 0; i < problem->n; i++) {
    gradient[i] = 0;
    for (int j = 0; j < problem->n; j++) gradient[i] += matrix[i][j] * (x[j] - solution[j]);
    value += 0.5 * gradient[i] * (x[i] - solution[i]);
  }
  return value;
}

static double logistic(const Problem *problem, const double *x, double *gradient)
{
  double value = 0;

  for (int f = 0; f < problem->n; f++) {
    gradient[f] = 0.1 * x[f];
    value += 0.05 * x[f] * x[f];
  }
  for (int i = 0; i < SAMPLES; i++) {
    double z = 0;

    for (int f = 0; f < problem->n; f++) z += feature[i][f] * x[f];
    z *= label[i];
    value += (z > 0 ? log1p(exp(-z)) : log1p(exp(z)) - z) / SAMPLES;
    for (int f = 0; f < problem->n; f++) gradient[f] -= label[i] * feature[i][f] / (1 + exp(z)) / SAMPLES;
  }
  return value;
}

/* Least at 1, infinite from 0 down. */
static double wall(const Problem *problem, const double *x, double *gradient)
{
  double value = 0;

  for (int i = 0; i < problem->n; i++) {
    double weight = 1 + 0.2 * i;

    if (!(x[i] > 0)) return i % 2 ? NAN : INFINITY;
    value += weight * (x[i] - log(x[i]));
    gradient[i] = weight * (1 - 1 / x[i]);
  }
  return value;
}

/* Solve A x = b by Cholesky's method; A: [n][MOST], overwritten. */
static void solve(int n, double a[][MOST], const double *b, double *x)
{
  for (int j = 0; j < n; j++)
    for (int i = j; i < n; i++) {
      for (int k = 0; k < j; k++) a[i][j] -= a[i][k] * a[j][k];
      a[i][j] = i == j ? sqrt(a[i][j]) : a[i][j] / a[j][j];
    }
  for (int i = 0; i < n; i++) {
    x[i] = b[i];
    for (int k = 0; k < i; k++) x[i] -= a[i][k] * x[k];
    x[i] /= a[i][i];
  }
  for (int i = n - 1; i >= 0; i--) {
    for (int k = i + 1; k < n; k++) x[i] -= a[k][i] * x[k];
    x[i] /= a[i][i];
  }
}

/* The least of `logistic` by Newton's method. */
static void newton(const Problem *problem, double *x)
{
  double hessian[FEATURES][MOST], gradient[FEATURES], step[FEATURES];

  memset(x, 0, FEATURES * sizeof(*x));
  for (int k = 0; k < 30; k++) {
    (void)logistic(problem, x, gradient);
    memset(hessian, 0, sizeof(hessian));
    for (int f = 0; f < FEATURES; f++) hessian[f][f] = 0.1;
    for (int i = 0; i < SAMPLES; i++) {
      double z = 0;

      for (int f = 0; f < FEATURES; f++) z += feature[i][f] * x[f];
      for (int f = 0; f < FEATURES; f++)
        for (int g = 0; g < FEATURES; g++)
          hessian[f][g] += feature[i][f] * feature[i][g] / (2 + exp(z) + exp(-z)) / SAMPLES;
    }
    solve(FEATURES, hessian, gradient, step);
    for (int f = 0; f < FEATURES; f++) x[f] -= step[f];
  }
}

/* A matrix whose eigenvalues are at least 1, and a solution. */
static void make_quadratic(void)
{
  float noise[MOST];

  for (int i = 0; i < MOST; i++) matrix[i][i] = 1;
  for (int k = 0; k < MOST; k++) {
    rt_support_normal(MOST, noise);
    for (int i = 0; i < MOST; i++)
      for (int j = 0; j < MOST; j++) matrix[i][j] += 0.02 * k * noise[i] * noise[j];
  }
  rt_support_normal(MOST, noise);
  for (int i = 0; i < MOST; i++) solution[i] = noise[i];
}

static void make_samples(void)
{
  float noise[SAMPLES * FEATURES], flip[SAMPLES];

  rt_support_normal(SAMPLES * FEATURES, noise);
  rt_support_normal(SAMPLES, flip);
  for (int i = 0; i < SAMPLES; i++) {
    for (int f = 0; f < FEATURES; f++) feature[i][f] = noise[i * FEATURES + f];
    label[i] = feature[i][0] - feature[i][1] + 0.7 * flip[i] > 0 ? 1 : -1;
  }
}

/* --- callbacks ---------------------------------------------------------------------------------------------------- */

/* Every rank computes all, so the value has the same bits everywhere. */
static PetscErrorCode evaluate(void *context, const double *x, double *gradient, double *value, bool *stop)
{
  Problem *p = context;
  int counts[64], firsts[64];

  PetscFunctionBegin;
  MPI_Allgather(&p->count, 1, MPI_INT, counts, 1, MPI_INT, PETSC_COMM_WORLD);
  MPI_Allgather(&p->first, 1, MPI_INT, firsts, 1, MPI_INT, PETSC_COMM_WORLD);
  MPI_Allgatherv(x, p->count, MPI_DOUBLE, p->x, counts, firsts, MPI_DOUBLE, PETSC_COMM_WORLD);
  p->evaluations++;
  RtCheck(p->evaluations != p->fail_evaluation, "evaluation %d fails", (int)p->evaluations);
  *stop = p->evaluations == p->stop_evaluation;
  if (*stop) PetscFunctionReturn(0);
  p->value = p->compute(p, p->x, p->gradient);
  if (p->lie == UNTIL_RESTART && p->points >= p->lie_point && !memcmp(p->x, p->taken, sizeof(p->x))) p->lie = NOTHING;
  if (p->lie && p->points >= p->lie_point && memcmp(p->x, p->taken, sizeof(p->x))) p->value += 1e3;
  memcpy(gradient, p->gradient + p->first, (size_t)p->count * sizeof(double));
  *value = p->value;
  PetscFunctionReturn(0);
}

static PetscErrorCode accept(void *context, const RtTaoPoint *point, bool *stop)
{
  Problem *p = context;
  static double last;

  PetscFunctionBegin;
  p->points++;
  RT_TEST_CHECK(point->iteration == p->points, "point %d is said to be %d", (int)p->points, (int)point->iteration);
  RT_TEST_CHECK(!memcmp(point->x, p->x + p->first, (size_t)p->count * sizeof(double)) || point->value != p->value,
                "another point has the value of the last evaluation");
  if (p->points > 1 && point->value >= last) p->upwards++;
  last = point->value;
  memcpy(p->taken, p->x, sizeof(p->x));
  *stop = p->points == p->stop_point;
  PetscFunctionReturn(0);
}

/* --- runs --------------------------------------------------------------------------------------------------------- */

/* First unknown of a rank: shares are unequal, and from 3 ranks on rank 1 has none. */
static int first_of(int n, int which)
{
  if (size <= 2) return which == 0 ? 0 : which == size ? n : n / 3;
  return which == 0 ? 0 : which == 1 ? n / 3 : n / 3 + (n - n / 3) * (which - 2) / (size - 2);
}

static Problem problem_of(int n, double (*compute)(const Problem *, const double *, double *))
{
  int first = first_of(n, rank);

  return (Problem){.n = n, .first = first, .count = first_of(n, rank + 1) - first, .compute = compute};
}

static void option(const char *name, const char *value)
{
  RT_MUST(value ? PetscOptionsSetValue(NULL, name, value) : PetscOptionsClearValue(NULL, name));
}

/* Minimize from `start` in each unknown. Returns the error; off: largest distance from `wanted`, over the largest of
   its numbers. */
static PetscErrorCode minimize(Problem *p, double start, int64_t iterations, const double *wanted, double *off,
                               RtTaoResult *result)
{
  RtTaoParams params = {
      .comm = PETSC_COMM_WORLD, .count = p->count, .restarts = 5, .context = p, .evaluate = evaluate, .accept = accept};
  RtTao *tao = NULL;
  double x[MOST], most = 0;
  PetscErrorCode error;

  PetscFunctionBegin;
  for (int i = 0; i < MOST; i++) x[i] = start;
  error = rt_tao_create(&params, &tao);
  if (!error) error = rt_tao_solve(tao, x, iterations, result);
  RT_MUST(rt_tao_destroy(&tao));
  *off = 0;
  for (int i = 0; i < p->n; i++) most = fmax(most, fabs(wanted[i]));
  for (int i = 0; i < p->count; i++) *off = fmax(*off, fabs(x[i] - wanted[p->first + i]) / most);
  MPI_Allreduce(MPI_IN_PLACE, off, 1, MPI_DOUBLE, MPI_MAX, PETSC_COMM_WORLD);
  PetscFunctionReturn(error);
}

static void test_types(void)
{
  double least[MOST], one[MOST], off, other;
  char names[128], *next = names;
  RtTaoResult result;
  Problem p = problem_of(FEATURES, logistic);

  newton(&p, least);
  (void)logistic(&p, least, p.gradient);
  for (int f = 0; f < FEATURES; f++) RT_TEST_CHECK(fabs(p.gradient[f]) < 1e-14, "Newton ends at %g", p.gradient[f]);
  for (int i = 0; i < MOST; i++) one[i] = 1;
  option("-tao_gatol", "3e-10");
  option("-tao_grtol", "0");
  snprintf(names, sizeof(names), "%s", rt_tao_types());
  for (char *name = strtok_r(names, "|", &next); name; name = strtok_r(NULL, "|", &next)) {
    option("-tao_type", name);
    p = problem_of(MOST, quadratic);
    RT_MUST(minimize(&p, 0, 2000, solution, &off, &result));
    RT_TEST_CHECK(off < 1e-8, "%s: the quadratic's solution is off by %g: %s", name, off, result.reason);
    RT_TEST_CHECK(result.evaluations == p.evaluations && result.iterations == p.points && p.points > 5,
                  "%s: %d evaluations, %d points", name, (int)result.evaluations, (int)result.iterations);
    p = problem_of(FEATURES, logistic);
    RT_MUST(minimize(&p, 0.3, 2000, least, &off, &result));
    RT_TEST_CHECK(off < 1e-8, "%s: logistic regression is off by %g: %s", name, off, result.reason);
    p = problem_of(20, wall);
    RT_MUST(minimize(&p, 30, 2000, one, &other, &result));
    RT_TEST_CHECK(other < 1e-5, "%s: beside the wall it is off by %g: %s", name, other, result.reason);
  }
  option("-tao_type", NULL);
}

/* A line search that finds nothing: TAO ends, starts anew from the point taken last, and gets there. */
static void test_restart(void)
{
  RtTaoResult result;
  Problem p = problem_of(MOST, quadratic);
  double off;

  p.lie = UNTIL_RESTART;
  p.lie_point = 7;
  RT_MUST(minimize(&p, 0, 2000, solution, &off, &result));
  RT_TEST_CHECK(p.lie == NOTHING && result.restarts >= 1 && result.restarts < 5, "%d new starts", result.restarts);
  RT_TEST_CHECK(off < 1e-8 && p.upwards == 0, "off by %g, %d steps upwards: %s", off, p.upwards, result.reason);
  option("-tao_max_it", "9"); /* over all starts */
  p = problem_of(MOST, quadratic);
  p.lie = UNTIL_RESTART;
  p.lie_point = 7;
  RT_MUST(minimize(&p, 0, 2000, solution, &off, &result));
  RT_TEST_CHECK(result.iterations == 9 && result.restarts >= 1, "%d iterations, %d new starts, 9 iterations allowed",
                (int)result.iterations, result.restarts);
  option("-tao_max_it", NULL);
  p = problem_of(MOST, quadratic);
  p.lie = FOR_EVER;
  p.lie_point = 7;
  RT_MUST(minimize(&p, 0, 2000, solution, &off, &result));
  RT_TEST_CHECK(result.restarts == 1 && result.iterations == 7 && p.points == 7, "%d new starts, %d iterations",
                result.restarts, (int)result.iterations);
  RT_TEST_CHECK(strstr(result.reason, "line search") && off > 1e-3, "off by %g: %s", off, result.reason);
}

/* Asked to stop within the first evaluation, within a line search, and after a point. */
static void test_stops(void)
{
  char names[128], *next = names;
  RtTaoResult result;
  double off;

  snprintf(names, sizeof(names), "%s", rt_tao_types());
  for (char *name = strtok_r(names, "|", &next); name; name = strtok_r(NULL, "|", &next)) {
    option("-tao_type", name);
    for (int at = 1; at < 6; at++) {
      Problem p = problem_of(MOST, quadratic);

      p.stop_evaluation = at;
      memset(p.taken, 0, sizeof(p.taken));
      RT_MUST(minimize(&p, 0, 2000, p.taken, &off, &result));
      RT_TEST_CHECK(result.stopped && p.evaluations == at, "%s: %d evaluations, asked to stop in number %d", name,
                    (int)p.evaluations, at);
      RT_TEST_CHECK(result.iterations == p.points && p.points < at, "%s: %d points", name, (int)p.points);
      p = problem_of(MOST, quadratic);
      p.stop_point = at;
      RT_MUST(minimize(&p, 0, 2000, p.taken, &off, &result));
      RT_TEST_CHECK(result.stopped && result.iterations == at && p.points == at && off == 0,
                    "%s: %d points, asked to stop after %d, and off by %g", name, (int)p.points, at, off);
    }
  }
  option("-tao_type", NULL);
}

static void test_ends(void)
{
  RtTaoResult result;
  Problem p = problem_of(MOST, quadratic);
  double off;

  RT_MUST(minimize(&p, 0, 6, solution, &off, &result));
  RT_TEST_CHECK(result.iterations == 6 && !result.stopped && strstr(result.reason, "iterations"), "%d iterations: %s",
                (int)result.iterations, result.reason);
  option("-tao_max_it", "4");
  p = problem_of(MOST, quadratic);
  RT_MUST(minimize(&p, 0, 6, solution, &off, &result));
  RT_TEST_CHECK(result.iterations == 4, "%d iterations, 4 wanted", (int)result.iterations);
  option("-tao_max_it", "9");
  p = problem_of(MOST, quadratic);
  RT_MUST(minimize(&p, 0, 6, solution, &off, &result));
  RT_TEST_CHECK(result.iterations == 6, "%d iterations, 6 wanted", (int)result.iterations);
  option("-tao_max_it", NULL);
  option("-tao_gttol", "1e-2");
  p = problem_of(MOST, quadratic);
  RT_MUST(minimize(&p, 0, 2000, solution, &off, &result));
  RT_TEST_CHECK(strstr(result.reason, "gttol 0.01"), "%s", result.reason);
  option("-tao_gttol", NULL);
  option("-tao_max_funcs", "10");
  p = problem_of(MOST, quadratic);
  RT_MUST(minimize(&p, 0, 2000, solution, &off, &result));
  RT_TEST_CHECK(strstr(result.reason, "-tao_max_funcs") && p.evaluations >= 10 && p.evaluations < 20,
                "%d evaluations: %s", (int)p.evaluations, result.reason);
  option("-tao_max_funcs", NULL);
}

static void test_mistakes(void)
{
  static const char *const others[] = {"nls", "tron", "bqnktr", "owlqn", "nm", "brgn", "lmv", "lmvm|cg", "nothing"};
  RtTaoResult result;
  Problem p = problem_of(20, wall);
  double off;

  RT_TEST_SAYS(minimize(&p, -1, 10, solution, &off, &result), RT_ERR_FAILED, "not finite|starts");
  for (int at = 1; at < 9; at += 3) {
    p = problem_of(MOST, quadratic);
    p.fail_evaluation = at;
    RT_TEST_SAYS(minimize(&p, 0, 10, solution, &off, &result), RT_ERR_FAILED, "evaluation|fails");
  }
  for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
    option("-tao_type", others[i]);
    p = problem_of(MOST, quadratic);
    RT_TEST_SAYS(minimize(&p, 0, 10, solution, &off, &result), RT_ERR_USAGE, "gradients|lmvm|bqnls");
    RT_TEST_CHECK(p.evaluations == 0, "%s is refused late", others[i]);
  }
  option("-tao_type", NULL);
}

/* What changes the way is recorded, in order, and nothing else is. */
static void test_record(void)
{
  char *text;

  option("-tao_ls_type", "armijo");
  option("-tao_monitor", NULL);
  option("-tao_fmin", "-3");
  option("-tao_type", "cg");
  option("-tao_view", "");
  option("-tao_bncg_alpha", "-.5");
  RT_MUST(rt_tao_record(&text));
  RT_TEST_CHECK(!strcmp(text, "tao_bncg_alpha=-.5\ntao_fmin=-3\ntao_gatol=3e-10\ntao_grtol=0\ntao_ls_type=armijo\n"),
                "the record is %s", text);
  RT_MUST(PetscFree(text));
}

static PetscErrorCode test(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  make_quadratic();
  make_samples();
  test_types();
  test_restart();
  test_stops();
  test_ends();
  test_mistakes();
  test_record();
  return 0;
}

RT_TEST_MAIN(test)
