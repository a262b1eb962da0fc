/* Which fields of a dataset the inputs of a model read. Not collective.

   An input reads the field that the job names (`-teacher_inputs 'input_ids=token,mask=seen'`), else the one of its own
   name. Where one input is left over, it reads the field `input` if no other does, else the one that is left over of
   the fields. Labels and targets are read by name only. The first axis of every input counts samples; the others must
   fit the field (retort/field.h), and free ones get their lengths from it, the same length wherever a name stands. */
#ifndef RT_MODEL_BINDING_H
#define RT_MODEL_BINDING_H

#include "graph/parts.h"
#include <retort/dataset.h>

/* Bind a graph: its inputs keep the names of their fields, its free axes get their lengths. pairs: as in the option, ""
   for none. what: teacher or student, for messages. Errors: an input or a field that does not exist, with those that
   do; one that cannot be found; a field that does not fit; a free axis of two lengths. */
PetscErrorCode rt_binding_attach(RtGraph *graph, const RtDatasetInfo *info, const char *pairs, const char *what);

/* What the inputs of a graph read of a dataset: that which it was bound to, or another one like it. read:
   [graph->inputs]. Errors: as above, and lengths other than the graph is bound to. */
PetscErrorCode rt_binding_reads(const RtGraph *graph, const RtDatasetInfo *info, const char *what, RtFieldRead *read);

/* Mark in want, [info->fields], what the inputs of a graph read. */
PetscErrorCode rt_binding_want(const RtGraph *graph, const RtDatasetInfo *info, const char *what, bool *want);

/* The hash of a model becomes that of the model and of the pairs, where there are any: what is made with it depends on
   both. */
PetscErrorCode rt_binding_hash(const char *pairs, char hash[RT_HASH_TEXT]);

#endif
