/* The IDX format, of which MNIST is the best known: two zero bytes, a type, the number of dimensions, the dimensions as
   big-endian 32-bit numbers, the elements, big-endian. http://yann.lecun.com/exdb/mnist */
#include "import/import.h"

#include "import/arrays.h"

static PetscErrorCode find_element(const char *name, int code, RtElement *element)
{
  PetscFunctionBegin;
  element->swap = true; /* this library runs on little-endian machines */
  switch (code) {
  case 0x08:
    element->kind = RT_ELEMENT_UINT8;
    break;
  case 0x09:
    element->kind = RT_ELEMENT_INT8;
    break;
  case 0x0b:
    element->kind = RT_ELEMENT_INT16;
    break;
  case 0x0c:
    element->kind = RT_ELEMENT_INT32;
    break;
  case 0x0d:
    element->kind = RT_ELEMENT_FLOAT;
    break;
  case 0x0e:
    element->kind = RT_ELEMENT_DOUBLE;
    break;
  default:
    RtFail("%s: the IDX element type 0x%02x is not known", name, code);
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode read_header(RtArray *array)
{
  const char *name = rt_source_name(array->source);
  unsigned char head[4], size[4];
  size_t got;

  PetscFunctionBegin;
  PetscCall(rt_source_read_some(array->source, head, sizeof head, &got));
  RtCheck(got == sizeof head && !head[0] && !head[1] && head[2], "%s is not an IDX file", name);
  PetscCall(find_element(name, head[2], &array->element));
  array->ndim = head[3];
  RtCheck(array->ndim >= 1 && array->ndim <= RT_MAX_DIM + 1, "%s: %d dimensions; 1 to %d are supported", name,
          array->ndim, RT_MAX_DIM + 1);
  for (int i = 0; i < array->ndim; i++) {
    PetscCall(rt_source_read(array->source, size, sizeof size));
    array->dim[i] = (int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
  }
  PetscCall(rt_arrays_check(array, 4 + 4 * array->ndim));
  PetscFunctionReturn(0);
}

static PetscErrorCode open_idx(const void *path, RtArray *array)
{
  PetscFunctionBegin;
  PetscCall(rt_source_open(path, &array->source));
  PetscCall(read_header(array));
  PetscFunctionReturn(0);
}

/* Before anything is written: are these labels, and not the images a second time? */
static PetscErrorCode check_labels(const char *path)
{
  RtArray array = {0};
  PetscErrorCode error;
  bool whole;
  int ndim;

  PetscFunctionBegin;
  error = open_idx(path, &array);
  whole = !error && rt_element_whole(array.element);
  ndim = array.ndim;
  PetscCall(rt_source_close(&array.source));
  PetscCall(error);
  RtCheck(ndim == 1 && whole, "%s does not hold labels: one dimension of whole numbers is expected; give images first",
          path);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_import_idx(const char *images, const char *labels, const char *output)
{
  char origin[1024];

  PetscFunctionBegin;
  PetscCall(check_labels(labels));
  PetscCall(rt_source_describe(images, labels, origin, sizeof origin));
  PetscCall(rt_arrays_import(open_idx, images, labels, origin, output));
  PetscFunctionReturn(0);
}

static PetscErrorCode run(const RtImportWords *words)
{
  PetscFunctionBegin;
  PetscCall(rt_import_idx(words->file[0], words->file[1], words->output));
  PetscFunctionReturn(0);
}

const RtImporter rt_importer_idx = {
    .name = "idx", .help = "import idx IMAGES LABELS -o D.nc", .files_least = 2, .files_most = 2, .run = run};
