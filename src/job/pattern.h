/* Names of options that hold a `*`, in whose place the user writes a name of his own: distill_terms_*_weight is
   -distill_terms_soft_weight. Such a name has small letters and digits only: without an underscore there is one way to
   read it, and PETSc's database takes capital and small letters for the same. */
#ifndef RT_JOB_PATTERN_H
#define RT_JOB_PATTERN_H

#include <retort/types.h>

enum { RT_PATTERN_NAME = 32 /* longest such name, with its end */, RT_PATTERN_WORD = 128 /* a whole option */ };

/* Does the name of this row hold a `*`? */
bool rt_pattern_is(const char *pattern);
/* Does `word` begin and end as the pattern does? Then *name, *length: what stands between, not yet judged. */
bool rt_pattern_find(const char *pattern, const char *word, const char **name, size_t *length);
bool rt_pattern_allows(const char *name, size_t length);
/* The pattern with this name in it. word: [RT_PATTERN_WORD]. */
void rt_pattern_fill(const char *pattern, const char *name, size_t length, char *word);
/* As above, with the name that `like`, a word with a slip in it, has between underscores where the pattern has its
   `*`; NAME where it has none. */
void rt_pattern_guess(const char *pattern, const char *like, char *word);
/* Have two patterns the same part before the `*`? Then they belong to the same things. */
bool rt_pattern_siblings(const char *a, const char *b);
/* Is `prefix`, which has no underscore at its end, the part before the `*`? */
bool rt_pattern_under(const char *pattern, const char *prefix);

#endif
