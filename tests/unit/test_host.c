/* A program that lives with the library keeps what is its own: MPI, handlers of signals, the number of OpenMP threads,
   the environment. And the library computes the same bits whatever that number is. */
#include "support.h"

#include "model/recipe.h"

#include <omp.h>
#include <signal.h>

extern char **environ;

enum { BATCH = 64, UNITS = 300, CLASSES = 10, THREADS = 3, WORDS = 4096 };

static const int number[] = {SIGTERM, SIGINT,  SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ,
                             SIGHUP,  SIGSEGV, SIGFPE,  SIGBUS,  SIGABRT};
enum { SIGNALS = sizeof(number) / sizeof(*number) };

static void on_signal(int signal)
{
  (void)signal;
}

static void check_host(const char *when, int words, char *const *word)
{
  struct sigaction action;
  int now = 0;

  RT_TEST_CHECK(omp_get_max_threads() == THREADS, "%s: %d threads", when, omp_get_max_threads());
  for (int i = 0; i < SIGNALS; i++)
    RT_TEST_CHECK(!sigaction(number[i], NULL, &action) && action.sa_handler == on_signal, "%s: signal %d", when,
                  number[i]);
  while (environ[now]) now++;
  RT_TEST_CHECK(now == words, "%s: %d variables, not %d", when, now, words);
  for (int i = 0; i < words && i < now; i++)
    RT_TEST_CHECK(!strcmp(environ[i], word[i]), "%s: %s, not %s", when, environ[i], word[i]);
}

/* The logits of a small model, [BATCH, CLASSES], and the gradient, [flat]. */
static PetscErrorCode compute(float *logits, float *gradient, int64_t *flat)
{
  const int64_t hidden[] = {UNITS};
  RtRecipe recipe = {.layers = 1, .hidden = hidden, .seed = 1};
  RtDatasetInfo info = {.samples = 1, .ndim = 1, .dim = {UNITS}, .size = UNITS, .type = RT_FLOAT, .classes = CLASSES};
  RtPlanParams params = {.batch = BATCH, .training = true};
  RtField field[3];
  RtGraph *graph;
  RtPlan *plan;
  RtWork *work;
  float *input, *d;

  PetscFunctionBegin;
  rt_field_derive(&info, field);
  PetscCall(rt_recipe_mlp(&recipe, &info, &graph));
  *flat = graph->flat;
  if (!logits) {
    PetscCall(rt_graph_destroy(&graph));
    PetscFunctionReturn(0);
  }
  PetscCall(rt_plan_create(graph, &params, &plan));
  PetscCall(rt_plan_set_parameters(plan, graph->parameter));
  PetscCall(rt_work_create(plan, &work));
  input = rt_work_input(work, 0);
  for (int i = 0; i < BATCH * UNITS; i++) input[i] = (float)(i % 97) / 97 - 0.5f;
  PetscCall(rt_plan_forward(plan, work));
  memcpy(logits, rt_work_tap(work, 0), BATCH * CLASSES * sizeof(float));
  d = rt_work_dtap(work, 0);
  for (int i = 0; i < BATCH * CLASSES; i++) d[i] = (float)(i % 13) - 6;
  PetscCall(rt_plan_backward(plan, work, gradient));
  PetscCall(rt_work_destroy(&work));
  PetscCall(rt_plan_destroy(&plan));
  PetscCall(rt_graph_destroy(&graph));
  PetscFunctionReturn(0);
}

static PetscErrorCode run(int words, char *const *word)
{
  static float logits[2][BATCH * CLASSES];
  float *gradient[2];
  int64_t flat;

  PetscFunctionBegin;
  check_host("started", words, word);
  PetscCall(compute(NULL, NULL, &flat));
  PetscCall(PetscCalloc2(flat, &gradient[0], flat, &gradient[1]));
  PetscCall(compute(logits[0], gradient[0], &flat));
  check_host("computed", words, word);
  omp_set_num_threads(1);
  PetscCall(compute(logits[1], gradient[1], &flat));
  omp_set_num_threads(THREADS);
  RT_TEST_CHECK(!memcmp(logits[0], logits[1], sizeof(logits[0])), "logits depend on the host's threads");
  RT_TEST_CHECK(!memcmp(gradient[0], gradient[1], (size_t)flat * sizeof(float)), "the gradient depends on them");
  PetscCall(PetscFree2(gradient[0], gradient[1]));
  PetscFunctionReturn(0);
}

int main(int argc, char **argv)
{
  static char *word[WORDS];
  int words = 0, code, over;

  MPI_Init(&argc, &argv);
  omp_set_num_threads(THREADS);
  for (int i = 0; i < SIGNALS; i++) signal(number[i], on_signal);
  for (; environ[words] && words < WORDS; words++) word[words] = strdup(environ[words]);
  if (rt_retort_initialize(&argc, &argv)) return 1;
  code = rt_retort_finalize(run(words, word));
  check_host("ended", words, word);
  RT_TEST_CHECK(!MPI_Finalized(&over) && !over, "MPI is the host's");
  for (int i = 0; i < words; i++) free(word[i]);
  MPI_Finalize();
  return code || rt_test_failures ? 1 : 0;
}
