#include "model/onnx_writer.h"

#include "core/file.h"
#include "model/onnx_proto.h"
#include "model/onnx_sink.h"

#include <retort/onnx.h>
#include <stdio.h>
#include <string.h>

/* A protobuf message ends at 2 GiB; the graph around the weights gets 64 MiB of it. */
static const size_t largest_message = ((size_t)1 << 31) - ((size_t)1 << 26);

/* The moved tensors, each at its offset, zeros between them. */
static void append_weights(const RtProto *proto, RtSink *sink)
{
  static const char zeros[64] = {0};
  const ProtobufCBinaryData *tensor;
  size_t offset;
  int i = 0;

  while ((tensor = rt_onnx_proto_moved(proto, &i, &offset))) {
    while (sink->bytes < offset) rt_onnx_sink_append(sink, zeros, PetscMin(sizeof(zeros), offset - sink->bytes));
    rt_onnx_sink_append(sink, tensor->data, tensor->len);
  }
}

/* The old model goes first: it must at no time stand beside new weights. */
static PetscErrorCode write_weights(RtProto *proto, const char *path, const char *weights)
{
  const char *slash = strrchr(weights, '/');
  RtSink sink;

  PetscFunctionBegin;
  PetscCall(rt_onnx_proto_move_weights(proto, slash ? slash + 1 : weights));
  PetscCall(rt_file_remove(path));
  PetscCall(rt_onnx_sink_open(&sink, weights, NULL));
  append_weights(proto, &sink);
  PetscCall(rt_onnx_sink_close(&sink));
  PetscFunctionReturn(0);
}

/* The hash covers the model and then its external data, as in reading. */
static PetscErrorCode write_all(RtProto *proto, const char *path, size_t limit, RtHash *hash)
{
  bool outside = rt_onnx_proto_weights(proto) > limit;
  char weights[PETSC_MAX_PATH_LEN];
  RtSink sink;
  int written;

  PetscFunctionBegin;
  written = snprintf(weights, sizeof(weights), "%s.data", path);
  RtCheck(written > 0 && (size_t)written < sizeof(weights), "%s: the path is too long", path);
  if (outside) PetscCall(write_weights(proto, path, weights));
  PetscCall(rt_onnx_sink_open(&sink, path, hash));
  (void)protobuf_c_message_pack_to_buffer(&rt_onnx_proto_model(proto)->base, &sink.base);
  PetscCall(rt_onnx_sink_close(&sink));
  if (!outside || !hash) PetscFunctionReturn(0);
  PetscCall(rt_onnx_sink_open(&sink, NULL, hash));
  append_weights(proto, &sink);
  PetscCall(rt_onnx_sink_close(&sink));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_onnx_writer_write(const RtGraph *graph, const char *path, size_t limit, char hash[RT_HASH_TEXT])
{
  RtProto *proto = NULL;
  RtHash *running = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_onnx_proto_create(graph, &proto));
  error = hash ? rt_hash_create(&running) : 0;
  if (!error) error = write_all(proto, path, limit, running);
  PetscCall(rt_onnx_proto_destroy(&proto));
  if (error) PetscCall(rt_hash_destroy(&running));
  PetscCall(error);
  if (hash) PetscCall(rt_hash_finish(&running, hash));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_onnx_write(const RtGraph *graph, const char *path, char hash[RT_HASH_TEXT])
{
  PetscFunctionBegin;
  PetscCall(rt_onnx_writer_write(graph, path, largest_message, hash));
  PetscFunctionReturn(0);
}
