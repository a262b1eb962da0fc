/* Models that were exported without a dynamic axis. Their inputs name a number of samples, and `x.view(x.size(0), -1)`
   has become a Reshape to a constant shape that begins with that number. Retort runs them with any number of samples,
   so that shape is to begin with 0, which means: as in the input. Not collective. */
#ifndef RT_MODEL_ONNX_FIXED_H
#define RT_MODEL_ONNX_FIXED_H

#include "graph/parts.h"
#include <onnx.pb-c.h>

/* The number of samples that all inputs name; 0 where they leave it open or differ. graph: holds the inputs. */
int64_t rt_onnx_fixed_samples(const RtGraph *graph, const Onnx__GraphProto *proto);

/* Change the shape that a Reshape node reads, if it begins with the number of samples. shape: id of the second input;
   in its place comes the id of a new constant. data: id of the first input. allowzero: the node's attribute. */
PetscErrorCode rt_onnx_fixed_release(RtGraph *graph, int64_t samples, int64_t allowzero, int data, int *shape);

#endif
