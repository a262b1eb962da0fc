"""`label -label_features`: a teacher layer's activations in the label store, as their principal components, against NumPy.

Arguments: the program retort, an empty folder."""
import os
import shutil
import subprocess

import numpy as np
import onnx
import onnx.helper as oh
import onnx.numpy_helper as nh
import xarray as xr
from support.cli import RANKS, RETORT, edit, main, nothing_half_written, outputs, run, same, sha, small
from support.witness import activations, far, principal, train_rows

JOB = dict(teacher_hidden="40,24", teacher_epochs=3, teacher_dropout="0.1", teacher_normalize="true", augment_shift=2)
KEEP = dict(JOB, label_features=1, label_components=6)


def fresh(name):
    """A run with the teacher of the first one."""
    os.makedirs(name)
    shutil.copy("all/teacher.onnx", name)
    return name


def test_numpy():
    run("train", small("all", **KEEP))
    run("label", small("all", **KEEP), ranks=2, says=r"6 components of '\w+' hold \d\d\.\d\d % of the variance of its 40 numbers")
    nothing_half_written("all")
    rows = activations("all/teacher.onnx", train_rows)[0]
    value, vector = principal(rows)
    vector = vector[:, :6]
    with xr.open_mfdataset("all/labels/*.nc") as labels:
        assert labels.features.dims == ("sample", "component") and labels.logits.dims == ("sample", "class")
        off = far(labels.features.values, (rows - rows.mean(0)) @ vector)
        assert off < 1e-4, f"features are {off} off"
        assert abs(labels.attrs["features_kept_variance"] - value[:6].sum() / value.sum()) < 1e-5, labels.attrs
        assert labels.features.var("sample").values.argmax() == 0
    with xr.open_dataset("all/components.nc") as c:
        assert np.abs(c.component_vector.values - vector).max() < 1e-4 and np.allclose(c.variance, value[:6], rtol=1e-5)
        assert np.allclose(c["mean"], rows.mean(0), atol=1e-4)
    run("verify", small("all", **KEEP), says="largest relative difference")
    run("info", "all/labels", says=r"6 components of the layer '\w+', with \d\d\.\d\d % of its variance")
    run("distill", small("all", **KEEP))
    run("distill", small("all", **{**JOB, "run_force": 1}))  # a student that asks for none does not mind


def test_same_bytes():
    """On other ranks and threads, by several jobs at once, and again after damage."""
    wanted = {n: h for n, h in outputs("all").items() if n != "student.onnx"}
    first = sha("all/components.nc")
    run("label", small(fresh("three"), **KEEP), ranks=min(3, RANKS), OMP_NUM_THREADS=2)
    same("three", wanted, "another number of ranks and threads")
    fresh("several")
    jobs = [subprocess.Popen([RETORT, "label"] + small("several", **KEEP), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(3)]
    for job in jobs:
        out = job.communicate(timeout=60)[0]
        assert job.returncode == 0, out
    same("several", wanted, "several jobs at once")
    for name in "three", "several":
        assert sha(f"{name}/components.nc") == first, f"{name}: other components"
    with open("three/labels/shard-000002.nc", "r+b") as file:
        file.seek(-2000, 2)
        file.write(b"x" * 100)
    os.remove("three/labels/shard-000001.nc")
    run("distill", small("three", **KEEP), says="1 of 4 shards are missing and 1 damaged; they are made again")
    same("three", {**wanted, "student.onnx": sha("three/student.onnx")}, "shards made again")


def test_views():
    """Each view has its own features; a node or a value is a layer as well."""
    run("label", small(fresh("views"), **{**KEEP, "label_features": "Relu_5", "label_views": 3}))
    with xr.open_mfdataset("views/labels/*.nc") as views, xr.open_mfdataset("all/labels/*.nc") as plain:
        assert views.features.dims == ("sample", "view", "component")
        assert views.attrs["features_layer"] == "Relu_5"
        assert np.abs(views.features[:, 0].values - plain.features.values).max() < 1e-5, "the first view is another sample"
        assert np.abs(views.features[:, 1].values - views.features[:, 0].values).max() > 1e-2, "views are equal"
    run("verify", small("views", **{**KEEP, "label_features": "Relu_5", "label_views": 3}))


def test_refused():
    for says, options in (("the teacher has no tap '[^']*': it has 2 hidden layers", dict(label_features=3)), ("no node or value of that name", dict(label_features="Gelu_1")),
                          ("has only 24 numbers a sample", dict(label_features=2, label_components=25)),
                          ("no row for each sample", dict(label_features="layer0.weight"))):
        run("label", small("all", **{**KEEP, **options}), ranks=2, code=1, says=says)
    for options in dict(label_features=2), dict(label_components=5):
        run("label", small("all", **{**KEEP, **options}), code=1, says="its shards hold other features.*-run_force")
    shutil.copy("all/components.nc", fresh("left"))
    run("label", small("left", **{**KEEP, "label_features": 2}), code=1, says=r"components.nc was made with the layer \w+, not \w+;")
    run("label", small("left", **{**KEEP, "label_components": 5}), code=1, says="components.nc was made with 6 components, not 5;")
    run("label", small(fresh("bare"), **JOB))
    run("label", small("bare", **KEEP), code=1, says="its shards hold no features.*-run_force")
    assert not os.path.exists("bare/components.nc"), "work before a refusal"
    before = sha("bare/labels/shard-000000.nc")
    run("label", small("bare", **KEEP, run_force=1), ranks=2)
    assert sha("bare/labels/shard-000000.nc") != before and sha("bare/labels/shard-000000.nc") == sha("all/labels/shard-000000.nc")
    run("label", small("all", **JOB), says="is done already")
    with edit("bare/labels/shard-000003.nc") as data:
        data["features"][100, 2] += 1
    run("verify", small("bare", **KEEP, verify_samples=1200), code=1, says="labels differ by")


def own_teacher(name, nodes, constants):
    graph = oh.make_graph([oh.make_node("Flatten", ["image"], ["x"], axis=1)] + nodes, "own", [oh.make_tensor_value_info("image", 1, ["n", 28, 28])],
                          [oh.make_tensor_value_info("score", 1, ["n", 10])], [nh.from_array(v.astype("f4"), n) for n, v in constants.items()])
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 13)])
    model.ir_version = 7
    onnx.save(model, name)


def test_own_layers():
    """Hidden layers are counted as the graph has them: branches, and a matrix that is used twice. Units that never fire
    leave zeros, whose sign is the same on any number of ranks."""
    rng = np.random.default_rng(3)
    constants = dict(w=rng.standard_normal((784, 12)) / 28, v=rng.standard_normal((784, 12)) / 28, s=rng.standard_normal((12, 12)) / 3,
                     out=rng.standard_normal((12, 10)), b=np.where(np.arange(12) < 6, -1e3, 0))
    own_teacher("own.onnx", [
        oh.make_node("Gemm", ["x", "w", "b"], ["c"]), oh.make_node("MatMul", ["x", "v"], ["d"]), oh.make_node("Add", ["c", "d"], ["e"]),
        oh.make_node("Relu", ["e"], ["h1"]), oh.make_node("Gemm", ["h1", "s"], ["f"]), oh.make_node("Relu", ["f"], ["h2"]),
        oh.make_node("Gemm", ["h2", "s"], ["g"]), oh.make_node("Relu", ["g"], ["h3"]), oh.make_node("Gemm", ["h3", "out"], ["score"])], constants)
    for number in 1, 2, 3:
        run("label", small(f"own{number}", teacher_model="own.onnx", label_features=number, label_components=3), says=f"3 components of 'h{number}' hold")
    run("label", small("own4", teacher_model="own.onnx", label_features=4), code=1, says="it has 3 hidden layers")
    wanted = sha("own1/components.nc"), outputs("own1")
    for ranks in range(2, RANKS + 1):
        run("label", small(f"dead{ranks}", teacher_model="own.onnx", label_features=1, label_components=3), ranks=ranks)
        assert (sha(f"dead{ranks}/components.nc"), outputs(f"dead{ranks}")) == wanted, f"other bits on {ranks} ranks"


def test_one_kind():
    """All shards of a store hold the same features, whoever makes them."""
    os.remove("all/student.onnx")
    whole = outputs("all")
    for job, says in ((JOB, "hold 6 components of the layer"), ({**KEEP, "label_components": 5}, "its shards hold other features")):
        os.remove("all/labels/shard-000001.nc")
        run("label", small("all", **job), ranks=2, code=1, says=says)
        run("distill", small("all", **job), code=1, says=says)
        run("label", small("all", **KEEP))
        same("all", whole, "made again")
    run("label", small(fresh("none"), **JOB))
    os.remove("none/labels/shard-000001.nc")
    run("distill", small("none", **KEEP), ranks=2, code=1, says="its shards hold no features")


def test_damage():
    """components.nc is made again where it is damaged; a shard whose attributes are not what they were is refused."""
    before = sha("all/components.nc")
    with open("all/components.nc", "r+b") as file:
        file.seek(3000)
        file.write(b"x" * 8)
    done = run("label", small("all", **KEEP), ranks=2, says="is done already")
    assert done.stderr.count("components.nc is damaged; it is made again") == 1, done.stderr
    assert sha("all/components.nc") == before
    shutil.copytree("all", "odd")
    with edit("odd/labels/shard-000002.nc") as data:
        data.features_kept_variance = np.linspace(0, 1, 1000)
    run("info", "odd/labels/shard-000002.nc")


main(test_numpy, test_same_bytes, test_views, test_refused, test_own_layers, test_one_kind, test_damage)
