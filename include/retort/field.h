/* Fields: what a dataset holds for each sample, and what the inputs of a model read. Not collective. */
#ifndef RETORT_FIELD_H
#define RETORT_FIELD_H

#include <retort/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RT_FIELD_NAME = 64 /* bytes of a name, with its end */ };

/* In a field that a model wants: a length that the data say. */
#define RT_FIELD_FREE ((int64_t)-1)

typedef struct {
  char name[RT_FIELD_NAME];
  RtType type;
  int ndim;                             /* without the axis of samples; 0: one number a sample */
  int64_t dim[RT_MAX_DIM];              /* at least 1 */
  char axis[RT_MAX_DIM][RT_FIELD_NAME]; /* empty: it has no name */
  float scale, offset;                  /* physical units = stored * scale + offset */
} RtField;

/* A field that somebody reads, and as what. */
typedef struct {
  int field;   /* its number in the dataset */
  RtType type; /* RT_FLOAT: physical units; the others: whole numbers as stored */
} RtFieldRead;

/* Elements and bytes of one sample. */
int64_t rt_field_size(const RtField *field);
int64_t rt_field_bytes(const RtField *field);
/* The number of the field with this name, -1: there is none. */
int rt_field_find(int fields, const RtField *field, const char *name);
/* Names of all fields, for messages: `input, label, mask`. */
void rt_field_names(int fields, const RtField *field, char *text, size_t length);
const char *rt_field_type_name(RtType type);
/* Its shape for people: `3 x 28 x 28`; named: `channel 3, y 28, x 28`; one number a sample: `1`. */
void rt_field_shape(const RtField *field, bool named, char *text, size_t length);

/* Whether what `has` holds can be read as `want`. Types: float reads all; whole numbers read whole numbers that are no
   wider and, unless they are uint8, stand for themselves. Shapes: the same, without axes of length 1; or one of both
   has one axis, and as many elements. Axes: in the order of their names, where both have them.
   why: gets a clause about the two where they do not fit. */
bool rt_field_fits(const RtField *want, const RtField *has, char *why, size_t length);

/* The last of these alone. */
bool rt_field_axes_fit(const RtField *want, const RtField *has, char *why, size_t length);

#ifdef __cplusplus
}
#endif

#endif
