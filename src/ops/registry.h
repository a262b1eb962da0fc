/* All operators. */
#ifndef RT_OPS_REGISTRY_H
#define RT_OPS_REGISTRY_H

#include "graph/op.h"

/* The operator with this ONNX name in the default domain, NULL if there is none. */
const RtOp *rt_registry_find(const char *type);
/* The operator of row i, from 0; NULL after the last. */
const RtOp *rt_registry_at(int i);
/* Make an operator known to all models that are read from now on. op: must live as long as the process; its type must
   be new, and it must have shape and forward. Errors: these, or too many. */
PetscErrorCode rt_registry_add(const RtOp *op);
/* A stand-in for an operator that is not supported, so that rt_graph_finish can name all of them at once. It keeps a
   copy of the name for the life of the process. */
PetscErrorCode rt_registry_unknown(const char *domain, const char *type, const RtOp **op);

#endif
