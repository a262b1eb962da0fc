/* The elements of an ONNX tensor in one of Retort's types. Not collective. */
#ifndef RT_MODEL_ONNX_ELEMENTS_H
#define RT_MODEL_ONNX_ELEMENTS_H

#include "model/onnx_external.h"

typedef struct {
  RtType type;
  int ndim;
  int64_t dim[RT_MAX_DIM];
  int64_t size;
  const void *data; /* [size] row-major, in the message or in `owned` */
  void *owned;
} RtElements;

/* Read a tensor: float, double, float16 and bfloat16 become float; uint8 and bool become uint8; int32 and int64 stay.
   tensor: checked here, except for its name, which must be one that can be printed. elements: points into the tensor
   where nothing had to be converted, so the tensor must outlive it.
   Errors: another type, an impossible shape, bytes that do not fit the shape, what rt_onnx_external_read refuses. */
PetscErrorCode rt_onnx_elements_read(const Onnx__TensorProto *tensor, RtExternal *external, RtElements *elements);
PetscErrorCode rt_onnx_elements_free(RtElements *elements);

#endif
