#include "core/background.h"

#include <pthread.h>
#include <signal.h>

typedef struct {
  RtBackgroundJob run;
  void *context;
} Job;

struct RtBackground {
  bool alone; /* there is no thread */
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  Job job[RT_BACKGROUND_JOBS]; /* a ring */
  int64_t handed, done;        /* jobs, since the start */
  PetscErrorCode error;        /* the first one that nobody has had yet */
  bool ending;
};

static void *serve(void *argument)
{
  RtBackground *b = argument;

  pthread_mutex_lock(&b->mutex);
  for (;;) {
    PetscErrorCode error;
    Job job;

    while (b->done == b->handed && !b->ending) pthread_cond_wait(&b->changed, &b->mutex);
    if (b->done == b->handed) break;
    job = b->job[b->done % RT_BACKGROUND_JOBS];
    pthread_mutex_unlock(&b->mutex);
    error = job.run(job.context);
    pthread_mutex_lock(&b->mutex);
    b->done++;
    if (error && !b->error) b->error = error;
    pthread_cond_broadcast(&b->changed);
  }
  pthread_mutex_unlock(&b->mutex);
  return NULL;
}

bool rt_background_possible(void)
{
#if defined(PETSC_HAVE_THREADSAFETY)
  return true;
#elif defined(PETSC_USE_DEBUG)
  return false;
#else
  PetscBool listed = PETSC_FALSE;

  (void)PetscMallocGetDebug(&listed, NULL, NULL);
  return !listed;
#endif
}

PetscErrorCode rt_background_create(RtBackground **background)
{
  sigset_t all, before;
  RtBackground *b;
  int failed;

  PetscFunctionBegin;
  PetscCall(PetscNew(&b));
  b->alone = !rt_background_possible();
  pthread_mutex_init(&b->mutex, NULL);
  pthread_cond_init(&b->changed, NULL);
  *background = b;
  if (b->alone) PetscFunctionReturn(0);
  sigfillset(&all); /* signals go to the thread that looks at them */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  failed = pthread_create(&b->thread, NULL, serve, b);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed) {
    PetscCall(PetscFree(*background));
    RtFail("no thread can be started: the limit of processes is reached (ulimit -u)");
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_background_destroy(RtBackground **background)
{
  RtBackground *b = *background;

  PetscFunctionBegin;
  if (!b) PetscFunctionReturn(0);
  pthread_mutex_lock(&b->mutex);
  b->ending = true;
  pthread_cond_broadcast(&b->changed);
  pthread_mutex_unlock(&b->mutex);
  if (!b->alone) pthread_join(b->thread, NULL);
  pthread_cond_destroy(&b->changed);
  pthread_mutex_destroy(&b->mutex);
  PetscCall(PetscFree(*background));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_background_submit(RtBackground *background, RtBackgroundJob job, void *context, int64_t *ticket)
{
  RtBackground *b = background;

  PetscFunctionBegin;
  if (b->alone) {
    PetscErrorCode error = job(context);

    if (error && !b->error) b->error = error;
    b->done = ++b->handed;
    if (ticket) *ticket = b->handed;
    PetscFunctionReturn(0);
  }
  pthread_mutex_lock(&b->mutex);
  while (b->handed - b->done == RT_BACKGROUND_JOBS) pthread_cond_wait(&b->changed, &b->mutex);
  b->job[b->handed % RT_BACKGROUND_JOBS] = (Job){job, context};
  b->handed++;
  if (ticket) *ticket = b->handed;
  pthread_cond_broadcast(&b->changed);
  pthread_mutex_unlock(&b->mutex);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_background_wait(RtBackground *background, int64_t ticket)
{
  RtBackground *b = background;
  PetscErrorCode error;

  PetscFunctionBegin;
  pthread_mutex_lock(&b->mutex);
  while (b->done < ticket) pthread_cond_wait(&b->changed, &b->mutex);
  error = b->error;
  b->error = 0;
  pthread_mutex_unlock(&b->mutex);
  PetscFunctionReturn(error);
}

bool rt_background_done(RtBackground *background, int64_t ticket)
{
  bool done;

  pthread_mutex_lock(&background->mutex);
  done = background->done >= ticket;
  pthread_mutex_unlock(&background->mutex);
  return done;
}
