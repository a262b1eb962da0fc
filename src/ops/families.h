/* The operators of each family, for the registry. */
#ifndef RT_OPS_FAMILIES_H
#define RT_OPS_FAMILIES_H

#include "graph/parts.h"

#include <retort/operator.h>

extern const RtOp rt_op_gemm, rt_op_matmul;                     /* linear.c */
extern const RtOp rt_op_add, rt_op_sub, rt_op_mul, rt_op_div;   /* elementwise.c */
extern const RtOp rt_op_relu;                                   /* activation.c */
extern const RtOp rt_op_dropout;                                /* dropout.c */
extern const RtOp rt_op_softmax, rt_op_logsoftmax;              /* softmax.c */
extern const RtOp rt_op_identity, rt_op_flatten, rt_op_reshape; /* reshape.c */
extern const RtOp rt_op_squeeze, rt_op_unsqueeze, rt_op_cast;   /* reshape.c, cast.c */
extern const RtOp rt_op_shape, rt_op_slice;                     /* sizes.c */
extern const RtOp rt_op_concat, rt_op_split;                    /* pieces.c */
extern const RtOp rt_op_gather, rt_op_transpose;                /* gather.c, transpose.c */

#endif
