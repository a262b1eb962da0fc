"""The rules of the code that a program can check: style.py ROOT

Every violation is one line, FILE:LINE: what the rule is. clang-format (version 14) decides the rest, and is asked here.
"""

import fnmatch
import os
import re
import subprocess
import sys

ROOMS = ("core comm job netcdf graph ops model data import store linalg distill optim train label eval compress run "
         "cli").split()
TOP = "CMakeLists.txt src include jobs tests slurm analysis README.md".split()
BUILT = "build* runs data".split()  # .gitignore
LINES = 500
SHORTER = {"README.md": 200}

# Code of src/ and include/, without comments and strings: pattern, files where it may stand, rule.
CODE = [
    (r"\bMPI_COMM_WORLD\b", ["src/cli/*"], "MPI_COMM_WORLD stands in src/cli only: take a communicator"),
    (r"\bPETSC_COMM_WORLD\b", ["src/cli/*", "src/core/retort.c"],
     "PETSC_COMM_WORLD stands in src/cli and src/core/retort.c only: take a communicator"),
    (r"\b(MPI_(Allr|Iallr|R|Ir)educe(_scatter\w*)?|MPIU_Allreduce)\b",
     ["src/comm/*", "src/core/message.c"], "sums over ranks go through src/comm"),
    (r"\b(v?f?printf|v?dprintf|f?puts|f?putc|putchar|perror|Petsc(V?F|SynchronizedF?|Error|Help)?Printf)\s*\(",
     ["src/core/message.c"], "output goes through core/message.h"),
    (r"\b(C\w*blacs_\w+|p?d(gemm|potr|syev|gesv|gemr)\w*_)\s*\(", ["src/linalg/*"],
     "BLACS, ScaLAPACK and BLAS have their room in src/linalg"),
    (r"\b(strn?cmp|strn?casecmp|memcmp|strstr|PetscStrn?cmp)\s*\([^;]*\bop->type\b|\bop->type\s*\[", ["src/ops/*"],
     "operators' names are compared in src/ops only: ask what retort/operator.h tells of an operator"),
]

# Included headers: pattern, files that may include them, rule.
FOREIGN = [
    (r"<(oneapi/)?dnnl", ["src/ops/*"], "oneDNN's room is src/ops"),
    (r"<(netcdf|hdf5)", ["src/netcdf/*", "src/data/*", "src/store/*"], "NetCDF's rooms are src/netcdf, src/data and src/store"),
    (r"<(zip|zlib|csv)\.h>", ["src/import/*", "src/netcdf/seal.c"], "libzip, zlib and libcsv have their room in src/import; seals use the CRC of zlib"),
    (r"onnx\.pb-c\.h|<protobuf-c", ["src/model/*"], "protobuf-c's room is src/model"),
    (r"<openssl/", ["src/core/hash.c"], "OpenSSL is used in src/core/hash.c only"),
    (r"<petsc(tao|ksp)", ["src/optim/*"], "TAO and KSP have their room in src/optim"),
]

# Strings of src/ that are, or end as a path in, the name of a file of a run.
NAMED = re.compile(r'"(?:[^" ]*[ /])?(?:(?:teacher|student|%s)(?:-start)?\.onnx|(?:teacher|student|%s)-history\.nc'
                   r'|components\.nc|eval\.nc|cka\.nc|checkpoint(?:/[^"]*)?)"|_file_join\([^;]*"labels"')

# Any text of the tree: pattern, files where it may stand, rule. (The words are cut so that they do not match here.)
TEXT = [
    (r"\b(TO" r"DO|FIX" r"ME)\b", [], "unfinished work is an issue, not a comment"),
    (r"(?<![\w.$}-])/(home|work|root)/", [], "no path of one machine"),
    (r"(?<![\w.$}-])/tmp/", ["*.sh", "*.py"], "no path of one machine outside scripts"),
]


def sources(root):
    """All files of the tree that people write, relative to root."""
    for name in sorted(os.listdir(root)):
        if name == ".git" or (name[0] != "." and name not in TOP):
            continue
        if os.path.isfile(os.path.join(root, name)):
            yield name
        for folder, folders, files in os.walk(os.path.join(root, name)):
            folders[:] = sorted(f for f in folders if f != "__pycache__")
            for file in sorted(files):
                yield os.path.relpath(os.path.join(folder, file), root)


def code_only(text):
    """C without comments and the insides of strings; every line keeps its number."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        found = match.group()
        return '""' if found[0] == '"' else "0" if found[0] == "'" else "\n" * found.count("\n") or " "

    return token.sub(blank, text)


def within(path, patterns):
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def check_code(path, text):
    for number, line in enumerate(code_only(text).split("\n"), 1):
        for pattern, allowed, rule in CODE:
            if re.search(pattern, line) and not within(path, allowed):
                yield number, rule


def check_includes(path, text):
    room = path.split("/")[1]
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s*([<"].*)', line)
        if not match:
            continue
        header = match.group(1)
        for pattern, allowed, rule in FOREIGN:
            if re.match('"?' + pattern, header) and not within(path, allowed):
                yield number, rule
        other = header[1:].split("/")[0]
        if path.startswith("src/") and other in ROOMS and ROOMS.index(other) > ROOMS.index(room):
            yield number, "a file of src/%s includes from %s, not from %s below" % (
                room, ", ".join(ROOMS[: ROOMS.index(room) + 1]), other)


def check_names(path, text):
    if path != "src/job/files.c":
        for number, line in enumerate(text.split("\n"), 1):
            if NAMED.search(line) and not re.match(r"\s*#", line):
                yield number, "the names of a run's files stand in src/job/files.c"


def check_comments(text):
    """In a public header, what declares functions begins with a comment; a comment may serve the lines that follow it
    without a gap."""
    number = 1
    for paragraph in re.split(r"\n[ \t]*\n", text):
        code = code_only(paragraph)
        declared = re.search(r"^[A-Za-z][^\n;{}#]*\brt_\w+\(", code, re.M)
        if declared:
            before = code[: declared.start()].count("\n")
            if "/*" not in "\n".join(paragraph.split("\n")[:before]):
                yield number + before, "a public function has a comment before it"
        number += paragraph.count("\n") + 2


def check_format(root, paths):
    try:
        result = subprocess.run(["clang-format-14", "--dry-run", "--Werror", *paths], cwd=root, text=True,
                                stderr=subprocess.PIPE)
    except FileNotFoundError:
        return [("CMakeLists.txt", 1, "clang-format-14 is not there to check the format: install it")]
    first = {}
    for file, line in re.findall(r"^([^\s:]+):(\d+):\d+: (?:error|warning)", result.stderr, re.M):
        first.setdefault(file, int(line))
    rule = "not as clang-format-14 writes it: clang-format-14 -i "
    places = [(file, line, rule + file) for file, line in first.items()]
    return places or ([("CMakeLists.txt", 1, "clang-format-14: " + result.stderr.strip())] if result.returncode else [])


def violations(root):
    """All violations, as (file, line, rule)."""
    c_files = []
    for name in sorted(os.listdir(root)):
        if name[0] != "." and name not in TOP and not within(name, BUILT):
            yield name, 1, "the top level holds only dotfiles and " + " ".join(TOP)
    for path in sources(root):
        try:
            with open(os.path.join(root, path), encoding="utf-8") as file:
                text = file.read()
        except UnicodeDecodeError:
            continue  # data of the tests
        lines, most = text.count("\n"), SHORTER.get(path, LINES)
        if lines > most and not path.startswith("tests/data/"):
            yield path, lines, "this file has at most %d lines" % most
        for number, line in enumerate(text.split("\n"), 1):
            for pattern, allowed, rule in TEXT:
                if re.search(pattern, line) and not within(path, allowed):
                    yield path, number, rule
        if not path.endswith((".c", ".h")):
            continue
        c_files.append(path)
        found = []
        if path.startswith(("src/", "include/")):
            found += check_code(path, text)
            found += check_includes(path, text)
            found += check_names(path, text)
        if path.startswith("include/"):
            found += check_comments(text)
        for number, rule in found:
            yield path, number, rule
    if c_files:
        yield from check_format(root, c_files)


def main():
    count = 0
    for path, number, rule in violations(sys.argv[1]):
        print("%s:%d: %s" % (path, number, rule))
        count += 1
    print("style: %d violations" % count)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
