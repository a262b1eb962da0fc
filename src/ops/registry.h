/* All operators. */
#ifndef RT_OPS_REGISTRY_H
#define RT_OPS_REGISTRY_H

#include "graph/parts.h"

#include <retort/operator.h>

/* The operator with this name in ONNX's own domain, NULL if there is none. */
const RtOp *rt_registry_find(const char *type);
/* In any domain; ONNX's own is "". */
const RtOp *rt_registry_find_in(const char *domain, const char *type);
/* The operator of row i, from 0; NULL after the last. */
const RtOp *rt_registry_at(int i);
/* Make an operator known to all models that are read from now on. op: must live as long as the process; its type must
   be new in its domain, and it must have shape and forward. source: the hash of the library that it comes from, copied;
   "": it comes from none. Errors: these, or too many. */
PetscErrorCode rt_registry_add(const RtOp *op, const char *source);
/* The hash of a model becomes that of the model and of the libraries that its operators come from, where there are any:
   what is made with it depends on both. */
PetscErrorCode rt_registry_hash(const RtGraph *graph, char hash[RT_HASH_TEXT]);
/* A stand-in for an operator that is not supported, so that rt_graph_finish can name all of them at once. It keeps a
   copy of the name for the life of the process. */
PetscErrorCode rt_registry_unknown(const char *domain, const char *type, const RtOp **op);

#endif
