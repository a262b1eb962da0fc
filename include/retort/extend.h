/* Losses and operators of your own, without touching Retort: a shared library that the job names,

     retort distill -extend my_loss.so …          or in the job file      extend: my_loss.so

   (several are joined by commas). It defines rt_extend, which Retort calls once, before it reads the job:

     #include <retort/extend.h>

     static const RtLoss loss = {.name = "mine", .help = "…", .traits = RT_LOSS_TEACHER, .evaluate = evaluate};

     PetscErrorCode rt_extend(void)
     {
       const RtExtend mine = {.version = RT_EXTEND_VERSION, .losses = 1, .loss = &loss};

       return rt_extend_add(&mine);
     }

   Build it with the flags of `pkg-config --cflags retort`, -shared and -fPIC; what it calls of Retort and PETSc it
   finds in the program. From then on its names stand in -help and its losses in -distill_terms_NAME_loss; models may
   have its operators. A student is made anew where another library has made it. */
#ifndef RETORT_EXTEND_H
#define RETORT_EXTEND_H

#include <retort/loss.h>
#include <retort/operator.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The interface that these headers describe. It changes with the sizes of what they hold; the first number is raised
   where the meaning of something does and its size does not. */
#define RT_EXTEND_VERSION                                                                                              \
  ((int64_t)1 << 56 ^ (int64_t)sizeof(RtLoss) << 45 ^ (int64_t)sizeof(RtLossRows) << 36 ^                              \
   (int64_t)sizeof(RtLossBatch) << 27 ^ (int64_t)sizeof(RtOp) << 18 ^ (int64_t)sizeof(RtStep) << 9 ^                   \
   (int64_t)(sizeof(RtTensor) + sizeof(RtWork)))

/* What a library adds to the tables: rows that live as long as the process. */
typedef struct {
  int64_t version; /* RT_EXTEND_VERSION */
  int losses;
  const RtLoss *loss; /* [losses] */
  int operators;
  const RtOp *op; /* [operators] */
} RtExtend;

/* The library defines it. Returns zero, or what RtFail makes of a message. */
PetscErrorCode rt_extend(void);

/* Add these rows. Called by rt_extend; or by a program that uses Retort as a library, before it reads models. Not
   collective: all ranks do the same. Errors: another interface; a name that is there already, or a row that is not
   complete (what stands before it in `what` stays). */
PetscErrorCode rt_extend_add(const RtExtend *what);

/* Load a library and call its rt_extend. Only this file is loaded, not one of its name elsewhere, and it stays until
   the process ends. Collective. Errors: no such file, no library or one of another machine, no rt_extend in it, nothing
   that it adds, other bytes on another rank, and those of rt_extend_add. */
PetscErrorCode rt_extend_load(MPI_Comm comm, const char *path);

#ifdef __cplusplus
}
#endif

#endif
