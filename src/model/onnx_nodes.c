#include "model/onnx_nodes.h"

#include "model/onnx_elements.h"
#include "model/onnx_fixed.h"
#include "model/onnx_wire.h"
#include "ops/registry.h"

#include <string.h>

enum { MOST_ENDS = 65536 }; /* inputs or outputs of one node */

bool rt_onnx_nodes_default_domain(const char *domain)
{
  return !domain || !domain[0] || !strcmp(domain, "ai.onnx");
}

static bool is_constant(const Onnx__NodeProto *node)
{
  return rt_onnx_nodes_default_domain(node->domain) && !strcmp(node->op_type, "Constant");
}

/* What a node is called in messages: by its name, or by what it computes. */
static const char *name_of(const Onnx__NodeProto *node)
{
  return node->name && node->name[0] ? node->name : node->output[0];
}

PetscErrorCode rt_onnx_nodes_add_constant(RtGraph *graph, const Onnx__TensorProto *tensor, RtExternal *external)
{
  RtElements elements;
  PetscErrorCode error;
  int id;

  PetscFunctionBegin;
  PetscCall(rt_onnx_elements_read(tensor, external, &elements));
  error = rt_graph_add_value(graph, tensor->name, RT_VALUE_CONSTANT, elements.type, elements.ndim, elements.dim,
                             elements.data, &id);
  PetscCall(rt_onnx_elements_free(&elements));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* A Constant node has one attribute, in one of several forms. */
static PetscErrorCode add_constant_node(RtGraph *graph, const Onnx__NodeProto *node, RtExternal *external)
{
  const char *name = node->output[0], *form;
  Onnx__AttributeProto *attribute;
  int64_t count;
  int id;

  PetscFunctionBegin;
  RtCheck(node->n_attribute == 1 && node->attribute[0]->name, "the Constant '%s' has not one attribute but %zu",
          name_of(node), node->n_attribute);
  attribute = node->attribute[0];
  form = attribute->name;
  if (!strcmp(form, "value") && attribute->t) {
    Onnx__TensorProto tensor = *attribute->t; /* tensors in nodes have no names */

    tensor.name = (char *)name;
    PetscCall(rt_onnx_nodes_add_constant(graph, &tensor, external));
  } else if (!strcmp(form, "value_float")) {
    PetscCall(rt_graph_add_value(graph, name, RT_VALUE_CONSTANT, RT_FLOAT, 0, NULL, &attribute->f, &id));
  } else if (!strcmp(form, "value_int")) {
    PetscCall(rt_graph_add_value(graph, name, RT_VALUE_CONSTANT, RT_INT64, 0, NULL, &attribute->i, &id));
  } else if (!strcmp(form, "value_floats")) {
    count = (int64_t)attribute->n_floats;
    PetscCall(rt_graph_add_value(graph, name, RT_VALUE_CONSTANT, RT_FLOAT, 1, &count, attribute->floats, &id));
  } else if (!strcmp(form, "value_ints")) {
    count = (int64_t)attribute->n_ints;
    PetscCall(rt_graph_add_value(graph, name, RT_VALUE_CONSTANT, RT_INT64, 1, &count, attribute->ints, &id));
  } else {
    PetscCall(rt_onnx_wire_name(form, "an attribute"));
    RtFail("the Constant '%s' holds a '%.100s', which is not supported", name_of(node), form);
  }
  PetscFunctionReturn(0);
}

/* Retort's type of a value, where the file declares one; results are float otherwise. */
static RtType declared_type(const Onnx__GraphProto *proto, const char *name)
{
  for (size_t i = 0; i < proto->n_output; i++) {
    const Onnx__ValueInfoProto *output = proto->output[i];

    if (!output->name || strcmp(output->name, name) || !output->type) continue;
    if (output->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !output->type->tensor_type) continue;
    switch (output->type->tensor_type->elem_type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT8:
    case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL:
      return RT_UINT8;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
      return RT_INT32;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
      return RT_INT64;
    default:
      return RT_FLOAT;
    }
  }
  return RT_FLOAT;
}

/* Check what names a node, and make the values it computes, so that nodes may read them in any order. */
static PetscErrorCode add_results(RtGraph *graph, const Onnx__GraphProto *proto, const Onnx__NodeProto *node,
                                  RtExternal *external)
{
  int id;

  PetscFunctionBegin;
  PetscCall(rt_onnx_wire_name(node->op_type, "an operator"));
  if (node->domain && node->domain[0]) PetscCall(rt_onnx_wire_name(node->domain, "a domain"));
  if (node->name && node->name[0]) PetscCall(rt_onnx_wire_name(node->name, "a node"));
  RtCheck(node->n_output > 0 && node->n_output < MOST_ENDS && node->n_input < MOST_ENDS,
          "a node with the operator '%s' has %zu inputs and %zu outputs", node->op_type, node->n_input, node->n_output);
  PetscCall(rt_onnx_wire_name(node->output[0], "the first output of a node"));
  for (size_t k = 0; k < node->n_output; k++)
    if (node->output[k][0]) PetscCall(rt_onnx_wire_name(node->output[k], "an output of a node"));
  if (is_constant(node)) {
    PetscCall(add_constant_node(graph, node, external));
    PetscFunctionReturn(0);
  }
  for (size_t k = 0; k < node->n_output; k++)
    if (node->output[k][0])
      PetscCall(rt_graph_add_value(graph, node->output[k], RT_VALUE_RESULT, declared_type(proto, node->output[k]), 0,
                                   NULL, NULL, &id));
  PetscFunctionReturn(0);
}

/* Other kinds of attributes are marked with a text, so that an operator that knows the name can object. */
static PetscErrorCode set_attribute(RtGraph *graph, int node, const Onnx__AttributeProto *attribute)
{
  char *text;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_onnx_wire_name(attribute->name, "an attribute"));
  RtCheck(!rt_graph_attribute(&graph->node[node], attribute->name), "the attribute '%s' stands twice at one node",
          attribute->name);
  RtCheck(!attribute->ref_attr_name || !attribute->ref_attr_name[0],
          "the attribute '%s' refers to a local function, which is not supported", attribute->name);
  RtCheck(attribute->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED, "the attribute '%s' has no type",
          attribute->name);
  switch (attribute->type) {
  case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
    PetscCall(rt_graph_set_int(graph, node, attribute->name, attribute->i));
    break;
  case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
    PetscCall(rt_graph_set_float(graph, node, attribute->name, attribute->f));
    break;
  case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
    RtCheck(attribute->n_ints < MOST_ENDS, "the attribute '%s' has %zu numbers", attribute->name, attribute->n_ints);
    PetscCall(rt_graph_set_ints(graph, node, attribute->name, (int)attribute->n_ints, attribute->ints));
    break;
  case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
    PetscCall(PetscMalloc1(attribute->s.len + 1, &text));
    PetscCall(PetscArraycpy(text, (char *)attribute->s.data, attribute->s.len));
    text[attribute->s.len] = 0;
    error = rt_graph_set_string(graph, node, attribute->name, text);
    PetscCall(PetscFree(text));
    PetscCall(error);
    break;
  case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
    PetscCall(rt_graph_set_string(graph, node, attribute->name, "(tensor)"));
    break;
  default:
    PetscCall(rt_graph_set_string(graph, node, attribute->name, "(not supported)"));
  }
  PetscFunctionReturn(0);
}

static int64_t int_attribute(const Onnx__NodeProto *node, const char *name)
{
  for (size_t k = 0; k < node->n_attribute; k++)
    if (node->attribute[k]->name && !strcmp(node->attribute[k]->name, name)) return node->attribute[k]->i;
  return 0;
}

/* samples: the number that the file fixes, or 0. */
static PetscErrorCode add_ends(RtGraph *graph, const RtOp *op, const Onnx__NodeProto *node, int64_t samples, int *input,
                               int *output, int *added)
{
  PetscFunctionBegin;
  for (size_t k = 0; k < node->n_input; k++) {
    input[k] = -1;
    if (!node->input[k][0]) continue;
    PetscCall(rt_onnx_wire_name(node->input[k], "an input of a node"));
    input[k] = rt_graph_find(graph, node->input[k]);
    RtCheck(input[k] >= 0, "the node '%s' (%s) reads '%s', which nothing in the model computes", name_of(node),
            node->op_type, node->input[k]);
  }
  if (!strcmp(op->type, "Reshape") && node->n_input > 1 && input[0] >= 0 && input[1] >= 0)
    PetscCall(rt_onnx_fixed_release(graph, samples, int_attribute(node, "allowzero"), input[0], &input[1]));
  for (size_t k = 0; k < node->n_output; k++)
    output[k] = node->output[k][0] ? rt_graph_find(graph, node->output[k]) : -1;
  PetscCall(rt_graph_add_node(graph, op, node->name ? node->name : "", (int)node->n_input, input, (int)node->n_output,
                              output, added));
  PetscFunctionReturn(0);
}

static PetscErrorCode add_node(RtGraph *graph, const Onnx__NodeProto *node, int64_t samples)
{
  const RtOp *op = rt_onnx_nodes_default_domain(node->domain) ? rt_registry_find(node->op_type) : NULL;
  bool known = op != NULL;
  int *input, *output, added;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (!known) PetscCall(rt_registry_unknown(node->domain ? node->domain : "", node->op_type, &op));
  PetscCall(PetscMalloc2(node->n_input + 1, &input, node->n_output + 1, &output));
  error = add_ends(graph, op, node, samples, input, output, &added);
  PetscCall(PetscFree2(input, output));
  PetscCall(error);
  for (size_t k = 0; known && k < node->n_attribute; k++) PetscCall(set_attribute(graph, added, node->attribute[k]));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_onnx_nodes_add(RtGraph *graph, const Onnx__GraphProto *proto, RtExternal *external)
{
  int64_t samples = rt_onnx_fixed_samples(graph, proto);

  PetscFunctionBegin;
  for (size_t i = 0; i < proto->n_node; i++) PetscCall(add_results(graph, proto, proto->node[i], external));
  for (size_t i = 0; i < proto->n_node; i++)
    if (!is_constant(proto->node[i])) PetscCall(add_node(graph, proto->node[i], samples));
  PetscFunctionReturn(0);
}
