#include "model/onnx_wire.h"

#include <string.h>

enum { DEEPEST = 64, LONGEST_NAME = 1024 }; /* a graph in a branch of a graph costs three levels */

typedef struct {
  const uint8_t *next, *end;
} Span;

static bool read_varint(Span *span, uint64_t *value)
{
  *value = 0;
  for (int shift = 0; shift < 70 && span->next < span->end; shift += 7) {
    uint8_t byte = *span->next++;

    *value |= shift < 64 ? (uint64_t)(byte & 127) << shift : 0;
    if (!(byte & 128)) return true;
  }
  return false;
}

static bool skip(Span *span, uint64_t bytes)
{
  if (bytes > (uint64_t)(span->end - span->next)) return false;
  span->next += bytes;
  return true;
}

/* Walk one message. False at the first damage, with span->next near it; *deep where the nesting is the reason. */
static bool walk(const ProtobufCMessageDescriptor *message, Span *span, int depth, bool *deep)
{
  *deep = depth > DEEPEST;
  if (*deep) return false;
  while (span->next < span->end) {
    const ProtobufCFieldDescriptor *field;
    uint64_t tag, length;
    bool good;

    if (!read_varint(span, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return false;
    switch (tag & 7) {
    case 0:
      good = read_varint(span, &length);
      break;
    case 1:
      good = skip(span, 8);
      break;
    case 5:
      good = skip(span, 4);
      break;
    case 2: {
      Span part;

      good = read_varint(span, &length);
      part.next = span->next;
      if (!good || !skip(span, length)) return false;
      part.end = span->next;
      field = protobuf_c_message_descriptor_get_field(message, (unsigned)(tag >> 3));
      if (field && field->type == PROTOBUF_C_TYPE_MESSAGE && !walk(field->descriptor, &part, depth + 1, deep)) {
        span->next = part.next;
        return false;
      }
      break;
    }
    default:
      good = false;
    }
    if (!good) return false;
  }
  return true;
}

PetscErrorCode rt_onnx_wire_check(const ProtobufCMessageDescriptor *message, const uint8_t *data, size_t bytes)
{
  Span span = {data, data + bytes};
  bool deep, good;

  PetscFunctionBegin;
  good = walk(message, &span, 0, &deep);
  RtCheck(!deep, "messages are nested more than %d deep: this is not a usable ONNX model", (int)DEEPEST);
  RtCheck(good, "not an ONNX model, truncated or damaged near byte %zu of %zu", (size_t)(span.next - data), bytes);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_onnx_wire_name(const char *name, const char *what)
{
  PetscFunctionBegin;
  RtCheck(name && name[0], "%s has no name", what);
  RtCheck(strlen(name) <= LONGEST_NAME, "%s has a name of more than %d bytes", what, (int)LONGEST_NAME);
  for (const char *c = name; *c; c++)
    RtCheck((unsigned char)*c >= 32 && *c != 127, "%s has a name with control characters", what);
  PetscFunctionReturn(0);
}
