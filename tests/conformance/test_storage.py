"""Every way in which an ONNX file may hold numbers: typed fields, raw bytes, narrow floats, Constant nodes, external
files; all must give the numbers that numpy computes. And our own external files, as onnx and ONNX Runtime read them."""

import hashlib
import os
import shutil

import numpy as np

import common as c

c.need_torch()
import onnx  # noqa: E402
from onnx import TensorProto as T  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402

rng = np.random.default_rng(7)
W = rng.standard_normal((6, 5)).astype(np.float32)
B = rng.standard_normal(5).astype(np.float32)
X = rng.standard_normal((4, 6)).astype(np.float32)


def tensor(name, kind, array, raw):
    """A tensor of an ONNX type; array: float32."""
    if kind == T.BFLOAT16:
        bits = (array.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        if raw:
            return helper.make_tensor(name, kind, array.shape, bits.tobytes(), raw=True)
        made = T(name=name, data_type=kind, dims=array.shape)
        made.int32_data.extend(int(b) for b in bits.flatten())
        return made
    typed = array.astype(helper.mapping.TENSOR_TYPE_TO_NP_TYPE[kind])
    return helper.make_tensor(name, kind, array.shape, typed.tobytes() if raw else typed.flatten().tolist(), raw=raw)


def rounded(kind, array):
    if kind == T.BFLOAT16:
        return ((array.view(np.uint32) >> 16) << 16).view(np.float32)
    return array.astype(helper.mapping.TENSOR_TYPE_TO_NP_TYPE[kind]).astype(np.float32)


def build(initializers, nodes=None, opset=13, ir=7, inputs=(), domain=""):
    nodes = nodes or [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", T.FLOAT, ["n", 6]), *inputs],
                              [helper.make_tensor_value_info("y", T.FLOAT, ["n", 5])], initializers)
    return helper.make_model(graph, ir_version=ir, opset_imports=[helper.make_opsetid(domain, opset)])


def save(name, model):
    path = c.work(name + ".onnx")
    with open(path, "wb") as f:
        f.write(model.SerializeToString())
    return path


def expect(name, path, expected, tolerance=1e-6):
    answer, ours = c.run(path, [X], len(X))
    error = c.distance(ours, expected) if answer.code == 0 else np.inf
    c.check(error <= tolerance, f"{name}: differs by {error:.3g}: {answer.message}")
    return answer


def types():
    for kind in T.FLOAT, T.DOUBLE, T.FLOAT16, T.BFLOAT16:
        for raw in True, False:
            name = f"{T.DataType.Name(kind)}-{'raw' if raw else 'typed'}"
            path = save(name, build([tensor("w", kind, W, raw), tensor("b", T.FLOAT, B, raw)]))
            expect(name, path, X @ rounded(kind, W) + B)


def special_halves():
    """All 65536 float16 numbers, as the bias of a model that has zero weights; not a number stays so, in its place."""
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    nodes = [helper.make_node("Mul", ["x", "z"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    model = build([numpy_helper.from_array(halves, "b"), numpy_helper.from_array(np.zeros(1, np.float32), "z")], nodes)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = len(halves)
    given = np.zeros((1, len(halves)), np.float32)
    answer, ours = c.run(save("halves", model), [given], 1)
    c.check(answer.code == 0 and np.array_equal(ours[0], halves.astype(np.float32)), f"float16: {answer.message}")


def integers():
    """Reshape to a shape that stands in typed or raw form; indices and sizes as int32 and int64."""
    for raw in True, False:
        shape = helper.make_tensor("s", T.INT64, [2], np.array([-1, 5], np.int64).tobytes() if raw else [-1, 5], raw=raw)
        nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Reshape", ["h", "s"], ["y"])]
        expect(f"INT64-{raw}", save(f"INT64-{raw}", build([tensor("w", T.FLOAT, W, True), shape], nodes)), X @ W)
        index = helper.make_tensor("i32", T.INT32, [], np.array(0, np.int32).tobytes() if raw else [0], raw=raw)
        nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Shape", ["h"], ["all"]),
                 helper.make_node("Cast", ["i32"], ["i"], to=T.INT64),
                 helper.make_node("Gather", ["all", "i"], ["first"], axis=0),
                 helper.make_node("Unsqueeze", ["first", "zero"], ["one"]),
                 helper.make_node("Concat", ["one", "five"], ["s"], axis=0),
                 helper.make_node("Reshape", ["h", "s"], ["y"])]
        more = [numpy_helper.from_array(np.array([0]), "zero"), numpy_helper.from_array(np.array([5]), "five"), index]
        expect(f"INT32-{raw}", save(f"INT32-{raw}", build([tensor("w", T.FLOAT, W, True), *more], nodes)), X @ W)


def constants():
    """Constant nodes in all their forms, at their own opset 12 and as tensors before it."""
    product = helper.make_node("MatMul", ["x", "w"], ["h"])
    w = tensor("w", T.FLOAT, W, True)
    forms = {
        "value": ({"value": numpy_helper.from_array(B)}, "Add", X @ W + B),
        "value_float": ({"value_float": 0.5}, "Add", X @ W + 0.5),
        "value_floats": ({"value_floats": B.tolist()}, "Add", X @ W + B),
        "value_ints": ({"value_ints": [-1, 5]}, "Reshape", X @ W),
    }
    for form, (attribute, operator, expected) in forms.items():
        nodes = [product, helper.make_node("Constant", [], ["k"], **attribute), helper.make_node(operator, ["h", "k"], ["y"])]
        expect(form, save(form, build([w], nodes)), expected)
        expect(form, save(form + "-late", build([w], [nodes[2], nodes[1], nodes[0]])), expected)


def inputs_too():
    """Before IR version 4 initializers are inputs as well; and the default domain has two names."""
    both = [tensor("w", T.FLOAT, W, True), tensor("b", T.FLOAT, B, True)]
    infos = [helper.make_tensor_value_info("w", T.FLOAT, W.shape), helper.make_tensor_value_info("b", T.FLOAT, B.shape)]
    expect("IR 3", save("ir3", build(both, opset=8, ir=3, inputs=infos)), X @ W + B)
    expect("ai.onnx", save("domain", build(both, domain="ai.onnx")), X @ W + B)


def renamed():
    """Weights that reach their product through Identity, also twice and listed out of order, are trained."""
    nodes = [helper.make_node("Identity", ["w"], ["v"]), helper.make_node("Identity", ["v"], ["u"]),
             helper.make_node("MatMul", ["x", "u"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    both = [tensor("w", T.FLOAT, W, True), tensor("b", T.FLOAT, B, True)]
    for name, order in ("forward", [0, 1, 2, 3]), ("backward", [3, 2, 1, 0]):
        answer = expect(f"Identity {name}", save("identity_" + name, build(both, [nodes[i] for i in order])), X @ W + B)
        c.check(answer.out.split()[1:2] == [str(W.size + B.size)], f"Identity {name}: parameters: {answer.out}")


def external(name, change=None):
    """A model whose weights stand in two files: (path, [bytes of the files])."""
    files = {"one.bin": b"\0" * 64 + W.tobytes(), "sub/two.bin": B.tobytes()}
    os.makedirs(c.work(name + "/sub"), exist_ok=True)
    for file, content in files.items():
        with open(c.work(f"{name}/{file}"), "wb") as f:
            f.write(content)
    tensors = []
    for key, array, entries in ("w", W, {"location": "one.bin", "offset": "64", "length": str(W.nbytes)}), \
                               ("b", B, {"location": "sub/two.bin"}):
        made = T(name=key, data_type=T.FLOAT, dims=array.shape, data_location=T.EXTERNAL)
        for k, v in entries.items():
            made.external_data.add(key=k, value=v)
        tensors.append(made)
    if change:
        change(tensors)
    return save(f"{name}/model", build(tensors)), list(files.values())


def read_external():
    path, contents = external("outside")
    answer = expect("external", path, X @ W + B)
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        digest.update(f.read())
    for content in contents:
        digest.update(content)
    c.check(answer.out.split()[:1] == [digest.hexdigest()], "external: the hash is not that of the model and its files")


def write_external():
    """Our own external file, asked for by a low limit; it is what a model above 2 GB gets."""
    wide = rng.standard_normal((6, 300)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w0"], ["h0"]), helper.make_node("Relu", ["h0"], ["r"]),
             helper.make_node("MatMul", ["r", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    narrow = rng.standard_normal((300, 5)).astype(np.float32)
    path = save("wide", build([numpy_helper.from_array(wide, "w0"), numpy_helper.from_array(narrow, "w"),
                               numpy_helper.from_array(B, "b")], nodes))
    expected = np.maximum(X @ wide, 0) @ narrow + B
    copy = c.work("far.onnx")
    for attempt in 1, 2:  # the second time the files are there already
        answer = c.model("copy", path, copy, 1000)
        c.check(answer.code == 0, f"write external: {answer.message}")
    with open(copy, "rb") as f, open(copy + ".data", "rb") as g:
        model_bytes, data_bytes = f.read(), g.read()
    c.check(len(model_bytes) < 1500, f"write external: the model still has {len(model_bytes)} bytes")
    c.check(answer.out.strip() == hashlib.sha256(model_bytes + data_bytes).hexdigest(), "write external: the hash")
    shutil.copyfile(copy, c.work("checked.onnx"))  # the full check of a file writes shapes into that file
    onnx.checker.check_model(c.work("checked.onnx"), full_check=True)
    loaded = {i.name: numpy_helper.to_array(i) for i in onnx.load(copy).graph.initializer}
    c.check(np.array_equal(loaded["w0"], wide) and np.array_equal(loaded["w"], narrow) and np.array_equal(loaded["b"], B),
            "write external: onnx reads other weights")
    said = expect("read what we wrote outside", copy, expected, 1e-5).out.split()[0]
    c.check(said == answer.out.strip(), "write external: reading gives another hash than writing")
    left = [f for f in os.listdir(c.work_folder) if ".tmp-" in f]
    c.check(not left, f"write external: temporary files are left: {left}")
    for theirs in (c.onnxruntime([("far", copy, [X])]) or {}).values():
        c.check(not isinstance(theirs, str) and c.distance(theirs, expected) < 1e-5, f"write external: ONNX Runtime: {theirs}")


if __name__ == "__main__":
    for part in types, special_halves, integers, constants, inputs_too, renamed, read_external, write_external:
        part()
    c.finish("ways to store numbers")
