#include "cli/verbs.h"
#include "comm/launch.h"
#include "core/fault.h"
#include "core/message.h"
#include "core/stop.h"
#include "run/extend.h"
#include "run/table.h"

#include <omp.h>
#include <retort/retort.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  const char *name, *summary;
  unsigned options;  /* bit of RtOption.verbs; 0: it reads its words itself */
  const char *usage; /* of the words, where options is 0; NULL: its table tells */
  PetscErrorCode (*run)(MPI_Comm comm, int argc, char **argv, bool *stopped);
} Verb;

static PetscErrorCode import(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  *stopped = false;
  PetscCall(rt_cli_import(comm, argc, argv));
  PetscFunctionReturn(0);
}

static PetscErrorCode info(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  *stopped = false;
  PetscCall(rt_cli_info(comm, argc, argv));
  PetscFunctionReturn(0);
}

static PetscErrorCode job(MPI_Comm comm, int argc, char **argv, bool *stopped)
{
  PetscFunctionBegin;
  *stopped = false;
  PetscCall(rt_cli_job(comm, argc, argv));
  PetscFunctionReturn(0);
}

static const Verb verbs[] = {
    {"import", "make a dataset", 0, NULL, import},
    {"train", "train a teacher on hard labels", RT_VERB_TRAIN, NULL, rt_cli_train},
    {"label", "teacher inference, shared over the ranks, into the label store", RT_VERB_LABEL, NULL, rt_cli_label},
    {"verify", "label some samples again and compare with the store", RT_VERB_VERIFY, NULL, rt_cli_verify},
    {"distill", "train the student", RT_VERB_DISTILL, NULL, rt_cli_distill},
    {"eval", "teacher and student side by side, into eval.nc", RT_VERB_EVAL, NULL, rt_cli_eval},
    {"compress", "write the teacher with its layers cut to low rank", RT_VERB_COMPRESS, NULL, rt_cli_compress},
    {"run", "all of it, skipping what is done", RT_VERB_RUN, NULL, rt_cli_run},
    {"info", "say what a file is, who made it, whether it is complete", 0, "  info [-extend FILE.so] FILE …", info},
    {"job", "say what a job says, as Retort reads it", 0,
     "  job -job FILE.yaml [-OPTION VALUE …] -print NAME[,NAME…]\n"
     "      the values of these options, named without the dash, a line each; makes nothing",
     job},
};

enum { VERBS = sizeof(verbs) / sizeof(*verbs) };

static const Verb *find_verb(const char *name)
{
  for (int i = 0; i < VERBS; i++)
    if (!strcmp(verbs[i].name, name)) return &verbs[i];
  return NULL;
}

static void print_usage(void)
{
  rt_message_print("Retort distils a large trained model into a small one on an MPI cluster.\n");
  rt_message_print("usage: [mpirun -n RANKS] retort VERB [-job FILE.yaml] [-OPTION VALUE …]\n");
  for (int i = 0; i < VERBS; i++) rt_message_print("  %-8s %s", verbs[i].name, verbs[i].summary);
  rt_message_print("\n`retort VERB -help` lists what the verb reads.");
}

static void print_help(const Verb *verb)
{
  const RtOption *table;
  int count;

  rt_message_print("retort %s: %s\n", verb->name, verb->summary);
  if (!verb->options) {
    if (verb->usage)
      rt_message_print("%s", verb->usage);
    else
      rt_cli_import_help();
    return;
  }
  table = rt_table_options(&count);
  rt_options_help(table, count, verb->options);
}

static PetscErrorCode refuse_verb(const char *name)
{
  const char *names[VERBS], *near;

  PetscFunctionBegin;
  for (int i = 0; i < VERBS; i++) names[i] = verbs[i].name;
  near = rt_options_nearest(name, names, VERBS);
  if (near) RtUsage("unknown verb '%s'; did you mean %s?", name, near);
  RtUsage("unknown verb '%s'; `retort -help` lists the verbs", name);
}

/* Words that ask for something to read. PETSc must not see them: it would print its own. */
static bool take_word(int *argc, char **argv, const char *const *words)
{
  bool found = false;
  int kept = 0;

  for (int i = 0; i < *argc; i++) {
    bool match = false;

    for (int k = 0; words[k]; k++) match = match || !strcmp(argv[i], words[k]);
    found = found || match;
    if (!match) argv[kept++] = argv[i];
  }
  argv[kept] = NULL;
  *argc = kept;
  return found;
}

static PetscErrorCode retort(int argc, char **argv, bool help, bool version, bool *stopped)
{
  const Verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
  int rank;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(PETSC_COMM_WORLD, &rank));
  PetscCall(rt_fault_start(rank));
  if (version) {
    rt_message_print("retort %s", RETORT_VERSION);
    PetscFunctionReturn(0);
  }
  if (argc > 1 && !verb) PetscCall(refuse_verb(argv[1]));
  if (verb) PetscCall(rt_extend_start(PETSC_COMM_WORLD)); /* before the table of options is made */
  if (!verb || help) {
    if (verb)
      print_help(verb);
    else
      print_usage();
    if (!verb && !help) RtUsage("no verb is given");
    PetscFunctionReturn(0);
  }
  PetscCall(verb->run(PETSC_COMM_WORLD, argc - 2, argv + 2, stopped));
  PetscFunctionReturn(0);
}

/* A trace where a program of ours crashes; and its end in any case, as what tells of it may wait for a lock that is
   held where it crashed. Then the other ranks end as well. */
static PetscErrorCode crash(int number, void *context)
{
  enum { SECONDS = 10 };

  signal(SIGALRM, SIG_DFL);
  alarm(SECONDS);
  return PetscSignalHandlerDefault(number, context);
}

/* What a program may do and a library leaves to its host. catches: it looks at requests to stop. */
static PetscErrorCode settle(bool catches)
{
  int rank;

  PetscFunctionBegin;
  PetscCall(PetscPushSignalHandler(crash, NULL));
  if (catches) rt_stop_catch();
  signal(SIGPIPE, SIG_IGN); /* a reader of the log that goes away does not end the job */
  signal(SIGXFSZ, SIG_IGN); /* a file beyond the limit is an error of write, which says its name */
  omp_set_num_threads(1);   /* where nothing else is said: threads take lanes and micro-batches */
  PetscCallMPI(MPI_Comm_rank(PETSC_COMM_WORLD, &rank));
  if (rank == 0) setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  PetscFunctionReturn(0);
}

int main(int argc, char **argv)
{
  static const char *const help_words[] = {"-help", "--help", "-h", NULL};
  static const char *const version_words[] = {"-version", "--version", "-v", NULL};
  bool help = take_word(&argc, argv, help_words), version = take_word(&argc, argv, version_words), stopped = false;
  const Verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
  PetscErrorCode error;
  int code;

  if (verb && verb->options) rt_stop_catch();
  rt_launch_before();
  error = rt_retort_initialize(&argc, &argv);
  rt_launch_after();
  if (error) return RT_EXIT_FAILED;
  error = settle(verb && verb->options);
  if (!error) error = retort(argc, argv, help, version, &stopped);
  code = rt_retort_finalize(error);
  return code == RT_EXIT_DONE && stopped ? RT_EXIT_STOPPED : code;
}
