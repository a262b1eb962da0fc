/* Weights that stand outside the model file, in files beside it. Not collective. */
#ifndef RT_MODEL_ONNX_EXTERNAL_H
#define RT_MODEL_ONNX_EXTERNAL_H

#include "core/hash.h"

#include <onnx.pb-c.h>

/* The external files of one model while it is read. */
typedef struct RtExternal RtExternal;

/* model: path of the model file. hash: each external file is added once, when it first appears; may be NULL. Neither is
   copied. */
PetscErrorCode rt_onnx_external_create(const char *model, RtHash *hash, RtExternal **external);
/* Accepts NULL. */
PetscErrorCode rt_onnx_external_destroy(RtExternal **external);

/* Read the bytes of a tensor. *data: [bytes], allocated with PetscMalloc, the caller frees it.
   Errors: no location, one that leaves the model's folder, no such file, and an offset or length that does not fit the
   file or the tensor; nothing is allocated before these are checked. */
PetscErrorCode rt_onnx_external_read(RtExternal *external, const Onnx__TensorProto *tensor, size_t bytes, void **data);

#endif
