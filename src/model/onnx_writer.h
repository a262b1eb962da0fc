/* The writer, with what tests need to see of it. Not collective. */
#ifndef RT_MODEL_ONNX_WRITER_H
#define RT_MODEL_ONNX_WRITER_H

#include "graph/parts.h"

/* As rt_onnx_write, with the limit as an argument: a model whose weights take more than `limit` bytes gets them in one
   external file, PATH.data. */
PetscErrorCode rt_onnx_writer_write(const RtGraph *graph, const char *path, size_t limit, char hash[RT_HASH_TEXT]);

#endif
