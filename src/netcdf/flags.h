/* Names of classes as CF's flags on a variable. Not collective. */
#ifndef RT_NETCDF_FLAGS_H
#define RT_NETCDF_FLAGS_H

#include <retort/dataset.h>

/* Attributes flag_values and flag_meanings; class_names as well where a name had to be changed to be one word.
   path: for messages. Does nothing where the dataset has no names. */
PetscErrorCode rt_flags_put(const char *path, int nc, int variable, const RtDatasetInfo *info);

#endif
