/* Records: the options and inputs that something was made with, a line `name=value` each. They stand in models,
   checkpoints and others, and say later whether what is there is what a job asks for.
   Records grow: a release that adds an option goes on with what older ones made, as the option's default is what they
   did. Hence the default of a row must never change, and a row that is removed or renamed must stay known: a line that
   only the older record has is always a difference, for nobody can say what it did. The order of lines is free. */
#ifndef RT_JOB_RECORD_H
#define RT_JOB_RECORD_H

#include <retort/types.h>

/* Do two records differ? Then name, and the value before and now, of the first line of `now` that does, else of
   `before`; "" where a record has no such line.
   defaults: as rt_options_defaults gives them, or NULL: what `before` lacks counts as its value there. Rows with a `*`
   do so only for what `before` knows by other lines: to add a thing is a difference, be it all in defaults. */
bool rt_record_differ(const char *before, const char *now, const char *defaults, char name[64], char old_value[96],
                      char new_value[96]);

#endif
