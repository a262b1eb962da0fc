"""What the objects of the library say of each other: symbols.py ROOT FOLDER

* Dead: a function or table of src that no other file of src uses, and that include/retort does not offer, goes; where its
  own file uses it and no test does, it is static.
* Circles: no two or more files of src that call each other.

Needs nm, and reads the objects in RETORT_BUILD. A copy of the check on objects made here shows that it sees both."""

import collections
import glob
import os
import re
import subprocess
import sys

ROOT, FOLDER = sys.argv[1:3]

# For what comes: name, why it stands although nothing calls it yet. A name that is called, or gone, leaves this list.
WAITING = {
    "rt_file_write": "whole files: for what exports will write",
}
# Tests walk these tables.
WALKED = {"rt_registry_at"}
# Circles that stand, to be cut by who moves what they share into a file below both.
KNOWN = [{"train/checkpoint", "train/guard"}, {"train/fullbatch", "train/trainer"}]


def symbols(files):
    """(file, name, whether it is defined there or used) of all names of functions and tables. files: {room/stem: path}."""
    file_of = {path: file for file, path in files.items()}
    out = subprocess.run(["nm", "-A", *file_of], capture_output=True, text=True, check=True).stdout
    for path, kind, name in re.findall(r"^(.+):[0-9a-f ]{16} ([A-Za-z]) (rt_\w+)", out, re.M):
        if kind in "UTDBRVWi":
            yield file_of[path], name, kind != "U"


def objects(build):
    """{room/stem: path} of the library's and the program's objects."""
    found = {}
    for path in glob.glob(os.path.join(build, "src", "CMakeFiles", "*", "*", "*.c.o")):
        found.setdefault("/".join(path[:-4].split("/")[-2:]), path)
    return found


def circles(calls):
    """Groups of files each of which reaches the others. calls: {file: files}."""
    reach = {}
    for file in calls:
        seen, ahead = set(), [file]
        while ahead:
            for other in calls.get(ahead.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    ahead.append(other)
        reach[file] = seen
    groups = {frozenset(o for o in reach[f] if f in reach.get(o, ())) for f in calls if f in reach[f]}
    return [set(group) for group in sorted(groups, key=sorted)]


def text(*patterns):
    parts = []
    for pattern in patterns:
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            with open(path, encoding="utf-8") as file:
                parts.append(file.read())
    return "\n".join(parts)


def check(files, public, tests, source):
    """Lines on what is wrong. files: {room/stem: path}; source: gives the text of a file."""
    where, used = {}, collections.defaultdict(set)
    calls = collections.defaultdict(set)
    for file, name, defined in symbols(files):
        if defined:
            where[name] = file
        else:
            used[name].add(file)
    for name, file in sorted(where.items()):
        for user in used[name]:
            calls[user].add(file)
        if used[name] or name in public or name in WALKED:
            if name in WAITING:
                yield f"src/{file}.c: {name} is used: it leaves WAITING"
        elif name not in WAITING and len(re.findall(rf"\b{name}\b", source(file))) > 1:
            if name not in tests:
                yield f"src/{file}.c: {name} is used in its own file only: make it static"
        elif name not in WAITING:
            yield f"src/{file}.c: nothing in src uses {name}{', but tests do' if name in tests else ''}: remove it"
    for name in sorted(set(WAITING) - set(where)):
        yield f"{name} is gone: it leaves WAITING"
    for group in circles(calls):
        if group not in KNOWN:
            yield f"these files call each other: {', '.join(sorted(group))}"


def selftest():
    """Three files: one dead function, one that should be static, one that a test uses in its own file, and a circle."""
    code = {"a": "void rt_b(void); void rt_a(void) { rt_b(); } void rt_own(void) {} void rt_c(void) { rt_own(); }",
            "b": "void rt_c(void); void rt_b(void) { rt_c(); } void rt_dead(void) {}",
            "c": "void rt_tested(void) {} void rt_a(void); void rt_d(void) { rt_tested(); rt_a(); }"}
    files = {}
    for name, lines in code.items():
        files[f"x/{name}"] = os.path.join(FOLDER, name + ".o")
        with open(os.path.join(FOLDER, name + ".c"), "w", encoding="utf-8") as file:
            file.write(lines)
        subprocess.run([os.environ.get("CC", "cc"), "-c", file.name, "-o", files[f"x/{name}"]], check=True)
    found = [line for line in check(files, {"rt_d"}, {"rt_tested"}, lambda f: code[f[2:]]) if "WAITING" not in line]
    wanted = ["x/b.c: nothing in src uses rt_dead", "x/a.c: rt_own is used in its own file only", "call each other: x/a, x/b"]
    assert len(found) == 3 and all(any(w in line for line in found) for w in wanted), found


def main():
    selftest()
    words = lambda *patterns: set(re.findall(r"\brt_\w+", text(*patterns)))
    sources = {"/".join(path.split("/")[-2:])[:-2] for path in glob.glob(os.path.join(ROOT, "src", "*", "*.c"))}
    files = objects(os.environ["RETORT_BUILD"])
    files = {file: path for file, path in files.items() if file in sources}  # not what is left of a file that is gone
    wrong = list(check(files, words("include/retort/*.h"), words("tests/*/*.c", "tests/*.h"), lambda file: text(f"src/{file}.c")))
    wrong += [f"src/{file}.c: no object in the build folder" for file in sorted(sources - set(files))]
    print("\n".join(wrong + [f"symbols: {len(files)} objects, {len(wrong)} violations"]))
    return 1 if wrong else 0


sys.exit(main())
