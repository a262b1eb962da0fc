#include "model/onnx_proto.h"

#include <retort/operator.h>

#include <retort/plan.h>
#include <stdio.h>
#include <string.h>

enum { SMALLEST_MOVED = 1024, PAGE = 4096 }; /* bytes; offsets are multiples of a page so that files can be mapped */

typedef struct {
  ProtobufCBinaryData data;
  size_t offset;
} Moved;

struct RtProto {
  const RtGraph *graph;
  Onnx__ModelProto model;
  Onnx__GraphProto message;
  Onnx__OperatorSetIdProto **opset; /* of each domain, ONNX's own first */
  size_t opsets;
  int moves;
  Moved *moved;
  int blocks;
  void **block; /* all that `take` gave */
};

/* Zeroed memory that lives as long as the message. place: address of the pointer. */
static PetscErrorCode take(RtProto *proto, size_t count, size_t bytes, void *place)
{
  char *block;

  PetscFunctionBegin;
  if ((proto->blocks & (proto->blocks - 1)) == 0)
    PetscCall(PetscRealloc(sizeof(void *) * 2 * (size_t)PetscMax(proto->blocks, 1), &proto->block));
  PetscCall(PetscCalloc1(count * bytes + 1, &block));
  proto->block[proto->blocks++] = block;
  memcpy(place, &block, sizeof(block));
  PetscFunctionReturn(0);
}

static int32_t onnx_type(RtType type)
{
  static const int32_t types[RT_TYPES] = {
      [RT_FLOAT] = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
      [RT_UINT8] = ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
      [RT_INT32] = ONNX__TENSOR_PROTO__DATA_TYPE__INT32,
      [RT_INT64] = ONNX__TENSOR_PROTO__DATA_TYPE__INT64,
  };

  return types[type];
}

/* The earliest file version that goes with an opset and may keep initializers out of the inputs. */
static int64_t version_for(int64_t opset)
{
  return opset <= 9 ? 4 : opset == 10 ? 5 : opset == 11 ? 6 : opset <= 14 ? 7 : 8;
}

/* A dimension is a number, RT_BATCH, a free axis, or 0 where only the axis is known. */
static PetscErrorCode make_info(RtProto *proto, int id, int32_t type, int ndim, const int64_t dim[],
                                Onnx__ValueInfoProto **info)
{
  struct {
    Onnx__ValueInfoProto info;
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor;
    Onnx__TensorShapeProto shape;
    Onnx__TensorShapeProto__Dimension dim[RT_MAX_DIM], *dims[RT_MAX_DIM];
  } * all;

  PetscFunctionBegin;
  PetscCall(take(proto, 1, sizeof(*all), &all));
  onnx__value_info_proto__init(&all->info);
  onnx__type_proto__init(&all->type);
  onnx__type_proto__tensor__init(&all->tensor);
  onnx__tensor_shape_proto__init(&all->shape);
  all->info.name = proto->graph->value[id].name;
  all->info.type = &all->type;
  all->type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
  all->type.tensor_type = &all->tensor;
  all->tensor.has_elem_type = 1;
  all->tensor.elem_type = type;
  all->tensor.shape = &all->shape;
  all->shape.n_dim = (size_t)ndim;
  all->shape.dim = all->dims;
  for (int i = 0; i < ndim; i++) {
    Onnx__TensorShapeProto__Dimension *d = all->dims[i] = &all->dim[i];

    onnx__tensor_shape_proto__dimension__init(d);
    if (dim[i] == RT_BATCH) {
      d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
      d->dim_param = (char *)"sample";
    } else if (rt_axes_of(dim[i]) >= 0) {
      d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
      d->dim_param = proto->graph->axis[rt_axes_of(dim[i])];
    } else if (dim[i] > 0) {
      d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
      d->dim_value = dim[i];
    }
  }
  *info = &all->info;
  PetscFunctionReturn(0);
}

static PetscErrorCode make_inputs(RtProto *proto)
{
  const RtGraph *graph = proto->graph;

  PetscFunctionBegin;
  PetscCall(take(proto, (size_t)graph->inputs, sizeof(void *), &proto->message.input));
  for (int i = 0; i < graph->inputs; i++) {
    const RtValue *value = &graph->value[graph->input[i]];

    PetscCall(
        make_info(proto, graph->input[i], onnx_type(value->type), value->ndim, value->dim, &proto->message.input[i]));
  }
  proto->message.n_input = (size_t)graph->inputs;
  PetscFunctionReturn(0);
}

/* What tells the shapes of the outputs: the graph bound to 1 and to 2 samples, and to other lengths of its free axes.
 */
typedef struct {
  int64_t *length[2];
  RtPlan *plan[3]; /* the last one is NULL where there are no free axes, or the model refuses other lengths */
} Probe;

/* What a dimension of an output is: a number, RT_BATCH, a free axis; 0 where it depends on them in another way. size:
   in the three plans, the last one where there is one. */
static int64_t dimension_of(const RtGraph *graph, const Probe *probe, const int64_t size[3])
{
  const bool probed = probe->plan[2];
  bool fixed = !probed || size[0] == size[2];

  if (size[0] != size[1]) return size[0] == 1 && size[1] == 2 ? RT_BATCH : 0;
  for (int a = 0; a < graph->axes; a++) {
    if (probed && !fixed && size[0] == probe->length[0][a] && size[2] == probe->length[1][a]) return RT_BATCH - 1 - a;
    if (!probed && size[0] == probe->length[0][a]) fixed = false;
  }
  return fixed ? size[0] : 0;
}

static PetscErrorCode make_outputs_with(RtProto *proto, const Probe *probe)
{
  const RtGraph *graph = proto->graph;

  PetscFunctionBegin;
  PetscCall(take(proto, (size_t)graph->outputs, sizeof(void *), &proto->message.output));
  for (int o = 0; o < graph->outputs; o++) {
    int64_t dim[3][RT_MAX_DIM], made[RT_MAX_DIM];
    int id = graph->output[o], ndim = 0;
    int32_t type = rt_plan_truth(probe->plan[0], id) ? (int32_t)ONNX__TENSOR_PROTO__DATA_TYPE__BOOL
                                                     : onnx_type(rt_plan_type(probe->plan[0], id));

    for (int p = 0; p < 3; p++)
      if (probe->plan[p]) ndim = rt_plan_shape(probe->plan[p], id, dim[p]);
    for (int i = 0; i < ndim; i++)
      made[i] = dimension_of(graph, probe, (int64_t[]){dim[0][i], dim[1][i], probe->plan[2] ? dim[2][i] : 0});
    PetscCall(make_info(proto, id, type, ndim, made, &proto->message.output[o]));
  }
  proto->message.n_output = (size_t)graph->outputs;
  PetscFunctionReturn(0);
}

static PetscErrorCode bind_outputs(const RtGraph *graph, Probe *probe)
{
  RtPlanParams params = {.length = probe->length[0]};
  PetscErrorCode refused;

  PetscFunctionBegin;
  for (int a = 0; a < graph->axes; a++) {
    probe->length[0][a] = graph->length[a] ? graph->length[a] : 2;
    probe->length[1][a] = probe->length[0][a] + 1 + a;
  }
  for (params.batch = 1; params.batch <= 2; params.batch++)
    PetscCall(rt_plan_create(graph, &params, &probe->plan[params.batch - 1]));
  if (!graph->axes) PetscFunctionReturn(0);
  params.batch = 1;
  params.length = probe->length[1];
  PetscCall(PetscPushErrorHandler(PetscIgnoreErrorHandler, NULL));
  refused = rt_plan_create(graph, &params, &probe->plan[2]);
  PetscCall(PetscPopErrorHandler());
  if (refused) probe->plan[2] = NULL;
  PetscFunctionReturn(0);
}

static PetscErrorCode make_outputs(RtProto *proto)
{
  Probe probe = {.plan = {NULL}};
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc2(proto->graph->axes + 1, &probe.length[0], proto->graph->axes + 1, &probe.length[1]));
  error = bind_outputs(proto->graph, &probe);
  if (!error) error = make_outputs_with(proto, &probe);
  for (int p = 0; p < 3; p++) PetscCall(rt_plan_destroy(&probe.plan[p]));
  PetscCall(PetscFree2(probe.length[0], probe.length[1]));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static void make_tensor(const RtGraph *graph, const RtValue *value, bool is_bool, Onnx__TensorProto *tensor)
{
  onnx__tensor_proto__init(tensor);
  tensor->name = value->name;
  tensor->n_dims = (size_t)value->ndim;
  tensor->dims = (int64_t *)value->dim;
  tensor->has_data_type = 1;
  tensor->data_type = is_bool ? ONNX__TENSOR_PROTO__DATA_TYPE__BOOL : onnx_type(value->type);
  tensor->has_raw_data = 1;
  tensor->raw_data.len = (size_t)value->size * rt_types_size(value->type);
  tensor->raw_data.data = value->kind == RT_VALUE_PARAMETER ? (uint8_t *)(graph->parameter + value->offset)
                          : value->kind == RT_VALUE_STATE   ? (uint8_t *)(graph->state + value->offset)
                                                            : value->data;
}

/* Parameters, state and constants that a node reads, in the order of values. Retort keeps truth values as bytes: they
   are bool where the operator wants them so. */
static PetscErrorCode make_initializers(RtProto *proto)
{
  enum { READ = 1, BOOL = 2 };
  const RtGraph *graph = proto->graph;
  Onnx__TensorProto *tensor;
  char *use;

  PetscFunctionBegin;
  PetscCall(take(proto, (size_t)graph->values, 1, &use));
  PetscCall(take(proto, (size_t)graph->values, sizeof(*tensor), &tensor));
  PetscCall(take(proto, (size_t)graph->values, sizeof(void *), &proto->message.initializer));
  for (int n = 0; n < graph->nodes; n++) {
    const RtNode *node = &graph->node[n];

    for (int k = 0; k < node->inputs; k++) {
      if (node->input[k] < 0) continue;
      use[node->input[k]] |= READ;
      if (rt_op_has(node->op->truth, k)) use[node->input[k]] |= BOOL;
    }
  }
  for (int i = 0; i < graph->values; i++) {
    const RtValue *value = &graph->value[i];
    size_t count = proto->message.n_initializer;

    if (!use[i] || value->kind == RT_VALUE_INPUT || value->kind == RT_VALUE_RESULT) continue;
    make_tensor(graph, value, (use[i] & BOOL) && value->type == RT_UINT8, &tensor[count]);
    proto->message.initializer[count] = &tensor[count];
    proto->message.n_initializer++;
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode make_attributes(RtProto *proto, const RtNode *node, Onnx__NodeProto *message)
{
  Onnx__AttributeProto *attribute;

  PetscFunctionBegin;
  PetscCall(take(proto, (size_t)node->attributes, sizeof(*attribute), &attribute));
  PetscCall(take(proto, (size_t)node->attributes, sizeof(void *), &message->attribute));
  for (int i = 0; i < node->attributes; i++) {
    const RtAttribute *from = &node->attribute[i];
    Onnx__AttributeProto *to = message->attribute[i] = &attribute[i];

    onnx__attribute_proto__init(to);
    to->name = from->name;
    to->has_type = 1;
    switch (from->kind) {
    case RT_ATTRIBUTE_INT:
      to->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
      to->has_i = 1;
      to->i = from->i;
      break;
    case RT_ATTRIBUTE_FLOAT:
      to->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
      to->has_f = 1;
      to->f = from->f;
      break;
    case RT_ATTRIBUTE_STRING:
      to->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
      to->has_s = 1;
      to->s = (ProtobufCBinaryData){strlen(from->s), (uint8_t *)from->s};
      break;
    case RT_ATTRIBUTE_INTS:
      to->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
      to->n_ints = (size_t)from->count;
      to->ints = from->ints;
      break;
    case RT_ATTRIBUTE_OTHER: /* not in a finished graph */
      break;
    }
  }
  message->n_attribute = (size_t)node->attributes;
  PetscFunctionReturn(0);
}

/* Names of values; an end that is left out has the empty name. */
static PetscErrorCode make_ends(RtProto *proto, int count, const int *id, size_t *n, char ***names)
{
  PetscFunctionBegin;
  PetscCall(take(proto, (size_t)count, sizeof(char *), names));
  for (int k = 0; k < count; k++) (*names)[k] = id[k] < 0 ? (char *)"" : proto->graph->value[id[k]].name;
  *n = (size_t)count;
  PetscFunctionReturn(0);
}

static PetscErrorCode make_nodes(RtProto *proto)
{
  const RtGraph *graph = proto->graph;
  Onnx__NodeProto *message;

  PetscFunctionBegin;
  PetscCall(take(proto, (size_t)graph->nodes, sizeof(*message), &message));
  PetscCall(take(proto, (size_t)graph->nodes, sizeof(void *), &proto->message.node));
  for (int i = 0; i < graph->nodes; i++) {
    const RtNode *node = &graph->node[i];
    Onnx__NodeProto *to = proto->message.node[i] = &message[i];

    onnx__node_proto__init(to);
    if (node->name[0]) to->name = node->name;
    to->op_type = (char *)node->op->type;
    if (node->op->domain) to->domain = (char *)node->op->domain;
    PetscCall(make_ends(proto, node->inputs, node->input, &to->n_input, &to->input));
    PetscCall(make_ends(proto, node->outputs, node->output, &to->n_output, &to->output));
    PetscCall(make_attributes(proto, node, to));
  }
  proto->message.n_node = (size_t)graph->nodes;
  PetscFunctionReturn(0);
}

static PetscErrorCode make_entry(RtProto *proto, const char *key, const char *text, Onnx__StringStringEntryProto **to)
{
  PetscFunctionBegin;
  PetscCall(take(proto, 1, sizeof(**to), to));
  onnx__string_string_entry_proto__init(*to);
  (*to)->key = (char *)key;
  (*to)->value = (char *)text;
  PetscFunctionReturn(0);
}

static PetscErrorCode make_opset(RtProto *proto, const char *domain, int64_t version)
{
  Onnx__OperatorSetIdProto *opset;

  PetscFunctionBegin;
  for (size_t i = 0; i < proto->opsets; i++)
    if (!strcmp(proto->opset[i]->domain, domain)) PetscFunctionReturn(0);
  PetscCall(take(proto, 1, sizeof(*opset), &opset));
  onnx__operator_set_id_proto__init(opset);
  opset->domain = (char *)domain;
  opset->has_version = 1;
  opset->version = version;
  proto->opset[proto->opsets++] = opset;
  PetscFunctionReturn(0);
}

/* Of each domain of which a node is. Domains of users have one version. */
static PetscErrorCode make_opsets(RtProto *proto)
{
  const RtGraph *graph = proto->graph;

  PetscFunctionBegin;
  PetscCall(take(proto, (size_t)graph->nodes + 1, sizeof(void *), &proto->opset));
  PetscCall(make_opset(proto, "", graph->opset));
  for (int i = 0; i < graph->nodes; i++)
    if (graph->node[i].op->domain) PetscCall(make_opset(proto, graph->node[i].op->domain, 1));
  PetscFunctionReturn(0);
}

static PetscErrorCode make_model(RtProto *proto)
{
  const RtGraph *graph = proto->graph;
  Onnx__ModelProto *model = &proto->model;

  PetscFunctionBegin;
  onnx__model_proto__init(model);
  onnx__graph_proto__init(&proto->message);
  model->has_ir_version = 1;
  model->ir_version = version_for(graph->opset);
  model->producer_name = (char *)"retort";
  model->producer_version = (char *)RETORT_VERSION;
  model->graph = &proto->message;
  proto->message.name = (char *)"retort";
  PetscCall(make_opsets(proto));
  model->n_opset_import = proto->opsets;
  model->opset_import = proto->opset;
  PetscCall(make_inputs(proto));
  PetscCall(make_outputs(proto));
  PetscCall(make_initializers(proto));
  PetscCall(make_nodes(proto));
  PetscCall(take(proto, (size_t)graph->metadatas, sizeof(void *), &model->metadata_props));
  for (int i = 0; i < graph->metadatas; i++)
    PetscCall(make_entry(proto, graph->metadata[2 * i], graph->metadata[2 * i + 1], &model->metadata_props[i]));
  model->n_metadata_props = (size_t)graph->metadatas;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_onnx_proto_create(const RtGraph *graph, RtProto **proto)
{
  RtProto *p;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscNew(&p));
  p->graph = graph;
  error = make_model(p);
  if (error) PetscCall(rt_onnx_proto_destroy(&p));
  PetscCall(error);
  *proto = p;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_onnx_proto_destroy(RtProto **proto)
{
  PetscFunctionBegin;
  if (!*proto) PetscFunctionReturn(0);
  for (int i = 0; i < (*proto)->blocks; i++) PetscCall(PetscFree((*proto)->block[i]));
  PetscCall(PetscFree((*proto)->block));
  PetscCall(PetscFree(*proto));
  PetscFunctionReturn(0);
}

const Onnx__ModelProto *rt_onnx_proto_model(const RtProto *proto)
{
  return &proto->model;
}

size_t rt_onnx_proto_weights(const RtProto *proto)
{
  size_t bytes = 0;

  for (size_t i = 0; i < proto->message.n_initializer; i++) bytes += proto->message.initializer[i]->raw_data.len;
  return bytes;
}

static PetscErrorCode move_tensor(RtProto *proto, Onnx__TensorProto *tensor, const char *location, size_t offset)
{
  char *text;

  PetscFunctionBegin;
  proto->moved[proto->moves++] = (Moved){tensor->raw_data, offset};
  PetscCall(take(proto, 3, sizeof(void *), &tensor->external_data));
  PetscCall(take(proto, 64, 1, &text));
  snprintf(text, 32, "%zu", offset);
  snprintf(text + 32, 32, "%zu", tensor->raw_data.len);
  PetscCall(make_entry(proto, "location", location, &tensor->external_data[0]));
  PetscCall(make_entry(proto, "offset", text, &tensor->external_data[1]));
  PetscCall(make_entry(proto, "length", text + 32, &tensor->external_data[2]));
  tensor->n_external_data = 3;
  tensor->has_data_location = 1;
  tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  tensor->has_raw_data = 0;
  tensor->raw_data = (ProtobufCBinaryData){0, NULL};
  PetscFunctionReturn(0);
}

PetscErrorCode rt_onnx_proto_move_weights(RtProto *proto, const char *location)
{
  size_t end = 0;

  PetscFunctionBegin;
  PetscCall(take(proto, proto->message.n_initializer, sizeof(Moved), &proto->moved));
  for (size_t i = 0; i < proto->message.n_initializer; i++) {
    Onnx__TensorProto *tensor = proto->message.initializer[i];
    size_t offset = (end + PAGE - 1) / PAGE * PAGE;

    if (tensor->raw_data.len < SMALLEST_MOVED) continue;
    end = offset + tensor->raw_data.len;
    PetscCall(move_tensor(proto, tensor, location, offset));
  }
  PetscFunctionReturn(0);
}

const ProtobufCBinaryData *rt_onnx_proto_moved(const RtProto *proto, int *i, size_t *offset)
{
  if (*i >= proto->moves) return NULL;
  *offset = proto->moved[*i].offset;
  return &proto->moved[(*i)++].data;
}
