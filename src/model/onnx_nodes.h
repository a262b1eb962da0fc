/* Nodes and constants of an ONNX graph, as they enter Retort's graph. Not collective. */
#ifndef RT_MODEL_ONNX_NODES_H
#define RT_MODEL_ONNX_NODES_H

#include "model/onnx_external.h"

#include "graph/parts.h"

/* ONNX's own operators stand in the domain "", which may also be written "ai.onnx". domain: may be NULL. */
bool rt_onnx_nodes_default_domain(const char *domain);

/* Add a tensor as a constant of its name, which has been checked. Errors: what rt_onnx_elements_read refuses, a name
   that is used already. */
PetscErrorCode rt_onnx_nodes_add_constant(RtGraph *graph, const Onnx__TensorProto *tensor, RtExternal *external);

/* Add all nodes. Constant nodes become constants; operators that are not supported become nodes that rt_graph_finish
   names. graph: holds inputs and initializers already.
   Errors: a node that reads what nothing computes, a name that is used twice, a node without an operator or output. */
PetscErrorCode rt_onnx_nodes_add(RtGraph *graph, const Onnx__GraphProto *proto, RtExternal *external);

#endif
