#include "job/files.h"

#include "core/file.h"

#include <stdio.h>

/* What stands before and behind the role. */
static const struct {
  const char *head, *tail;
} table[] = {
    [RT_FILES_MODEL] = {"", ".onnx"},           [RT_FILES_HISTORY] = {"", "-history.nc"},
    [RT_FILES_LABELS] = {"labels", ""},         [RT_FILES_COMPONENTS] = {"components", ".nc"},
    [RT_FILES_SHARE] = {"shares/", ""},         [RT_FILES_EVAL] = {"eval.nc", ""},
    [RT_FILES_SIMILARITY] = {"cka.nc", ""},     [RT_FILES_REPORT] = {"report/index.html", ""},
    [RT_FILES_CHECKPOINT] = {"checkpoint", ""}, [RT_FILES_START] = {"checkpoint/", "-start.onnx"},
};

const char *rt_files_name(RtFilesKind kind, const char *role, char name[RT_FILES_NAME])
{
  snprintf(name, RT_FILES_NAME, "%s%s%s", table[kind].head, role ? role : "", table[kind].tail);
  return name;
}

PetscErrorCode rt_files_path(const char *dir, RtFilesKind kind, const char *role, char *path)
{
  char name[RT_FILES_NAME];

  PetscFunctionBegin;
  PetscCall(rt_file_join(dir, rt_files_name(kind, role, name), path, PETSC_MAX_PATH_LEN));
  PetscFunctionReturn(0);
}
