/* Importers: what they make of good files, and that bad ones are refused with a message and leave nothing behind.
   tests/cli/import.py compares with NumPy and xarray; here are the cases that need odd bytes. */
#include "fields.h"
#include "import/import.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char folder[32] = "test_import-XXXXXX";

static const char *in_folder(const char *name)
{
  static char path[4][128];
  static int turn;

  turn = (turn + 1) % 4;
  snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
  return path[turn];
}

static const char *put(const char *name, const void *data, size_t bytes)
{
  const char *path = in_folder(name);
  FILE *file = fopen(path, "wb");

  RT_TEST_CHECK(file && fwrite(data, 1, bytes, file) == bytes, "%s", path);
  if (file) fclose(file);
  return path;
}

static const char *put_text(const char *name, const char *text)
{
  return put(name, text, strlen(text));
}

/* Read the dataset and compare a few elements and all labels. classes 0: no labels. */
static PetscErrorCode check(const char *what, int64_t samples, int64_t size, const float *first, int classes,
                            const int *labels)
{
  const RtDatasetInfo *info;
  RtDataset *dataset;
  float input[16];
  uint8_t bytes[16];
  int32_t label;

  PetscFunctionBegin;
  PetscCall(rt_dataset_open(PETSC_COMM_SELF, in_folder("out.nc"), &dataset));
  info = rt_dataset_info(dataset);
  RT_TEST_CHECK(info->samples == samples && info->size == size && info->classes == classes,
                "%s: %d samples of %d, %d classes", what, (int)info->samples, (int)info->size, info->classes);
  for (int64_t i = 0; i < info->samples && i < samples; i++) {
    PetscCall(
        rt_fields_read(dataset, i, 1, info->type == RT_UINT8 ? (void *)bytes : input, classes ? &label : NULL, NULL));
    RT_TEST_CHECK(!classes || label == labels[i], "%s: label %d is %d", what, (int)i, label);
    for (int64_t j = 0; !i && j < size; j++) {
      float value = (info->type == RT_UINT8 ? (float)bytes[j] : input[j]) * info->scale + info->offset;

      RT_TEST_CHECK(value == first[j], "%s: element %d is %g", what, (int)j, (double)value);
    }
  }
  PetscCall(rt_dataset_close(&dataset));
  PetscFunctionReturn(0);
}

/* Two samples of two elements, 1 and -2 first, as each IDX type; labels 1 and 0. */
static PetscErrorCode test_idx_types(void)
{
  static const unsigned char code[] = {0x09, 0x0b, 0x0c, 0x0d, 0x0e};
  static const unsigned char one[][8] = {{1}, {0, 1}, {0, 0, 0, 1}, {0x3f, 0x80}, {0x3f, 0xf0}};
  static const unsigned char two[][8] = {{0xfe}, {0xff, 0xfe}, {0xff, 0xff, 0xff, 0xfe}, {0xc0}, {0xc0}};
  static const size_t size[] = {1, 2, 4, 4, 8};
  const float first[] = {1, -2};
  const int labels[] = {1, 0};

  PetscFunctionBegin;
  for (int k = 0; k < 5; k++) {
    unsigned char x[64] = {0, 0, code[k], 2, 0, 0, 0, 2, 0, 0, 0, 2};
    unsigned char y[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};

    for (int i = 0; i < 4; i++) memcpy(x + 12 + (size_t)i * size[k], i % 2 ? two[k] : one[k], size[k]);
    PetscCall(rt_import_idx(put("x", x, 12 + 4 * size[k]), put("y", y, sizeof y), in_folder("out.nc")));
    PetscCall(check("idx", 2, 2, first, 2, labels));
  }
  PetscFunctionReturn(0);
}

typedef struct {
  const char *what;
  unsigned char bytes[24];
  size_t length;
} Case;

static PetscErrorCode test_idx_bad(void)
{
  static const unsigned char x[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4};
  static const unsigned char y[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};
  static const Case bad_x[] = {
      {"empty", {0}, 0},
      {"short magic", {0, 0, 8}, 3},
      {"wrong magic", {1, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4}, 16},
      {"unknown type", {0, 0, 7, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4}, 16},
      {"no dimensions", {0, 0, 8, 0, 1}, 5},
      {"too many dimensions", {0, 0, 8, 200, 1}, 24},
      {"short header", {0, 0, 8, 2, 0, 0, 0, 2, 0, 0}, 10},
      {"empty dimension", {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 0}, 12},
      {"one byte missing", {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3}, 15},
      {"one byte more", {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5}, 17},
      {"2^64 bytes", {0, 0, 14, 2, 255, 255, 255, 255, 255, 255, 255, 255, 1}, 24},
      {"only one dimension", {0, 0, 8, 1, 0, 0, 0, 2, 1, 2}, 10},
      {"another count", {0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 1, 1, 2, 3}, 15},
      {"not a number", {0, 0, 13, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0x7f, 0xc0, 0, 0, 0, 0, 0, 0}, 20},
  };
  static const Case bad_y[] = {
      {"two dimensions", {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 1, 0}, 14},
      {"floats", {0, 0, 13, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0}, 16},
      {"negative", {0, 0, 9, 1, 0, 0, 0, 2, 0, 0xff}, 10},
      {"too large", {0, 0, 12, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}, 16},
      {"one label missing", {0, 0, 8, 1, 0, 0, 0, 2, 1}, 9},
  };

  PetscFunctionBegin;
  for (size_t i = 0; i < sizeof bad_x / sizeof *bad_x; i++) {
    PetscErrorCode error =
        rt_import_idx(put("x", bad_x[i].bytes, bad_x[i].length), put("y", y, sizeof y), in_folder("bad.nc"));

    RT_TEST_CHECK(error == RT_ERR_FAILED, "images, %s: returned %d", bad_x[i].what, (int)error);
  }
  for (size_t i = 0; i < sizeof bad_y / sizeof *bad_y; i++) {
    PetscErrorCode error =
        rt_import_idx(put("x", x, sizeof x), put("y", bad_y[i].bytes, bad_y[i].length), in_folder("bad.nc"));

    RT_TEST_CHECK(error == RT_ERR_FAILED, "labels, %s: returned %d", bad_y[i].what, (int)error);
  }
  RT_TEST_FAILS(rt_import_idx(in_folder("absent"), put("y", y, sizeof y), in_folder("bad.nc")));
  RT_TEST_FAILS(rt_import_idx(folder, put("y", y, sizeof y), in_folder("bad.nc")));
  PetscFunctionReturn(0);
}

/* The same file compressed gives the same; cut off or damaged it is refused. */
static PetscErrorCode test_gzip(void)
{
  static const unsigned char y[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};
  unsigned char x[16] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 255, 0, 51, 4}, packed[128];
  const float first[] = {1, 0};
  const int labels[] = {1, 0};
  gzFile file = gzopen(in_folder("x.gz"), "wb");
  FILE *raw;
  size_t length;

  PetscFunctionBegin;
  RT_TEST_CHECK(gzwrite(file, x, sizeof x) == (int)sizeof x && gzclose(file) == Z_OK, "gzip");
  PetscCall(rt_import_idx(in_folder("x.gz"), put("y", y, sizeof y), in_folder("out.nc")));
  PetscCall(check("gzip", 2, 2, first, 2, labels));
  raw = fopen(in_folder("x.gz"), "rb");
  length = fread(packed, 1, sizeof packed, raw);
  fclose(raw);
  for (size_t cut = 2; cut < length; cut++)
    RT_TEST_FAILS(rt_import_idx(put("cut", packed, cut), in_folder("y"), in_folder("bad.nc")));
  packed[length - 6] ^= 1; /* in the checksum */
  RT_TEST_FAILS(rt_import_idx(put("cut", packed, length), in_folder("y"), in_folder("bad.nc")));
  /* Few compressed bytes that announce 2^62. */
  memcpy(x, (unsigned char[]){0, 0, 8, 2, 0x7f, 255, 255, 255, 0x7f, 255, 255, 255}, 12);
  file = gzopen(in_folder("x.gz"), "wb");
  RT_TEST_CHECK(gzwrite(file, x, sizeof x) == (int)sizeof x && gzclose(file) == Z_OK, "gzip");
  RT_TEST_FAILS(rt_import_idx(in_folder("x.gz"), in_folder("y"), in_folder("bad.nc")));
  PetscFunctionReturn(0);
}

/* A .npy file of version 1 with this header and so many bytes of ones. */
static const char *put_npy(const char *name, const char *header, size_t bytes)
{
  unsigned char file[600] = "\x93NUMPY\x01";
  size_t length = strlen(header);

  file[8] = (unsigned char)(length & 255);
  file[9] = (unsigned char)(length >> 8);
  memcpy(file + 10, header, length);
  memset(file + 10 + length, 1, bytes);
  return put(name, file, 10 + length + bytes);
}

static PetscErrorCode test_npy(void)
{
  static const char *const good[] = {
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }\n",
      "{\"descr\":\"|u1\",\"fortran_order\":False,\"shape\":(2,3)}",
      "{ 'shape' : ( 2L , 3L ) , 'fortran_order' : False , 'descr' : '|u1' }   \n",
  };
  static const char *const bad[] = {
      "",
      "{",
      "{}",
      "nonsense",
      "{'descr': '|u1', 'fortran_order': False, }",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), 'more': 1}",
      "{'descr': '|u1', 'fortran_order': Maybe, 'shape': (2, 3)}",
      "{'descr': '|u1, 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': ()}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (6,)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, -3)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 3)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (1152921504606846976, 3)}",
      "{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952, 1)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999999999, 3)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,6)}",
      "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}",
      "{'descr': '|S1', 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '', 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (2, 3)}",
  };
  const float first[] = {1.0f / 255, 1.0f / 255, 1.0f / 255};

  PetscFunctionBegin;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    PetscCall(rt_import_npy(put_npy("x.npy", good[i], 6), NULL, in_folder("out.nc")));
    PetscCall(check(good[i], 2, 3, first, 0, NULL));
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    PetscErrorCode error = rt_import_npy(put_npy("x.npy", bad[i], 6), NULL, in_folder("bad.nc"));

    RT_TEST_CHECK(error == RT_ERR_FAILED, "'%s' returned %d", bad[i], (int)error);
  }
  RT_TEST_FAILS(rt_import_npy(put_text("x.npy", "\x93NUMPY\x04\x01 and so on"), NULL, in_folder("bad.nc")));
  RT_TEST_FAILS(rt_import_npy(put("x.npy", "\x93NUMPY\x02\x01\xff\xff\xff\xff", 12), NULL, in_folder("bad.nc")));
  RT_TEST_FAILS(rt_import_npy(put_text("x.npy", "PK\x03\x04 and no archive"), NULL, in_folder("bad.nc")));
  /* Labels that do not fit. */
  put_npy("x.npy", good[0], 6);
  RT_TEST_FAILS(rt_import_npy(in_folder("x.npy"),
                              put_npy("y.npy", "{'descr': '|u1', 'fortran_order': False, 'shape': (3,)}", 3),
                              in_folder("bad.nc")));
  RT_TEST_FAILS(rt_import_npy(in_folder("x.npy"),
                              put_npy("y.npy", "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2)}", 4),
                              in_folder("bad.nc")));
  RT_TEST_FAILS(rt_import_npy(in_folder("x.npy"),
                              put_npy("y.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (2,)}", 16),
                              in_folder("bad.nc")));
  PetscFunctionReturn(0);
}

static PetscErrorCode test_csv_good(void)
{
  const RtImportCsvParams by_class = {.label = "kind"}, by_column = {.label = "kind", .features = "b"};
  const int labels[] = {1, 0, 2}, numbers[] = {0, 2, 1};
  const float first[] = {1.5f, -2};

  PetscFunctionBegin;
  PetscCall(
      rt_import_csv(put_text("t.csv", "a,kind,b\n1.5,dog,-2\n3,cat,4\n5,emu,6\n"), &by_class, in_folder("out.nc")));
  PetscCall(check("csv", 3, 2, first, 3, labels));
  /* Byte order mark, spaces, quotes, quoted newline, CRLF, blank lines, no newline at the end. */
  PetscCall(rt_import_csv(put_text("t.csv", "\xef\xbb\xbf\"a\", kind ,\"b\"\r\n\r\n1.5,\"the \"\"d, g\",-2e0\r\n\n"
                                            "\"3\",cat,+4\r\n5,zebra,6"),
                          &by_class, in_folder("out.nc")));
  PetscCall(check("csv, quoted", 3, 2, first, 3, (int[]){1, 0, 2}));
  PetscCall(rt_import_csv(put_text("t.csv", "a,kind,b\n0,-1,-2\n0,10,4\n0,9,4\n"), &by_column, in_folder("out.nc")));
  PetscCall(check("csv, numbers", 3, 1, first + 1, 3, numbers));
  PetscFunctionReturn(0);
}

static PetscErrorCode test_csv_bad(void)
{
  static const struct {
    const char *text;
    RtImportCsvParams params;
  } bad[] = {
      {"", {.label = "k"}},
      {"a,k\n", {.label = "k"}},
      {"a,b\n1,2\n", {.label = "k"}},
      {"a,k,k\n1,2,3\n", {.label = "k"}},
      {"k\n1\n", {.label = "k"}},
      {"a,k\n1\n", {.label = "k"}},
      {"a,k\n1,2\n1,2,3\n", {.label = "k"}},
      {"a,k\nx,2\n", {.label = "k"}},
      {"a,k\n0x10,2\n", {.label = "k"}},
      {"a,k\n1.2.3,2\n", {.label = "k"}},
      {"a,k\n,2\n", {.label = "k"}},
      {"a,k\nNA,2\n", {.label = "k"}},
      {"a,k\nnan,2\n", {.label = "k"}},
      {"a,k\ninf,2\n", {.label = "k"}},
      {"a,k\n1e99,2\n", {.label = "k"}},
      {"a,k\n1,\n", {.label = "k"}},
      {"a,k\n1,\"2\n3\"\n", {.label = "k"}},
      {"a,k\n1,\"2\n", {.label = "k"}},
      {"a,k\n1,2\"3\n", {.label = "k"}},
      {"a,k\n1,\"2\"3\n", {.label = "k"}},
      {"a,k\n1,2\n", {.target = "k,z"}},
      {"a,k\n1,2\n", {.target = "k,k"}},
      {"a,k\n1,2\n", {.target = "a,k"}},
      {"a,k\n1,2\n", {.label = "k", .features = "k"}},
      {"a,k\n1,2\n", {.label = "k", .features = ","}},
      {"a,k\n1,x\n", {.target = "k"}},
  };
  const RtImportCsvParams params = {.label = "k"};
  char *large;

  PetscFunctionBegin;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    PetscErrorCode error = rt_import_csv(put_text("t.csv", bad[i].text), &bad[i].params, in_folder("bad.nc"));

    RT_TEST_CHECK(error == RT_ERR_FAILED, "case %d, '%s' returned %d", (int)i, bad[i].text, (int)error);
  }
  RT_TEST_FAILS(rt_import_csv(put("t.csv", "a,k\n1,2\0003\n", 10), &params, in_folder("bad.nc")));
  RT_TEST_FAILS(rt_import_csv(in_folder("absent.csv"), &params, in_folder("bad.nc")));
  /* A quote that is never closed must not take the rest of a large file into memory. */
  PetscCall(PetscMalloc1(4 << 20, &large));
  memset(large, '7', 4 << 20);
  memcpy(large, "a,k\n1,\"", 7);
  for (int i = 100; i < 4 << 20; i += 100) large[i] = '\n';
  RT_TEST_FAILS(rt_import_csv(put("t.csv", large, 4 << 20), &params, in_folder("bad.nc")));
  PetscCall(PetscFree(large));
  PetscFunctionReturn(0);
}

static PetscErrorCode test(int argc, char **argv)
{
  char command[64];

  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  RT_TEST_CHECK(mkdtemp(folder), "mkdtemp");
  PetscCall(test_idx_types());
  PetscCall(test_idx_bad());
  PetscCall(test_gzip());
  PetscCall(test_npy());
  PetscCall(test_csv_good());
  PetscCall(test_csv_bad());
  RT_TEST_CHECK(access(in_folder("bad.nc"), F_OK), "a refused file became a dataset");
  snprintf(command, sizeof command, "ls -A %s | grep tmp-", folder);
  RT_TEST_CHECK(system(command), "temporary files are left");
  snprintf(command, sizeof command, "rm -r %s", folder);
  RT_TEST_CHECK(!system(command), "cannot remove the folder");
  PetscFunctionReturn(0);
}

RT_TEST_MAIN(test)
