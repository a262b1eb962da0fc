"""The optimizer tao: convex problems against their optimality conditions in NumPy, on any number of ranks; stops within a
line search and going on; losses that are not finite; what does not go with it.

Arguments: the program retort, an empty folder."""
import os
import time

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from support.cli import RANKS, SLOW, TRAIN, checkpoint, checkpoints, fault_log, main, metadata, options, read, run, sha, small

SAMPLES, FEATURES, CLASSES, TARGETS, DECAY = 240, 6, 3, 2, 0.02
random = np.random.default_rng(7)
x = (random.standard_normal((SAMPLES, FEATURES)) * [1, 2, 3, 0.5, 1, 0.3] + [1, 0, -1, 0, 2, 0]).astype("f4")
y = (x @ random.standard_normal((FEATURES, CLASSES)) + random.standard_normal((SAMPLES, CLASSES))).argmax(axis=1)
target = (x @ random.standard_normal((FEATURES, TARGETS)) + random.standard_normal((SAMPLES, TARGETS))).astype("f4")


def dataset(name, inputs, answers):
    np.save("x.npy", inputs)
    np.save("y.npy", answers)
    run("import", "npy", "x.npy", "y.npy", "-o", name)


def linear(name, outputs, scale):
    """A model of one layer."""
    weight = [numpy_helper.from_array((scale * random.standard_normal(shape)).astype("f4"), n)
              for n, shape in (("w", (FEATURES, outputs)), ("b", (outputs,)))]
    graph = helper.make_graph([helper.make_node("Gemm", ["x", "w", "b"], ["y"], "layer")], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", FEATURES])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])], weight)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    onnx.save(model, name)


def weights(path):
    return {tensor.name: numpy_helper.to_array(tensor).astype("f8") for tensor in onnx.load(path).graph.initializer}


def softmax(z):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


# Loss of each sample, mean gradient of the logits.
def squares(z):
    return ((z - target) ** 2).mean(axis=1), 2 * (z - target) / TARGETS


def entropy(z):
    p = softmax(z)
    return -np.log(p[np.arange(SAMPLES), y]), p - np.eye(CLASSES)[y]


def mixed(z, alpha=0.7, temperature=3.0):
    """alpha T² KL(teacher || student) + (1 - alpha) cross-entropy"""
    w = weights("teacher.onnx")
    p, q = softmax((x @ w["w"] + w["b"]) / temperature), softmax(z / temperature)
    hard, slope = entropy(z)
    soft = temperature ** 2 * (p * np.log(p / q)).sum(axis=1)
    return alpha * soft + (1 - alpha) * hard, alpha * temperature * (q - p) + (1 - alpha) * slope


def objective(w, loss):
    """Value and gradient in double, by the definition."""
    value, slope = loss(x.astype("f8") @ w["w"] + w["b"])
    return (value.mean() + DECAY / 2 * (w["w"] ** 2).sum(),
            np.concatenate([(x.T.astype("f8") @ slope / SAMPLES + DECAY * w["w"]).ravel(), slope.mean(axis=0)]))


def newton(w, loss):
    """The least value near w, by Newton's method in double; the Hessian by differences, without its direction of no effect.
    """
    at, shape = np.concatenate([w["w"].ravel(), w["b"]]), w["w"].shape
    split = lambda v: dict(w=v[:shape[0] * shape[1]].reshape(shape), b=v[shape[0] * shape[1]:])
    gradient = lambda v: objective(split(v), loss)[1]
    for _ in range(4):
        step = 1e-5 * np.eye(len(at))
        hessian = np.array([(gradient(at + s) - gradient(at - s)) / 2e-5 for s in step])
        at = at - np.linalg.pinv((hessian + hessian.T) / 2, rcond=1e-8) @ gradient(at)
    assert np.linalg.norm(gradient(at)) < 1e-12, np.linalg.norm(gradient(at))
    return objective(split(at), loss)[0]


def job(folder, data, model, **values):
    return options(**dict(dict(run_dir=folder, data_train=data, student_model=model, distill_optimizer="tao", distill_epochs=400,
                               distill_batch=50, distill_lanes=5, distill_weight_decay=DECAY, distill_alpha=0), **values))


CONVEX = {"squares": (squares, "numbers.nc", "squares.onnx", dict(distill_loss="mse")),
          "entropy": (entropy, "classes.nc", "hard.onnx", {}),
          "mixed": (mixed, "classes.nc", "hard.onnx",
                    dict(distill_alpha=0.7, distill_temperature=3, teacher_model="teacher.onnx"))}


def test_convex():
    """The least of a convex function, as far as floats (rounded by 6e-8) tell losses apart; half of these digits in the gradient."""
    dataset("classes.nc", x, y.astype("i4"))
    dataset("numbers.nc", x, target)
    linear("teacher.onnx", CLASSES, 1)
    linear("hard.onnx", CLASSES, 0.3)
    linear("squares.onnx", TARGETS, 0.3)
    normal = np.hstack([x, np.ones((SAMPLES, 1))]).astype("f8")
    wanted = np.linalg.solve(normal.T @ normal * 2 / TARGETS / SAMPLES + DECAY * np.diag([1] * FEATURES + [0]),
                            normal.T @ target * 2 / TARGETS / SAMPLES)
    for name, (loss, data, model, more) in CONVEX.items():
        first = objective(weights(model), loss)
        values = []
        for ranks in range(1, RANKS + 1) if name == "entropy" else (1, RANKS):
            folder = f"{name}{ranks}"
            if "teacher_model" in more:
                run("label", "-run_dir", folder, "-data_train", data, "-teacher_model", "teacher.onnx")
            run("distill", job(folder, data, model, **more), ranks=ranks, says="student: done after .*: the")
            w = weights(f"{folder}/student.onnx")
            value, gradient = objective(w, loss)
            least = newton(w, loss)
            values.append(value)
            part = np.linalg.norm(gradient) / np.linalg.norm(first[1])
            assert part < 1e-4, f"{folder}: {part:.2g} of the gradient is left"
            assert abs(value / least - 1) < 6e-8, f"{folder}: {value}, the least is {least}"
            history = read(f"{folder}/student-history.nc", "train_loss")
            decay = DECAY / 2 * (w["w"] ** 2).sum()
            assert abs(history[-1] + decay - value) < 1e-6 * value, f"{folder}: the history says {history[-1]}, NumPy {value - decay}"
            assert read(f"{folder}/student-history.nc", "passes").min() >= 1
        print(f"{name}: {len(history)} iterations, {part:.1e} of the gradient is left, off by {np.ptp(values + [least]):.1e}")
    w = weights("squares1/student.onnx")
    off = np.abs(np.vstack([w["w"], w["b"]]) - wanted).max() / np.abs(wanted).max()
    assert off < 2e-5, f"the normal equations are off by {off:.2g}"


def network(folder, **values):
    """Not convex: 1200 digits, steps of 300, a hidden layer."""
    job = dict(teacher_optimizer="tao", teacher_epochs=25, teacher_batch=300, teacher_normalize="true", data_holdout=0)
    return small(folder, **{**job, **values})


def test_ranks():
    """The way depends on the number of ranks by rounding only; the same number gives the same bits."""
    for ranks in range(1, RANKS + 1):
        run("train", network(f"ranks{ranks}"), ranks=ranks)
    run("train", network("again"), ranks=2)
    assert sha("again/teacher.onnx") == sha("ranks2/teacher.onnx")
    losses = np.array([read(f"ranks{r}/teacher-history.nc", "train_loss") for r in range(1, RANKS + 1)])
    assert (np.diff(losses, axis=1) < 0).all(), "the loss rises"
    assert losses[0, -1] < 0.1 * losses[0, 0], losses[0]
    off = np.abs(losses / losses[0] - 1)
    assert off[:, :10].max() < 1e-5 and off.max() < 0.02, f"losses differ by {off.max(axis=0)}"
    print(f"25 iterations on 1 to {RANKS} ranks: losses differ by {off[:, :10].max():.1e} after 10, by {off.max():.1e} at most")


def test_methods():
    """Other types, from the job file and the command line; what they are is part of the record."""
    with open("job.yaml", "w") as file:
        file.write("tao: {type: bqnls}\nteacher: {optimizer: tao, epochs: 10, hidden: [16], normalize: true}\n"
                   f"data: {{train: {TRAIN}}}\n")
    run("train", "-job", "job.yaml", "-run_dir", "yaml")
    for kind in "lmvm", "blmvm", "cg", "bncg", "bqnls", "bqnkls":
        run("train", network(f"type-{kind}", tao_type=kind))
        losses = read(f"type-{kind}/teacher-history.nc", "train_loss")
        assert losses[-1] < 0.5 * losses[0], f"{kind}: {losses}"
    hashes = {sha(f"type-{kind}/teacher.onnx") for kind in ("lmvm", "blmvm", "cg", "bncg", "bqnkls")}
    assert len(hashes) == 5, "types are the same"
    run("train", network("type-cg", tao_type="bncg"), code=1, says="teacher.onnx was made with tao_type cg, now it is bncg")
    run("train", network("type-cg", tao_type="cg", tao_ls_type="armijo"), code=1,
        says="made with tao_ls_type absent, now it is armijo")
    run("train", network("type-cg", tao_type="cg") + ["-tao_monitor"], says="is done already")


def test_options():
    """What TAO does not read, and values that it refuses, before any work; an end without an iteration leaves no history."""
    for options, says in ((dict(tao_gatool=1), "unknown option -tao_gatool: TAO's lmvm does not read it"), (dict(tao_gatol="abc"), "PETSc refuses an option: .*abc"),
                          (dict(tao_ls_type="armio"), "PETSc refuses an option: .*armio"), (dict(tao_type="cg", tao_bncg_type="prp"), "-tao_bncg_type: TAO's cg does not")):
        run("train", network("options", **options), code=2, ranks=2, says=says)
        assert not os.path.exists("options/teacher.onnx")
    run("train", network("options", teacher_epochs=3, tao_max_funcs=-1, tao_ls_ftol=1e-3))
    assert len(read("options/teacher-history.nc", "passes")) == 3
    run("train", network("options", tao_gatol=1e6, run_force="true"), says="done after 0 iterations")
    assert not os.path.exists("options/teacher-history.nc"), "the history of another run"


def passes_until(folder, iteration):
    return int(read(f"{folder}/teacher-history.nc", "passes")[:iteration].sum())


def test_stops():
    """A stop in the middle of a pass, within a line search: the checkpoint is that of the last iteration."""
    steps = 4
    cg = dict(tao_type="cg", teacher_epochs=12)
    run("train", network("whole", **cg))
    passes = read("whole/teacher-history.nc", "passes")
    iteration = 3 + int(np.argmax(passes[3:] > 1))  # done before the one that takes several passes
    assert passes[iteration] > 1, passes
    run("train", network("short", **{**cg, "teacher_epochs": iteration}))
    for ranks in 0, 3:
        folder = f"within{ranks}"
        start = time.time()
        run("train", network(folder, **cg), ranks=min(ranks, RANKS), code=75,
            RETORT_FAULT=f"term:step:{(passes_until('whole', iteration) + 1) * steps + 2}")
        assert time.time() - start < 5 * SLOW
        assert checkpoints(folder, "teacher")[-1] == iteration * steps, checkpoints(folder, "teacher")
        if ranks == 0:
            flat = read(checkpoint(folder, "teacher", iteration * steps), "parameters").tobytes()
            for tensor in onnx.load("short/teacher.onnx").graph.initializer:
                value = numpy_helper.to_array(tensor)
                if value.dtype == np.float32 and value.size > 10:
                    assert value.tobytes() in flat, f"{tensor.name} is not that of iteration {iteration}"
        run("train", network(folder, **cg), ranks=min(2, RANKS), says=f"going on after iteration {iteration}, step 0 of 4")
        losses, wanted = (read(f"{name}/teacher-history.nc", "train_loss") for name in (folder, "whole"))
        assert len(losses) == 12 and np.allclose(losses[:iteration], wanted[:iteration], rtol=1e-3)
        assert (np.diff(losses) < 0).all() and losses[-1] < 1.5 * wanted[-1], f"{losses}, not {wanted}"
        assert not checkpoints(folder, "teacher")


def test_often():
    """Stopped in each pass, and killed between checkpoints, a convex problem still comes to its least."""
    for start in range(400):
        ranks, kill = (2, 0, 3, 1)[start % 4], 14 <= start < 18
        done = any_end("distill", job("often", "classes.nc", "hard.onnx", stop_after=1e-6 if start < 14 else 0, checkpoint_epochs=1),
                       ranks=min(ranks, RANKS), RETORT_FAULT="kill:step:58:0" if kill else "", RETORT_FAULT_LOG="often.log")
        if done == 0:
            break
    assert [what for what, _ in fault_log("often.log")].count("fired") == 4, "it was not killed four times"
    value, least = (objective(weights(f"{name}/student.onnx"), entropy)[0] for name in ("often", "entropy1"))
    assert abs(value / least - 1) < 6e-8, f"{value}, not {least}"
    records = len(read("often/student-history.nc", "train_loss"))
    assert records > 14, f"{records} records"


def test_windows():
    """Data larger than memory: each pass sees the same samples, also after one that was broken off."""
    memory = ["-data_memory", "5000"]
    for ranks in 1, RANKS:
        run("distill", job(f"windows{ranks}", "classes.nc", "hard.onnx"), memory, ranks=ranks)
        assert "data_window=" in metadata(f"windows{ranks}/student.onnx")["retort_record"]
        value, least = (objective(weights(f"{name}/student.onnx"), entropy)[0] for name in (f"windows{ranks}", "entropy1"))
        assert abs(value / least - 1) < 6e-8, f"{value}, not {least}"
    run("distill", job("steep2", "steep.nc", "squares.onnx", distill_loss="mse", distill_weight_decay=0, distill_epochs=50), memory)
    losses, wanted = (read(f"{name}/student-history.nc", "train_loss") for name in ("steep2", "steep"))
    assert abs(losses[-1] / wanted[-1] - 1) < 1e-3, f"{losses[-1]}, not {wanted[-1]}"


def any_end(*words, **more):
    try:
        run(*words, **more)
        return 0
    except AssertionError as wrong:
        assert "exit 75" in str(wrong) or "exit 137" in str(wrong) or "exit -9" in str(wrong), wrong
        return 75


def test_not_finite():
    """A line search that leaps into overflow turns back; a start there is an error that says where."""
    dataset("steep.nc", x * np.float32(1e6), target)
    run("distill", job("steep", "steep.nc", "squares.onnx", distill_loss="mse", distill_weight_decay=0, distill_epochs=50))
    losses = read("steep/student-history.nc", "train_loss")
    assert np.isfinite(losses).all() and losses[-1] < 1e-6 * losses[0], losses
    assert read("steep/student-history.nc", "passes")[0] > 3
    huge = x.copy()
    huge[77] = 3e38
    dataset("huge.nc", huge, y.astype("i4"))
    places = set()
    for ranks in range(1, RANKS + 1):
        done = run("distill", job(f"huge{ranks}", "huge.nc", "hard.onnx"), ranks=ranks, code=1,
                   says=r"student: not finite in epoch 1, step \d, lane \d: the output of layer 'layer'; look at the data")
        places.add(done.stderr[done.stderr.index("epoch"):done.stderr.index(";")])
    assert len(places) == 1, places
    run("train", network("one-rank"), ranks=min(3, RANKS), code=1, says="RETORT_FAULT: failed at step 9, as asked",
        RETORT_FAULT="fail:step:9:1")


def test_refused():
    for value in "nls", "tron", "owlqn", "lmv":
        run("train", network("refused", tao_type=value), code=2, says=f"-tao_type: '{value}' is not one of lmvm.blmvm.cg.bncg.bqnls")
    for more, says in ((dict(teacher_clip=1), "teacher: clip does not go with the optimizer tao"),
                       (dict(teacher_max_norm=2), "teacher: max_norm does not go"),
                       (dict(teacher_skip_bad=1), "teacher: skip_bad does not go"),
                       (dict(reduce="fast"), "-reduce fast does not go with the optimizer tao"),
                       (dict(teacher_dropout="0,0.1"), "teacher: node '.*' drops out")):
        run("train", network("refused", **more), code=2, says=says)
    run("train", network("plain", teacher_dropout="0,0", augment_shift=2))
    run("train", network("plainer"))
    a, b = weights("plain/teacher.onnx"), weights("plainer/teacher.onnx")
    for one, other in zip(a.values(), b.values()):
        assert np.array_equal(one, other), "it does not see the samples as they are"


main(test_convex, test_ranks, test_methods, test_options, test_stops, test_often, test_not_finite, test_windows, test_refused)
