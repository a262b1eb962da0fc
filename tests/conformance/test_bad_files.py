"""Hostile and damaged ONNX files: each is refused with one line that names the file and the fault, or runs; none crashes.
The damage is fixed by a seed. Also meant for a build with sanitizers."""

import os
import struct
import sys

import numpy as np

import common as c

c.need_torch()
import onnx  # noqa: E402
from onnx import TensorProto as T  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402

SEED, FLIPS = 20, 400
rng = np.random.default_rng(SEED)
node, info = helper.make_node, helper.make_tensor_value_info


def array(name, *shape, kind=np.float32):
    return numpy_helper.from_array(np.ones(shape, kind), name)


def numbers(name, *values, kind=np.int64):
    return numpy_helper.from_array(np.array(values, kind), name)


def model(nodes, initializers=(), inputs=None, outputs=("y",), opset=13, **more):
    inputs = [info("x", T.FLOAT, ["n", 6])] if inputs is None else inputs
    outputs = [info(o, T.FLOAT, None) for o in outputs]
    imports = [helper.make_opsetid("", opset)] if opset else []
    made = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, list(initializers)), ir_version=7,
                             opset_imports=imports or [helper.make_opsetid("other", 1)], **more)
    return made


def good():
    """One node of most kinds, so that damage meets all of them."""
    nodes = [
        node("Shape", ["x"], ["all"], "shape"), node("Constant", [], ["zero"], value=numbers("", 0)),
        node("Gather", ["all", "zero"], ["count"], "gather", axis=0),
        node("Concat", ["count", "rest"], ["sizes"], "concat", axis=0),
        node("Reshape", ["x", "sizes"], ["flat"], "reshape"), node("Dropout", ["flat"], ["drop"], "dropout"),
        node("Sub", ["drop", "mean"], ["centred"], "sub"), node("Div", ["centred", "std"], ["scaled"], "div"),
        node("MatMul", ["scaled", "w0"], ["h0"], "matmul"), node("Add", ["h0", "b0"], ["h1"], "add"),
        node("Relu", ["h1"], ["h2"], "relu"), node("Unsqueeze", ["h2", "one"], ["h3"], "unsqueeze"),
        node("Squeeze", ["h3", "one"], ["h4"], "squeeze"), node("Flatten", ["h4"], ["h5"], "flatten", axis=1),
        node("Gemm", ["h5", "w1", "b1"], ["h6"], "gemm", alpha=1.0, beta=1.0, transB=1),
        node("Cast", ["h6"], ["h7"], "cast", to=T.FLOAT), node("Softmax", ["h7"], ["y"], "softmax", axis=-1),
    ]
    weights = [numbers("rest", -1), array("mean"), array("std"), array("w0", 6, 4), array("b0", 4), array("w1", 3, 4),
               array("b1", 3), numbers("one", 1)]
    made = model(nodes, weights, [info("x", T.FLOAT, ["n", 2, 3])])
    helper.set_model_props(made, {"key": "text"})
    return made


def save(name, content):
    path = c.work(name + ".onnx")
    with open(path, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.SerializeToString())
    return path


def raw(name, dims, data, kind=T.FLOAT):
    return T(name=name, dims=dims, data_type=kind, raw_data=data)


def external(**entries):
    made = T(name="w", dims=[6, 5], data_type=T.FLOAT, data_location=T.EXTERNAL)
    for key, value in entries.items():
        made.external_data.add(key=key, value=value)
    return made


def product(*tensors, **more):
    return model([node("MatMul", ["x", "w"], ["y"])], tensors, **more)


def nested(depth):
    """A type in a type in a type …, by hand: the encoder would refuse it as well."""
    heads, size = [], 0
    tags = [b"\x0a", b"\x22"] * depth  # Sequence.elem_type in TypeProto.sequence_type
    for tag in [*tags, b"\x12", b"\x5a", b"\x3a"]:  # in ValueInfoProto.type, GraphProto.input, ModelProto.graph
        heads.append(tag + varint(size))
        size += len(heads[-1])
    return b"\x08\x07" + b"".join(reversed(heads))


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def changed(made, change):
    change(made)
    return made


def untyped_attribute(made):
    made.graph.node[0].attribute.add(name="axis", i=1)


def attribute_twice(made):
    made.graph.node[0].attribute.add().CopyFrom(made.graph.node[0].attribute[0])


def sequence_input(made):
    made.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = T.FLOAT


def control_name(made):
    made.graph.node[0].name = "two\nlines"


def sparse(made):
    made.graph.sparse_initializer.add(dims=[2])


W, W5 = array("w", 6, 5), numbers("s", -1, 5)
relu = node("Relu", ["x"], ["y"])

# name: (file, what the message must say)
FILES = {
    "empty": (b"", "empty"),
    "text": (b"this is not a model\n", "not an ONNX"),
    "zip": (b"PK\3\4" + bytes(100), "torch.onnx.export"),
    "zeros": (bytes(1000), "not an ONNX"),
    "no_graph": (onnx.ModelProto(ir_version=7), "no graph"),
    "no_version": (changed(model([relu]), lambda m: m.ClearField("ir_version")), "ir_version"),
    "deep": (nested(100000), "nested"),
    "opset_old": (model([relu], opset=6), "opset 6"),
    "opset_new": (model([relu], opset=18), "opset_version=13"),
    "opset_none": (model([relu], opset=None), "opset 0"),
    "functions": (model([relu], functions=[helper.make_function("d", "F", ["a"], ["b"], [], [])]), "local functions"),
    "sparse": (changed(model([relu]), sparse), "sparse"),
    "raw_short": (product(raw("w", [6, 5], bytes(119))), "'w' needs 120 bytes"),
    "raw_long": (product(raw("w", [6, 5], bytes(121))), "'w' needs 120 bytes"),
    "raw_absent": (product(raw("w", [6, 5], b"")), "'w' needs 30 elements"),
    "typed_short": (product(T(name="w", dims=[6, 5], data_type=T.FLOAT, float_data=[1.0])), "'w' needs 30 elements"),
    "typed_range": (product(T(name="w", dims=[2], data_type=T.UINT8, int32_data=[1, 256])), "holds 256"),
    "dims_negative": (product(raw("w", [6, -5], bytes(120))), "impossible shape"),
    "dims_huge": (product(raw("w", [2**32, 2**32], bytes(120))), "impossible shape"),
    "dims_large": (product(raw("w", [2**40, 2**10], bytes(120))), "'w' needs"),
    "dims_many": (product(raw("w", [1] * 9, bytes(4))), "9 dimensions"),
    "double_huge": (product(T(name="w", dims=[1], data_type=T.DOUBLE, double_data=[1e300])), "too large for float"),
    "type_string": (product(T(name="w", dims=[1], data_type=T.STRING, string_data=[b"a"])), "element type 8"),
    "type_unknown": (product(raw("w", [1], bytes(4), kind=99)), "element type 99"),
    "type_absent": (product(T(name="w", dims=[1], raw_data=bytes(4))), "element type 0"),
    "external_up": (product(external(location="../secret")), "outside the model's folder"),
    "external_up_later": (product(external(location="a/../../secret")), "outside the model's folder"),
    "external_absolute": (product(external(location="/etc/passwd")), "outside the model's folder"),
    "external_absent": (product(external(location="absent.bin")), "absent.bin"),
    "external_folder": (product(external(location="folder")), "not a file"),
    "external_nowhere": (product(external()), "no name"),
    "external_short": (product(external(location="short.bin")), "is the file complete"),
    "external_offset": (product(external(location="enough.bin", offset="1000")), "is the file complete"),
    "external_wrap": (product(external(location="enough.bin", offset="18446744073709551615")), "is the file complete"),
    "external_minus": (product(external(location="enough.bin", offset="-4")), "not a number"),
    "external_huge": (product(external(location="enough.bin", offset="18446744073709551616")), "not a number"),
    "external_length": (product(external(location="enough.bin", length="4")), "'w' needs 120 bytes"),
    "no_name": (product(W, array("", 1)), "no name"),
    "long_name": (model([relu], [array("v" * 2000, 1)]), "1024"),
    "control_name": (changed(model([relu]), control_name), "control characters"),
    "twice_initializer": (product(W, W), "'w'"),
    "twice_input": (product(W, inputs=[info("x", T.FLOAT, ["n", 6])] * 2), "'x'"),
    "twice_result": (model([relu, node("Relu", ["x"], ["y"])]), "'y'"),
    "result_is_input": (model([relu, node("Relu", ["y"], ["x"])]), "'x'"),
    "result_is_weight": (product(W, array("y", 1)), "'y'"),
    "cycle": (model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]), "cycle"),
    "self_cycle": (model([node("Add", ["x", "y"], ["y"])]), "cycle"),
    "reads_nothing": (model([node("Relu", ["nowhere"], ["y"], "r")]), "'nowhere'"),
    "output_nowhere": (model([relu], outputs=["z"]), "'z'"),
    "output_none": (model([relu], outputs=[]), "no output"),
    "output_is_input": (model([relu], outputs=["x"]), "'x'"),
    "input_none": (model([node("Relu", ["w"], ["y"])], [array("w", 2)], []), "no input"),
    "input_double": (model([relu], inputs=[info("x", T.DOUBLE, ["n", 6])]), ".float()"),
    "input_shapeless": (model([relu], inputs=[info("x", T.FLOAT, None)]), "'x' has no shape"),
    "input_scalar": (model([relu], inputs=[info("x", T.FLOAT, [])]), "'x' has 0 dimensions"),
    "input_free": (model([relu], inputs=[info("x", T.FLOAT, ["n", 3, None])]), "'x' does not say how long its axis 2 is"),
    "input_batch_second": (model([relu], inputs=[info("x", T.FLOAT, ["w", "batch", 3])]), "'x' counts samples on its axis 1 ('batch')"),
    "input_batch_twice": (model([relu], inputs=[info("x", T.FLOAT, ["n", 3, "n"])]), "'x' counts samples on its axis 2 ('n')"),
    "inputs_batch_elsewhere": (model([node("Add", ["x", "y"], ["z"])], inputs=[info("x", T.FLOAT, ["n", "t"]), info("y", T.FLOAT, ["t", "n"])], outputs=["z"]),
                               "counts samples on its axis 1 ('"),
    "input_zero": (model([relu], inputs=[info("x", T.FLOAT, ["n", 0])]), "axis 1"),
    "input_minus": (model([relu], inputs=[info("x", T.FLOAT, ["n", -3])]), "axis 1"),
    "input_huge": (model([relu], inputs=[info("x", T.FLOAT, ["n", 2**40, 2**40])]), "impossible shape"),
    "input_sequence": (changed(model([relu]), sequence_input), "not a tensor"),
    "operator_unnamed": (model([node("", ["x"], ["y"])]), "no name"),
    "outputs_none": (model([relu, node("Relu", ["x"], [])]), "0 outputs"),
    "inputs_none": (model([node("Relu", [], ["y"])]), "0 inputs"),
    "identity_empty": (model([node("Identity", [], ["y"])]), "0 inputs"),
    "identity_left_out": (model([node("Identity", [""], ["y"])]), "input 0"),
    "inputs_many": (model([node("Relu", ["x"] * 5, ["y"])]), "5 inputs"),
    "input_left_out": (model([node("Add", ["x", ""], ["y"])]), "input 1"),
    "attribute_untyped": (changed(model([relu]), untyped_attribute), "'axis' has no type"),
    "attribute_twice": (changed(model([node("Flatten", ["x"], ["y"], axis=1)]), attribute_twice), "twice"),
    "attribute_int": (model([node("Gemm", ["x", "w", "b"], ["y"], "g", alpha=2)], [W, array("b", 5)]),
                      "Gemm 'g': its attribute 'alpha' must be a float"),
    "attribute_tensor": (model([node("Flatten", ["x"], ["y"], "f", axis=numbers("", 1))]), "'axis' must be a whole number"),
    "attribute_unknown": (model([node("Relu", ["x"], ["y"], "r", slope=0.5)]), "Relu 'r': the attribute 'slope' is not known"),
    "attribute_later": (model([node("Dropout", ["x"], ["y"], "d", ratio=0.1)]), "opset 13 does not give it an attribute 'ratio'"),
    "attributes_many": (model([node("Relu", ["x"], ["y"], **{f"a{i}": i for i in range(300)})]), "300 attributes"),
    "constant_kind": (model([changed(node("Constant", [], ["k"]), lambda n: n.attribute.add(name="value_float", i=2, type=2)), relu]),
                      "not of its type"),
    "relu_outputs": (model([node("Relu", ["x"], ["y", "z"], "r")]), "2 outputs"),
    "constant_string": (model([node("Constant", [], ["k"], value_string="a"), relu]), "value_string"),
    "constant_empty": (model([node("Constant", [], ["k"]), relu]), "not one attribute"),
    "constant_bad": (model([node("Constant", [], ["k"], value=raw("", [3], bytes(4))), relu]), "'k' needs 12 bytes"),
}

# Nodes that read well but do not fit together: what must be refused is said by the operator, when the model is bound.
MISFITS = {
    "matmul": product(array("w", 7, 5)),
    "matmul_vector": product(array("w", 6)),
    "matmul_scalar": product(array("w")),
    "matmul_type": product(array("w", 6, 5, kind=np.int64)),
    "gemm": model([node("Gemm", ["x", "w"], ["y"], transB=1)], [W]),
    "gemm_bias": model([node("Gemm", ["x", "w", "b"], ["y"])], [W, array("b", 4)]),
    "gemm_kind": model([node("Gemm", ["x", "w"], ["y"], transB="yes")], [array("w", 5, 6)]),
    "gemm_3d": model([node("Gemm", ["x", "w"], ["y"])], [array("w", 2, 6, 5)]),
    "add": model([node("Add", ["x", "b"], ["y"])], [array("b", 5)]),
    "add_type": model([node("Add", ["x", "b"], ["y"])], [numbers("b", 1)]),
    "flatten_axis": model([node("Flatten", ["x"], ["y"], axis=99)]),
    "flatten_minus": model([node("Flatten", ["x"], ["y"], axis=-99)]),
    "softmax_axis": model([node("Softmax", ["x"], ["y"], axis=2)]),
    "softmax_least": model([node("Softmax", ["x"], ["y"], axis=-(2**63))]),
    "log_softmax_axis": model([node("LogSoftmax", ["x"], ["y"], axis=2**62)]),
    "cast": model([node("Cast", ["x"], ["y"], to=999)]),
    "cast_nothing": model([node("Cast", ["x"], ["y"])]),
    "reshape_float": model([node("Reshape", ["x", "s"], ["y"])], [array("s", 2)]),
    "reshape_many": model([node("Reshape", ["x", "s"], ["y"])], [numbers("s", *[1] * 9)]),
    "reshape_two": model([node("Reshape", ["x", "s"], ["y"])], [numbers("s", -1, -1)]),
    "reshape_minus": model([node("Reshape", ["x", "s"], ["y"])], [numbers("s", -2, 6)]),
    "reshape_huge": model([node("Reshape", ["x", "s"], ["y"])], [numbers("s", 2**62, 2**62)]),
    "reshape_zero": model([node("Reshape", ["x", "s"], ["y"])], [numbers("s", 0, 0, 0)]),
    "reshape_wrong": model([node("Reshape", ["x", "s"], ["y"])], [numbers("s", -1, 5)]),
    "reshape_input": model([node("Reshape", ["x", "s"], ["y"])], inputs=[info("x", T.FLOAT, ["n", 6]),
                                                                        info("s", T.INT64, [2])]),
    "squeeze": model([node("Squeeze", ["x", "s"], ["y"])], [numbers("s", 1)]),
    "squeeze_axis": model([node("Squeeze", ["x", "s"], ["y"])], [numbers("s", 7)]),
    "squeeze_least": model([node("Squeeze", ["x", "s"], ["y"])], [numbers("s", -(2**63))]),
    "unsqueeze_axis": model([node("Unsqueeze", ["x", "s"], ["y"])], [numbers("s", 7)]),
    "unsqueeze_twice": model([node("Unsqueeze", ["x", "s"], ["y"])], [numbers("s", 1, 1)]),
    "unsqueeze_many": model([node("Unsqueeze", ["x", "s"], ["y"])], [numbers("s", *range(2, 9))]),
    "gather_index": model([node("Shape", ["x"], ["a"]), node("Gather", ["a", "i"], ["s"]), node("Reshape", ["x", "s"], ["y"])],
                          [numbers("i", 2)]),
    "gather_least": model([node("Shape", ["x"], ["a"]), node("Gather", ["a", "i"], ["s"]), node("Reshape", ["x", "s"], ["y"])],
                          [numbers("i", -(2**63))]),
    "slice_nothing": model([node("Shape", ["x"], ["a"]), node("Slice", ["a", "", "o"], ["s"]), node("Reshape", ["x", "s"], ["y"])],
                           [numbers("o", 1)]),
    "slice_other_axis": model([node("Shape", ["x"], ["a"]), node("Slice", ["a", "z", "t", "o"], ["s"]),
                               node("Reshape", ["x", "s"], ["y"])], [numbers("z", 0), numbers("o", 1), numbers("t", 2)]),
    "empty_huge": model([node("Flatten", ["e"], ["f"], axis=0), node("Add", ["x", "f"], ["y"])], [raw("e", [0, 2**40, 2**40], b"")]),
    "empty_huge_axis": model([node("Gather", ["e", "i"], ["f"], axis=1), node("Add", ["x", "f"], ["y"])],
                             [raw("e", [0, 2, 2**40, 2**40], b""), numbers("i", 0)]),
    "reshape_huge": model([node("Reshape", ["e", "s"], ["y"])], [raw("e", [0], b""), numbers("s", 0, 2**40, 2**40)], opset=14),
    "transpose_order": model([node("Transpose", ["x"], ["y"], perm=[0, 0])]),
    "transpose_far": model([node("Transpose", ["x"], ["y"], perm=[2**63 - 1, -(2**63)])]),
    "transpose_many": model([node("Transpose", ["x"], ["y"], perm=list(range(9)))]),
    "transpose_few": model([node("Transpose", ["x"], ["y"], perm=[0])]),
    "split_uneven": model([node("Split", ["x"], ["y", "z"], axis=1), ], [], outputs=["y", "z"], inputs=[info("x", T.FLOAT, ["n", 5])]),
    "split_sum": model([node("Split", ["x", "s"], ["y", "z"], axis=1)], [numbers("s", 2**62, 2**62)]),
    "split_minus": model([node("Split", ["x", "s"], ["y", "z"], axis=1)], [numbers("s", 8, -2)]),
    "split_wraps": model([node("Split", ["x", "s"], ["y", "z"], axis=1)], [numbers("s", -(2**63), 2**63 - 1)]),
    "split_counts": model([node("Split", ["x", "s"], ["y", "z"], axis=1)], [numbers("s", 6)]),
    "split_axis": model([node("Split", ["x"], ["y", "z"], axis=-(2**63))]),
    "gather_axis_least": model([node("Gather", ["x", "i"], ["y"], axis=-(2**63))], [numbers("i", 0)]),
    "gather_index": model([node("Gather", ["x", "i"], ["y"], axis=1)], [numbers("i", 6)]),
    "gather_least": model([node("Gather", ["x", "i"], ["y"], axis=1)], [numbers("i", -(2**63))]),
    "gather_float": model([node("Gather", ["x", "i"], ["y"], axis=1)], [array("i", 1)]),
    "gather_wide": model([node("Gather", ["x", "i"], ["y"], axis=1)], [numbers("i", [[[[[[[[0]]]]]]]])]),
    "concat_ranks": model([node("Concat", ["x", "w"], ["y"], axis=0)], [array("w", 6)]),
    "concat_lengths": model([node("Concat", ["x", "w"], ["y"], axis=1)], [array("w", 3, 6)]),
    "concat_no_axis": model([node("Concat", ["x", "x"], ["y"])]),
    "flatten_least": model([node("Flatten", ["x"], ["y"], axis=-(2**63))]),
    "softmax_least": model([node("Softmax", ["x"], ["y"], axis=-(2**63))]),
    "squeeze_least": model([node("Squeeze", ["x", "l"], ["y"])], [numbers("l", -(2**63))]),
    "unsqueeze_least": model([node("Unsqueeze", ["x", "l"], ["y"])], [numbers("l", -(2**63))]),
    "concat_axis": model([node("Shape", ["x"], ["a"]), node("Concat", ["a", "a"], ["s"], axis=3),
                          node("Reshape", ["x", "s"], ["y"])]),
    "concat_types": model([node("Shape", ["x"], ["a"]), node("Concat", ["a", "f"], ["s"], axis=0),
                           node("Reshape", ["x", "s"], ["y"])], [array("f", 1)]),
    "div_zero": model([node("Shape", ["x"], ["a"]), node("Div", ["a", "z"], ["s"]), node("Reshape", ["x", "s"], ["y"])],
                      [numbers("z", 0)]),
    "div_least": model([node("Div", ["l", "m"], ["s"]), node("Reshape", ["x", "s"], ["y"])],
                       [numbers("l", -(2**63)), numbers("m", -1)]),
    "mul_wraps": model([node("Mul", ["l", "l"], ["s"]), node("Reshape", ["x", "s"], ["y"])], [numbers("l", 2**62, 3)]),
}

# May run or be refused; must not crash.
ODD = {
    "slice_step": model([node("Shape", ["x"], ["a"]), node("Slice", ["a", "z", "o", "z", "z"], ["s"]),
                         node("Reshape", ["x", "s"], ["y"])], [numbers("z", 0), numbers("o", 1)]),
    "slice_least": model([node("Shape", ["x"], ["a"]), node("Slice", ["a", "l", "g", "z", "l"], ["s"]),
                          node("Reshape", ["x", "s"], ["y"])], [numbers("l", -(2**63)), numbers("g", 2**63 - 1), numbers("z", 0)]),
    "slice_axes": model([node("Shape", ["x"], ["a"]), node("Slice", ["a", "o", "o", "o"], ["s"]),
                         node("Reshape", ["x", "s"], ["y"])], [numbers("o", 1)]),
    "slice_lengths": model([node("Shape", ["x"], ["a"]), node("Slice", ["a", "o", "two"], ["s"]),
                            node("Reshape", ["x", "s"], ["y"])], [numbers("o", 0), numbers("two", 1, 1)]),
    "gather_axis": model([node("Shape", ["x"], ["a"]), node("Gather", ["a", "i"], ["s"], axis=-(2**63)),
                          node("Reshape", ["x", "s"], ["y"])], [numbers("i", 0)]),
    "matmul_zero": product(array("w", 6, 0)),
    "add_wide": model([node("Add", ["x", "b"], ["y"])], [array("b", 1, 1, 1, 1, 1, 1, 1, 1)]),
    "reshape_matrix": model([node("Reshape", ["x", "s"], ["y"])], [numbers("s", [1, -1])]),
    "reshape_none": model([node("Reshape", ["x", "s"], ["y"])], [numbers("s", -1, 0)], opset=14),
    "dropout_ratio": model([node("Dropout", ["x", "r"], ["y"])], [numbers("r", 2.0, kind=np.float32)]),
    "dropout_nan": model([node("Dropout", ["x", "r"], ["y"])], [numbers("r", np.nan, kind=np.float32)]),
    "dropout_empty": model([node("Dropout", ["x", "r"], ["y"])], [numbers("r", kind=np.float32)]),
    "dropout_mask": model([node("Dropout", ["x"], ["y", "mask"])], outputs=["y", "mask"]),
    "dropout_mask_only": model([node("Dropout", ["x"], ["h", "y"])]),
    "relu_integers": model([relu], inputs=[info("x", T.INT64, ["n", 6])]),
    "softmax_integers": model([node("Softmax", ["x"], ["y"])], inputs=[info("x", T.INT64, ["n", 6])]),
    "cast_nan": model([node("Cast", ["f"], ["i"], to=T.INT64), node("Reshape", ["x", "i"], ["y"])],
                      [numbers("f", np.nan, 1e30, kind=np.float32)]),
    "constant_result": model([relu, node("Relu", ["w"], ["z"])], [array("w", 3)], outputs=["y", "z"]),
    "scalar_relu": model([relu, node("Add", ["a", "a"], ["z"])], [array("a")], outputs=["y", "z"]),
    "same_twice": model([node("Add", ["x", "x"], ["h"]), node("MatMul", ["h", "w"], ["y"])], [W]),
    "shape_float": model([node("Shape", ["x"], ["a"]), node("Cast", ["a"], ["y"], to=T.FLOAT)]),
    "empty_weights": model([node("Add", ["x", "e"], ["y"])], [array("e", 0)]),
    "identity_chain": model([node("Identity", ["w"], ["a"]), node("Identity", ["a"], ["b"]), node("MatMul", ["x", "b"], ["y"])],
                            [W]),
    "identity_loop": model([node("Identity", ["a"], ["b"]), node("Identity", ["b"], ["a"]), node("Add", ["x", "a"], ["y"])]),
    "empty_first_output": model([node("What", ["x"], ["", "y"])]),
}


def unknown_operators():
    """All of them in one message, by node name and operator, those of other domains too."""
    nodes = [node("Conv", ["x"], ["a"], "first"), node("Elu", ["a"], ["b"], "second"), node("Relu", ["b"], ["d"], "known"),
             node("FusedGelu", ["d"], ["y"], "third", domain="com.example")]
    made = model(nodes)
    made.opset_import.add(domain="com.example", version=1)
    answer = c.model("copy", save("unknown", made), c.work("copy.onnx"), "-")
    for word in "unknown.onnx", "Conv", "first", "Elu", "second", "com.example.FusedGelu", "third":
        c.check(word in answer.message, f"unknown operators: no '{word}' in: {answer.message}")
    c.check("known'" not in answer.message.replace("unknown", ""), f"unknown operators: names a known one: {answer.message}")


def check_messages():
    os.makedirs(c.work("folder"))
    for name, size in ("short.bin", 100), ("enough.bin", 200):
        with open(c.work(name), "wb") as f:
            f.write(bytes(size))
    for name, (content, words) in FILES.items():
        path = save(name, content)
        answer = c.model("copy", path, c.work("copy.onnx"), "-")
        good_end = answer.code == 1 and not answer.crashed and len(answer.err.strip().splitlines()) == 1
        c.check(good_end, f"{name}: exit code {answer.code}: {answer.err[-1500:]}")
        c.check(words in answer.message, f"{name}: no \"{words}\" in: {answer.message}")
        c.check(path in answer.message, f"{name}: the message does not name the file: {answer.message}")
    c.check(not os.path.exists(c.work("copy.onnx")), "a refused model was copied")


def try_files(paths, what):
    """{path: what became of it}. One process takes many; where it dies, the file at fault is named."""
    fates = {}
    for start in range(0, len(paths), 200):
        answer = c.model("try", *paths[start:start + 200])
        lines = [line.rsplit(" ", 1) if line.endswith(("run", "refused")) else [line, "crashed"]
                 for line in answer.out.splitlines()]
        for path, fate in lines:
            fates[path.removesuffix(" not")] = "not run" if path.endswith(" not") else fate
        c.check(answer.code == 0 and not answer.crashed,
                f"{what}: stopped with {answer.code} at '{answer.out.splitlines()[-1:]}': {answer.err[-2500:]}")
    return fates


def misfits():
    for kind, files in ("misfit", MISFITS), ("odd", ODD):
        for name, content in files.items():
            path = save(f"{kind}_{name}", content)
            fate = try_files([path], f"{kind} {name}").get(path)
            c.check(fate in ("refused", "not run", "run"), f"{kind} {name}: {fate}")
            c.check(kind == "odd" or fate != "run", f"{kind} {name}: ran")


def parses(content):
    try:
        return len(onnx.load_model_from_string(content).opset_import) > 0
    except Exception:
        return False


def damaged():
    whole = good().SerializeToString()
    fates = try_files([save("good", whole)], "good")
    c.check(list(fates.values()) == ["run"], f"the undamaged model: {fates}")
    files = {}
    for size in range(len(whole)):
        files[save(f"cut{size}", whole[:size])] = whole[:size]
    fates = try_files(list(files), "truncated")
    for path, fate in fates.items():
        c.check(fate == "refused" or parses(files[path]), f"{os.path.basename(path)}: {fate}")
    paths = []
    for number in range(FLIPS):
        content = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(len(content))] = rng.integers(256)
        paths.append(save(f"flip{number}", bytes(content)))
    for number in range(FLIPS // 4):
        at, size = sorted(rng.integers(0, len(whole), 2))
        content = whole[:at] + rng.bytes(int(rng.integers(0, 40))) + whole[size:]
        paths.append(save(f"spliced{number}", content))
    for number in range(FLIPS // 4):
        content = bytearray(whole)
        struct.pack_into("<Q", content, int(rng.integers(len(whole) - 8)), int(rng.integers(2**63)) * 2 + 1)
        paths.append(save(f"words{number}", bytes(content)))
    fates = try_files(paths, "damaged")
    ran = sum(fate == "run" for fate in fates.values())
    c.check(len(fates) == len(paths), f"{len(fates)} of {len(paths)} damaged files were tried")
    print(f"{len(whole)} truncations; of {len(paths)} damaged files {ran} still run")


def main():
    check_messages()
    unknown_operators()
    misfits()
    damaged()
    c.finish(f"{len(FILES)} bad files, {len(MISFITS) + len(ODD)} misfits")


sys.setrecursionlimit(10000)
main()
