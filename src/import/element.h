/* Elements of foreign arrays, in any of the usual types and byte orders, made into floats and integers.
   Not collective. */
#ifndef RT_IMPORT_ELEMENT_H
#define RT_IMPORT_ELEMENT_H

#include <retort/types.h>

typedef enum {
  RT_ELEMENT_UINT8,
  RT_ELEMENT_INT8,
  RT_ELEMENT_BOOL,
  RT_ELEMENT_UINT16,
  RT_ELEMENT_INT16,
  RT_ELEMENT_UINT32,
  RT_ELEMENT_INT32,
  RT_ELEMENT_UINT64,
  RT_ELEMENT_INT64,
  RT_ELEMENT_HALF,
  RT_ELEMENT_FLOAT,
  RT_ELEMENT_DOUBLE
} RtElementKind;

typedef struct {
  RtElementKind kind;
  bool swap; /* bytes stand in the order that is not the machine's */
} RtElement;

size_t rt_element_size(RtElement element);
bool rt_element_whole(RtElement element); /* an integer or a truth value */

/* Convert count elements; raw need not be aligned. Integers above 2^24 are rounded to the nearest float. */
void rt_element_floats(RtElement element, const void *raw, int64_t count, float *out);
/* Only for whole elements. What no int64_t can hold becomes INT64_MAX. */
void rt_element_ints(RtElement element, const void *raw, int64_t count, int64_t *out);

#endif
