/* Models in ONNX files. Nothing here is collective. */
#ifndef RETORT_ONNX_H
#define RETORT_ONNX_H

#include <retort/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Read and finish a model. Weights in external data files beside the model are read too.
   hash: if not NULL, the SHA-256 of the file (of the model file and its external data, in order) in hexadecimal.
   Errors: not an ONNX file, truncated, an opset that is too old or too new, a tensor whose bytes do not fit its shape,
   and all operators that are not supported, in one message. */
PetscErrorCode rt_onnx_read(const char *path, RtGraph **graph, char hash[RT_HASH_TEXT]);

/* Write a finished graph with its current parameters. The file is complete or absent, and the same graph gives the
   same bytes. hash as above, may be NULL. */
PetscErrorCode rt_onnx_write(const RtGraph *graph, const char *path, char hash[RT_HASH_TEXT]);

#ifdef __cplusplus
}
#endif

#endif
