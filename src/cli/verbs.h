/* One file a verb. Each gets the words after it, and is collective. stopped: the work ended on request. */
#ifndef RT_CLI_VERBS_H
#define RT_CLI_VERBS_H

#include <retort/types.h>

PetscErrorCode rt_cli_import(MPI_Comm comm, int argc, char **argv);
/* Print what it reads. Not collective. */
void rt_cli_import_help(void);
PetscErrorCode rt_cli_train(MPI_Comm comm, int argc, char **argv, bool *stopped);
PetscErrorCode rt_cli_label(MPI_Comm comm, int argc, char **argv, bool *stopped);
PetscErrorCode rt_cli_verify(MPI_Comm comm, int argc, char **argv, bool *stopped);
PetscErrorCode rt_cli_distill(MPI_Comm comm, int argc, char **argv, bool *stopped);
PetscErrorCode rt_cli_eval(MPI_Comm comm, int argc, char **argv, bool *stopped);
PetscErrorCode rt_cli_compress(MPI_Comm comm, int argc, char **argv, bool *stopped);
PetscErrorCode rt_cli_run(MPI_Comm comm, int argc, char **argv, bool *stopped);
PetscErrorCode rt_cli_info(MPI_Comm comm, int argc, char **argv);
PetscErrorCode rt_cli_job(MPI_Comm comm, int argc, char **argv);

#endif
