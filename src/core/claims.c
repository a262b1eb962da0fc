#define _GNU_SOURCE
#include "core/claims.h"

#include "core/fault.h"
#include "core/file.h"
#include "core/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { NAME = 64, TEXT = RT_PROCESS_HOST + 100, TRIES = 8 };

static const double most_often = 5; /* seconds between two touches; less where claims grow stale soon */

typedef struct {
  char name[NAME], path[PETSC_MAX_PATH_LEN]; /* of the claim; no name: nothing is held here */
  int file;                                  /* open: a touch reaches our own file, whatever has its name by now */
} Held;

struct RtClaims {
  char dir[PETSC_MAX_PATH_LEN], host[RT_PROCESS_HOST];
  int64_t started; /* this process */
  double seconds;
  double asked, answer; /* the time of the file system: when by our clock we asked, and what it was */
  pthread_t thread;
  pthread_mutex_t mutex; /* of all below */
  pthread_cond_t ended;
  Held held[RT_CLAIMS_HELD];
  bool ending;
};

/* What a claim was when it was looked at. */
typedef struct {
  char text[TEXT];
  struct stat status;
} Sight;

static PetscErrorCode claim_path(const RtClaims *c, const char *name, char *path)
{
  char file[NAME + 16];

  PetscFunctionBegin;
  snprintf(file, sizeof(file), ".%s.claim", name);
  PetscCall(rt_file_join(c->dir, file, path, PETSC_MAX_PATH_LEN));
  PetscFunctionReturn(0);
}

static PetscErrorCode fail(const char *path)
{
  PetscFunctionBegin;
  RtCheck(errno != ENOSPC && errno != EDQUOT,
          "%s: cannot be written: the disk is full; free some space and start again", path);
  RtFail("%s: cannot be written: %s", path, strerror(errno));
}

/* --- the thread that touches ------------------------------------------------------------------------------------- */

static void *keep(void *argument)
{
  RtClaims *c = argument;
  double pause = PetscMin(most_often, c->seconds / 4);
  struct timespec next;

  pthread_mutex_lock(&c->mutex);
  while (!c->ending) {
    clock_gettime(CLOCK_MONOTONIC, &next);
    next.tv_nsec += (long)(1e9 * (pause - (double)(time_t)pause));
    next.tv_sec += (time_t)pause + next.tv_nsec / 1000000000;
    next.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&c->ended, &c->mutex, &next);
    for (int i = 0; i < RT_CLAIMS_HELD; i++)
      if (c->held[i].name[0]) (void)futimens(c->held[i].file, NULL);
  }
  pthread_mutex_unlock(&c->mutex);
  return NULL;
}

static int start_thread(RtClaims *c)
{
  pthread_condattr_t clock;
  sigset_t all, before;
  int failed;

  pthread_mutex_init(&c->mutex, NULL);
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_cond_init(&c->ended, &clock);
  pthread_condattr_destroy(&clock);
  sigfillset(&all); /* signals go to the thread that looks at them */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  failed = pthread_create(&c->thread, NULL, keep, c);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed;
}

PetscErrorCode rt_claims_create(const char *dir, double seconds, RtClaims **claims)
{
  RtClaims *c;

  PetscFunctionBegin;
  PetscCall(PetscNew(&c));
  PetscCall(PetscStrncpy(c->dir, dir, sizeof(c->dir)));
  rt_process_host(c->host);
  c->started = rt_process_start();
  c->seconds = seconds;
  if (start_thread(c)) {
    PetscCall(PetscFree(c));
    RtFail("no thread can be started: the limit of processes is reached (ulimit -u)");
  }
  *claims = c;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_claims_destroy(RtClaims **claims)
{
  RtClaims *c = *claims;

  PetscFunctionBegin;
  if (!c) PetscFunctionReturn(0);
  pthread_mutex_lock(&c->mutex);
  c->ending = true;
  pthread_cond_broadcast(&c->ended);
  pthread_mutex_unlock(&c->mutex);
  pthread_join(c->thread, NULL);
  for (int i = 0; i < RT_CLAIMS_HELD; i++)
    if (c->held[i].name[0]) rt_claims_release(c, c->held[i].name);
  pthread_cond_destroy(&c->ended);
  pthread_mutex_destroy(&c->mutex);
  PetscCall(PetscFree(*claims));
  PetscFunctionReturn(0);
}

/* --- looking at another's claim ---------------------------------------------------------------------------------- */

/* Opening makes network file systems ask their server instead of their memory. */
static bool look(const char *path, Sight *sight)
{
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got;

  if (file < 0) return false;
  memset(sight, 0, sizeof(*sight));
  got = read(file, sight->text, sizeof(sight->text) - 1);
  if (got < 0 || fstat(file, &sight->status)) got = -1;
  close(file);
  return got >= 0;
}

/* Is it still the same, and not touched? */
static bool same(const Sight *a, const Sight *b)
{
  return a->status.st_ino == b->status.st_ino && !strcmp(a->text, b->text) &&
         rt_file_changed(&a->status) == rt_file_changed(&b->status);
}

/* Who made it: false where the text is not whole. */
static bool read_text(const char *text, char host[RT_PROCESS_HOST], long long *pid, long long *start, char word[17])
{
  return sscanf(text, "%127s %lld %lld %16[0-9a-f]", host, pid, start, word) == 4 && strlen(word) == 16;
}

/* The file system is asked for its time now and then, and where an answer depends on it; else this host counts on. */
static PetscErrorCode too_old(RtClaims *c, const struct stat *status, bool *old)
{
  struct timespec clock;
  double here;

  PetscFunctionBegin;
  clock_gettime(CLOCK_MONOTONIC, &clock);
  here = (double)clock.tv_sec + 1e-9 * (double)clock.tv_nsec;
  for (int asked = 0; asked < 2; asked++) {
    if (asked || !c->asked || here - c->asked > c->seconds) {
      PetscCall(rt_file_now(c->dir, &c->answer));
      c->asked = here;
    }
    *old = c->answer + (here - c->asked) - rt_file_changed(status) > c->seconds;
    if (!*old) break;
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode is_stale(RtClaims *c, const Sight *sight, bool *stale)
{
  char host[RT_PROCESS_HOST], word[17];
  long long pid, start;

  PetscFunctionBegin;
  *stale = read_text(sight->text, host, &pid, &start, word) && rt_process_gone(host, pid, start);
  if (!*stale) PetscCall(too_old(c, &sight->status, stale));
  PetscFunctionReturn(0);
}

/* --- taking ------------------------------------------------------------------------------------------------------ */

/* Write who we are into a file just made. Errors remove it. */
static PetscErrorCode sign(const RtClaims *c, const char *path, int file)
{
  uint64_t word = 0;
  char text[TEXT];
  ssize_t put;
  int length;

  PetscFunctionBegin;
  if (getrandom(&word, sizeof(word), GRND_NONBLOCK) < 0) word = (uint64_t)clock();
  length = snprintf(text, sizeof(text), "%s %lld %lld %016llx %lld\n", c->host, (long long)getpid(),
                    (long long)c->started, (unsigned long long)word, (long long)time(NULL));
  put = write(file, text, (size_t)length);
  if (put != length) {
    PetscErrorCode error;

    if (put >= 0) errno = ENOSPC;
    error = fail(path);
    close(file);
    (void)unlink(path);
    PetscCall(error);
  }
  PetscFunctionReturn(0);
}

/* Make a signed file under a name that only one process can give. file: below 0 where it is given. A file without its
   text would tell nobody whose it is, and a kill may hit between the two: so it is written first, and then linked to
   its name; where there are no links, it is written afterwards. */
static PetscErrorCode make(const RtClaims *c, const char *path, int *file)
{
  char temporary[PETSC_MAX_PATH_LEN];
  struct stat status;
  int reason;

  PetscFunctionBegin;
  PetscCall(rt_fault_at(RT_FAULT_OPEN));
  PetscCall(rt_file_temporary(path, temporary, sizeof(temporary)));
  *file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (*file < 0) PetscCall(fail(path));
  PetscCall(sign(c, temporary, *file));
  reason = link(temporary, path) ? errno : 0;
  /* a file server may have done it and lost the answer */
  if (reason == EEXIST && !fstat(*file, &status) && status.st_nlink == 2) reason = 0;
  (void)unlink(temporary);
  if (!reason) PetscFunctionReturn(0);
  close(*file);
  *file = -1;
  if (reason == EEXIST) PetscFunctionReturn(0);
  *file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (*file < 0 && errno != EEXIST) PetscCall(fail(path));
  if (*file >= 0) PetscCall(sign(c, path, *file));
  PetscFunctionReturn(0);
}

static PetscErrorCode hold(RtClaims *c, const char *name, const char *path, int file)
{
  int free = -1;

  PetscFunctionBegin;
  pthread_mutex_lock(&c->mutex);
  for (int i = 0; i < RT_CLAIMS_HELD; i++)
    if (!c->held[i].name[0]) free = i;
  if (free >= 0) {
    snprintf(c->held[free].name, NAME, "%s", name);
    snprintf(c->held[free].path, PETSC_MAX_PATH_LEN, "%s", path);
    c->held[free].file = file;
  }
  pthread_mutex_unlock(&c->mutex);
  PetscCheck(free >= 0, PETSC_COMM_SELF, PETSC_ERR_ARG_WRONGSTATE, "more than %d claims", RT_CLAIMS_HELD);
  PetscFunctionReturn(0);
}

/* The name of the right to replace just this claim. */
static PetscErrorCode right_path(const char *path, const Sight *sight, char *right)
{
  char host[RT_PROCESS_HOST], word[17];
  long long pid, start;
  int length;

  PetscFunctionBegin;
  if (!read_text(sight->text, host, &pid, &start, word)) strcpy(word, "unsigned");
  length = snprintf(right, PETSC_MAX_PATH_LEN, "%s-%s", path, word);
  RtCheck(length < PETSC_MAX_PATH_LEN, "%s: the path is too long", path);
  PetscFunctionReturn(0);
}

/* Put our claim in the place of a stale one. file: below 0 where others were quicker. The claim's name is never free on
   the way, and only who holds the right may replace it; who held it before has left other words there. */
static PetscErrorCode replace(RtClaims *c, const char *path, const Sight *stale, int *file)
{
  char right[PETSC_MAX_PATH_LEN];
  Sight now;
  int made;
  bool old;

  PetscFunctionBegin;
  *file = -1;
  PetscCall(right_path(path, stale, right));
  PetscCall(make(c, right, &made));
  if (made < 0) { /* who died on the way shall not keep it */
    if (look(right, &now)) {
      PetscCall(is_stale(c, &now, &old));
      if (old) (void)unlink(right);
    }
    PetscFunctionReturn(0);
  }
  if (!look(path, &now) || !same(stale, &now) || rename(right, path)) {
    close(made);
    (void)unlink(right);
    PetscFunctionReturn(0);
  }
  *file = made;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_claims_take(RtClaims *claims, const char *name, bool *mine)
{
  char path[PETSC_MAX_PATH_LEN];
  Sight sight;
  int file = -1;

  PetscFunctionBegin;
  *mine = false;
  RtCheck(strlen(name) < NAME, "%s: the name is too long", name);
  PetscCall(claim_path(claims, name, path));
  for (int i = 0; i < TRIES && file < 0; i++) {
    bool stale;

    if (!look(path, &sight)) {
      PetscCall(make(claims, path, &file));
      continue;
    }
    PetscCall(is_stale(claims, &sight, &stale));
    if (!stale) PetscFunctionReturn(0);
    PetscCall(replace(claims, path, &sight, &file));
    break;
  }
  if (file < 0) PetscFunctionReturn(0);
  PetscCall(hold(claims, name, path, file));
  *mine = true;
  PetscFunctionReturn(0);
}

void rt_claims_release(RtClaims *claims, const char *name)
{
  char path[PETSC_MAX_PATH_LEN];
  struct stat ours, there;
  int file = -1;

  pthread_mutex_lock(&claims->mutex);
  for (int i = 0; i < RT_CLAIMS_HELD && file < 0; i++)
    if (!strcmp(claims->held[i].name, name)) {
      file = claims->held[i].file;
      strcpy(path, claims->held[i].path);
      claims->held[i].name[0] = 0;
    }
  pthread_mutex_unlock(&claims->mutex);
  if (file < 0) return;
  /* one that was taken over is another's now */
  if (!fstat(file, &ours) && !stat(path, &there) && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
    (void)unlink(path);
  close(file);
}

bool rt_claims_look(const RtClaims *claims, const char *name, RtClaimsHolder *holder)
{
  char path[PETSC_MAX_PATH_LEN], word[17];
  long long pid, start, since = 0;
  Sight sight;

  if (claim_path(claims, name, path) || !look(path, &sight) || !read_text(sight.text, holder->host, &pid, &start, word))
    return false;
  (void)sscanf(sight.text, "%*s %*s %*s %*s %lld", &since);
  holder->pid = pid;
  holder->since = (time_t)since;
  holder->touched = rt_file_changed(&sight.status);
  return true;
}

/* --- sweeping ---------------------------------------------------------------------------------------------------- */

/* Is it .NAME.claim, or .NAME.claim-WORD, the right to replace one? */
static bool is_claim(const char *file, bool *right)
{
  const char *end = strstr(file, ".claim");

  *right = end && end[6] == '-';
  return file[0] == '.' && end && end > file && (!end[6] || *right);
}

/* A stale claim is removed under the same right as it is replaced. A disk that has no room for that leaves it alone. */
static PetscErrorCode sweep_one(RtClaims *c, const char *file, bool right)
{
  char path[PETSC_MAX_PATH_LEN], guard[PETSC_MAX_PATH_LEN];
  Sight sight, now;
  bool stale;
  int made;

  PetscFunctionBegin;
  PetscCall(rt_file_join(c->dir, file, path, sizeof(path)));
  if (!look(path, &sight)) PetscFunctionReturn(0);
  PetscCall(is_stale(c, &sight, &stale));
  if (!stale) PetscFunctionReturn(0);
  if (right) {
    (void)unlink(path);
    PetscFunctionReturn(0);
  }
  PetscCall(right_path(path, &sight, guard));
  made = open(guard, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (made < 0) PetscFunctionReturn(0);
  if (look(path, &now) && same(&sight, &now)) (void)unlink(path);
  close(made);
  (void)unlink(guard);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_claims_sweep(const char *folder, double seconds)
{
  RtClaims claims = {.seconds = seconds};
  DIR *dir = opendir(folder);
  const struct dirent *entry;
  PetscErrorCode error = 0;
  bool right;

  PetscFunctionBegin;
  PetscCall(PetscStrncpy(claims.dir, folder, sizeof(claims.dir)));
  while (dir && !error && (entry = readdir(dir)))
    if (is_claim(entry->d_name, &right)) error = sweep_one(&claims, entry->d_name, right);
  if (dir) closedir(dir);
  PetscFunctionReturn(error);
}
