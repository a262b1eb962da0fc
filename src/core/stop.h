/* Requests to stop: signals and the clock. A handler only sets a flag; the loops look at it between steps. */
#ifndef RT_CORE_STOP_H
#define RT_CORE_STOP_H

#include <retort/types.h>

/* Take note of the signals below from here on, as early as the program likes, before MPI is there. */
void rt_stop_catch(void);
/* Handle SIGTERM, SIGUSR1 and SIGINT from here on; a second SIGINT exits at once. after: seconds from now, 0: never. */
void rt_stop_start(double after);
/* Whether this rank was asked to stop. */
bool rt_stop_asked(void);
/* Whether the clock of -stop_after has run out. Work that cannot be stopped in its middle without being lost is done
   all the same where that was so when it began, or a run of short parts would never get further. */
bool rt_stop_late(void);

#endif
