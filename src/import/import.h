/* Importers: foreign files made into datasets, in pieces, so that they may be larger than memory. Not collective: one
   rank works. Each writes `output`, which is complete or absent, and fails with one line that names file and place. */
#ifndef RT_IMPORT_IMPORT_H
#define RT_IMPORT_IMPORT_H

#include <retort/types.h>

enum { RT_IMPORT_FILES = 2, RT_IMPORT_OPTIONS = 8 };

/* What stands behind `retort import KIND`. */
typedef struct {
  const char *file[RT_IMPORT_FILES];     /* NULL behind the last */
  const char *option[RT_IMPORT_OPTIONS]; /* values, in the order of the row; NULL: not given */
  const char *output;
} RtImportWords;

/* A kind of file: a row of the table. To add one: a file in src/import and a row in importer.c. */
typedef struct {
  const char *name;
  const char *help; /* lines for -help; the first is what to write */
  int files_least, files_most;
  const char *option[RT_IMPORT_OPTIONS + 1]; /* names without the dash, each with a value; NULL behind the last */
  PetscErrorCode (*check)(const RtImportWords *words); /* whether they go together (usage). May be NULL */
  PetscErrorCode (*run)(const RtImportWords *words);
} RtImporter;

extern const RtImporter rt_importer_idx, rt_importer_npy, rt_importer_csv;

/* The kind of row i, from 0; NULL after the last. */
const RtImporter *rt_importer_at(int i);
/* By name, NULL if there is none. */
const RtImporter *rt_importer_find(const char *name);
/* Names for a message: `idx, npy or csv`. */
const char *rt_importer_names(void);

/* IDX, the format of MNIST, plain or gzip. images: two dimensions or more, samples first; labels: one dimension of
   whole numbers from 0. Bytes stay bytes with scale_factor 1/255; all other types become float. */
PetscErrorCode rt_import_idx(const char *images, const char *labels, const char *output);

/* NumPy. x: .npy (plain or gzip) or .npz; y: .npy, or NULL where x is .npz or there are no labels. Of an archive the
   arrays x and y, X and Y, or the first two are used. A y of whole numbers holds classes, one of floats the targets of
   a regression, [samples] or [samples, targets]. Bytes stay bytes with scale_factor 1/255, truth values with 1; all
   other types become float. */
PetscErrorCode rt_import_npy(const char *x, const char *y, const char *output);

typedef struct {
  const char *label;    /* column of classes, or NULL */
  const char *target;   /* columns of regression targets, joined by commas, or NULL; just one of the two is given */
  const char *features; /* columns of the input, joined by commas; NULL: all the others */
} RtImportCsvParams;

/* CSV (RFC 4180) with a header line, plain or gzip. Classes are the different texts in the label's column, sorted as
   numbers if all are whole numbers, otherwise by their bytes. */
PetscErrorCode rt_import_csv(const char *path, const RtImportCsvParams *params, const char *output);

#endif
