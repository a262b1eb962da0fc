/* One background thread for slow input and output while the caller computes. Jobs run one after the other, in the order
   in which they came. They do not call MPI, and touch nothing that the caller uses before it has waited for them. */
#ifndef RT_CORE_BACKGROUND_H
#define RT_CORE_BACKGROUND_H

#include <retort/types.h>

/* Whether several threads may call PETSc. Its debugging builds keep one call stack for all threads, and -malloc_debug
   one list of all memory; then jobs are done where they are handed over, by the thread that does so. */
bool rt_background_possible(void);

typedef struct RtBackground RtBackground;
typedef PetscErrorCode (*RtBackgroundJob)(void *context);

PetscErrorCode rt_background_create(RtBackground **background);
/* Waits for all jobs; their errors are dropped. Accepts NULL. */
PetscErrorCode rt_background_destroy(RtBackground **background);

/* Hand over a job; context stays the caller's and must live until the job is done. ticket: to wait for it; may be NULL.
   Waits itself while RT_BACKGROUND_JOBS others are not done. */
enum { RT_BACKGROUND_JOBS = 64 };
PetscErrorCode rt_background_submit(RtBackground *background, RtBackgroundJob job, void *context, int64_t *ticket);
/* Wait until this job and all before it are done. Returns the first error of a job that nobody has had yet. */
PetscErrorCode rt_background_wait(RtBackground *background, int64_t ticket);
/* Whether this job is done, without waiting. */
bool rt_background_done(RtBackground *background, int64_t ticket);

#endif
