#include "model/onnx_sink.h"

#include "core/file.h"

#include <errno.h>
#include <string.h>

static void append(ProtobufCBuffer *base, size_t bytes, const uint8_t *data)
{
  rt_onnx_sink_append((RtSink *)base, data, bytes);
}

PetscErrorCode rt_onnx_sink_open(RtSink *sink, const char *path, RtHash *hash)
{
  PetscFunctionBegin;
  memset(sink, 0, sizeof(*sink));
  sink->base.append = append;
  sink->path = path;
  sink->hash = hash;
  if (!path) PetscFunctionReturn(0);
  PetscCall(rt_file_temporary(path, sink->temporary, sizeof(sink->temporary)));
  sink->file = fopen(sink->temporary, "wb");
  RtCheck(sink->file, "%s: cannot be written: %s", path, strerror(errno));
  PetscFunctionReturn(0);
}

void rt_onnx_sink_append(RtSink *sink, const void *data, size_t bytes)
{
  sink->bytes += bytes;
  if (sink->file && !sink->reason && fwrite(data, 1, bytes, sink->file) != bytes) sink->reason = errno ? errno : EIO;
  if (sink->hash && !sink->error) sink->error = rt_hash_add(sink->hash, data, bytes);
}

PetscErrorCode rt_onnx_sink_close(RtSink *sink)
{
  PetscFunctionBegin;
  if (!sink->file) PetscFunctionReturn(sink->error);
  if (fclose(sink->file) && !sink->reason) sink->reason = errno;
  sink->file = NULL;
  if (sink->reason || sink->error) {
    PetscCall(rt_file_remove(sink->temporary));
    RtCheck(!sink->reason, "%s: cannot be written: %s", sink->path, strerror(sink->reason));
    PetscCall(sink->error);
  }
  PetscCall(rt_file_commit(sink->temporary, sink->path));
  PetscFunctionReturn(0);
}
