/* Extensions of a job: the libraries that -extend names (retort/extend.h). */
#ifndef RT_RUN_EXTEND_H
#define RT_RUN_EXTEND_H

#include <retort/extend.h>

/* Collective. Load what -extend names on the command line or in the job file, before the table of options is made. */
PetscErrorCode rt_extend_start(MPI_Comm comm);

/* Whose bytes are part of what makes a student: the line `extend=HASH,…\n` for its record, in an order that the job's
   does not change; "" without libraries. Allocated with PetscMalloc. */
PetscErrorCode rt_extend_record(char **line);

#endif
