#include "import/arrays.h"

#include "data/content.h"
#include <retort/dataset.h>

#include <stdio.h>
#include <string.h>

enum { PIECE = 4 << 20 }; /* bytes of input in a piece */

typedef struct {
  int64_t piece; /* samples */
  RtArray x, y;
  void *raw, *input; /* input: where raw has to be converted */
  int64_t *whole;
  int32_t *label;
  float *target;
} Work;

PetscErrorCode rt_arrays_check(const RtArray *array, int64_t header)
{
  int64_t bytes = (int64_t)rt_element_size(array->element), limit;
  const char *name = rt_source_name(array->source);
  bool exact;

  PetscFunctionBegin;
  for (int i = 0; i < array->ndim; i++) {
    RtCheck(array->dim[i] > 0, "%s: dimension %d is empty", name, i + 1);
    RtCheck(!__builtin_mul_overflow(bytes, array->dim[i], &bytes), "%s: the header announces too many elements", name);
  }
  limit = rt_source_limit(array->source, &exact) - header;
  RtCheck(bytes <= limit, "%s is damaged or cut off: its header announces %lld bytes, the file holds %s%lld", name,
          (long long)bytes, exact ? "" : "at most ", (long long)limit);
  RtCheck(!exact || bytes == limit, "%s has more bytes than its header announces: %lld instead of %lld", name,
          (long long)limit, (long long)bytes);
  PetscFunctionReturn(0);
}

/* Names for the dimensions of a sample. */
static void name_dimensions(RtDatasetInfo *info)
{
  static const char *const image[] = {"channel", "z", "y", "x"};
  size_t length = sizeof info->dim_name[0];

  for (int i = 0; i < info->ndim; i++) {
    if (info->ndim == 1)
      snprintf(info->dim_name[i], length, "feature");
    else if (info->ndim == 2)
      snprintf(info->dim_name[i], length, "%s", image[2 + i]);
    else if (info->ndim == 3)
      snprintf(info->dim_name[i], length, "%s", image[i ? 1 + i : 0]);
    else if (info->ndim == 4)
      snprintf(info->dim_name[i], length, "%s", image[i]);
    else
      snprintf(info->dim_name[i], length, "dimension_%d", i + 1);
  }
}

static PetscErrorCode describe_input(const RtArray *x, RtDatasetInfo *info)
{
  RtElementKind kind = x->element.kind;

  PetscFunctionBegin;
  RtCheck(x->ndim >= 2 && x->ndim <= RT_MAX_DIM + 1, "%s: %d dimensions; 2 to %d are supported, samples first",
          rt_source_name(x->source), x->ndim, RT_MAX_DIM + 1);
  memset(info, 0, sizeof *info);
  info->samples = x->dim[0];
  info->ndim = x->ndim - 1;
  info->size = 1;
  for (int i = 0; i < info->ndim; i++) {
    info->dim[i] = x->dim[i + 1];
    info->size *= info->dim[i];
  }
  name_dimensions(info);
  info->type = kind == RT_ELEMENT_UINT8 || kind == RT_ELEMENT_BOOL ? RT_UINT8 : RT_FLOAT;
  info->scale = kind == RT_ELEMENT_UINT8 ? 1.0f / 255 : 1;
  PetscFunctionReturn(0);
}

/* Shape of labels or targets. One column counts as none. */
static PetscErrorCode describe_output(const RtArray *x, const RtArray *y, RtDatasetInfo *info)
{
  const char *name = rt_source_name(y->source);
  int64_t columns = y->ndim == 2 ? y->dim[1] : 1;

  PetscFunctionBegin;
  RtCheck(y->dim[0] == x->dim[0], "%s has %lld samples, but %s has %lld", name, (long long)y->dim[0],
          rt_source_name(x->source), (long long)x->dim[0]);
  RtCheck(y->ndim <= 2, "%s: labels and targets have one or two dimensions, not %d", name, y->ndim);
  if (rt_element_whole(y->element)) {
    RtCheck(columns == 1,
            "%s: labels have one dimension; give the class of one-hot rows by argmax, or targets as float", name);
  } else {
    RtCheck(columns <= RT_CONTENT_CLASSES, "%s: %lld targets a sample are too many", name, (long long)columns);
    info->targets = (int)columns;
  }
  PetscFunctionReturn(0);
}

/* Read labels of count samples, first is the number of the first one. */
static PetscErrorCode read_labels(Work *work, int64_t first, int64_t count, int32_t *most)
{
  const RtArray *y = &work->y;

  PetscFunctionBegin;
  PetscCall(rt_source_read(y->source, work->raw, (size_t)count * rt_element_size(y->element)));
  rt_element_ints(y->element, work->raw, count, work->whole);
  for (int64_t i = 0; i < count; i++) {
    RtCheck(work->whole[i] >= 0 && work->whole[i] < RT_CONTENT_CLASSES,
            "%s: the label of sample %lld is %lld, outside 0 ... %d", rt_source_name(y->source), (long long)(first + i),
            (long long)work->whole[i], RT_CONTENT_CLASSES - 1);
    work->label[i] = (int32_t)work->whole[i];
    if (work->label[i] > *most) *most = work->label[i];
  }
  PetscFunctionReturn(0);
}

/* Look through the labels once. */
static PetscErrorCode count_classes(Work *work, int *classes)
{
  int64_t samples = work->y.dim[0];
  int32_t most = 0;

  PetscFunctionBegin;
  for (int64_t first = 0; first < samples; first += work->piece)
    PetscCall(read_labels(work, first, PetscMin(work->piece, samples - first), &most));
  PetscCall(rt_source_end(work->y.source));
  *classes = (int)most + 1;
  PetscFunctionReturn(0);
}

/* Room for one piece: raw elements of input or output, and what they become. */
static PetscErrorCode allocate(Work *work, const RtDatasetInfo *info, bool labels)
{
  size_t bytes = (size_t)info->size * rt_element_size(work->x.element), out = 8 * (size_t)(info->targets + 1);
  size_t most = bytes > out ? bytes : out, samples;

  PetscFunctionBegin;
  work->piece = most < PIECE ? PIECE / (int64_t)most : 1;
  if (work->piece > info->samples) work->piece = info->samples;
  samples = (size_t)work->piece;
  PetscCall(PetscMalloc1(samples * most, (char **)&work->raw));
  if (info->type == RT_FLOAT) PetscCall(PetscMalloc1(samples * (size_t)info->size, (float **)&work->input));
  if (labels) PetscCall(PetscMalloc2(samples, &work->whole, samples, &work->label));
  if (info->targets) PetscCall(PetscMalloc1(samples * (size_t)info->targets, &work->target));
  PetscFunctionReturn(0);
}

static PetscErrorCode release(Work *work)
{
  PetscFunctionBegin;
  PetscCall(rt_source_close(&work->x.source));
  PetscCall(rt_source_close(&work->y.source));
  PetscCall(PetscFree(work->raw));
  PetscCall(PetscFree(work->input));
  PetscCall(PetscFree2(work->whole, work->label));
  PetscCall(PetscFree(work->target));
  PetscFunctionReturn(0);
}

/* Convert all samples, piece by piece. */
static PetscErrorCode copy(Work *work, const RtDatasetInfo *info, RtDatasetWriter *writer)
{
  RtElement x = work->x.element, y = work->y.element;
  const char *name = rt_source_name(work->x.source);
  const void *field[2]; /* the input, and what is to come of it */
  int32_t most = 0;

  PetscFunctionBegin;
  for (int64_t first = 0; first < info->samples; first += work->piece) {
    int64_t count = PetscMin(work->piece, info->samples - first), outputs = count * info->targets;

    if (info->classes) PetscCall(read_labels(work, first, count, &most));
    if (info->targets) {
      PetscCall(rt_source_read(work->y.source, work->raw, (size_t)outputs * rt_element_size(y)));
      rt_element_floats(y, work->raw, outputs, work->target);
      PetscCall(
          rt_content_check_floats(rt_source_name(work->y.source), "target", first, count, info->targets, work->target));
    }
    PetscCall(rt_source_read(work->x.source, work->raw, (size_t)(count * info->size) * rt_element_size(x)));
    if (info->type == RT_FLOAT) {
      rt_element_floats(x, work->raw, count * info->size, work->input);
      PetscCall(rt_content_check_floats(name, "input", first, count, info->size, work->input));
    }
    field[0] = info->type == RT_FLOAT ? work->input : work->raw;
    field[1] = info->classes ? (const void *)work->label : work->target;
    PetscCall(rt_dataset_append(writer, count, field));
  }
  PetscCall(rt_source_end(work->x.source));
  if (work->y.source) PetscCall(rt_source_end(work->y.source));
  PetscFunctionReturn(0);
}

static PetscErrorCode import(Work *work, RtArrayOpen open, const void *x, const void *y, const char *origin,
                             const char *output)
{
  RtDatasetInfo info;
  RtDatasetText text = {.long_name = "input", .units = "1", .source = origin};
  RtDatasetWriter *writer = NULL;
  PetscErrorCode error;
  bool labels;

  PetscFunctionBegin;
  PetscCall(open(x, &work->x));
  PetscCall(describe_input(&work->x, &info));
  if (y) {
    PetscCall(open(y, &work->y));
    PetscCall(describe_output(&work->x, &work->y, &info));
  }
  labels = y && !info.targets;
  PetscCall(allocate(work, &info, labels));
  if (labels) {
    PetscCall(count_classes(work, &info.classes));
    PetscCall(rt_source_close(&work->y.source));
    PetscCall(open(y, &work->y));
  }
  PetscCall(rt_dataset_create(output, &info, &text, &writer));
  error = copy(work, &info, writer);
  if (error) PetscCall(rt_dataset_discard(&writer));
  PetscCall(error);
  PetscCall(rt_dataset_finish(&writer));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_arrays_import(RtArrayOpen open, const void *x, const void *y, const char *origin, const char *output)
{
  Work work = {0};
  PetscErrorCode error;

  PetscFunctionBegin;
  error = import(&work, open, x, y, origin, output);
  PetscCall(release(&work));
  PetscCall(error);
  PetscFunctionReturn(0);
}
