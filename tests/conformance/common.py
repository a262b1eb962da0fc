"""What the conformance tests share. Each is called as  test_X.py BIN WORK : the folder of helper programs, an empty one."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np

SKIPPED = 77
bin_folder, work_folder = (os.path.abspath(p) for p in sys.argv[1:3])
here = os.path.dirname(os.path.abspath(__file__))
failures = 0


def fail(text):
    global failures
    failures += 1
    print(f"FAILED {text}", flush=True)


def check(condition, text):
    if not condition:
        fail(text)
    return bool(condition)


def finish(done):
    """Exit: 0 if all checks held. done: what was checked, for the log."""
    print(f"{done}: {failures} failures" if failures else f"{done}: all good")
    sys.exit(1 if failures else 0)


def work(name):
    return os.path.join(work_folder, name)


class Answer:
    """What a helper program said. code < 0 or a trace on standard error is a crash."""

    def __init__(self, command):
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=work_folder)
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.crashed = self.code not in (0, 1, 2) or "PETSC ERROR" in self.err or "Sanitizer" in self.err

    @property
    def message(self):
        """The line for the user, without "retort: "; everything where it is not one line."""
        lines = self.err.strip().splitlines()
        return lines[0].removeprefix("retort: ") if len(lines) == 1 else self.err


def tables():
    """(kind, name) of every row of the library's tables."""
    return [line.split() for line in Answer([os.path.join(bin_folder, "tables")]).out.splitlines()]


def model(*words):
    return Answer([os.path.join(bin_folder, "run_model"), *map(str, words)])


def run_step(path, inputs, batch, name="out"):
    """Words for `model` that run a model on arrays, and a function that makes the output of the printed line."""
    files = []
    for i, array in enumerate(inputs):
        files.append(work(f"{name}.in{i}.raw"))
        np.ascontiguousarray(array).tofile(files[-1])
    output = work(f"{name}.raw")

    def result(line):
        kind, *dims = line.split()
        return np.fromfile(output, dtype=kind).reshape([int(d) for d in dims])

    return ["run", path, ",".join(files), output, batch], result


def run(path, inputs, batch):
    """Our output for a model: (Answer, array or None). inputs: arrays."""
    words, result = run_step(path, inputs, batch)
    answer = model(*words)
    return answer, None if answer.code else result(answer.out.splitlines()[1])


def distance(ours, theirs):
    """Largest difference, relative to max(1, |x|); infinite where the shapes differ or a number is not one."""
    theirs = np.asarray(theirs)
    if ours is None or ours.shape != theirs.shape:
        return np.inf
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    if not np.all(np.isfinite(ours)):
        return np.inf
    return float(np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs)), initial=0))


def onnxruntime(jobs):
    """Outputs of ONNX Runtime, {name: array or the text of its error}; None where it is not there.
    jobs: [(name, path of the model, [input arrays])]"""
    package = os.environ.get("RETORT_ORT", "")
    node = shutil.which("node")
    if not node or not os.path.isdir(package):
        what = f"ONNX Runtime is not compared: {'no folder ' + repr(package) if node else 'no node'} (RETORT_ORT)"
        print(what)
        check(os.environ.get("RETORT_NEED_WITNESSES") != "1", what)  # harness/in-folder.sh
        return None
    listed = []
    for number, (_, path, inputs) in enumerate(jobs):
        entry = {"model": path, "inputs": [], "output": work(f"ort{number}.raw")}
        for i, array in enumerate(inputs):
            file = work(f"ort{number}-{i}.raw")
            np.ascontiguousarray(array).tofile(file)
            entry["inputs"].append({"file": file, "type": str(array.dtype), "dims": list(array.shape)})
        listed.append(entry)
    with open(work("ort.json"), "w") as f:
        json.dump(listed, f)
    done = subprocess.run([node, os.path.join(here, "ort_run.js"), package, work("ort.json")], capture_output=True,
                          text=True)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    if not check(len(results) == len(jobs), f"ONNX Runtime stopped: {done.stderr[-500:]}"):
        return None
    outputs = {}
    for (name, _, _), entry, result in zip(jobs, listed, results):
        if "error" in result:
            outputs[name] = result["error"]
        else:
            outputs[name] = np.fromfile(entry["output"], dtype=np.float32).reshape(result["dims"])
    return outputs


def need_torch():
    try:
        import onnx  # noqa: F401
        import torch
    except ImportError as missing:
        print(f"skipped: {missing}; install python3-torch and python3-onnx")
        sys.exit(SKIPPED)
    torch.set_num_threads(1)
    return torch
