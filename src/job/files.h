/* The names of a run's files, in one table. */
#ifndef RT_JOB_FILES_H
#define RT_JOB_FILES_H

#include <retort/types.h>

typedef enum {
  RT_FILES_MODEL,      /* one a role */
  RT_FILES_HISTORY,    /* one a role: a record an epoch */
  RT_FILES_LABELS,     /* folder: the label store */
  RT_FILES_COMPONENTS, /* one; and one `-NAME` a field of the store whose form they are */
  RT_FILES_SHARE,      /* folder, one a hash of a model: its labels, before those of several models are mixed */
  RT_FILES_EVAL,
  RT_FILES_SIMILARITY,
  RT_FILES_REPORT,     /* made by analysis/ */
  RT_FILES_CHECKPOINT, /* folder: what a run that is not done goes on from */
  RT_FILES_START       /* one a role: there, a model as a closed form made it */
} RtFilesKind;

enum { RT_FILES_NAME = 96 /* longest name, with its end */ };

/* Within the run directory. role: what there is one of each for, teacher or student unless said otherwise; else NULL.
   Returns name. */
const char *rt_files_name(RtFilesKind kind, const char *role, char name[RT_FILES_NAME]);
/* In the run directory dir. path: [PETSC_MAX_PATH_LEN]. Errors: too long. */
PetscErrorCode rt_files_path(const char *dir, RtFilesKind kind, const char *role, char *path);

#endif
