"""Reading a model takes time in proportion to its nodes, names and attributes: four times as many may take eight times as
long, where a search through all of them for each would take sixteen, or at most two seconds (a search took thirteen). The
model is only read, not run: its input is too large for that. Counted is processor time beyond that of a few nodes."""

import resource

import numpy as np

import common as c

c.need_torch()
from onnx import TensorProto as T  # noqa: E402
from onnx import helper, numpy_helper, save_model  # noqa: E402

node = helper.make_node


def chain(count):
    """Products and sums, each with a weight of its own, all results given out."""
    weights = [numpy_helper.from_array(np.ones((1,), np.float32), f"w{i}") for i in range(count)]
    nodes = [node("Add", [f"h{i}", f"w{i}"], [f"h{i + 1}"], f"n{i}") for i in range(count)]
    return nodes, weights, [f"h{i + 1}" for i in range(count)]


def names(count):
    """A constant behind a chain of Identity, in an order in which each is seen before what it names."""
    nodes = [node("Identity", [f"i{i}"], [f"i{i + 1}"]) for i in reversed(range(count))]
    nodes.append(node("Add", ["h0", f"i{count}"], ["y"]))
    return nodes, [numpy_helper.from_array(np.ones((1,), np.float32), "i0")], ["y"]


def inputs(count):
    """One node with many inputs, each computed by a node of its own."""
    nodes = [node("Relu", ["h0"], [f"r{i}"]) for i in range(count)]
    nodes += [node("Add", [f"r{i}", f"s{i}"], [f"s{i + 1}"]) for i in range(count)]
    nodes.append(node("Relu", ["h0"], ["s0"]))
    return nodes, [], [f"s{count}"]


def save(kind, count):
    nodes, weights, outputs = kind(count)
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("h0", T.FLOAT, ["n", 10**7])],
                              [helper.make_tensor_value_info(o, T.FLOAT, None) for o in outputs], weights)
    model = helper.make_model(graph, ir_version=7, opset_imports=[helper.make_opsetid("", 13)])
    helper.set_model_props(model, {f"key{i}": "text" for i in range(count)})
    path = c.work(f"{kind.__name__}{count}.onnx")
    save_model(model, path)
    return path


def seconds(path):
    """The shortest of three."""
    taken = []
    for _ in range(3):
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = c.model("try", path)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime)
        c.check(answer.code == 0 and answer.out.strip().endswith(" run"), f"{path}: {answer.code} {answer.out}{answer.err[-500:]}")
    return min(taken)


for kind in chain, names, inputs:
    least = seconds(save(kind, 10))
    small, large = (max(seconds(save(kind, count)) - least, 0.02) for count in (10000, 40000))
    print(f"{kind.__name__}: 10000 nodes {small:.3f} s, 40000 nodes {large:.3f} s")
    c.check(large < max(8 * small, 2), f"{kind.__name__}: 10000 nodes took {small:.3f} s, 40000 nodes {large:.3f} s")
c.finish("three kinds of large models")
