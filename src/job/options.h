/* One table of options (name, type, default, bounds, help). From it come the parsing of the command line and of the
   YAML job file, -help, and the copy stored in output files. PETSc's options database holds the text; a nested YAML
   key a: {b: 1} is the option -a_b 1, and the command line overrides the job file. */
#ifndef RT_JOB_OPTIONS_H
#define RT_JOB_OPTIONS_H

#include <retort/types.h>

typedef enum {
  RT_OPTION_INT,
  RT_OPTION_REAL,
  RT_OPTION_BOOL,
  RT_OPTION_TEXT,
  RT_OPTION_CHOICE, /* one of `choices` */
  RT_OPTION_INTS,   /* whole numbers, joined by commas */
  RT_OPTION_REALS,
  RT_OPTION_SIZE /* bytes, as core/size.h reads them; rt_options_int gives them */
} RtOptionType;

typedef struct {
  const char *name; /* without the dash; a `*` stands for a name that the user chooses, see job/pattern.h */
  RtOptionType type;
  const char *initial;          /* the default, as text */
  double least, most;           /* bounds of numbers, both allowed; of each number in a list */
  const char *(*choices)(void); /* names joined by `|` */
  unsigned verbs;               /* bit mask: who reads it */
  unsigned content;             /* bit mask: whose output it changes */
  const char *help;
} RtOption;

enum { RT_OPTIONS_LIST = 64 /* longest list */ };

typedef struct RtOptions RtOptions;

/* Collective. table: [count], must outlive the result. argc, argv: the words after the verb. Reads the file after -job
   first, then the words.
   Errors (usage): an unknown option, with the nearest known name; a value that is no number, out of bounds or not among
   the choices; a word that belongs to no option. Errors (failed): the job file is missing or is not YAML. */
PetscErrorCode rt_options_create(MPI_Comm comm, const RtOption *table, int count, int argc, char **argv,
                                 RtOptions **options);
PetscErrorCode rt_options_destroy(RtOptions **options);

/* Values. prefix may be NULL; otherwise the name is prefix_name. A name that is not in the table is a mistake in the
   program and aborts. */
int64_t rt_options_int(const RtOptions *options, const char *prefix, const char *name);
double rt_options_real(const RtOptions *options, const char *prefix, const char *name);
bool rt_options_bool(const RtOptions *options, const char *prefix, const char *name);
const char *rt_options_text(const RtOptions *options, const char *prefix, const char *name);
/* Returns the number of elements. */
int rt_options_ints(const RtOptions *options, const char *prefix, const char *name, int64_t value[RT_OPTIONS_LIST]);
int rt_options_reals(const RtOptions *options, const char *prefix, const char *name, double value[RT_OPTIONS_LIST]);
/* Whether the user gave it. */
bool rt_options_given(const RtOptions *options, const char *prefix, const char *name);
/* The names that the user chose in rows prefix_*_…, in the order of the alphabet (PETSc's database keeps no other), as
   far as `most` goes. Returns how many there are. The values of one: prefix is prefix_NAME, name what follows; what the
   user left open has the row's default. The names live as long as the options. */
int rt_options_names(const RtOptions *options, const char *prefix, const char *name[], int most);

/* The value of an option by its whole name, as text in the form of records. Errors (usage): there is no such option. */
PetscErrorCode rt_options_find(const RtOptions *options, const char *name, const char **text);

/* The options that change the output of `content`, a line `name=value` each, in the order of the table; rows with a
   `*` where the first of their kind is, all of them for each name that the user chose.
 *text is allocated with PetscMalloc. */
PetscErrorCode rt_options_record(const RtOptions *options, unsigned content, char **text);
/* The default of every row, as a record has them; lives as long as the options. */
const char *rt_options_defaults(const RtOptions *options);

/* Print the options that `verb` reads. */
void rt_options_help(const RtOption *table, int count, unsigned verb);

/* The entry of `names` nearest to `word` in edits, NULL where none is near. names: [count]. */
const char *rt_options_nearest(const char *word, const char *const *names, int count);

#endif
