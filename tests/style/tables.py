"""Every row of every table is documented and tested: tables.py ROOT

The rows come from the library (helper tables) and from what the program says of itself (verbs, importers). Tests that
compare numbers walk their tables themselves: unit/test_gradient_ops.c, conformance/test_node_cases.py, test_losses.py,
test_optimizers.py. Here are the documentation, and the tests that nothing else would miss."""

import glob
import os
import re
import subprocess
import sys

ROOT = sys.argv[1]
RETORT = os.path.join(os.environ["RETORT_BUILD"], "retort")
# What users read; src/README.md and tests/README.md speak of files, and names of rows stand in those by the way.
DOCUMENTS = ["README.md", "jobs/README.md", "analysis/README.md"]

# Kind of row: pairs of what it must have, and where; {} stands for the name. A new table is a line here.
RULES = {
    "operator": [(r"`{}`", DOCUMENTS), (r'"{}"', ["tests/unit/*.c", "tests/conformance/*.py"])],
    "loss": [(r"`{}`", DOCUMENTS), (r'"{}"', ["tests/unit/test_loss*.c"]), (r'"{}": \w', ["tests/conformance/test_losses.py"])],
    "form": [(r"`{}`", DOCUMENTS), (r"\brt_form_at\(", ["tests/unit/test_form.c"]), (r'"{}"', ["tests/cli/forms.py"])],
    "optimizer": [(r"`{}`", DOCUMENTS), (r'"{}"', ["tests/unit/test_optimizer.c", "tests/cli/tao.py"]), (r'"{}"', ["tests/conformance/test_optimizers.py"])],
    "start": [(r"`{}`", DOCUMENTS), (r'"{}"', ["tests/cli/starts.py", "tests/cli/threads.py"])],
    "recipe": [(r"`{}`", DOCUMENTS), (r"rt_recipe_{}\b", ["tests/unit/*.c"])],
    "metric": [(r"`{}`", DOCUMENTS), (r'"{}"', ["tests/unit/test_metrics.c"])],
    "verb": [(r"\bretort {}\b", DOCUMENTS), (r'(run|start|any_end)\(\[?"{}"', ["tests/cli/*.py"])],
    "importer": [(r"\bimport {}\b", DOCUMENTS), (r'run\("{}"', ["tests/cli/import.py"])],
}


def said(*words):
    return subprocess.run([RETORT, *words], capture_output=True, text=True, check=True).stdout


def rows():
    helper = subprocess.run([os.path.join(os.environ["RETORT_BIN"], "tables")], capture_output=True, text=True, check=True)
    yield from (line.split() for line in helper.stdout.splitlines())
    for verb in re.findall(r"^  (\w+) ", said("-help"), re.M):
        yield "verb", verb
        assert said(verb, "-help").count("\n") > 1, f"`retort {verb} -help` says nothing"
    yield from (("importer", name) for name in sorted(set(re.findall(r"^  import (\w+)", said("import", "-help"), re.M))))


def text(patterns):
    parts = []
    for path in (path for pattern in patterns for path in sorted(glob.glob(os.path.join(ROOT, pattern)))):
        with open(path, encoding="utf-8") as file:
            parts.append(file.read())
    return "\n".join(parts)


def main():
    wrong, count = [], dict.fromkeys(RULES, 0)
    for kind, name in rows():
        count[kind] += 1
        for pattern, places in RULES[kind]:
            if not re.search(pattern.replace("{}", re.escape(name)), text(places)):
                wrong.append(f"{kind} {name}: not in {', '.join(places)}: /{pattern}/")
    wrong += [f"{kind}: the table has no rows" for kind, rows_of in count.items() if not rows_of]
    print("\n".join(wrong + [f"tables: {sum(count.values())} rows of {len(count)} tables, {len(wrong)} without what they need"]))
    return 1 if wrong else 0


sys.exit(main())
