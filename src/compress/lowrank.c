#include "compress/lowrank.h"

#include "compress/thin.h"
#include "core/message.h"
#include "linalg/svd.h"

#include <math.h>

PetscErrorCode rt_lowrank_create(MPI_Comm comm, const RtGraph *graph, int threads, RtLowrank **lowrank)
{
  RtLowrank *l;

  PetscFunctionBegin;
  PetscCall(PetscNew(&l));
  *l = (RtLowrank){.graph = graph, .threads = threads, .parameters = graph->parameters};
  PetscCallMPI(MPI_Comm_dup(comm, &l->comm));
  PetscCallMPI(MPI_Comm_dup(comm, &l->meeting));
  PetscCallMPI(MPI_Comm_rank(comm, &l->self));
  PetscCallMPI(MPI_Comm_size(comm, &l->size));
  PetscCall(rt_dense_find(graph, &l->layers, &l->dense));
  PetscCall(PetscCalloc6(l->layers, &l->rank, l->layers, &l->mean, l->layers, &l->owner, l->layers, &l->grid, l->layers,
                         &l->direction, l->layers, &l->weighted));
  for (int i = 0; i < l->layers; i++) {
    RtRankLayer *r = &l->rank[i];

    *r = (RtRankLayer){.in = l->dense[i].in, .out = l->dense[i].out};
    r->count = PetscMin(r->in, r->out);
    l->owner[i] = rt_grid_worth(PetscMax(r->in, r->out)) == 1 ? i % l->size : -1;
    PetscCall(PetscCalloc2(r->count, &r->energy, r->in, &l->mean[i]));
  }
  if (!l->layers) {
    PetscCall(rt_lowrank_destroy(&l));
    RtFail("the model has no fully connected layer (Gemm, or MatMul with a constant matrix) that could be cut");
  }
  *lowrank = l;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_lowrank_destroy(RtLowrank **lowrank)
{
  RtLowrank *l = *lowrank;

  PetscFunctionBegin;
  if (!l) PetscFunctionReturn(0);
  for (int i = 0; i < l->layers; i++) {
    PetscCall(PetscFree2(l->rank[i].energy, l->mean[i]));
    PetscCall(rt_matrix_destroy(&l->direction[i]));
    PetscCall(rt_grid_destroy(&l->grid[i]));
  }
  PetscCall(PetscFree6(l->rank, l->mean, l->owner, l->grid, l->direction, l->weighted));
  PetscCall(PetscFree(l->dense));
  PetscCallMPI(MPI_Comm_free(&l->comm));
  PetscCallMPI(MPI_Comm_free(&l->meeting));
  PetscCall(PetscFree(*lowrank));
  PetscFunctionReturn(0);
}

/* W, [in, out], or Wᵀ: every rank has the model, and takes its own elements. */
static void fill_weight(const RtLowrank *l, int layer, bool transposed, RtMatrix *weight)
{
  for (int64_t j = 0; j < weight->own_columns; j++)
    for (int64_t i = 0; i < weight->own_rows; i++) {
      int64_t row = rt_matrix_row(weight, i), column = rt_matrix_column(weight, j);

      weight->data[j * weight->own_rows + i] =
          rt_dense_weight(l->graph, &l->dense[layer], transposed ? column : row, transposed ? row : column);
    }
}

/* C, with the mean where no bias can correct it. */
static PetscErrorCode fill_moments(const RtLowrank *l, int layer, const RtGram *gram, RtMatrix *moments)
{
  const double *mean = l->mean[layer];

  PetscFunctionBegin;
  PetscCall(rt_gram_fill(gram, 0, 0, moments));
  for (int64_t j = 0; l->dense[layer].bias < 0 && j < moments->own_columns; j++)
    for (int64_t i = 0; i < moments->own_rows; i++)
      moments->data[j * moments->own_rows + i] += mean[rt_matrix_row(moments, i)] * mean[rt_matrix_column(moments, j)];
  PetscFunctionReturn(0);
}

/* Eigenvectors of WᵀCW, the covariance of the output. */
static PetscErrorCode decompose_output(RtLowrank *l, int layer, const RtGram *gram)
{
  RtRankLayer *r = &l->rank[layer];
  RtGrid *grid = l->grid[layer];
  RtMatrix *moments = NULL, *weight = NULL, *product = NULL, *output = NULL;
  double *value;
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(r->out, &value));
  error = rt_matrix_create(grid, r->in, r->in, &moments);
  if (!error) error = rt_matrix_create(grid, r->in, r->out, &weight);
  if (!error) error = rt_matrix_create(grid, r->in, r->out, &product);
  if (!error) error = rt_matrix_create(grid, r->out, r->out, &output);
  if (!error) error = rt_matrix_create(grid, r->out, r->out, &l->direction[layer]);
  if (!error) error = fill_moments(l, layer, gram, moments);
  if (!error) {
    fill_weight(l, layer, false, weight);
    error = rt_matrix_multiply(1, (RtFactor){moments, false}, (RtFactor){weight, false}, 0, product);
  }
  if (!error) error = rt_matrix_multiply(1, (RtFactor){weight, true}, (RtFactor){product, false}, 0, output);
  if (!error) error = rt_eigen_solve(output, value, l->direction[layer], NULL);
  for (int64_t i = 0; i < r->count && !error; i++) r->energy[i] = PetscMax(value[r->out - 1 - i], 0);
  PetscCall(PetscFree(value));
  PetscCall(rt_matrix_destroy(&moments));
  PetscCall(rt_matrix_destroy(&weight));
  PetscCall(rt_matrix_destroy(&product));
  PetscCall(rt_matrix_destroy(&output));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Without data: left singular vectors of Wᵀ. */
static PetscErrorCode decompose_weight(RtLowrank *l, int layer)
{
  RtRankLayer *r = &l->rank[layer];
  RtMatrix *weight = NULL, *right = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_matrix_create(l->grid[layer], r->out, r->in, &weight);
  if (!error) error = rt_matrix_create(l->grid[layer], r->count, r->in, &right);
  if (!error) error = rt_matrix_create(l->grid[layer], r->out, r->count, &l->direction[layer]);
  if (!error) {
    fill_weight(l, layer, true, weight);
    error = rt_svd_solve(weight, l->direction[layer], r->energy, right, NULL);
  }
  for (int64_t i = 0; i < r->count && !error; i++) r->energy[i] *= r->energy[i];
  PetscCall(rt_matrix_destroy(&weight));
  PetscCall(rt_matrix_destroy(&right));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* Collective where all decompose the layer. */
static PetscErrorCode decompose(RtLowrank *l, int layer, const RtGram *gram)
{
  const RtRankLayer *r = &l->rank[layer];
  const bool own = l->owner[layer] >= 0;

  PetscFunctionBegin;
  l->weighted[layer] = gram != NULL;
  for (int64_t i = 0; gram && i < r->in; i++) l->mean[layer][i] = rt_gram_mean(gram, i);
  if (own && l->owner[layer] != l->self) PetscFunctionReturn(0);
  PetscCall(rt_grid_create(own ? PETSC_COMM_SELF : l->comm, own, l->threads, &l->grid[layer]));
  if (gram)
    PetscCall(decompose_output(l, layer, gram));
  else
    PetscCall(decompose_weight(l, layer));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_lowrank_decompose(RtLowrank *lowrank, int first, int last, RtGram *const *gram)
{
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  for (int i = first; i < last && !error; i++) error = decompose(lowrank, i, gram[i - first]);
  PetscCall(rt_message_meet(lowrank->meeting, error));
  for (int i = first; i < last; i++)
    if (lowrank->owner[i] >= 0)
      PetscCallMPI(MPI_Bcast(lowrank->rank[i].energy, (int)lowrank->rank[i].count, MPI_DOUBLE, lowrank->owner[i],
                             lowrank->comm));
  PetscFunctionReturn(0);
}

int64_t rt_lowrank_parameters(const RtLowrank *lowrank, const int64_t *rank)
{
  int64_t total = lowrank->parameters;

  for (int i = 0; i < lowrank->layers; i++)
    total += rt_rank_weights(&lowrank->rank[i], rank[i]) - lowrank->rank[i].in * lowrank->rank[i].out;
  return total;
}

/* The first directions U_r, [out, rank], and W U_r, [in, rank], on the ranks of the layer's grid. */
static PetscErrorCode gather_factors(const RtLowrank *l, int layer, int64_t rank, double *direction, double *product)
{
  const RtRankLayer *r = &l->rank[layer];
  RtMatrix *part = NULL, *weight = NULL, *factor = NULL;
  PetscErrorCode error;

  PetscFunctionBegin;
  error = rt_matrix_create(l->grid[layer], r->out, rank, &part);
  if (!error) error = rt_matrix_create(l->grid[layer], r->in, r->out, &weight);
  if (!error) error = rt_matrix_create(l->grid[layer], r->in, rank, &factor);
  if (!error && l->weighted[layer]) error = rt_eigen_leading(l->direction[layer], rank, direction);
  if (!error && !l->weighted[layer]) error = rt_matrix_gather_columns(l->direction[layer], 0, rank, direction);
  if (!error) {
    rt_matrix_take(part, direction);
    fill_weight(l, layer, false, weight);
    error = rt_matrix_multiply(1, (RtFactor){weight, false}, (RtFactor){part, false}, 0, factor);
  }
  if (!error) error = rt_matrix_gather(factor, product);
  PetscCall(rt_matrix_destroy(&part));
  PetscCall(rt_matrix_destroy(&weight));
  PetscCall(rt_matrix_destroy(&factor));
  PetscCall(error);
  PetscFunctionReturn(0);
}

/* The bias that keeps the mean of the layer's output: b + mean (W - W'). */
static void correct_bias(const RtLowrank *l, int layer, int64_t rank, const double *direction, const double *product,
                         double *bias)
{
  const RtDense *d = &l->dense[layer];
  const double *mean = l->mean[layer];

  rt_dense_get(l->graph, d, NULL, bias);
  for (int64_t i = 0; i < d->in; i++)
    for (int64_t o = 0; o < d->out; o++) bias[o] += mean[i] * rt_dense_weight(l->graph, d, i, o);
  for (int64_t k = 0; k < rank; k++) {
    double moved = 0;

    for (int64_t i = 0; i < d->in; i++) moved += mean[i] * product[i * rank + k];
    for (int64_t o = 0; o < d->out; o++) bias[o] -= moved * direction[o * rank + k];
  }
}

/* Factors of equal size: columns of the first and rows of the second have the same norm. */
static void balance(const RtDense *d, int64_t rank, const double *direction, const double *product, RtThin *thin)
{
  for (int64_t k = 0; k < rank; k++) {
    double square = 0, root;

    for (int64_t i = 0; i < d->in; i++) square += product[i * rank + k] * product[i * rank + k];
    root = square > 0 ? sqrt(sqrt(square)) : 1;
    for (int64_t i = 0; i < d->in; i++) thin->first[i * rank + k] = (float)(product[i * rank + k] / root);
    for (int64_t o = 0; o < d->out; o++) thin->second[k * d->out + o] = (float)(direction[o * rank + k] * root);
  }
}

/* The same on all ranks. */
static PetscErrorCode share_factors(const RtLowrank *l, int layer, int64_t rank, double *direction, double *product)
{
  const RtRankLayer *r = &l->rank[layer];
  const int owner = l->owner[layer];
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  if (owner < 0 || owner == l->self) error = gather_factors(l, layer, rank, direction, product);
  PetscCall(rt_message_meet(l->meeting, error));
  if (owner < 0) PetscFunctionReturn(0);
  PetscCallMPI(MPI_Bcast(direction, (int)(r->out * rank), MPI_DOUBLE, owner, l->comm));
  PetscCallMPI(MPI_Bcast(product, (int)(r->in * rank), MPI_DOUBLE, owner, l->comm));
  PetscFunctionReturn(0);
}

static PetscErrorCode make_thin(const RtLowrank *l, int layer, int64_t rank, RtThin *thin)
{
  const RtDense *d = &l->dense[layer];
  double *direction, *product, *bias;
  PetscErrorCode error;

  PetscFunctionBegin;
  *thin = (RtThin){.dense = d, .rank = rank};
  PetscCall(PetscMalloc3(d->in * rank, &thin->first, rank * d->out, &thin->second, d->out, &thin->bias));
  PetscCall(PetscMalloc3(d->out * rank, &direction, d->in * rank, &product, d->out, &bias));
  error = share_factors(l, layer, rank, direction, product);
  if (!error) {
    correct_bias(l, layer, rank, direction, product, bias);
    balance(d, rank, direction, product, thin);
    for (int64_t o = 0; o < d->out; o++) thin->bias[o] = (float)bias[o];
  }
  PetscCall(PetscFree3(direction, product, bias));
  PetscCall(error);
  PetscFunctionReturn(0);
}

PetscErrorCode rt_lowrank_build(const RtLowrank *lowrank, const int64_t *rank, bool plain, RtGraph **graph)
{
  RtThin *thin;
  int count = 0;
  PetscErrorCode error = 0;

  PetscFunctionBegin;
  *graph = NULL;
  PetscCall(PetscCalloc1(lowrank->layers, &thin));
  for (int i = 0; i < lowrank->layers && !error; i++)
    if (rank[i] <= rt_rank_thin(&lowrank->rank[i])) error = make_thin(lowrank, i, rank[i], &thin[count++]);
  if (!error) error = rt_thin_build(lowrank->graph, count, thin, plain, graph);
  for (int i = 0; i < count; i++) PetscCall(PetscFree3(thin[i].first, thin[i].second, thin[i].bias));
  PetscCall(PetscFree(thin));
  error = rt_message_meet(lowrank->meeting, error);
  if (error) PetscCall(rt_graph_destroy(graph));
  PetscCall(error);
  PetscFunctionReturn(0);
}
