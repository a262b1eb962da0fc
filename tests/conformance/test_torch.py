"""Models that PyTorch exported: our output against PyTorch's, our copy of the model against the ONNX checker, ONNX
Runtime and a second copy."""

import hashlib
import os

import numpy as np

import common as c

c.need_torch()
import onnx  # noqa: E402

import torch_models  # noqa: E402

TOLERANCE = 1e-5


def operators(path):
    """The operators of a model, without those that only name or hold a constant."""
    graph = onnx.load(path).graph
    constants = {i.name for i in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type == "Constant" or (node.op_type == "Identity" and node.input[0] in constants):
            constants.update(node.output)
        else:
            found.append((node.name, node.op_type))
    return sorted(found)


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def check_outputs(case, given, expected, path, first, second):
    """Run the model, copy it, copy the copy, run the copy. False where one of these failed."""
    name = case["name"]
    run_model, result = c.run_step(path, [given], case["batch"], "model")
    run_copy, result_copy = c.run_step(first, [given], case["batch"], "copy")
    answer = c.model(*run_model, "copy", path, first, "-", "copy", first, second, "-", *run_copy)
    if not c.check(answer.code == 0, f"{name}: {answer.message}"):
        return False
    digest_line, shape_line, digest_first, digest_second, _, shape_copy = answer.out.splitlines()
    for what, ours in ("it", result(shape_line)), ("the copy", result_copy(shape_copy)):
        error = c.distance(ours, expected)
        c.check(error <= TOLERANCE, f"{name}: {what} differs from PyTorch by {error:.3g}, shape {ours.shape} for {expected.shape}")
    digest, parameters = digest_line.split()
    for said, file in (digest, path), (digest_first, first), (digest_second, second):
        c.check(said == sha256(file), f"{name}: the hash {said} is not that of {file}")
    c.check(digest_first == digest_second, f"{name}: the second copy differs from the first")
    c.check(case["parameters"] in (None, int(parameters)),
            f"{name}: {parameters} parameters, PyTorch trains {case['parameters']}")
    return True


def check_copy(case, expected, path, first):
    name = case["name"]
    try:
        onnx.checker.check_model(onnx.load(first), full_check=True)
    except Exception as error:
        c.fail(f"{name}: the checker refuses the copy: {error}")
    c.check(operators(path) == operators(first), f"{name}: the copy has other nodes")
    shape = [d.dim_param or d.dim_value for d in onnx.load(first).graph.output[0].type.tensor_type.shape.dim]
    c.check(shape == ["sample", *expected.shape[1:]], f"{name}: the copy's output has the shape {shape}")


def main():
    folder = c.work("models")
    os.makedirs(folder)
    cases = torch_models.export(folder)
    jobs, expectations = [], {}
    for case in cases:
        stem = os.path.join(folder, case["name"])
        given, expected = np.load(stem + ".in.npy"), np.load(stem + ".out.npy")
        path, first, second = stem + ".onnx", stem + ".copy.onnx", stem + ".copy2.onnx"
        if not check_outputs(case, given, expected, path, first, second):
            continue
        check_copy(case, expected, path, first)
        jobs.append((case["name"], first, [given]))
        expectations[case["name"]] = expected
    outputs = c.onnxruntime(jobs)
    for name, theirs in (outputs or {}).items():
        if not c.check(not isinstance(theirs, str), f"{name}: ONNX Runtime refuses the copy: {theirs}"):
            continue
        error = c.distance(theirs, expectations[name])
        c.check(error <= TOLERANCE, f"{name}: in ONNX Runtime the copy differs from PyTorch by {error:.3g}")
    c.finish(f"{len(cases)} models of PyTorch, {len(outputs or {})} copies in ONNX Runtime")


main()
