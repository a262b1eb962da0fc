/* What `retort info` says of a dataset's fields. Not collective. */
#ifndef RT_CLI_INFO_FIELDS_H
#define RT_CLI_INFO_FIELDS_H

#include <retort/dataset.h>

typedef struct {
  double least, most; /* as stored */
  int64_t samples;    /* that were looked at, the first ones; 0: some of their numbers are missing or not finite */
} RtInfoRange;

/* range: [fields]. Errors: of reading; fields that have no meaning by their names may lack numbers. */
PetscErrorCode rt_info_fields_look(const RtDataset *dataset, RtInfoRange range[]);
/* A line a field: name, type, shape with the names of axes, the range of its numbers. */
void rt_info_fields_print(const RtDataset *dataset, const RtInfoRange range[]);

#endif
