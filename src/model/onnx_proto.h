/* A graph as an ONNX message, ready to be packed. Not collective. */
#ifndef RT_MODEL_ONNX_PROTO_H
#define RT_MODEL_ONNX_PROTO_H

#include "graph/parts.h"
#include <onnx.pb-c.h>

typedef struct RtProto RtProto;

/* Make the message. It points into the graph, which must outlive it and not change. Parts stand in the order of the
   graph, so the same graph gives the same bytes. Errors: shapes that do not fit, by node name. */
PetscErrorCode rt_onnx_proto_create(const RtGraph *graph, RtProto **proto);
/* Accepts NULL. */
PetscErrorCode rt_onnx_proto_destroy(RtProto **proto);
const Onnx__ModelProto *rt_onnx_proto_model(const RtProto *proto);

/* Bytes of all tensors. */
size_t rt_onnx_proto_weights(const RtProto *proto);

/* Move the large tensors out of the message: they are to stand in the file `location`, beside the model. Small ones
   stay, because shapes are inferred from them. location: must outlive the message. */
PetscErrorCode rt_onnx_proto_move_weights(RtProto *proto, const char *location);
/* The next moved tensor; NULL after the last. i: start with 0. offset: where in the file its bytes belong. */
const ProtobufCBinaryData *rt_onnx_proto_moved(const RtProto *proto, int *i, size_t *offset);

#endif
