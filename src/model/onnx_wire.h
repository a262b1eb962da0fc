/* What must hold before protobuf-c may unpack a file from anywhere: it neither limits how deep messages nest (a hostile
   file could exhaust the stack) nor says where a file is damaged. */
#ifndef RT_MODEL_ONNX_WIRE_H
#define RT_MODEL_ONNX_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <retort/types.h>

/* Walk an encoded message. Not collective. Errors: truncated or damaged (near which byte), nested too deeply. */
PetscErrorCode rt_onnx_wire_check(const ProtobufCMessageDescriptor *message, const uint8_t *data, size_t bytes);

/* Check a name that will be compared, printed and written again. what: "a node", for the message.
   Errors: absent or empty, longer than 1024 bytes, control characters. */
PetscErrorCode rt_onnx_wire_name(const char *name, const char *what);

#endif
