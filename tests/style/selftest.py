"""Proves that style.py sees a violation of every rule, and none where there is none: selftest.py ROOT FOLDER

A small tree is written into FOLDER. Lines that must be reported end in a comment with ! (or are named below).
"""

import os
import shutil
import sys

import style

BAD = {
    "src/core/a.c": """#include "comm/lanes.h" /* ! */
#include <netcdf.h>     /* ! */
#include <zlib.h>       /* ! */
#include <openssl/evp.h> /* ! */
/* MPI_COMM_WORLD and printf( in a comment are no use of them. */
static const char *text = "MPI_COMM_WORLD printf( labels/*.nc";
MPI_Comm a = MPI_COMM_WORLD;   /* ! */
MPI_Comm b = PETSC_COMM_WORLD; /* ! */
void c(void) { MPI_Allreduce(0, 0, 0, 0, 0, 0); } /* ! */
void d(void) { printf("x"); }                     /* ! */
void e(void) { snprintf(0, 0, "x"); PetscSNPrintf(0, 0, "x"); }
void f(void) { PetscPrintf(0, "x"); } /* ! */
void h(void) { Cblacs_gridexit(0); pdpotrf_(0); } /* ! */
bool i(const RtNode *node) { return !strcmp(node->op->type, "Add"); } /* ! */
bool j(const RtNode *node) { return node->op->type[0] == 'A'; }       /* ! */
const char *k(const RtNode *node) { return node->op->type; }
/* FIX""" """ME: later ! */
static const char *i = "labels", *j = "cka", *k = "see cka.nc: how";
int o(char *p) { return rt_file_join(p, "labels", p, 1); }          /* ! */
static const char *l = "%s-history.nc", *m = "x %s/student.onnx"; /* ! */
static const char *n = "checkpoint/%s-%d.nc";                       /* ! */
static const char *g = "/ho""" """me/me"; /* ! */
""",
    "src/data/b.c": """#include <dnnl.h> /* ! */
#include "core/hash.h"
#include <netcdf_par.h>
#include "onnx.pb-c.h"  /* ! */
#include "run/run.h"    /* ! */
#include <petsctao.h>   /* ! */
""",
    "include/retort/c.h": """/* A header. */

/* Has a comment. */
int rt_c_one(int a);
int rt_c_two(int a);

int rt_c_three(int a); /* ! */
""",
    "include/retort/indent.h": "int   x; /* ! */\n",
}
GOOD = {
    "src/README.md": "\n" * 300,
    ".hidden": "",
    "build-x/y.c": "MPI_COMM_WORLD\n",
    "src/cli/main.c": "MPI_Comm world(void)\n{\n  return MPI_COMM_WORLD;\n}\n",
    "src/core/message.c": "void say(void)\n{\n  MPI_Allreduce(0, 0, 0, 0, 0, 0);\n  printf(\"x\");\n}\n",
    "src/linalg/x.c": "void solve(void)\n{\n  pdpotrf_();\n  dgemm_();\n}\n",
    "src/ops/x.c": "bool x(const RtOp *op)\n{\n  return op->type[0] == 'A';\n}\n",
    "tests/unit/test_x.c": '#include <dnnl.h>\n#include <stdio.h>\n',
    "tests/cli/x.sh": "cd /tmp/x\n",
}


def write(root, path, text):
    os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
    with open(os.path.join(root, path), "w", encoding="utf-8") as file:
        file.write(text)


def main():
    root, folder = sys.argv[1:3]
    tree = os.path.join(folder, "tree")
    for path, text in {**BAD, **GOOD}.items():
        write(tree, path, text)
    write(tree, "src/run/long.c", "\n" * (style.LINES + 1))
    write(tree, "README.md", "\n" * (style.SHORTER["README.md"] + 1))
    write(tree, "notes.txt", "\n")
    shutil.copy(os.path.join(root, ".clang-format"), tree)

    expected = {("src/run/long.c", style.LINES + 1), ("README.md", style.SHORTER["README.md"] + 1), ("notes.txt", 1)}
    for path, text in BAD.items():
        expected |= {(path, n) for n, line in enumerate(text.split("\n"), 1) if line.rstrip(" */").endswith("!")}
    reported = list(style.violations(tree))
    rules = {(path, line) for path, line, rule in reported if "clang-format" not in rule}
    formats = {path for path, line, rule in reported if "clang-format" in rule}

    wrong = sorted((expected - {("include/retort/indent.h", 1)}) ^ rules)
    for path, line in wrong:
        print("%s:%d: %s" % (path, line, "not seen" if (path, line) in expected else "seen, but no violation"))
    if "include/retort/indent.h" not in formats or formats & set(GOOD):
        wrong.append(formats)
        print("clang-format reported", sorted(formats))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
