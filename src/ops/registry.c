#include "ops/registry.h"

#include "core/hash.h"
#include "ops/families.h"

#include <stdio.h>
#include <string.h>

static const RtOp *const operators[] = {
    &rt_op_add,     &rt_op_cast,    &rt_op_concat,    &rt_op_div,        &rt_op_dropout, &rt_op_flatten,
    &rt_op_gather,  &rt_op_gemm,    &rt_op_identity,  &rt_op_logsoftmax, &rt_op_matmul,  &rt_op_mul,
    &rt_op_relu,    &rt_op_reshape, &rt_op_shape,     &rt_op_slice,      &rt_op_softmax, &rt_op_split,
    &rt_op_squeeze, &rt_op_sub,     &rt_op_transpose, &rt_op_unsqueeze,
};

enum { OWN = sizeof(operators) / sizeof(*operators), MOST_ADDED = 256 };

/* Those of users. */
typedef struct {
  const RtOp *op;
  char source[RT_HASH_TEXT];
} Added;

static Added added[MOST_ADDED];
static int added_count;

const RtOp *rt_registry_find_in(const char *domain, const char *type)
{
  const RtOp *op;

  for (int i = 0; (op = rt_registry_at(i)); i++)
    if (!strcmp(op->type, type) && !strcmp(op->domain ? op->domain : "", domain)) return op;
  return NULL;
}

const RtOp *rt_registry_find(const char *type)
{
  return rt_registry_find_in("", type);
}

PetscErrorCode rt_registry_add(const RtOp *op, const char *source)
{
  PetscFunctionBegin;
  RtCheck(op->type && op->type[0] && op->shape && op->forward, "an operator without a type, a shape or a forward");
  RtCheck(!rt_registry_find_in(op->domain ? op->domain : "", op->type), "there is an operator '%s' already", op->type);
  RtCheck(added_count < MOST_ADDED, "more than %d operators cannot be added", (int)MOST_ADDED);
  added[added_count].op = op;
  snprintf(added[added_count].source, RT_HASH_TEXT, "%s", source);
  added_count++;
  PetscFunctionReturn(0);
}

const RtOp *rt_registry_at(int i)
{
  if (i < 0 || i >= OWN + added_count) return NULL;
  return i < OWN ? operators[i] : added[i - OWN].op;
}

PetscErrorCode rt_registry_hash(const RtGraph *graph, char hash[RT_HASH_TEXT])
{
  RtHash *sum = NULL;

  PetscFunctionBegin;
  for (int i = 0; i < added_count; i++) {
    bool used = false;

    for (int n = 0; n < graph->nodes; n++) used = used || graph->node[n].op == added[i].op;
    if (!used || !added[i].source[0]) continue;
    if (!sum) {
      PetscCall(rt_hash_create(&sum));
      PetscCall(rt_hash_add(sum, hash, strlen(hash)));
    }
    PetscCall(rt_hash_add(sum, "\n", 1));
    PetscCall(rt_hash_add(sum, added[i].source, strlen(added[i].source)));
  }
  if (sum) PetscCall(rt_hash_finish(&sum, hash));
  PetscFunctionReturn(0);
}

/* Stand-ins live as long as the process: nodes of any graph may point to them. */
typedef struct Unknown Unknown;
struct Unknown {
  RtOp op;
  Unknown *next;
  char name[];
};

static Unknown *unknown_operators;

static PetscErrorCode free_unknown(void)
{
  PetscFunctionBegin;
  while (unknown_operators) {
    Unknown *next = unknown_operators->next;

    PetscCall(PetscFree(unknown_operators));
    unknown_operators = next;
  }
  PetscFunctionReturn(0);
}

PetscErrorCode rt_registry_unknown(const char *domain, const char *type, const RtOp **op)
{
  size_t length = strlen(domain) + strlen(type) + 2;
  Unknown *u;
  char *memory;

  PetscFunctionBegin;
  if (!unknown_operators) PetscCall(PetscRegisterFinalize(free_unknown));
  PetscCall(PetscCalloc1(sizeof(*u) + length, &memory));
  u = (Unknown *)(void *)memory;
  snprintf(u->name, length, "%s%s%s", domain, domain[0] ? "." : "", type);
  u->op.type = u->name;
  u->next = unknown_operators;
  unknown_operators = u;
  *op = &u->op;
  PetscFunctionReturn(0);
}
