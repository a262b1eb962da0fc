/* Processes that leave their name in files: on which host, and whether they still run. Not collective. */
#ifndef RT_CORE_PROCESS_H
#define RT_CORE_PROCESS_H

#include <retort/types.h>

enum { RT_PROCESS_HOST = 128 };
/* The name of this host. */
void rt_process_host(char host[RT_PROCESS_HOST]);
/* When this process started, in ticks since the host did; 0 where the system does not tell. */
int64_t rt_process_start(void);
/* Whether it is certain that a process is gone: host is this one, and no process has the number now, or one that
   started at another time has it. start: 0 if it is not known. */
bool rt_process_gone(const char *host, int64_t pid, int64_t start);

#endif
