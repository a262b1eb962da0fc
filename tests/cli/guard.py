"""Numbers that are not finite: named by step, lane and layer, or their steps left out; and the limit of the norm.

Arguments: the program retort, an empty folder."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from support.cli import RANKS, main, options, read, run, sha

SAMPLES, BAD = 240, 77
random = np.random.default_rng(4)


def dataset(name, **rows):
    """Two classes; some samples are huge."""
    x = random.standard_normal((SAMPLES, 6)).astype("f4")
    y = (x.sum(axis=1) > 0).astype("i4")
    y[5] = 0  # for test_gradient
    for value, row in rows.items():
        x[row] = float(value.replace("_", "-"))
    np.save("x.npy", x)
    np.save("y.npy", y)
    run("import", "npy", "x.npy", "y.npy", "-o", name)


def job(folder, **values):
    return options(**dict(dict(run_dir=folder, data_train="huge.nc", teacher_hidden=8, teacher_batch=24, teacher_epochs=3, teacher_rate=0.05), **values))


def test_skip():
    """One sample overflows: each epoch leaves out the one step that sees it, whoever computes."""
    dataset("huge.nc", **{"3e38": BAD})
    run("train", job("skip1", teacher_skip_bad=1))
    assert list(read("skip1/teacher-history.nc", "skipped_steps")) == [1, 1, 1]
    assert np.isfinite(read("skip1/teacher-history.nc", "train_loss")).all()
    for ranks in range(2, RANKS + 1):
        run("train", job(f"skip{ranks}", teacher_skip_bad=1), ranks=ranks, OMP_NUM_THREADS=ranks % 2 + 1)
        assert sha(f"skip{ranks}/teacher.onnx") == sha("skip1/teacher.onnx"), f"other bits on {ranks} ranks"
    weights = [numpy_helper.to_array(t) for t in onnx.load("skip1/teacher.onnx").graph.initializer]
    assert all(np.isfinite(w).all() for w in weights if w.dtype.kind == "f")


def test_skip_goes_on():
    """A stop after the bad step keeps its count."""
    for _ in range(200):
        done = run_any("train", job("stops", teacher_skip_bad=1, stop_after=1e-9))
        if done == 0:
            break
    assert sha("stops/teacher.onnx") == sha("skip1/teacher.onnx")
    assert list(read("stops/teacher-history.nc", "skipped_steps")) == [1, 1, 1]


def run_any(*words):
    try:
        run(*words)
        return 0
    except AssertionError as wrong:
        assert "exit 75" in str(wrong), wrong
        return 75


def test_too_many():
    """Steps are not left out for ever."""
    dataset("all.nc", **{"3e38": slice(None)})
    run("train", job("many", data_train="all.nc", teacher_skip_bad=1, teacher_epochs=9), code=1, says="teacher: not finite in epoch 3, step 1,")


def test_named():
    """Without leave, the run ends at the step, lane and layer; the lane is the same on any number of ranks."""
    places = set()
    for ranks in range(1, RANKS + 1):
        done = run("train", job(f"named{ranks}"), ranks=ranks, code=1,
                   says=r"retort: teacher: not finite in epoch 1, step \d+, lane \d+: the output of layer '\w+'; lower the learning rate \(0.0\d+\)")
        places.add(done.stderr[done.stderr.index("epoch"):done.stderr.index(";")])
    assert len(places) == 1, places


def test_gradient():
    """Forward and loss are finite, backward overflows: the layer is named by its parameter."""
    weight = [numpy_helper.from_array(w.astype("f4"), n) for n, w in
              (("first", np.full((6, 4), 1e-25)), ("second", np.full((4, 2), 1e25) * [1, 2]))]
    nodes = [helper.make_node("MatMul", ["x", "first"], ["h"], "one"), helper.make_node("MatMul", ["h", "second"], ["y"], "two")]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])], weight)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    onnx.save(model, "steep.onnx")
    dataset("large.nc", **{"3e16": 5})
    run("distill", options(run_dir="steep", data_train="large.nc", student_model="steep.onnx", distill_alpha=0), code=1,
        says="student: not finite in epoch 1, step 1, lane .: the gradient of 'first'")


def test_clip():
    """The limit of the norm gives the same bits on any number of ranks and threads, and other ones than no limit."""
    dataset("plain.nc")
    run("train", job("free", data_train="plain.nc"))
    for ranks in range(1, RANKS + 1):
        run("train", job(f"clip{ranks}", data_train="plain.nc", teacher_clip=0.1), ranks=ranks, OMP_NUM_THREADS=ranks % 3 + 1)
        assert sha(f"clip{ranks}/teacher.onnx") == sha("clip1/teacher.onnx"), f"other bits on {ranks} ranks"
    assert sha("clip1/teacher.onnx") != sha("free/teacher.onnx")


main(test_skip, test_skip_goes_on, test_too_many, test_named, test_gradient, test_clip)
