#include "model/onnx_elements.h"

#include "core/half.h"

#include <float.h>
#include <math.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ONNX stores little-endian numbers; converting them is not implemented"
#endif

typedef struct {
  int32_t onnx;
  RtType type;
  size_t width; /* bytes of an element in the file */
  bool same;    /* the bytes in the file are ours */
} Source;

static const Source sources[] = {
    {ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, RT_FLOAT, 4, true},
    {ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE, RT_FLOAT, 8, false},
    {ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16, RT_FLOAT, 2, false},
    {ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16, RT_FLOAT, 2, false},
    {ONNX__TENSOR_PROTO__DATA_TYPE__INT64, RT_INT64, 8, true},
    {ONNX__TENSOR_PROTO__DATA_TYPE__INT32, RT_INT32, 4, true},
    {ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, RT_UINT8, 1, true},
    {ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, RT_UINT8, 1, false},
};

static PetscErrorCode convert_double(const char *name, const double *from, int64_t size, float *to)
{
  PetscFunctionBegin;
  for (int64_t i = 0; i < size; i++) {
    RtCheck(!isfinite(from[i]) || fabs(from[i]) <= FLT_MAX, "the tensor '%s' holds a number too large for float", name);
    to[i] = (float)from[i];
  }
  PetscFunctionReturn(0);
}

/* Convert bytes as they stand in the file. from: aligned for its type. to: [size], allocated. */
static PetscErrorCode convert_raw(const Source *source, const char *name, const void *from, int64_t size, void *to)
{
  const uint16_t *half = from;
  const uint8_t *byte = from;

  PetscFunctionBegin;
  switch (source->onnx) {
  case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
    PetscCall(convert_double(name, from, size, to));
    break;
  case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16:
    for (int64_t i = 0; i < size; i++) ((float *)to)[i] = rt_half_from_fp16(half[i]);
    break;
  case ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16:
    for (int64_t i = 0; i < size; i++) ((float *)to)[i] = rt_half_from_bf16(half[i]);
    break;
  case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL:
    for (int64_t i = 0; i < size; i++) ((uint8_t *)to)[i] = byte[i] != 0;
    break;
  default:
    memcpy(to, from, (size_t)size * source->width);
  }
  PetscFunctionReturn(0);
}

/* Narrow types stand in int32_data, one element in each number; float16 as its bits. */
static PetscErrorCode convert_int32(const Source *source, const char *name, const int32_t *from, int64_t size, void *to)
{
  PetscFunctionBegin;
  for (int64_t i = 0; i < size; i++) {
    int32_t most = source->width == 1 ? 0xff : 0xffff;

    RtCheck(from[i] >= 0 && from[i] <= most, "the tensor '%s' holds %d, which its type cannot", name, (int)from[i]);
    switch (source->onnx) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16:
      ((float *)to)[i] = rt_half_from_fp16((uint16_t)from[i]);
      break;
    case ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16:
      ((float *)to)[i] = rt_half_from_bf16((uint16_t)from[i]);
      break;
    case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL:
      ((uint8_t *)to)[i] = from[i] != 0;
      break;
    default:
      ((uint8_t *)to)[i] = (uint8_t)from[i];
    }
  }
  PetscFunctionReturn(0);
}

/* Type and shape, with nothing allocated. */
static PetscErrorCode read_shape(const Onnx__TensorProto *tensor, const Source **source, RtElements *elements)
{
  PetscFunctionBegin;
  *source = NULL;
  for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
    if (sources[i].onnx == tensor->data_type) *source = &sources[i];
  RtCheck(*source,
          "the tensor '%s' has the ONNX element type %d, which is not supported; supported are float, double, float16, "
          "bfloat16, int64, int32, uint8 and bool",
          tensor->name, (int)tensor->data_type);
  RtCheck(!tensor->segment, "the tensor '%s' is stored in segments, which is not supported", tensor->name);
  RtCheck(tensor->n_dims <= RT_MAX_DIM, "the tensor '%s' has %zu dimensions, more than %d", tensor->name,
          tensor->n_dims, (int)RT_MAX_DIM);
  elements->type = (*source)->type;
  elements->ndim = (int)tensor->n_dims;
  elements->size = 1;
  for (int i = 0; i < elements->ndim; i++) {
    elements->dim[i] = tensor->dims[i];
    RtCheck(tensor->dims[i] >= 0 && !__builtin_mul_overflow(elements->size, tensor->dims[i], &elements->size) &&
                elements->size < INT64_MAX / 16,
            "the tensor '%s' has an impossible shape", tensor->name);
  }
  PetscFunctionReturn(0);
}

/* Elements that stand in the file as bytes: in the message, or (bytes NULL) in an external file. */
static PetscErrorCode read_bytes(const Onnx__TensorProto *tensor, RtExternal *external, const Source *source,
                                 RtElements *elements)
{
  size_t bytes = (size_t)elements->size * source->width;
  void *loaded = NULL, *converted;
  PetscErrorCode error;

  PetscFunctionBegin;
  if (tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
    PetscCall(rt_onnx_external_read(external, tensor, bytes, &loaded));
    elements->data = elements->owned = loaded;
  } else {
    RtCheck(tensor->raw_data.len == bytes, "the tensor '%s' needs %zu bytes for its shape, but the file holds %zu",
            tensor->name, bytes, tensor->raw_data.len);
    elements->data = tensor->raw_data.data;
  }
  if (source->same) PetscFunctionReturn(0);
  PetscCall(PetscMalloc1((size_t)elements->size * rt_types_size(source->type) + 1, (char **)&converted));
  error = convert_raw(source, tensor->name, elements->data, elements->size, converted);
  PetscCall(PetscFree(loaded));
  elements->data = elements->owned = converted;
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Elements that stand in the message as numbers. */
static PetscErrorCode read_numbers(const Onnx__TensorProto *tensor, const Source *source, RtElements *elements)
{
  bool is_double = source->onnx == ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE;
  bool narrow = !source->same && !is_double;
  size_t count = tensor->n_int32_data;

  PetscFunctionBegin;
  elements->data = tensor->int32_data;
  if (source->onnx == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT) {
    count = tensor->n_float_data;
    elements->data = tensor->float_data;
  } else if (source->onnx == ONNX__TENSOR_PROTO__DATA_TYPE__INT64) {
    count = tensor->n_int64_data;
    elements->data = tensor->int64_data;
  } else if (is_double) {
    count = tensor->n_double_data;
  } else if (source->onnx == ONNX__TENSOR_PROTO__DATA_TYPE__UINT8) {
    narrow = true;
  }
  RtCheck(count == (size_t)elements->size, "the tensor '%s' needs %lld elements for its shape, but the file holds %zu",
          tensor->name, (long long)elements->size, count);
  if (!is_double && !narrow) PetscFunctionReturn(0);
  PetscCall(PetscMalloc1(count * rt_types_size(source->type) + 1, (char **)&elements->owned));
  elements->data = elements->owned;
  if (is_double)
    PetscCall(convert_double(tensor->name, tensor->double_data, elements->size, elements->owned));
  else
    PetscCall(convert_int32(source, tensor->name, tensor->int32_data, elements->size, elements->owned));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_onnx_elements_read(const Onnx__TensorProto *tensor, RtExternal *external, RtElements *elements)
{
  const Source *source;
  PetscErrorCode error;

  PetscFunctionBegin;
  memset(elements, 0, sizeof(*elements));
  PetscCall(read_shape(tensor, &source, elements));
  if (tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL || tensor->raw_data.len > 0)
    error = read_bytes(tensor, external, source, elements);
  else
    error = read_numbers(tensor, source, elements);
  if (error) PetscCall(rt_onnx_elements_free(elements));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_onnx_elements_free(RtElements *elements)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(elements->owned));
  elements->data = NULL;
  PetscFunctionReturn(0);
}
