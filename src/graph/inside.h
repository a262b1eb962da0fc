/* What the files of this room share about graphs. Not collective. */
#ifndef RT_GRAPH_INSIDE_H
#define RT_GRAPH_INSIDE_H

#include "graph/parts.h"

/* Free what a node owns. */
PetscErrorCode rt_graph_free_node(RtNode *node);

/* Turn float constants into parameters and state, as rt_graph_finish promises, and lay out both buffers. graph: nodes
   in running order. */
PetscErrorCode rt_roles_assign(RtGraph *graph);

#endif
