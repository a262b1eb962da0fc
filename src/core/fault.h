/* Faults on purpose, for tests: the environment variable RETORT_FAULT names places where a rank fails, dies, is asked
   to stop, or becomes slow.

   RETORT_FAULT=ACTION:POINT:NUMBER[:RANK][,…]
     ACTION   fail: an error; kill: SIGKILL to itself; term: SIGTERM to itself; slow: from then on each pass takes five
              times as long
     POINT    open, write: of files; send: a communication of all ranks; step: of training, or a shard of labels
     NUMBER   at which pass through such a point, from 1
     RANK     which rank does it, 0 by default

   RETORT_FAULT_LOG=FILE: a line `fired ACTION:POINT:NUMBER:RANK` is added for each fault that came, and at its end each
   rank adds lines `passed all:POINT:NUMBER:RANK`, how often it passed such a point: a test can tell that a fault came,
   and where one can. */
#ifndef RT_CORE_FAULT_H
#define RT_CORE_FAULT_H

#include <retort/types.h>

typedef enum { RT_FAULT_OPEN, RT_FAULT_WRITE, RT_FAULT_SEND, RT_FAULT_STEP, RT_FAULT_POINTS } RtFaultPoint;

/* Read the variable. Errors (usage): text that is none of the above. */
PetscErrorCode rt_fault_start(int rank);
/* Pass a point. Not collective; any thread. Costs next to nothing where no fault is wanted.
   Errors: the fault that was asked for. */
PetscErrorCode rt_fault_at(RtFaultPoint point);

#endif
