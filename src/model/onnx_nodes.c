#include "model/onnx_nodes.h"

#include "model/onnx_elements.h"
#include "model/onnx_fixed.h"
#include "model/onnx_wire.h"
#include "ops/registry.h"

#include <string.h>

enum { MOST_ENDS = 65536 /* inputs or outputs of one node */, MOST_ATTRIBUTES = 256 };

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

/* The type of a Constant's attribute; undefined where it is not supported. */
static Onnx__AttributeProto__AttributeType constant_type(const char *form)
{
  static const struct {
    const char *form;
    Onnx__AttributeProto__AttributeType type;
  } forms[] = {
      {"value", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR},
      {"value_float", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT},
      {"value_int", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT},
      {"value_floats", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS},
      {"value_ints", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS},
  };

  for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
    if (!strcmp(forms[i].form, form)) return forms[i].type;
  return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED;
}

/* A Constant node has one attribute, in one of several forms. */
static PetscErrorCode add_constant_node(RtGraph *graph, const Onnx__NodeProto *node, RtExternal *external)
{
  const char *name = node->output[0], *form;
  Onnx__AttributeProto *attribute;
  Onnx__AttributeProto__AttributeType type;
  int64_t count;
  int id;

  PetscFunctionBegin;
  RtCheck(node->n_attribute == 1 && node->attribute[0]->name, "the Constant '%s' has not one attribute but %zu",
          name_of(node), node->n_attribute);
  attribute = node->attribute[0];
  form = attribute->name;
  PetscCall(rt_onnx_wire_name(form, "an attribute"));
  type = constant_type(form);
  RtCheck(type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED && attribute->type == type,
          "the Constant '%s' holds a '%.100s', which is not supported or not of its type", name_of(node), form);
  if (!strcmp(form, "value")) {
    Onnx__TensorProto tensor; /* tensors in nodes have no names */

    RtCheck(attribute->t, "the Constant '%s' has no tensor", name_of(node));
    tensor = *attribute->t;
    tensor.name = (char *)name;
    PetscCall(rt_onnx_nodes_add_constant(graph, &tensor, external));
  } else if (!strcmp(form, "value_float")) {
    PetscCall(rt_graph_add_value(graph, name, RT_VALUE_CONSTANT, RT_FLOAT, 0, NULL, &attribute->f, &id));
  } else if (!strcmp(form, "value_int")) {
    PetscCall(rt_graph_add_value(graph, name, RT_VALUE_CONSTANT, RT_INT64, 0, NULL, &attribute->i, &id));
  } else if (!strcmp(form, "value_floats")) {
    count = (int64_t)attribute->n_floats;
    PetscCall(rt_graph_add_value(graph, name, RT_VALUE_CONSTANT, RT_FLOAT, 1, &count, attribute->floats, &id));
  } else {
    count = (int64_t)attribute->n_ints;
    PetscCall(rt_graph_add_value(graph, name, RT_VALUE_CONSTANT, RT_INT64, 1, &count, attribute->ints, &id));
  }
  PetscFunctionReturn(0);
}

/* Check what names a node, and make the values it computes, so that nodes may read them in any order. */
static PetscErrorCode add_results(RtGraph *graph, const Onnx__NodeProto *node, RtExternal *external)
{
  int id;

  PetscFunctionBegin;
  PetscCall(rt_onnx_wire_name(node->op_type, "an operator"));
  if (node->domain && node->domain[0]) PetscCall(rt_onnx_wire_name(node->domain, "a domain"));
  if (node->name && node->name[0]) PetscCall(rt_onnx_wire_name(node->name, "a node"));
  RtCheck(node->n_output > 0 && node->n_output < MOST_ENDS && node->n_input < MOST_ENDS,
          "a node with the operator '%s' has %zu inputs and %zu outputs", node->op_type, node->n_input, node->n_output);
  RtCheck(node->n_attribute < MOST_ATTRIBUTES, "a node with the operator '%s' has %zu attributes", node->op_type,
          node->n_attribute);
  PetscCall(rt_onnx_wire_name(node->output[0], "the first output of a node"));
  for (size_t k = 0; k < node->n_output; k++)
    if (node->output[k][0]) PetscCall(rt_onnx_wire_name(node->output[k], "an output of a node"));
  if (is_constant(node)) {
    PetscCall(add_constant_node(graph, node, external));
    PetscFunctionReturn(0);
  }
  for (size_t k = 0; k < node->n_output; k++)
    if (node->output[k][0])
      PetscCall(rt_graph_add_value(graph, node->output[k], RT_VALUE_RESULT, RT_FLOAT, 0, NULL, NULL, &id));
  PetscFunctionReturn(0);
}

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
  default:
    PetscCall(rt_graph_set_other(graph, node, attribute->name));
  }
  PetscFunctionReturn(0);
}

/* Of any type: finishing refuses another. */
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
  if (op->resizes && node->n_input > 1 && input[0] >= 0 && input[1] >= 0)
    PetscCall(rt_onnx_fixed_release(graph, samples, int_attribute(node, "allowzero"), input[0], &input[1]));
  for (size_t k = 0; k < node->n_output; k++)
    output[k] = node->output[k][0] ? rt_graph_find(graph, node->output[k]) : -1;
  PetscCall(rt_graph_add_node(graph, op, node->name ? node->name : "", (int)node->n_input, input, (int)node->n_output,
                              output, added));
  PetscFunctionReturn(0);
}

static PetscErrorCode add_node(RtGraph *graph, const Onnx__NodeProto *node, int64_t samples)
{
  const RtOp *op = rt_registry_find_in(rt_onnx_nodes_default_domain(node->domain) ? "" : node->domain, node->op_type);
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
  for (size_t i = 0; i < proto->n_node; i++) PetscCall(add_results(graph, proto->node[i], external));
  for (size_t i = 0; i < proto->n_node; i++)
    if (!is_constant(proto->node[i])) PetscCall(add_node(graph, proto->node[i], samples));
  PetscFunctionReturn(0);
}
