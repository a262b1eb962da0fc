/* Principal components of a layer of the teacher over the training samples, to keep its activations in the label store
   in few numbers: a field of the form components (store/form.h), or -label_features, -label_components. They stand in
   components-NAME.nc or components.nc of the run, which is made once, by whichever of several jobs comes first, so that
   all shards hold the same projection. */
#ifndef RT_LABEL_COMPONENTS_H
#define RT_LABEL_COMPONENTS_H

#include "job/job.h"

#include "graph/parts.h"
#include <retort/dataset.h>

typedef struct {
  char layer[128];         /* the value's name in the model */
  int value;               /* its id */
  int64_t width;           /* numbers that it gives a sample */
  int count;               /* components */
  double kept;             /* part of the activations' variance that they hold */
  float *mean;             /* [width] */
  float *vector;           /* [width, count] orthonormal columns, leading first */
  char hash[RT_HASH_TEXT]; /* of layer, mean and vectors */
} RtComponents;

/* What is asked for. */
typedef struct {
  const char *field;  /* of the store: features, or a name that the job gives */
  const char *option; /* that says how many, for messages */
  int value;          /* of the teacher's graph */
  int count;
} RtComponentsWant;

typedef struct {
  const RtJob *job;
  const RtDataset *dataset;
  const RtGraph *teacher;
  const char *hash; /* of the teacher's file */
  const RtComponentsWant *want;
} RtComponentsSource;

/* Not collective. Layer, value, width and count. Errors: the value is no layer; it is narrower than the components that
   are asked for. */
PetscErrorCode rt_components_describe(const RtComponentsWant *want, const RtGraph *teacher, RtComponents *components);

/* Collective. Load the file, or make it: sums over all samples, then an eigenproblem; the same bits on any number of
   ranks as long as the layer has at most 2048 numbers. components->count is 0 where a request to stop came first.
   Errors: those of describing; the file was made from something else, and -run_force is not given. */
PetscErrorCode rt_components_open(const RtComponentsSource *source, RtComponents *components, bool *stopped);
PetscErrorCode rt_components_close(RtComponents *components);

/* Not collective. (row − mean) · vectors. row: [rows, width]; out: rows of [count], `stride` numbers apart. */
void rt_components_project(const RtComponents *components, int64_t rows, const float *row, int64_t stride, float *out);

#endif
