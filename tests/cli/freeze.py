"""Which weights of a student are trained: those behind a Cast and those of a Mul as well, not those that normalise the
input, and not those that -student_freeze names. What stays is said.

Arguments: the program retort, an empty folder."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from support.cli import RANKS, main, outputs, run, small

node = helper.make_node
rng = np.random.default_rng(7)


def save(name):
    """Gemm(Relu(scale * ((x - mean) / std) W0)) with W0 in half precision behind a Cast."""
    weights = {"mean": 100 * rng.random((784,)), "std": 100 + 50 * rng.random((784,)), "w0": rng.normal(size=(784, 12)) / 28,
               "scale": 1 + rng.random((12,)), "w1": rng.normal(size=(12, 10)) / 4, "b1": rng.normal(size=(10,))}
    kinds = {"w0": np.float16}
    nodes = [node("Flatten", ["x"], ["flat"]), node("Sub", ["flat", "mean"], ["centred"]), node("Div", ["centred", "std"], ["even"]),
             node("Cast", ["w0"], ["wide"], to=TensorProto.FLOAT), node("MatMul", ["even", "wide"], ["h"]),
             node("Mul", ["h", "scale"], ["scaled"]), node("Relu", ["scaled"], ["r"]), node("Gemm", ["r", "w1", "b1"], ["y"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 28, 28])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
                              [numpy_helper.from_array(value.astype(kinds.get(key, np.float32)), key) for key, value in weights.items()])
    onnx.save(helper.make_model(graph, ir_version=7, opset_imports=[helper.make_opsetid("", 13)]), name)


def weights(path):
    return {t.name: numpy_helper.to_array(t).astype(np.float32) for t in onnx.load(path).graph.initializer}


def moved(path):
    """Names of the weights that are not as they were."""
    before, after = weights("start.onnx"), weights(path)
    assert before.keys() == after.keys(), f"weights of {path}: {sorted(after)}"
    return {name for name in before if (before[name] != after[name]).any()}


def test_trained():
    save("start.onnx")
    run("run", small("all", student_model="start.onnx", distill_rate=0.001, distill_precision="bf16"),
        says="student: 2 constants stay as in the model: mean, std")
    assert moved("all/student.onnx") == {"w0", "scale", "w1", "b1"}, f"trained: {moved('all/student.onnx')}"


def test_frozen():
    part = dict(student_model="start.onnx", distill_rate=0.001, student_freeze="w0, b*")
    run("run", small("part", **part), says="student: 4 constants stay as in the model: mean, std, w0, …")
    assert moved("part/student.onnx") == {"scale", "w1"}, f"trained: {moved('part/student.onnx')}"
    before = outputs("part")
    run("run", small("part", **part), says="student.onnx is done already")
    run("run", small("ranks", **part), ranks=min(3, RANKS))
    assert outputs("ranks")["student.onnx"] == before["student.onnx"], "other ranks, another student"
    run("run", small("part", **{**part, "student_freeze": ""}), code=1, says="student_freeze")


def test_recipes():
    """Also of models that Retort makes, and of teachers."""
    run("train", small("made", teacher_freeze="layer0.weight"), says="teacher: 1 constant stays as in the model: layer0.weight")
    run("train", small("again", teacher_freeze="layer0.weight", teacher_epochs=1))
    run("train", small("free", teacher_epochs=1))
    one, two, free = (weights(f"{name}/teacher.onnx")["layer0.weight"] for name in ("made", "again", "free"))
    assert (one == two).all() and (one != free).any(), "the frozen layer of a teacher moved"


def test_refused():
    none = dict(student_freeze="layer9.*", teacher_freeze="")
    run("run", small("none", **none), code=2, says="-student_freeze: the model has no parameter 'layer9")
    run("run", small("none", student_freeze="*"), code=1, says="no parameters to train")


main(test_trained, test_frozen, test_recipes, test_refused)
