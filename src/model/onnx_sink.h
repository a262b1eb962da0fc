/* Where packed bytes go: a file under a temporary name, a hash, or both. Not collective. */
#ifndef RT_MODEL_ONNX_SINK_H
#define RT_MODEL_ONNX_SINK_H

#include "core/hash.h"

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

typedef struct {
  ProtobufCBuffer base; /* protobuf-c appends here; must stay the first field */
  const char *path;     /* NULL: nothing is written, only hashed */
  char temporary[PETSC_MAX_PATH_LEN];
  FILE *file;
  RtHash *hash; /* NULL: not hashed; not owned */
  size_t bytes; /* so far */
  int reason;   /* errno of the first failure */
  PetscErrorCode error;
} RtSink;

PetscErrorCode rt_onnx_sink_open(RtSink *sink, const char *path, RtHash *hash);
/* Append. Failures are kept until rt_onnx_sink_close, as protobuf-c cannot hand them on. */
void rt_onnx_sink_append(RtSink *sink, const void *data, size_t bytes);
/* Give the file its name, or remove it where something failed. Errors: a full disk, no permission. */
PetscErrorCode rt_onnx_sink_close(RtSink *sink);

#endif
