/* The value of an option: its text, judged by the row of the table and brought into one form. */
#ifndef RT_JOB_VALUE_H
#define RT_JOB_VALUE_H

#include "job/options.h"

enum { RT_VALUE_TEXT = 1024 /* longest value, with its end */ };

typedef struct {
  bool given;
  char *text; /* canonical: equal values have equal text; allocated */
  int count;
  double number[RT_OPTIONS_LIST]; /* whole numbers up to 2^53 are exact */
} RtValue;

/* given: what the user wrote, shorter than RT_VALUE_TEXT; NULL: the row's default.
   Errors (usage): no number, out of bounds, not among the choices. */
PetscErrorCode rt_value_parse(const RtOption *option, const char *given, RtValue *value);

#endif
