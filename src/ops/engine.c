#include "ops/engine.h"

#include <dnnl.h>
#include <omp.h>
#include <string.h>

#define DnnlCall(call)                                                                                                 \
  do {                                                                                                                 \
    dnnl_status_t status_ = (call);                                                                                    \
    PetscCheck(status_ == dnnl_success, PETSC_COMM_SELF, PETSC_ERR_LIB, "oneDNN: %s gives %d", #call, (int)status_);   \
  } while (0)

enum { A, B, BIAS, C, SCRATCH, ARGUMENTS };

static const int dnnl_argument[ARGUMENTS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST,
                                             DNNL_ARG_SCRATCHPAD};

/* oneDNN chooses kernels by the number of threads that OpenMP has, and must see one, so that bits depend on nothing
   else; what the host has set is set again behind each call. Returns that. */
static int take_one_thread(void)
{
  int threads = omp_get_max_threads();

  if (threads != 1) omp_set_num_threads(1);
  return threads;
}

static void give_threads_back(int threads)
{
  if (threads != 1) omp_set_num_threads(threads);
}

/* What one thread runs with. */
typedef struct {
  dnnl_stream_t stream;
  dnnl_memory_t memory[ARGUMENTS];
} Slot;

struct RtProduct {
  RtProductParams params;
  dnnl_engine_t engine;
  dnnl_primitive_t primitive;
  dnnl_primitive_t reorder; /* of B into its packed layout */
  dnnl_memory_desc_t layout[ARGUMENTS], b_plain;
  size_t scratch, packed;
  Slot *slot; /* [threads] */
};

static PetscErrorCode matrix(dnnl_memory_desc_t *layout, int64_t rows, int64_t columns, bool transposed, bool bf16)
{
  dnnl_dims_t dim = {rows, columns}, stride = {transposed ? 1 : columns, transposed ? rows : 1};

  PetscFunctionBegin;
  DnnlCall(dnnl_memory_desc_init_by_strides(layout, 2, dim, bf16 ? dnnl_bf16 : dnnl_f32, stride));
  PetscFunctionReturn(0);
}

static PetscErrorCode describe(RtProduct *p, dnnl_primitive_desc_t *description)
{
  const RtProductParams *q = &p->params;
  dnnl_dims_t b_dim = {q->k, q->n}, bias_dim = {1, q->n};
  dnnl_matmul_desc_t operation;
  dnnl_primitive_attr_t attributes;
  dnnl_post_ops_t after;

  PetscFunctionBegin;
  PetscCall(matrix(&p->layout[A], q->m, q->k, q->a_transposed, q->bf16));
  PetscCall(matrix(&p->layout[B], q->k, q->n, q->b_transposed, q->bf16));
  PetscCall(matrix(&p->b_plain, q->k, q->n, q->b_transposed, false));
  PetscCall(matrix(&p->layout[C], q->m, q->n, false, false));
  if (q->packed)
    DnnlCall(
        dnnl_memory_desc_init_by_tag(&p->layout[B], 2, b_dim, q->bf16 ? dnnl_bf16 : dnnl_f32, dnnl_format_tag_any));
  if (q->bias) DnnlCall(dnnl_memory_desc_init_by_tag(&p->layout[BIAS], 2, bias_dim, dnnl_f32, dnnl_ab));
  DnnlCall(dnnl_matmul_desc_init(&operation, &p->layout[A], &p->layout[B], q->bias ? &p->layout[BIAS] : NULL,
                                 &p->layout[C]));
  DnnlCall(dnnl_primitive_attr_create(&attributes));
  DnnlCall(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user));
  if (q->relu) {
    DnnlCall(dnnl_post_ops_create(&after));
    DnnlCall(dnnl_post_ops_append_eltwise(after, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f));
    DnnlCall(dnnl_primitive_attr_set_post_ops(attributes, after));
    DnnlCall(dnnl_post_ops_destroy(after));
  }
  DnnlCall(dnnl_primitive_desc_create(description, &operation, attributes, p->engine, NULL));
  DnnlCall(dnnl_primitive_attr_destroy(attributes));
  p->layout[B] = *dnnl_primitive_desc_query_md(*description, dnnl_query_weights_md, 0);
  p->layout[SCRATCH] = *dnnl_primitive_desc_query_md(*description, dnnl_query_scratchpad_md, 0);
  p->scratch = dnnl_memory_desc_get_size(&p->layout[SCRATCH]);
  p->packed = dnnl_memory_desc_get_size(&p->layout[B]);
  PetscFunctionReturn(0);
}

static PetscErrorCode make(const RtProductParams *params, RtProduct **product)
{
  RtProduct *p;
  dnnl_primitive_desc_t description;

  PetscFunctionBegin;
  PetscCall(PetscNew(&p));
  p->params = *params;
  DnnlCall(dnnl_engine_create(&p->engine, dnnl_cpu, 0));
  PetscCall(describe(p, &description));
  DnnlCall(dnnl_primitive_create(&p->primitive, description));
  DnnlCall(dnnl_primitive_desc_destroy(description));
  if (params->packed) {
    DnnlCall(dnnl_reorder_primitive_desc_create(&description, &p->b_plain, p->engine, &p->layout[B], p->engine, NULL));
    DnnlCall(dnnl_primitive_create(&p->reorder, description));
    DnnlCall(dnnl_primitive_desc_destroy(description));
  }
  PetscCall(PetscCalloc1(params->threads, &p->slot));
  for (int t = 0; t < params->threads; t++) {
    DnnlCall(dnnl_stream_create(&p->slot[t].stream, p->engine, dnnl_stream_in_order));
    for (int i = 0; i < ARGUMENTS; i++)
      if (i != BIAS || params->bias)
        DnnlCall(dnnl_memory_create(&p->slot[t].memory[i], &p->layout[i], p->engine, DNNL_MEMORY_NONE));
  }
  *product = p;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_engine_product(const RtProductParams *params, RtProduct **product)
{
  const int threads = take_one_thread();
  PetscErrorCode error;

  PetscFunctionBegin;
  error = make(params, product);
  give_threads_back(threads);
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode execute(dnnl_primitive_t primitive, dnnl_stream_t stream, int arguments,
                              const dnnl_exec_arg_t *argument)
{
  const int threads = take_one_thread();
  dnnl_status_t status = dnnl_primitive_execute(primitive, stream, arguments, argument);

  PetscFunctionBegin;
  if (!status) status = dnnl_stream_wait(stream);
  give_threads_back(threads);
  DnnlCall(status);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_engine_destroy(RtProduct **product)
{
  RtProduct *p = *product;

  PetscFunctionBegin;
  if (!p) PetscFunctionReturn(0);
  for (int t = 0; t < p->params.threads; t++) {
    for (int i = 0; i < ARGUMENTS; i++)
      if (p->slot[t].memory[i]) DnnlCall(dnnl_memory_destroy(p->slot[t].memory[i]));
    DnnlCall(dnnl_stream_destroy(p->slot[t].stream));
  }
  PetscCall(PetscFree(p->slot));
  if (p->reorder) DnnlCall(dnnl_primitive_destroy(p->reorder));
  DnnlCall(dnnl_primitive_destroy(p->primitive));
  DnnlCall(dnnl_engine_destroy(p->engine));
  PetscCall(PetscFree(*product));
  PetscFunctionReturn(0);
}

size_t rt_engine_scratch(const RtProduct *product)
{
  return product->scratch;
}

size_t rt_engine_packed(const RtProduct *product)
{
  return product->packed;
}

PetscErrorCode rt_engine_pack(const RtProduct *product, const float *b, void *packed)
{
  dnnl_memory_t from, to;
  dnnl_exec_arg_t argument[2] = {{DNNL_ARG_FROM, NULL}, {DNNL_ARG_TO, NULL}};

  PetscFunctionBegin;
  DnnlCall(dnnl_memory_create(&from, &product->b_plain, product->engine, (void *)b));
  DnnlCall(dnnl_memory_create(&to, &product->layout[B], product->engine, packed));
  argument[0].memory = from;
  argument[1].memory = to;
  PetscCall(execute(product->reorder, product->slot[0].stream, 2, argument));
  DnnlCall(dnnl_memory_destroy(from));
  DnnlCall(dnnl_memory_destroy(to));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_engine_run(const RtProduct *product, int slot, const void *a, const void *b, const float *bias,
                             float *c, void *scratch)
{
  Slot *s = &product->slot[slot];
  void *handle[ARGUMENTS] = {(void *)a, (void *)b, (void *)bias, c, scratch};
  dnnl_exec_arg_t argument[ARGUMENTS];
  int arguments = 0;

  PetscFunctionBegin;
  for (int i = 0; i < ARGUMENTS; i++) {
    if (!s->memory[i]) continue;
    DnnlCall(dnnl_memory_set_data_handle(s->memory[i], handle[i]));
    argument[arguments++] = (dnnl_exec_arg_t){dnnl_argument[i], s->memory[i]};
  }
  PetscCall(execute(product->primitive, s->stream, arguments, argument));
  PetscFunctionReturn(0);
}
