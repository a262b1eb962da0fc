/* For tests of what uses src/comm/reduce.c: takes it in with a switch that makes ranks of one node behave like ranks of
   several, which send messages instead of sharing memory. A test that includes this has its own rt_reduce functions. */
#ifndef RT_TEST_MESSAGES_H
#define RT_TEST_MESSAGES_H

#include "comm/shared.h"

static bool rt_messages_only;

static PetscErrorCode rt_messages_create(MPI_Comm comm, size_t bytes, RtShared *shared, bool *made)
{
  PetscFunctionBegin;
  *made = false;
  if (!rt_messages_only) PetscCall(rt_shared_create(comm, bytes, shared, made));
  PetscFunctionReturn(0);
}

#define rt_shared_create rt_messages_create
#include "comm/reduce.c"
#undef rt_shared_create

#endif
