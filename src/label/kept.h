/* What a job keeps of its teacher in the label store: logits; with -label_features the components of a layer; and any
   tap that it gives a name,

     label: {taps: {pool: {from: hidden:2, form: rounded, relative: 1e-3}, logits: {form: bf16}}}

   in a form of the table in store/form.h. `logits` are kept in any case, and only their form can be chosen. Not
   collective; the same on all ranks. */
#ifndef RT_LABEL_KEPT_H
#define RT_LABEL_KEPT_H

#include "job/job.h"
#include "label/components.h"

#include <retort/labelstore.h>

/* The fields of a store, and where they come from. */
typedef struct {
  int value[RT_LABELSTORE_FIELDS];      /* [fields] of the teacher's graph */
  int components[RT_LABELSTORE_FIELDS]; /* how many, where that is the form; otherwise 0 */
} RtKept;

/* Whether what the options say goes together, before anything is read. Errors (usage): a field without a tap, a name
   that the file has already, an option that the form does not take. */
PetscErrorCode rt_kept_check(const RtJob *job);

/* Fill the fields of the store, logits first. teacher: NULL where there are several; then logits are all. The hashes of
   components stay empty. Errors: a tap that the teacher does not have, or that has no row of floats for each sample;
   those of rt_kept_check. */
PetscErrorCode rt_kept_describe(const RtJob *job, const RtGraph *teacher, int classes, RtLabelstoreInfo *info,
                                RtKept *kept);

/* Logits alone, in their form. Errors: those of rt_kept_check. */
PetscErrorCode rt_kept_logits(const RtJob *job, int classes, RtLabelstoreInfo *info);

/* The field of the store for what a term names: a field, or the tap of one; NULL: it is not kept. The name lives as
   long as the options. */
const char *rt_kept_field(const RtJob *job, const char *name);
/* The tap that stands behind such a name: the field's, or the name itself. Returns tap, which may be name. */
const char *rt_kept_tap(const RtJob *job, const char *name, char *tap, size_t length);
/* The form of a field. */
const char *rt_kept_form(const RtJob *job, const char *field);
/* All fields, for messages: `logits, pool`. */
void rt_kept_names(const RtJob *job, char *text, size_t length);

/* Leave those fields of info that are named, in this order. */
PetscErrorCode rt_kept_pick(int count, const char *const *field, RtLabelstoreInfo *info);

/* How fields are kept that are more than fp32 logits, a line each, for the record of what is made from them: text is
   allocated with PetscMalloc. */
PetscErrorCode rt_kept_record(const RtLabelstoreInfo *info, char **text);

#endif
