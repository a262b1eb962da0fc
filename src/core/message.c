#define _GNU_SOURCE
#include "core/message.h"

#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* A terminal is one for the whole process, and so is the first error: this is the one room with state. */
static struct {
  MPI_Comm comm;
  int rank, size;
  char text[2048]; /* the first message for the user on this rank */
  int columns;     /* of the terminal; 0: output goes to a file or a pipe */
  int width;       /* of the bar that stands there now */
} state = {.comm = MPI_COMM_NULL};

static const double patience = 5.0; /* seconds that a failed rank waits for the others */

static PetscErrorCode keep_message(MPI_Comm comm, int line, const char *function, const char *file, PetscErrorCode code,
                                   PetscErrorType type, const char *text, void *context)
{
  /* PETSc 3.18 mixes up its arguments here: the text is the name of the function that asked, the code its line. */
  if (type == PETSC_ERROR_INITIAL && function && !strcmp(function, "PetscMallocAlign")) {
    if (!state.text[0])
      snprintf(state.text, sizeof(state.text),
               "not enough memory (in %s): take smaller layers, batches or shards, or fewer ranks on a node",
               text ? text : "?");
    return RT_ERR_FAILED;
  }
  if (code != RT_ERR_FAILED && code != RT_ERR_USAGE)
    return PetscTraceBackErrorHandler(comm, line, function, file, code, type, text, context);
    /* lanes may fail in several threads at once */
#pragma omp critical(rt_message)
  if (type == PETSC_ERROR_INITIAL && !state.text[0] && text) snprintf(state.text, sizeof(state.text), "%s", text);
  return code;
}

/* Columns of the terminal that the user looks at, 0 if there is none. Open MPI's mpirun gives its ranks a
   pseudo-terminal whatever its own output is, so under mpirun the question goes to mpirun's own output. */
static int terminal_columns(void)
{
  struct winsize window = {0};
  char link[64], name[256];
  const char *term = getenv("TERM");
  int descriptor = STDOUT_FILENO, columns = 0;

  if (term && !strcmp(term, "dumb")) return 0;
  if (getenv("OMPI_COMM_WORLD_SIZE")) {
    ssize_t length;

    snprintf(link, sizeof(link), "/proc/%ld/fd/1", (long)getppid());
    length = readlink(link, name, sizeof(name) - 1);
    if (length <= 0) return 0;
    name[length] = 0;
    if (strncmp(name, "/dev/pts/", 9) && strncmp(name, "/dev/tty", 8)) return 0;
    descriptor = open(name, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0) return 0;
  }
  if (isatty(descriptor)) columns = ioctl(descriptor, TIOCGWINSZ, &window) || !window.ws_col ? 80 : window.ws_col;
  if (descriptor != STDOUT_FILENO) close(descriptor);
  return columns;
}

PetscErrorCode rt_message_start(MPI_Comm comm)
{
  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_dup(comm, &state.comm));
  PetscCallMPI(MPI_Comm_rank(state.comm, &state.rank));
  PetscCallMPI(MPI_Comm_size(state.comm, &state.size));
  state.text[0] = 0;
  state.columns = state.rank == 0 ? terminal_columns() : 0;
  PetscCall(PetscPushErrorHandler(keep_message, NULL));
  PetscFunctionReturn(0);
}

/* Whatever is printed next begins at the left of an empty line. */
static void clear_bar(void)
{
  if (!state.width) return;
  fprintf(stdout, "\r%*s\r", state.width, "");
  fflush(stdout);
  state.width = 0;
}

static void print_error(void)
{
  clear_bar();
  if (state.text[0]) fprintf(stderr, "retort: %s\n", state.text);
  fflush(stderr);
}

/* Smallest of each number over the ranks. A rank that failed does not wait for ever: the others may hang. */
static void meet(MPI_Comm comm, PetscErrorCode error, int count, const int *mine, int *all)
{
  MPI_Request request;
  double start = MPI_Wtime();
  int done = 0;

  MPI_Iallreduce(mine, all, count, MPI_INT, MPI_MIN, comm, &request);
  if (!error) {
    (void)MPI_Wait(&request, MPI_STATUS_IGNORE);
    return;
  }
  for (MPI_Test(&request, &done, MPI_STATUS_IGNORE); !done; MPI_Test(&request, &done, MPI_STATUS_IGNORE)) {
    if (MPI_Wtime() - start > patience) {
      print_error();
      MPI_Abort(state.comm, error == RT_ERR_USAGE ? RT_EXIT_USAGE : RT_EXIT_FAILED);
    }
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  }
}

int rt_message_finish(PetscErrorCode error)
{
  int code = error ? (error == RT_ERR_USAGE ? RT_EXIT_USAGE : RT_EXIT_FAILED) : RT_EXIT_DONE;
  int mine[2] = {error && state.text[0] ? state.rank : state.size, -code}, all[2];

  meet(state.comm, error, 2, mine, all);
  if (all[0] < state.size) {
    (void)MPI_Bcast(state.text, (int)sizeof(state.text), MPI_CHAR, all[0], state.comm);
    if (state.rank == 0) print_error();
  }
  PetscPopErrorHandler();
  MPI_Comm_free(&state.comm);
  return -all[1];
}

/* What a rank returns that did not fail itself. */
static PetscErrorCode outcome(PetscErrorCode error, int worst)
{
  if (error) return error;
  return worst ? (worst == RT_ERR_USAGE ? RT_ERR_USAGE : RT_ERR_FAILED) : 0;
}

PetscErrorCode rt_message_meet(MPI_Comm comm, PetscErrorCode error)
{
  int mine = -(int)error, worst = 0;

  meet(comm, error, 1, &mine, &worst);
  return outcome(error, -worst);
}

PetscErrorCode rt_message_agree(MPI_Comm comm, PetscErrorCode error)
{
  int mine = (int)error, worst = 0;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Allreduce(&mine, &worst, 1, MPI_INT, MPI_MAX, comm));
  PetscFunctionReturn(outcome(error, worst));
}

void rt_message_take(char *text, size_t length)
{
  snprintf(text, length, "%s", state.text);
  state.text[0] = 0;
}

void rt_message_print(const char *format, ...)
{
  va_list arguments;

  if (state.rank != 0) return;
  clear_bar();
  va_start(arguments, format);
  vfprintf(stdout, format, arguments);
  va_end(arguments);
  fputc('\n', stdout);
}

void rt_message_note(const char *format, ...)
{
  va_list arguments;

  if (state.rank != 0) return;
  clear_bar();
  fprintf(stderr, "retort: note: ");
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
}

void rt_message_progress_start(RtProgress *progress, const char *title, const char *unit, int64_t total)
{
  snprintf(progress->title, sizeof(progress->title), "%s", title);
  progress->unit = unit;
  progress->total = total;
  progress->start = MPI_Wtime();
  progress->drawn = 0;
  progress->width = 0;
}

/* Rate and time left, as far as they are known. */
static void describe_speed(const RtProgress *progress, int64_t done, double now, char *text, size_t length)
{
  double rate = (double)done / PetscMax(now - progress->start, 1e-6), left, scaled = rate;
  const char *factor = "";

  text[0] = 0;
  if (done <= 0) return;
  left = (double)(progress->total - done) / rate;
  if (rate >= 999.5e3) {
    scaled = rate / 1e6;
    factor = "M";
  } else if (rate >= 999.5) {
    scaled = rate / 1e3;
    factor = "k";
  }
  snprintf(text, length, "  %.3g%s %s/s  %d:%02d left", scaled, factor, progress->unit, (int)PetscMin(left / 60, 99999),
           (int)fmod(left, 60));
}

void rt_message_progress_show(RtProgress *progress, int64_t done)
{
  double now;
  char line[256], bar[41], speed[96];
  int cells = state.columns - (int)strlen(progress->title) - 48, filled, length;

  if (!state.columns || progress->total <= 0) return;
  now = MPI_Wtime();
  if (now - progress->drawn < 0.1 && done < progress->total) return;
  progress->drawn = now;
  describe_speed(progress, done, now, speed, sizeof(speed));
  cells = PetscMax(4, PetscMin(cells, (int)sizeof(bar) - 1));
  filled = (int)(cells * done / progress->total);
  for (int i = 0; i < cells; i++) bar[i] = i < filled ? '#' : '.';
  bar[cells] = 0;
  length =
      snprintf(line, sizeof(line), "%s [%s] %3d%%%s", progress->title, bar, (int)(100 * done / progress->total), speed);
  length = PetscMin(length, PetscMin(state.columns - 1, (int)sizeof(line) - 1));
  fprintf(stdout, "\r%.*s%*s", length, line, PetscMax(0, state.width - length), "");
  fflush(stdout);
  state.width = progress->width = length;
}

void rt_message_progress_clear(RtProgress *progress)
{
  clear_bar();
  progress->width = 0;
}
