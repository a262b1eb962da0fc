"""The walk through the results in analysis/README.md: its commands work as they stand there, on a small run, and what they
print looks like what stands below them.

Arguments: the program retort, an empty folder."""
import contextlib
import io
import os
import re
import subprocess
import sys

import common  # noqa: F401  first, as it finds the others
import netCDF4
from support.cli import SOURCE, main, run, small


def blocks():
    """[(prompt, command, output)] of the page's section, in order."""
    with open(os.path.join(SOURCE, "analysis", "README.md"), encoding="utf-8") as file:
        text = file.read()
    section = re.search(r"^## Look at the results\n(.*?)^## ", text, re.M | re.S).group(1)
    found = []
    for block in re.findall(r"```\n(.*?)```", section, re.S):
        parts = re.split(r"^(\$|>>>) (.*)\n", block, flags=re.M)[1:]
        found += zip(parts[::3], parts[1::3], parts[2::3])
    return found


def shape(text):
    """A text without its numbers and times, and without what depends on the run."""
    text = re.sub(r"retort run .*?\"", 'retort run"', text)
    text = re.sub(r"(test_set = ).*", r"\1", text)
    return re.sub(r"\s+", "", re.sub(r"[-+\d.:TZe]*\d[\d.:TZ]*", "0", text))


def test_walk():
    run("run", small("runs/mnist", label_views=8, augment_shift=1, label_features=1, label_components=4), ranks=2)
    walk, names = blocks(), {}
    assert [prompt for prompt, *_ in walk].count("$") >= 3 and len(walk) >= 8, walk
    for prompt, command, wanted in walk:
        if prompt == "$":
            done = subprocess.run(command, shell=True, capture_output=True, text=True)
            assert done.returncode == 0 and not done.stderr, f"{command}: {done.returncode}\n{done.stderr}"
            said = done.stdout
        else:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(command + "\n", "README.md", "single"), names)
            said = out.getvalue()
        if "labels.logits" in command and "argmax" not in command:
            said = said.split("\n")[0]  # xarray says more of an array that is not read yet
            said, wanted = re.sub(r"\d+", "0", said), re.sub(r"\d+", "0", wanted)
        assert shape(said) == shape(wanted), f"{command}\nsays\n{said}\nand the page has\n{wanted}"
    with netCDF4.Dataset("kept.nc") as data, netCDF4.Dataset("runs/mnist/eval.nc") as result:
        assert float(data["kept"][...]) == float(result["student_accuracy"][...]) / float(result["teacher_accuracy"][...])
        assert "ncap2" in data.history, "NCO keeps no history"


def test_headers():
    """ncdump -h of every output tells its story: units, names, version, options, hashes."""
    for path, hashes in (("eval.nc", ["teacher_hash", "student_hash", "dataset_hash"]), ("labels/shard-000000.nc", ["teacher_hash", "dataset_hash"]),
                         ("student-history.nc", ["history", "parallel", "train_set"]), ("teacher-history.nc", ["history", "parallel", "train_set"])):
        text = subprocess.run(["ncdump", "-h", "runs/mnist/" + path], capture_output=True, text=True, check=True).stdout
        for name in re.findall(r"^\t\w+ (\w+)(?:\(.*\))? ;", text, re.M):
            assert f"\t\t{name}:units = " in text and f"\t\t{name}:long_name = " in text, f"{path}: {name} does not say what it is"
        for name in "title", "retort_version", "options", "Conventions", *hashes:
            assert re.search(rf"^\t\t:{name} = \"[^\"]", text, re.M), f"{path} has no {name}"


if subprocess.run(["sh", "-c", "command -v ncap2 && command -v ncdump"], capture_output=True).returncode:
    print("walk: NCO or ncdump is not there")
    sys.exit(77)
main(test_walk, test_headers)
