/* Retort distils a large trained model into a small one on an MPI cluster. This header gives the whole library. */
#ifndef RETORT_RETORT_H
#define RETORT_RETORT_H

#include <retort/dataset.h>
#include <retort/extend.h>
#include <retort/graph.h>
#include <retort/labelstore.h>
#include <retort/onnx.h>
#include <retort/plan.h>
#include <retort/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Start MPI, PETSc and Retort. Collective. Options of PETSc are read from argv; Retort's own are not (the program does
   that). From here on, mistakes of the user become one line and a return code instead of a trace. What the host has set
   stays: its signal handlers, environment, and number of OpenMP threads; MPI and PETSc where they run already. */
PetscErrorCode rt_retort_initialize(int *argc, char ***argv);
/* Collective. error: what the caller's work returned. If any rank failed, one rank's message is printed and all return
   RT_EXIT_FAILED or RT_EXIT_USAGE; a rank that never arrives is aborted after five seconds. Otherwise RT_EXIT_DONE. */
int rt_retort_finalize(PetscErrorCode error);

#ifdef __cplusplus
}
#endif

#endif
