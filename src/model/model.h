/* Models as files of a run: where they are, whether they are done, what they were made from. */
#ifndef RT_MODEL_MODEL_H
#define RT_MODEL_MODEL_H

#include "job/job.h"

#include "graph/parts.h"
#include <retort/dataset.h>

#include <retort/onnx.h>

/* The record of a model: the options that determine it, and the hashes of its inputs: dataset, teacher, and the model
   that training starts from; empty where there is none. window: as in RtFeedSource, 0 where there are none. extra:
   further lines, perhaps none. */
PetscErrorCode rt_model_record(const RtJob *job, unsigned content, int64_t window, const char *dataset,
                               const char *teacher, const char *start, const char *extra, char **record);

/* What a model says of how it was made: the version of Retort, role, record. */
PetscErrorCode rt_model_sign(RtGraph *graph, const char *role, const char *record);
/* The record that a model has, NULL where it has none; the metadata of that key. */
const char *rt_model_made_with(const RtGraph *graph);
extern const char rt_model_record_key[];

/* Collective. Whether the model of a role in the run directory is complete and was made from just this.
   Errors: it was made from something else, and -run_force is not given. */
PetscErrorCode rt_model_done(const RtJob *job, const char *role, const char *record, bool *done);

/* What a model's inputs read, as the job says it: INPUT=FIELD,…; "" where it does not. A student that is cut from the
   teacher reads what the teacher reads. */
const char *rt_model_inputs(const RtJob *job, const char *role);

/* Collective. SHA-256 of a file; where the job says what the model's inputs read, of this as well (model/binding.h). So
   are the hashes below. */
PetscErrorCode rt_model_hash(const RtJob *job, const char *role, const char *path, char hash[RT_HASH_TEXT]);

/* The file of a model: what -teacher_model names, else ROLE.onnx of the run. path: [PETSC_MAX_PATH_LEN]. */
PetscErrorCode rt_model_path(const RtJob *job, const char *role, char *path);
/* Collective. Read a model, bound to the dataset: the file that -ROLE_model names, else ROLE.onnx of the run. Errors:
   it is missing (with what makes it), or does not fit the dataset. */
PetscErrorCode rt_model_read(const RtJob *job, const char *role, const RtDatasetInfo *info, RtGraph **graph,
                             char hash[RT_HASH_TEXT]);
/* Collective: the same without an error where there is none, or where the teacher has several models: *graph is NULL
   then. */
PetscErrorCode rt_model_read_if_there(const RtJob *job, const char *role, const RtDatasetInfo *info, RtGraph **graph,
                                      char hash[RT_HASH_TEXT]);

/* A teacher of several models: how many the job names, 1 where it names none; and the file of one. Not collective.
   path: [PETSC_MAX_PATH_LEN]. Errors (usage): an empty name. */
int rt_model_count(const RtJob *job);
PetscErrorCode rt_model_list(const RtJob *job, int i, char *path);
/* Collective: the same of a file that is named, one of several models. */
PetscErrorCode rt_model_read_file(const RtJob *job, const char *role, const char *path, const RtDatasetInfo *info,
                                  RtGraph **graph, char hash[RT_HASH_TEXT]);

/* Collective. Mark in want, [info->fields], what the inputs of a model read that is to be trained, or of a teacher's
   models. */
PetscErrorCode rt_model_want(const RtJob *job, const char *role, const RtDatasetInfo *info, bool *want);

/* What a recipe needs of the data: what its input is normalized by, deviation 0: not; and the numbers that it gives a
   sample, 0: as many as the dataset has classes or targets. */
typedef struct {
  double mean, deviation;
  int width;
} RtModelInput;

/* Collective. The model to train, as rt_model_make gives it, without a look at samples. */
PetscErrorCode rt_model_sketch(const RtJob *job, const char *role, const RtDatasetInfo *info, const RtModelInput *input,
                               RtGraph **graph);
/* Collective. Write ROLE.onnx with its record, the epoch that it is of, and the accuracy on the held-out part; NaN:
 * none. */
PetscErrorCode rt_model_write(const RtJob *job, const char *role, const char *record, int64_t epoch, double accuracy,
                              RtGraph *graph);

#endif
