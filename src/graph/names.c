#include "graph/names.h"

#include <string.h>

typedef struct {
  const char *name; /* NULL: free */
  int number;
} Slot;

struct RtNames {
  int64_t count, slots; /* slots: a power of two, more than twice the count */
  Slot *slot;
};

enum { FIRST_SLOTS = 64 };

PetscErrorCode rt_names_create(RtNames **names)
{
  PetscFunctionBegin;
  PetscCall(PetscNew(names));
  (*names)->slots = FIRST_SLOTS;
  PetscCall(PetscCalloc1(FIRST_SLOTS, &(*names)->slot));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_names_destroy(RtNames **names)
{
  PetscFunctionBegin;
  if (!*names) PetscFunctionReturn(0);
  PetscCall(PetscFree((*names)->slot));
  PetscCall(PetscFree(*names));
  PetscFunctionReturn(0);
}

/* Where a name stands, or the free place where it would: FNV-1a, then the next free one. */
static Slot *place_of(const RtNames *names, const char *name)
{
  uint64_t hash = 0xcbf29ce484222325u, last = (uint64_t)names->slots - 1;

  for (const char *c = name; *c; c++) hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
  hash ^= hash >> 32;
  while (names->slot[hash & last].name && strcmp(names->slot[hash & last].name, name)) hash++;
  return &names->slot[hash & last];
}

PetscErrorCode rt_names_add(RtNames *names, const char *name, int number)
{
  PetscFunctionBegin;
  if (2 * (names->count + 1) > names->slots) {
    RtNames larger = {.count = names->count, .slots = 2 * names->slots};

    PetscCall(PetscCalloc1(larger.slots, &larger.slot));
    for (int64_t i = 0; i < names->slots; i++)
      if (names->slot[i].name) *place_of(&larger, names->slot[i].name) = names->slot[i];
    PetscCall(PetscFree(names->slot));
    *names = larger;
  }
  *place_of(names, name) = (Slot){name, number};
  names->count++;
  PetscFunctionReturn(0);
}

int rt_names_find(const RtNames *names, const char *name)
{
  const Slot *slot = place_of(names, name);

  return slot->name ? slot->number : -1;
}
