/* A table from names to numbers, for look-ups in constant time. Not collective. */
#ifndef RT_GRAPH_NAMES_H
#define RT_GRAPH_NAMES_H

#include <retort/types.h>

typedef struct RtNames RtNames;

PetscErrorCode rt_names_create(RtNames **names);
/* Accepts NULL. */
PetscErrorCode rt_names_destroy(RtNames **names);
/* Keep a number, at least 0, under a name that is new. name: not copied, must outlive the table. */
PetscErrorCode rt_names_add(RtNames *names, const char *name, int number);
/* The number of a name; -1: it is not there. */
int rt_names_find(const RtNames *names, const char *name);

#endif
