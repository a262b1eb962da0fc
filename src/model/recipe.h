/* Models made from a description: multilayer perceptrons. Not collective. */
#ifndef RT_MODEL_RECIPE_H
#define RT_MODEL_RECIPE_H

#include "graph/parts.h"
#include <retort/dataset.h>

typedef struct {
  int layers;
  const int64_t *hidden; /* [layers] units */
  int dropouts;
  const double *dropout;  /* of the input, then of each hidden layer; missing ones are 0 */
  double mean, deviation; /* the input is (x - mean) / deviation; deviation 0: taken as it is */
  int width;              /* numbers that it gives a sample; 0: the dataset's classes or targets */
  uint64_t seed;          /* of the initial weights */
} RtRecipe;

/* A kind of network that the options of a job describe: a row of the table. */
typedef struct {
  const char *name, *help;
  PetscErrorCode (*make)(const RtRecipe *recipe, const RtDatasetInfo *info, RtGraph **graph);
} RtRecipeKind;

/* Row i, from 0; NULL after the last. To add one: a function like rt_recipe_mlp and a row in recipe.c. */
const RtRecipeKind *rt_recipe_at(int i);
/* By name, NULL if there is none. */
const RtRecipeKind *rt_recipe_find(const char *name);

/* Input `input`: [sample, …] in the dataset's physical units; output `logits` (or `output`): [sample, classes or
   targets]. Weights are [in, out], normal with variance 2 / in (He et al., arXiv 1502.01852), of the last layer 1 / in;
   biases are zero. */
PetscErrorCode rt_recipe_mlp(const RtRecipe *recipe, const RtDatasetInfo *info, RtGraph **graph);

/* Whether a model reads this dataset's fields, gives its number of classes or targets, and has finite weights. what:
   "teacher" or "student", for the message. */
PetscErrorCode rt_recipe_check(const RtGraph *graph, const RtDatasetInfo *info, const char *what);

/* Numbers in one row of a model's output. */
PetscErrorCode rt_recipe_width(const RtGraph *graph, int *width);

/* Rank 0 says which output is used, where a model has several. */
void rt_recipe_say(const RtGraph *graph, const char *what);

#endif
