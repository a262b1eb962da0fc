"""Writes a small ONNX model and what it must answer: model.py MODEL EXPECTED NUMBER…"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

path, expected, numbers = sys.argv[1], sys.argv[2], np.array(sys.argv[3:], dtype=np.float32)
random = np.random.default_rng(1)
weights = {
    name: random.standard_normal(shape).astype(np.float32)
    for name, shape in {"w1": (5, len(numbers)), "b1": (5,), "w2": (4, 5), "b2": (4,)}.items()
}
graph = helper.make_graph(
    [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], transB=1),
    ],
    "small",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", len(numbers)])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
    [numpy_helper.from_array(value, name) for name, value in weights.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
model.ir_version = 8
onnx.checker.check_model(model)
onnx.save(model, path)

hidden = np.maximum(weights["w1"].astype(np.float64) @ numbers + weights["b1"], 0)
np.savetxt(expected, weights["w2"] @ hidden + weights["b2"], fmt="%.6f")
