/* Requests to stop: signals and the clock. A handler only sets a flag; the loops look at it between steps. */
#ifndef RT_RUN_STOP_H
#define RT_RUN_STOP_H

#include <retort/types.h>

/* Handle SIGTERM, SIGUSR1 and SIGINT from here on; a second SIGINT exits at once. after: seconds from now, 0: never. */
void rt_stop_start(double after);
/* Whether this rank was asked to stop. */
bool rt_stop_asked(void);

#endif
