/* What Retort says to people. Only rank 0 talks to the terminal; errors are said once, by rt_message_finish. */
#ifndef RT_CORE_MESSAGE_H
#define RT_CORE_MESSAGE_H

#include <retort/types.h>

/* Take over PETSc's error handling: RT_ERR_FAILED and RT_ERR_USAGE are kept as one line instead of a trace.
   Collective on comm, which is duplicated; rt_message_finish gives it back. */
PetscErrorCode rt_message_start(MPI_Comm comm);

/* Collective. Agree on the outcome and print the message of one failed rank to standard error. A rank that has not
   arrived after five seconds while this one failed is taken for hanging, and the job is aborted.
   Returns the exit code. */
int rt_message_finish(PetscErrorCode error);

/* Make an error of one rank the error of all, before a collective call. Collective on comm: returns error itself on
   the ranks that failed and RT_ERR_FAILED on the others, zero if none failed. */
PetscErrorCode rt_message_agree(MPI_Comm comm, PetscErrorCode error);
/* As rt_message_agree, for the end of a part in which a rank may have failed alone while the others wait for it: where
   they do not come within five seconds, its message is printed and the job is aborted. comm: used for nothing else. */
PetscErrorCode rt_message_meet(MPI_Comm comm, PetscErrorCode error);
/* As rt_message_agree, and return from the calling function. */
#define RtAgree(comm, error)                                                                                           \
  do {                                                                                                                 \
    PetscErrorCode agreed_ = rt_message_agree(comm, error);                                                            \
    if (PetscUnlikely(agreed_)) PetscFunctionReturn(agreed_);                                                          \
  } while (0)

/* Take back the message of an error that the caller has dealt with; a later error has its own then. text: [length]. */
void rt_message_take(char *text, size_t length);

/* A line on standard output, from rank 0 only. Not collective. */
void rt_message_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line on standard error that starts with "retort: note:", from rank 0 only. Not collective. */
void rt_message_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Progress of a stage. On a terminal: one line that is drawn again, with a bar, rate and time left. In a log: nothing
   here; the caller prints a line an epoch. Not collective; acts on rank 0 only. */
typedef struct {
  char title[48];
  const char *unit; /* of done and total: "samples" */
  int64_t total;
  double start, drawn;
  int width; /* of the last line drawn */
} RtProgress;
void rt_message_progress_start(RtProgress *progress, const char *title, const char *unit, int64_t total);
void rt_message_progress_show(RtProgress *progress, int64_t done);
/* Remove the bar, so that a line can be printed. */
void rt_message_progress_clear(RtProgress *progress);

#endif
