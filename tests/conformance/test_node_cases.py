"""The ONNX project's own cases for the operators that Retort has. A case gives all inputs of one operator; here the first
is the model's input, whose first axis counts samples, and the others become initializers. Where all inputs have the
same first axis, and are float, the case is run once more with all of them as inputs."""

import collections
import glob
import os
import re

import numpy as np

import common as c

c.need_torch()
import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402

ROOTS = os.environ.get("RETORT_ONNX_CASES", ""), "/usr/include/onnx/backend/test/data"
TOLERANCE = 1e-5
OPERATORS = [name for kind, name in c.tables() if kind == "operator"]

# Cases that Retort refuses, and why that is right. Anything else that is refused is a failure.
REFUSED = {
    r"slice(_.*|\+all)?": "it computes sizes, not results",
    r"(add|sub|mul|div)_uint8(\+all)?": "arithmetic is float or int64",
}


def load_values(folder, kind):
    found = []
    for i in range(len(glob.glob(os.path.join(folder, "test_data_set_0", f"{kind}_*.pb")))):
        with open(os.path.join(folder, "test_data_set_0", f"{kind}_{i}.pb"), "rb") as f:
            found.append(numpy_helper.to_array(onnx.TensorProto.FromString(f.read())))
    return found


def unsuitable_model(model):
    """Why a case says nothing about Retort; empty where it does."""
    ends = [*model.graph.input, *model.graph.output]
    if any(e.type.WhichOneof("value") != "tensor_type" for e in ends):
        return "sequences and optional values"
    if not model.graph.input:
        return "no input"
    kinds = {onnx.TensorProto.DataType.Name(e.type.tensor_type.elem_type) for e in ends}
    kinds -= {"FLOAT", "UINT8", "INT32", "INT64", "BOOL"}
    if kinds or model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.BOOL:
        return "element types " + ", ".join(sorted(kinds) or ["BOOL"])
    if any(n.op_type == "Dropout" and len(n.input) > 2 for n in model.graph.node):
        return "Dropout that is active: its random numbers are its own"
    version = {o.domain: o.version for o in model.opset_import}.get("", 0)
    return "" if 7 <= version <= 17 else f"opset {version}"


def unsuitable_values(inputs):
    if inputs[0].ndim == 0:
        return "the first input is a scalar: no axis for samples"
    return "no sample" if 0 in inputs[0].shape else ""


def one_input(model, inputs):
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    names = [i.name for i in model.graph.input]
    del changed.graph.input[1:]
    changed.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in list(zip(names, inputs))[1:])
    return changed


def run_case(name, model, inputs, expected):
    """The message where it was refused, else empty."""
    path = c.work(name + ".onnx")
    onnx.save(model, path)
    answer, ours = c.run(path, inputs, inputs[0].shape[0])
    if not c.check(not answer.crashed, f"{name}: {answer.err}"):
        return ""
    if answer.code:
        return answer.message
    error = c.distance(ours, expected)
    c.check(error <= TOLERANCE, f"{name}: differs by {error:.3g}, shape {ours.shape} for {expected.shape}")
    return ""


def main():
    root = next((r for r in ROOTS if r and os.path.isdir(r)), None)
    if not root:
        print("skipped: no ONNX cases; install libonnx-testdata")
        raise SystemExit(c.SKIPPED)
    counts = collections.Counter()
    skipped = collections.defaultdict(list)
    refused = {}
    seen = set()
    for folder in sorted(glob.glob(os.path.join(root, "node", "test_*"))):
        name = os.path.basename(folder)[5:]
        model = onnx.load(os.path.join(folder, "model.onnx"))
        if not {n.op_type for n in model.graph.node} <= {*OPERATORS, "Constant"}:
            continue
        why = unsuitable_model(model)
        inputs, outputs = ([], []) if why else (load_values(folder, "input"), load_values(folder, "output"))
        why = why or unsuitable_values(inputs)
        if why:
            skipped[why].append(name)
            continue
        variants = [(name, one_input(model, inputs), inputs[:1])]
        if len(inputs) > 1 and all(i.dtype == np.float32 and i.shape[:1] == inputs[0].shape[:1] for i in inputs):
            variants.append((name + "+all", model, inputs))
        for variant, changed, given in variants:
            message = run_case(variant, changed, given, outputs[0])
            counts["refused" if message else "run"] += 1
            seen |= {n.op_type for n in model.graph.node}
            if message:
                refused[variant] = message
    for why, names in sorted(skipped.items()):
        print(f"skipped ({why}): {' '.join(names)}")
    for name, message in refused.items():
        reason = next((r for pattern, r in REFUSED.items() if re.fullmatch(pattern, name)), None)
        if c.check(reason, f"{name}: refused: {message}"):
            print(f"refused ({reason}): {name}: {message.split('.onnx: ')[-1]}")
    c.check(counts["run"] >= 60, f"only {counts['run']} cases were run")
    seen.add("Cast")  # the project's cases are of half and double; test_storage.py has ours
    c.check(seen >= set(OPERATORS), f"operators without a case: {set(OPERATORS) - seen}")
    c.finish(f"{counts['run']} cases of the ONNX project run, {counts['refused']} refused, "
             f"{sum(map(len, skipped.values()))} skipped")


main()
