/* Rows of a CSV file (RFC 4180; plain or gzip), one after the other. Not collective. */
#ifndef RT_IMPORT_CSVROWS_H
#define RT_IMPORT_CSVROWS_H

#include <retort/types.h>

/* Takes a row. line: where it begins, from 1; field: [count], without quotes, valid until the function returns. */
typedef PetscErrorCode (*RtCsvRow)(void *context, int64_t line, int count, char *const *field);

/* Read the file once and give every row to the function; blank lines are skipped. Errors: those of the function, a
   misplaced quote, a value that is too long, a file that cannot be read. */
PetscErrorCode rt_csvrows_read(const char *path, RtCsvRow row, void *context);

#endif
