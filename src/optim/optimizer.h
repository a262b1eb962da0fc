/* First-order optimizers on a part of the flat parameter buffer. They work element by element, so any part may be
   updated alone and the bits are the same however the buffer is cut. To add one: a file in src/optim and a row in
   optimizer.c. Not collective. */
#ifndef RT_OPTIM_OPTIMIZER_H
#define RT_OPTIM_OPTIMIZER_H

#include <retort/types.h>

typedef struct {
  double momentum;     /* SGD */
  bool nesterov;       /* SGD */
  double beta1, beta2; /* AdamW */
  double epsilon;      /* AdamW */
} RtOptimizerParams;

/* One update of `count` elements that share one weight decay. */
typedef struct {
  int64_t count;
  double rate;           /* learning rate of this step */
  double weight_decay;   /* 0 for biases */
  double gradient_scale; /* factor on the gradient, of clipping; 1 for none */
  int64_t step;          /* from 1 */
  float *parameter;      /* [count] */
  const float *gradient; /* [count] */
  float *moment[2];      /* [count] each; as many as the optimizer has; zero before step 1 */
} RtUpdate;

typedef struct {
  const char *name, *help;
  int moments;
  void (*update)(const RtOptimizerParams *params, const RtUpdate *update); /* NULL: tao.h does it, on all samples */
} RtOptimizer;

extern const RtOptimizer rt_sgd_optimizer, rt_adamw_optimizer, rt_tao_optimizer;

/* By name: "sgd" (momentum and Nesterov as in PyTorch's SGD, weight decay added to the gradient), "adamw" (decoupled
   weight decay, Loshchilov and Hutter, arXiv 1711.05101), "tao" (full batch, by line searches). NULL if there is none.
 */
const RtOptimizer *rt_optimizer_find(const char *name);
/* Row i, from 0; NULL after the last. */
const RtOptimizer *rt_optimizer_at(int i);
const char *rt_optimizer_names(void);

/* Rescale each incoming weight vector whose Euclidean norm is above `limit` to that norm. weight: rows x columns,
   row-major; a unit's vector is a row where `by_row`, else a column. */
void rt_optimizer_max_norm(float *weight, int64_t rows, int64_t columns, bool by_row, double limit);

#endif
