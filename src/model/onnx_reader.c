#include <retort/onnx.h>

#include "core/file.h"
#include "model/onnx_nodes.h"
#include "model/onnx_wire.h"

#include <limits.h>
#include <string.h>

enum { OPSET_OLDEST = 7, OPSET_NEWEST = 17 };

/* Whatever fails while a model is read, here or in the graph, gets the model's path in front of its message. The
   handler steps aside to pass the message on to the one below it. */
static PetscErrorCode name_model(MPI_Comm comm, int line, const char *function, const char *file, PetscErrorCode code,
                                 PetscErrorType type, const char *text, void *path)
{
  (void)PetscPopErrorHandler();
  if (type == PETSC_ERROR_INITIAL)
    code = PetscError(comm, line, function, file, code, type, "%s: %s", (const char *)path, text ? text : "");
  else
    code = PetscError(comm, line, function, file, code, type, "%s", text ? text : "");
  (void)PetscPushErrorHandler(name_model, path);
  return code;
}

static PetscErrorCode check_model(const Onnx__ModelProto *model, int64_t *opset)
{
  PetscFunctionBegin;
  *opset = 0;
  RtCheck(model->graph && model->has_ir_version, "not an ONNX model: it has no %s",
          model->graph ? "ir_version" : "graph");
  RtCheck(model->n_functions == 0, "the model has local functions, which are not supported: export it with "
                                   "export_modules_as_functions=False");
  RtCheck(model->graph->n_sparse_initializer == 0,
          "the model has sparse initializers, which are not supported: store the weights dense");
  for (size_t i = 0; i < model->n_opset_import; i++) {
    const Onnx__OperatorSetIdProto *import = model->opset_import[i];

    if (!rt_onnx_nodes_default_domain(import->domain)) continue;
    RtCheck(*opset == 0 || *opset == import->version, "the model asks for two opsets, %lld and %lld", (long long)*opset,
            (long long)import->version);
    *opset = import->version;
  }
  RtCheck(*opset >= OPSET_OLDEST && *opset <= OPSET_NEWEST,
          "the model asks for opset %lld; opsets %d to %d are supported: export it again with opset_version=13",
          (long long)*opset, (int)OPSET_OLDEST, (int)OPSET_NEWEST);
  PetscFunctionReturn(0);
}

static PetscErrorCode add_initializers(RtGraph *graph, const Onnx__GraphProto *proto, RtExternal *external)
{
  PetscFunctionBegin;
  for (size_t i = 0; i < proto->n_initializer; i++) {
    PetscCall(rt_onnx_wire_name(proto->initializer[i]->name, "an initializer"));
    PetscCall(rt_onnx_nodes_add_constant(graph, proto->initializer[i], external));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode input_type(const Onnx__ValueInfoProto *input, RtType *type)
{
  PetscFunctionBegin;
  RtCheck(input->type && input->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE && input->type->tensor_type,
          "the input '%s' is not a tensor", input->name);
  switch (input->type->tensor_type->elem_type) {
  case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
    *type = RT_FLOAT;
    break;
  case ONNX__TENSOR_PROTO__DATA_TYPE__UINT8:
    *type = RT_UINT8;
    break;
  case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
    *type = RT_INT32;
    break;
  case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
    *type = RT_INT64;
    break;
  default:
    RtFail("the input '%s' has the ONNX element type %d; inputs must be float, uint8, int32 or int64: convert the "
           "model with .float() before the export",
           input->name, (int)input->type->tensor_type->elem_type);
  }
  PetscFunctionReturn(0);
}

typedef Onnx__TensorShapeProto__Dimension Dimension;

/* The name of an axis of unknown length, NULL: it has none. */
static const char *name_of(const Dimension *dim)
{
  const bool named = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;

  return named && dim->dim_param && dim->dim_param[0] ? dim->dim_param : NULL;
}

static const Onnx__TensorShapeProto *shape_of(const Onnx__ValueInfoProto *input)
{
  const Onnx__TypeProto *type = input->type;
  const bool tensor = type && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE && type->tensor_type;

  return tensor ? type->tensor_type->shape : NULL;
}

/* The first axis of every input counts samples. A name that says so must not stand elsewhere. */
static PetscErrorCode check_batch(const Onnx__GraphProto *proto, const Onnx__ValueInfoProto *input, size_t axis,
                                  const char *name)
{
  static const char *const names[] = {"batch", "batch_size", "sample", "samples"};
  bool batch = false;

  PetscFunctionBegin;
  for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) batch = batch || !strcmp(name, names[k]);
  for (size_t i = 0; i < proto->n_input; i++) {
    const Onnx__TensorShapeProto *shape = shape_of(proto->input[i]);
    const char *first = shape && shape->n_dim ? name_of(shape->dim[0]) : NULL;

    batch = batch || (first && !strcmp(name, first));
  }
  RtCheck(!batch,
          "the input '%s' counts samples on its axis %zu ('%s'), not on its first one: export the model with the batch "
          "first",
          input->name, axis, name);
  PetscFunctionReturn(0);
}

static PetscErrorCode read_axis(RtGraph *graph, const Onnx__GraphProto *proto, const Onnx__ValueInfoProto *input,
                                size_t axis, int64_t *dim)
{
  const Dimension *d = input->type->tensor_type->shape->dim[axis];
  const char *name = name_of(d);
  bool known = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;

  PetscFunctionBegin;
  if (name) {
    PetscCall(check_batch(proto, input, axis, name));
    PetscCall(rt_axes_add(graph, name, dim));
    PetscFunctionReturn(0);
  }
  RtCheck(
      known && d->dim_value > 0,
      "the input '%s' does not say how long its axis %zu is, nor names it: export the model with a length or a name "
      "for every axis",
      input->name, axis);
  *dim = d->dim_value;
  PetscFunctionReturn(0);
}

static PetscErrorCode add_input(RtGraph *graph, const Onnx__GraphProto *proto, const Onnx__ValueInfoProto *input)
{
  const Onnx__TensorShapeProto *shape;
  int64_t dim[RT_MAX_DIM], size = 1;
  RtType type;
  int id;

  PetscFunctionBegin;
  PetscCall(input_type(input, &type));
  shape = input->type->tensor_type->shape;
  RtCheck(shape, "the input '%s' has no shape: export the model with a length or a name for every axis", input->name);
  RtCheck(shape->n_dim >= 1 && shape->n_dim <= RT_MAX_DIM,
          "the input '%s' has %zu dimensions; it needs 1 to %d, the first of them for the samples", input->name,
          shape->n_dim, (int)RT_MAX_DIM);
  dim[0] = RT_BATCH;
  for (size_t i = 1; i < shape->n_dim; i++) {
    PetscCall(read_axis(graph, proto, input, i, &dim[i]));
    RtCheck(dim[i] < 0 || (!__builtin_mul_overflow(size, dim[i], &size) && size < INT32_MAX),
            "the input '%s' has an impossible shape", input->name);
  }
  PetscCall(rt_graph_add_value(graph, input->name, RT_VALUE_INPUT, type, (int)shape->n_dim, dim, NULL, &id));
  PetscFunctionReturn(0);
}

/* Inputs that are not initializers; before IR version 4 the file lists both as inputs. */
static PetscErrorCode add_inputs(RtGraph *graph, const Onnx__GraphProto *proto)
{
  PetscFunctionBegin;
  for (size_t i = 0; i < proto->n_input; i++) {
    int id;

    PetscCall(rt_onnx_wire_name(proto->input[i]->name, "an input"));
    id = rt_graph_find(graph, proto->input[i]->name);
    if (id < 0 || graph->value[id].kind != RT_VALUE_CONSTANT) PetscCall(add_input(graph, proto, proto->input[i]));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode add_outputs(RtGraph *graph, const Onnx__GraphProto *proto)
{
  PetscFunctionBegin;
  RtCheck(proto->n_output < INT_MAX, "the model has too many outputs");
  for (size_t i = 0; i < proto->n_output; i++) {
    int id;

    PetscCall(rt_onnx_wire_name(proto->output[i]->name, "an output"));
    id = rt_graph_find(graph, proto->output[i]->name);
    RtCheck(id >= 0, "nothing in the model computes its output '%s'", proto->output[i]->name);
    PetscCall(rt_graph_add_output(graph, id));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode build(const Onnx__ModelProto *model, RtExternal *external, RtGraph **graph)
{
  int64_t opset;

  PetscFunctionBegin;
  PetscCall(check_model(model, &opset));
  PetscCall(rt_graph_create(opset, graph));
  PetscCall(add_initializers(*graph, model->graph, external));
  PetscCall(add_inputs(*graph, model->graph));
  PetscCall(rt_onnx_nodes_add(*graph, model->graph, external));
  PetscCall(add_outputs(*graph, model->graph));
  for (size_t i = 0; i < model->n_metadata_props; i++) {
    const Onnx__StringStringEntryProto *entry = model->metadata_props[i];

    if (entry->key) PetscCall(rt_graph_set_metadata(*graph, entry->key, entry->value ? entry->value : ""));
  }
  PetscCall(rt_graph_finish(*graph));
  PetscFunctionReturn(0);
}

static PetscErrorCode unpack(const uint8_t *data, size_t bytes, Onnx__ModelProto **model)
{
  PetscFunctionBegin;
  RtCheck(bytes > 0, "the file is empty");
  RtCheck(bytes <= INT32_MAX, "larger than 2 GB, which ONNX does not allow: store the weights as external data");
  RtCheck(bytes < 4 || memcmp(data, "PK\3\4", 4),
          "this is a zip archive, as torch.save writes: export the model with torch.onnx.export");
  PetscCall(rt_onnx_wire_check(&onnx__model_proto__descriptor, data, bytes));
  *model = onnx__model_proto__unpack(NULL, bytes, data);
  RtCheck(*model, "not an ONNX model, or damaged, or larger than the memory that is left");
  PetscFunctionReturn(0);
}

/* The packed bytes are freed before the graph copies the weights. */
static PetscErrorCode read_model(const char *path, RtHash *hash, Onnx__ModelProto **model)
{
  void *data;
  size_t bytes;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(rt_file_read(path, &data, &bytes));
  PetscCall(PetscPushErrorHandler(name_model, (void *)path));
  error = hash ? rt_hash_add(hash, data, bytes) : 0;
  if (!error) error = unpack(data, bytes, model);
  PetscCall(PetscPopErrorHandler());
  PetscCall(PetscFree(data));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_onnx_read(const char *path, RtGraph **graph, char hash[RT_HASH_TEXT])
{
  Onnx__ModelProto *model = NULL;
  RtExternal *external = NULL;
  RtGraph *made = NULL;
  RtHash *running = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (hash) PetscCall(rt_hash_create(&running));
  error = read_model(path, running, &model);
  if (!error) error = rt_onnx_external_create(path, running, &external);
  if (!error) {
    PetscCall(PetscPushErrorHandler(name_model, (void *)path));
    error = build(model, external, &made);
    PetscCall(PetscPopErrorHandler());
  }
  PetscCall(rt_onnx_external_destroy(&external));
  if (model) onnx__model_proto__free_unpacked(model, NULL);
  if (error) {
    PetscCall(rt_graph_destroy(&made));
    PetscCall(rt_hash_destroy(&running));
    PetscCall(error);
  }
  if (hash) PetscCall(rt_hash_finish(&running, hash));
  *graph = made;
  PetscFunctionReturn(0);
}
