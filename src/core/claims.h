/* Claims: several jobs that make the files of one folder tell each other which file each of them has in hand.

   A claim on NAME is a small file .NAME.claim, made so that only one process can make it. It says host, process and a
   random word, and its owner touches it every few seconds as long as it works. It is stale when it has not been
   touched for so many seconds by the clock of the file system, or at once when its process ran on this host and is
   gone; then another process may take it over, and of several that try just one does.

   Claims only save work. Whoever makes a file writes the same bytes and renames them into place, so two that make the
   same one, as an owner that slept too long and the one that took over, lose time and nothing else.

   Not collective. All calls from one thread, except rt_claims_release, which any thread may call. */
#ifndef RT_CORE_CLAIMS_H
#define RT_CORE_CLAIMS_H

#include "core/process.h"

#include <time.h>

typedef struct RtClaims RtClaims;

enum { RT_CLAIMS_HELD = 4 /* most claims that one process holds at once */ };

/* The claims of this process in the folder dir, which is there. seconds: without a touch after which others are stale.
   A thread is started that touches what is held. */
PetscErrorCode rt_claims_create(const char *dir, double seconds, RtClaims **claims);
/* Gives back all that is held. Accepts NULL. */
PetscErrorCode rt_claims_destroy(RtClaims **claims);

/* Try to get the claim on a name. mine: false where another process has it; ask again later.
   Errors: the folder cannot be written, the disk is full. */
PetscErrorCode rt_claims_take(RtClaims *claims, const char *name, bool *mine);
/* Give it back: the file is made, or is left to others. */
void rt_claims_release(RtClaims *claims, const char *name);

/* Who has the claim on a name. touched: when it last did, by the clock of the file system. False where nobody has it,
   or somebody whose claim does not say. */
typedef struct {
  char host[RT_PROCESS_HOST];
  int64_t pid;
  time_t since; /* by the clock of that host; 0: it is not known */
  double touched;
} RtClaimsHolder;
bool rt_claims_look(const RtClaims *claims, const char *name, RtClaimsHolder *holder);

/* Remove the stale claims of a folder, which killed jobs left. No error if it is not there. */
PetscErrorCode rt_claims_sweep(const char *dir, double seconds);

#endif
