/* All options of a job, in one table: parsing, bounds, -help, the summary and the records come from it. */
#ifndef RT_RUN_TABLE_H
#define RT_RUN_TABLE_H

#include "job/job.h"

/* The table, which lives as long as the process. Losses that are added (retort/extend.h) are so before. */
const RtOption *rt_table_options(int *count);
/* Whether a row has this name, those of losses left aside. */
bool rt_table_has(const char *name);

#endif
