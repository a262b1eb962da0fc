/* What `retort info` says of a dataset's fields. Not collective. */
#ifndef RT_CLI_INFO_FIELDS_H
#define RT_CLI_INFO_FIELDS_H

#include <retort/dataset.h>

/* A line a field: name, type, shape with the names of axes, the range of its numbers as stored. Errors: of reading. */
PetscErrorCode rt_info_fields_print(const RtDataset *dataset);

#endif
