/* An option that is needed before there is a table of options (job/options.h), as the table depends on it. */
#ifndef RT_JOB_EARLY_H
#define RT_JOB_EARLY_H

#include <retort/types.h>

/* Collective. The text of an option on the command line, else in the job file that -job names there; "" where it is in
   neither, or where the job file cannot be read: that is said when all options are read. *text is allocated with
   PetscMalloc. Errors (usage): it is too long. */
PetscErrorCode rt_early_text(MPI_Comm comm, const char *name, char **text);

#endif
