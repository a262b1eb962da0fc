/* What a job says about training, as the trainer takes it. */
#ifndef RT_RUN_TRAINING_H
#define RT_RUN_TRAINING_H

#include "model/model.h"
#include "train/trainer.h"

/* Options of a section as parameters of the trainer. role: teacher or student. */
PetscErrorCode rt_training_params(const RtJob *job, const char *section, const char *role, RtTrainerParams *params);

/* The record of a model that is trained: that of model/model.h, with the options of TAO where it is the optimizer. */
PetscErrorCode rt_training_record(const RtJob *job, unsigned content, int64_t window, const char *dataset,
                                  const char *teacher, const char *start, char **record);

#endif
