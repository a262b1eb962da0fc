"""Several models that teach together (-teacher_models): probabilities and logits mixed as NumPy does in double precision, a
share of each model that outlives kills and changes of the others, and the same bits beside the student.

Arguments: the program retort, an empty folder."""
import os
import shutil
import subprocess

import netCDF4
import numpy as np
import onnx
import onnx.helper as oh
import onnx.numpy_helper as nh
from support.cli import RANKS, RETORT, TRAIN, environment, forward, main, nothing_half_written, outputs, read, run, same, sha, small
from support.witness import far, train_rows

THREE = dict(teacher_models="a.onnx,b.onnx,c.onnx", teacher_weights="1,2,0.5")
wanted = {}


def log_softmax(z):
    z = z - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def mixed(names, weights, probabilities=True):
    weights = np.array(weights, float) / sum(weights)
    logits = [forward(name, train_rows) for name in names]
    if not probabilities:
        return sum(w * z for w, z in zip(weights, logits))
    return np.logaddexp.reduce([np.log(w) + log_softmax(z) for w, z in zip(weights, logits)])


def labels(folder):
    return np.concatenate([read(f"{folder}/labels/{file}", "logits") for file in sorted(os.listdir(f"{folder}/labels"))])


def share(folder, model):
    return f"{folder}/shares/{sha(model)[:16]}"


def weights(folder):
    return {t.name: nh.to_array(t).tobytes() for t in onnx.load(f"{folder}/student.onnx").graph.initializer}


def sharp(source, target, factor):
    """The same model, with logits that are so many times as large."""
    model = onnx.load(source)
    for tensor in model.graph.initializer:
        if tensor.name.startswith("layer1"):
            tensor.CopyFrom(nh.from_array(nh.to_array(tensor) * np.float32(factor), tensor.name))
    onnx.save(model, target)


def test_numpy():
    for seed, name in enumerate("abcd"):
        run("train", small(name, teacher_hidden=10 + seed, run_seed=seed, teacher_epochs=3))
        shutil.copy(f"{name}/teacher.onnx", f"{name}.onnx")
    run("label", small("all", **THREE), says=r"shares/[0-9a-f]{16}\n(.*\n)*.*shares/[0-9a-f]{16}\n(.*\n)*.*all/labels\n")
    nothing_half_written("all")
    assert far(labels("all"), mixed(["a.onnx", "b.onnx", "c.onnx"], [1, 2, 0.5])) < 1e-6
    run("verify", small("all", **THREE), ranks=2, says="largest relative difference 0$")
    run("label", small("logits", **{**THREE, "teacher_mix": "logits"}))
    assert far(labels("logits"), mixed(["a.onnx", "b.onnx", "c.onnx"], [1, 2, 0.5], False)) < 1e-6
    run("verify", small("logits", **{**THREE, "teacher_mix": "logits"}))
    run("label", small("equal", teacher_models="a.onnx, b.onnx"))
    assert far(labels("equal"), mixed(["a.onnx", "b.onnx"], [1, 1])) < 1e-6
    run("label", small("none", teacher_models="a.onnx,b.onnx", teacher_weights="0,1"))
    assert np.abs(labels("none") - log_softmax(forward("b.onnx", train_rows))).max() < 1e-4, "a model of weight 0 counts"
    wanted.update(outputs("all"))


def test_stable():
    """Probabilities that no double can hold have logarithms all the same."""
    sharp("a.onnx", "sharp.onnx", 3000)
    sharp("b.onnx", "sharper.onnx", 5000)
    run("label", small("stable", teacher_models="sharp.onnx,sharper.onnx", teacher_weights="3,1"))
    got, want = labels("stable"), mixed(["sharp.onnx", "sharper.onnx"], [3, 1])
    assert want.min() < -2000 and np.isfinite(got).all() and far(got, want) < 1e-6


def test_same_bytes():
    for ranks in range(2, min(3, RANKS) + 1):
        run("label", small(f"ranks{ranks}", **THREE), ranks=ranks)
        same(f"ranks{ranks}", wanted, f"{ranks} ranks")


def test_shares():
    """A kill loses no finished share; a model that changes costs its own share; distilling mends without any."""
    subprocess.run([RETORT, "label"] + small("killed", **THREE), capture_output=True, env=environment(RETORT_FAULT="kill:step:7"))
    assert len(os.listdir(share("killed", "a.onnx"))) == 4 and not os.path.exists("killed/labels"), "not in the second share"
    before = {name: os.stat(f"{share('killed', 'a.onnx')}/{name}").st_mtime_ns for name in os.listdir(share("killed", "a.onnx"))}
    run("label", small("killed", **THREE), ranks=2, says=f"{share('killed', 'a.onnx')} is done already, 4 shards\n(.*\n)*.*label: [23] of [23] shards made.*{share('killed', 'b.onnx')}")
    same("killed", wanted, "a kill")
    assert before == {name: os.stat(f"{share('killed', 'a.onnx')}/{name}").st_mtime_ns for name in before}, "a finished share was made again"
    subprocess.run([RETORT, "label"] + small("mixing", **THREE), capture_output=True, env=environment(RETORT_FAULT="kill:step:15"))
    assert os.path.exists("mixing/labels") and len(os.listdir(share("mixing", "c.onnx"))) == 4
    run("label", small("mixing", **THREE), says=f"{share('mixing', 'c.onnx')} is done already")
    same("mixing", wanted, "a kill while mixing")
    other = {**THREE, "teacher_models": "a.onnx,b.onnx,d.onnx"}
    run("label", small("mixing", **other), ranks=2, code=1, says="its teacher_hash is .*-run_force")
    said = run("label", small("mixing", **other, run_force=1)).stdout
    assert said.count("is done already") == 2 and share("mixing", "d.onnx") in said, said
    assert far(labels("mixing"), mixed(["a.onnx", "b.onnx", "d.onnx"], [1, 2, 0.5])) < 1e-6
    run("label", small("mixing", **{**other, "teacher_weights": "1,1,1"}, run_force=1))
    assert far(labels("mixing"), mixed(["a.onnx", "b.onnx", "d.onnx"], [1, 1, 1])) < 1e-6
    shutil.rmtree("killed/shares")
    os.remove("killed/labels/shard-000002.nc")
    run("distill", small("killed", **THREE), ranks=2, says="1 of 4 shards are missing; they are made again")
    same("killed", {**wanted, "student.onnx": sha("killed/student.onnx")}, "a shard made again without shares")
    assert not os.path.exists("killed/shares")


def test_here():
    """Beside the student the mixture has the same bits as in the store, on any ranks."""
    for mix in "probabilities", "logits":
        job = dict(THREE, teacher_mix=mix)
        run("run", small(f"store-{mix}", **job), says="student +12730")
        for ranks in range(1, min(3, RANKS) + 1):
            run("distill", small(f"here-{mix}-{ranks}", **job, distill_teacher="here"), ranks=ranks)
            assert weights(f"here-{mix}-{ranks}") == weights(f"store-{mix}"), f"{mix} on {ranks} ranks: other bits"
            assert not os.path.exists(f"here-{mix}-{ranks}/labels")
    assert weights("store-logits") != weights("store-probabilities")


def test_job_file():
    with open("job.yaml", "w") as file:
        file.write(f"run: {{dir: yaml}}\ndata: {{train: {TRAIN}}}\nlabel: {{shard: 300, taps: {{logits: {{form: rounded, absolute: 0.01}}}}}}\n"
                   "teacher: {models: [a.onnx, b.onnx, c.onnx], weights: [1, 2, 0.5], mix: probabilities}\n")
    run("label", "-job", "job.yaml", ranks=2)
    assert 0 < np.abs(labels("yaml") - labels("all")).max() <= 0.01
    run("verify", "-job", "job.yaml")


def test_records():
    run("distill", small("store-logits", **THREE, teacher_mix="logits"), says="is done already")
    run("distill", small("store-logits", **{**THREE, "teacher_weights": "1,2,1"}, teacher_mix="logits"), code=1, says="student.onnx was made with teacher ")
    run("distill", small("here-logits-1", **{**THREE, "teacher_models": "a.onnx,c.onnx,b.onnx"}, teacher_mix="logits", distill_teacher="here"), code=1,
        says="student.onnx was made with teacher ")
    with netCDF4.Dataset("all/labels/shard-000000.nc") as data:
        assert all(sha(f"{name}.onnx") in data.options for name in "abc") and "teacher_mix=probabilities" in data.options, data.options


def regression(name, seed, width=2):
    random = np.random.default_rng(seed)
    graph = oh.make_graph([oh.make_node("MatMul", ["x", "w"], ["y"])], "g", [oh.make_tensor_value_info("x", 1, ["n", 3])], [oh.make_tensor_value_info("y", 1, ["n", width])],
                          [nh.from_array(random.standard_normal((3, width)).astype("f4"), "w")])
    onnx.save(oh.make_model(graph, opset_imports=[oh.make_opsetid("", 13)], ir_version=7), name)


def test_regression():
    """Outputs for float targets have a mean as well."""
    random = np.random.default_rng(1)
    with netCDF4.Dataset("reg.nc", "w") as data:
        for axis, size in ("sample", 50), ("feature", 3), ("number", 2):
            data.createDimension(axis, size)
        data.createVariable("input", "f4", ("sample", "feature"))[...] = random.standard_normal((50, 3))
        data.createVariable("target", "f4", ("sample", "number"))[...] = 1
    regression("r1.onnx", 1), regression("r2.onnx", 2), regression("r3.onnx", 3, 4)
    job = ["-data_train", "reg.nc", "-run_dir", "reg", "-teacher_models", "r1.onnx,r2.onnx"]
    run("label", job, code=2, says="-teacher_mix probabilities is for classes, but the dataset has float targets; take logits")
    run("label", job, "-teacher_mix", "logits", ranks=2)
    inputs = read("reg.nc", "input").astype("f8")
    assert far(labels("reg"), (forward("r1.onnx", inputs) + forward("r2.onnx", inputs)) / 2) < 1e-6
    with netCDF4.Dataset("reg.nc", "r+") as data:  # nobody says what the numbers are
        data.renameVariable("target", "other")
    run("label", "-data_train", "reg.nc", "-run_dir", "bare", "-teacher_models", "r1.onnx,r2.onnx")
    assert np.abs(np.exp(labels("bare")).sum(1) - 1).max() < 1e-5
    run("label", "-data_train", "reg.nc", "-run_dir", "wide", "-teacher_models", "r1.onnx,r3.onnx", ranks=2, code=1,
        says="'r3.onnx' gives 4 numbers a sample, but 'r1.onnx' gives 2; they cannot be mixed")


def test_refused():
    shutil.copy("a.onnx", "nine.onnx")
    model = onnx.load("nine.onnx")
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.name.startswith("layer1"):
            tensor.CopyFrom(nh.from_array(np.ascontiguousarray(nh.to_array(tensor)[..., :9]), tensor.name))
    graph.output[0].type.tensor_type.shape.dim[1].dim_value = 9
    onnx.save(model, "nine.onnx")
    for code, says, options in (
            (2, "-teacher_weights has 2 numbers, -teacher_models 3 models", {**THREE, "teacher_weights": "1,2"}),
            (2, "-teacher_weights: -1 is out of bounds; it .*0", {**THREE, "teacher_weights": "1,-1,1"}),
            (2, "-teacher_weights: all of them are 0", {**THREE, "teacher_weights": "0,0,0"}),
            (2, "-teacher_mix: 'median' is not one of probabilities|logits", {**THREE, "teacher_mix": "median"}),
            (2, "-teacher_models: a name is empty", dict(teacher_models="a.onnx,,b.onnx")),
            (2, "-teacher_model and -teacher_models both name the teacher", {**THREE, "teacher_model": "a.onnx"}),
            (2, "-teacher_weights is for several models", dict(teacher_model="a.onnx", teacher_weights="1")),
            (2, "-teacher_mix is for several models", dict(teacher_model="a.onnx", teacher_mix="logits")),
            (1, "e.onnx: the teacher cannot be read: there is no such file", dict(teacher_models="a.onnx,e.onnx")),
            (1, "nine.onnx|gives 9 numbers|has 9", dict(teacher_models="a.onnx,nine.onnx")),
            (2, "-label_features: several teachers have no layer in common", {**THREE, "label_features": 1}),
            (2, "-label_taps_pool_from: several teachers have nothing in common but logits", {**THREE, "label_taps_pool_from": "hidden:1"})):
        run("label", small("refused", **options), ranks=2, code=code, says=says)
        run("run", small("refused", **options), code=code, says=says)
        assert not os.path.exists("refused/shares"), "work before a refusal"
    term = dict(distill_terms_a_loss="hint", distill_terms_a_teacher="hidden:1", distill_terms_a_student="hidden:1")
    for verb, code, says, options in (
            ("run", 2, "-eval_cka compares the layers of two models, but -teacher_models names several", {**THREE, "eval_cka": "true"}),
            ("train", 2, "-teacher_models are finished teachers: there is nothing to train", THREE),
            ("compress", 2, "-teacher_models: this needs one teacher, not several", {**THREE, "compress_parameters": 1000, "o": "cut.onnx"}),
            ("distill", 2, "-student_init svd cuts one teacher, but -teacher_models names several", {**THREE, "student_init": "svd"}),
            ("distill", 2, "-distill_terms_a_teacher hidden:1: several teachers have nothing in common but logits", {**THREE, **term}),
            ("distill", 2, "-distill_terms_a_teacher hidden:1: several teachers have nothing in common but logits", {**THREE, **term, "distill_teacher": "here"})):
        run(verb, small("refused", **options), code=code, says=says)


main(test_numpy, test_stable, test_same_bytes, test_shares, test_here, test_job_file, test_records, test_regression, test_refused)
