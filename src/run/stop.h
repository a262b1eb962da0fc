/* Requests to stop: signals and the clock. A handler only sets a flag; the loops look at it between steps. */
#ifndef RT_RUN_STOP_H
#define RT_RUN_STOP_H

#include <retort/types.h>

/* Handle SIGTERM, SIGUSR1 and SIGINT from here on; a second SIGINT exits at once. after: seconds from now, 0: never. */
void rt_stop_start(double after);
/* Whether this rank was asked to stop. */
bool rt_stop_asked(void);
/* Collective. All ranks learn the worst of what one of them says, together with requests to stop:
   0 go on, 1 stop, above: the callers' own meaning. */
PetscErrorCode rt_stop_agree(MPI_Comm comm, int mine, int *all);

#endif
