/* All options of a job, in one table: parsing, bounds, -help, the summary and the records come from it. */
#ifndef RT_RUN_TABLE_H
#define RT_RUN_TABLE_H

#include "job/job.h"

/* The table, which lives as long as the process. */
const RtOption *rt_table_options(int *count);

#endif
