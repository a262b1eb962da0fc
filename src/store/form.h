/* Forms: how a field of a label store stands in its file. NetCDF has no floats of 16 bits, so every form stores floats
   that anybody can read; a form that rounds them lets zeros of the last bits be packed away (shuffle and deflate, which
   every HDF5 has). To add one: a file in src/store and a row in form.c. Not collective.

   What NetCDF itself offers to round (nc_def_var_quantize, from 4.9 on) knows no absolute tolerance, and its bits would
   depend on its version; so forms round by themselves. */
#ifndef RT_STORE_FORM_H
#define RT_STORE_FORM_H

#include <retort/labelstore.h>

enum { RT_FORM_OPTIONS = 2 /* most options of a form */ };

/* An option of a form: -label_taps_NAME_OPTION. */
typedef struct {
  const char *name; /* NULL: no more */
  const char *initial;
  double least, most;
  bool whole; /* a whole number */
  const char *help;
} RtFormOption;

enum {
  RT_FORM_OWN = 1 << 0,    /* its numbers are the tap's own; otherwise only distances between its rows mean something */
  RT_FORM_PACKED = 1 << 1, /* stored with shuffle and deflate */
  RT_FORM_PROJECTED = 1 << 2 /* its numbers are components of the layer, of which label/components.h knows */
};

typedef struct {
  const char *name, *help;
  const char *serves; /* which losses can read it, for people */
  unsigned traits;
  RtFormOption option[RT_FORM_OPTIONS + 1];
  /* What a field of this form may be off by, from its options; NULL: nothing. Returns what is wrong with these, else
     NULL. */
  const char *(*tolerate)(const double *option, double *absolute, double *relative);
  /* Round numbers in place; NULL: they stay. */
  void (*encode)(const RtLabelstoreField *field, int64_t count, float *value);
} RtForm;

extern const RtForm rt_form_dense, rt_form_bf16, rt_form_rounded, rt_form_components;

/* By name, "" is the first one; NULL if there is none. */
const RtForm *rt_form_find(const char *name);
/* Row i of the table, from 0; NULL after the last. */
const RtForm *rt_form_at(int i);
/* Names joined by `|`, for the option table. */
const char *rt_form_names(void);

#endif
