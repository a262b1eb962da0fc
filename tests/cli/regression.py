"""Float targets instead of classes: import, train, label, distill, eval.

Arguments: the program retort, an empty folder."""
import os

import numpy as np
import onnx
import xarray as xr
from support.cli import RANKS, forward, main, nothing_half_written, options, outputs, read, run, same

random = np.random.default_rng(7)


def table(name, rows):
    """A smooth function of three columns, with two results."""
    x = random.uniform(-1, 1, (rows, 3)).astype("f4")
    y = np.stack([x[:, 0] * x[:, 1] + 2, np.sin(2 * x[:, 2])], 1).astype("f4")
    with open(name, "w") as file:
        file.write("a,b,c,product,sine\n")
        for row in np.concatenate([x, y], 1):
            file.write(",".join(repr(float(v)) for v in row) + "\n")
    return x, y


def job(run_dir, **changes):
    values = dict(run_dir=run_dir, data_train="train.nc", data_test="test.nc", data_holdout=100, teacher_hidden="32,32", teacher_epochs=8,
                  teacher_rate=0.03, student_hidden=16, distill_epochs=8, distill_rate=0.03, distill_loss="mse", label_shard=300)
    values.update(changes)
    return options(**values)


def rmse(path, x, y):
    return np.sqrt(((forward(path, x) - y) ** 2).mean())


def test_two_targets():
    table("train.csv", 1000)
    x, y = table("test.csv", 300)
    for name in "train", "test":
        run("import", "csv", f"{name}.csv", "-target", "product,sine", "-o", f"{name}.nc", says=r"3 \(float\), 2 targets")
    run("run", job("two"), ranks=2)
    nothing_half_written("two")
    with xr.open_dataset("two/eval.nc") as result:
        assert not [name for name in result if "accuracy" in name or "confusion" in name or name in ("kl_divergence", "agreement")], result
        for role in "teacher", "student":
            wanted = rmse(f"two/{role}.onnx", x, y)
            assert abs(float(result[f"{role}_rmse"]) - wanted) < 1e-5, f"{role}_rmse {float(result[f'{role}_rmse'])}, not {wanted}"
            error = np.sqrt(((forward(f"two/{role}.onnx", x) - y) ** 2).mean(1))
            assert np.abs(result[f"{role}_error"].values - error).max() < 1e-5, f"{role}_error"
            assert wanted < 0.6 * y.std(0).mean(), f"the {role} learned nothing: {wanted}"
        gap = np.sqrt(((forward("two/teacher.onnx", x) - forward("two/student.onnx", x)) ** 2).mean(1))
        assert np.abs(result.sample_difference.values - gap).max() < 1e-5, "sample_difference"
        assert abs(float(result.difference) - np.sqrt((gap**2).mean())) < 1e-5, "difference"
        assert int(result.samples) == 300
        assert all(v.attrs["units"] and v.attrs["long_name"] for v in result.variables.values())
    assert onnx.load("two/student.onnx").graph.output[0].name == "output"
    labels = np.concatenate([read(f"two/labels/shard-{s:06d}.nc", "logits") for s in range(4)])
    assert labels.shape == (1000, 2), labels.shape
    assert np.abs(labels - forward("two/teacher.onnx", read("train.nc", "input"))).max() < 1e-4, "labels are not the teacher's output"
    for role in "teacher", "student":
        with xr.open_dataset(f"two/{role}-history.nc") as history:
            assert np.isfinite(history.train_loss).all() and np.isfinite(history.holdout_loss).all(), history
            assert float(history.train_loss[-1]) < float(history.train_loss[0]), f"the {role}'s loss grows"
            assert np.isnan(history.train_accuracy).all(), "a regression has no accuracy"
    run("run", job("again"), ranks=min(3, RANKS), OMP_NUM_THREADS=2)
    same("again", outputs("two"), "regression on other ranks")


def test_one_target():
    """One column; and the soft term alone is what alpha 1 means: a student of exact labels comes near the teacher."""
    for name in "train", "test":
        run("import", "csv", f"{name}.csv", "-target", "sine", "-features", "c", "-o", f"{name}.nc", says=r"1 \(float\), 1 target,")
    run("run", job("one", distill_alpha=1))
    x, y = read("test.nc", "input"), read("test.nc", "target")
    with xr.open_dataset("one/eval.nc") as result:
        for role in "teacher", "student":
            wanted = rmse(f"one/{role}.onnx", x, y.reshape(-1, 1))
            assert abs(float(result[f"{role}_rmse"]) - wanted) < 1e-5, f"{role}: {float(result[f'{role}_rmse'])}, not {wanted}"
    gap = np.sqrt(((forward("one/student.onnx", x) - forward("one/teacher.onnx", x)) ** 2).mean())
    assert gap < 0.3, f"the student is {gap} away from its teacher"
    run("verify", job("one"), says="relative difference 0$")
    run("info", "one/teacher.onnx", says="output 'output'")


def test_refused():
    for loss in "kl", "logits":
        run("distill", job("one", distill_loss=loss, run_force=1), code=2, says=f"-distill_loss {loss} is for classes, but the dataset has float targets; take mse")
    np.save("x.npy", random.normal(0, 1, (60, 1)).astype("f4")), np.save("y.npy", np.arange(60) % 2)
    run("import", "npy", "x.npy", "y.npy", "-o", "classes.nc")
    run("distill", job("one", data_train="classes.nc", data_holdout=0, run_force=1), code=2,
        says="-distill_loss mse is for float targets, but the dataset has classes")
    run("eval", job("one", data_test="classes.nc"), code=1, says="1 numbers? a sample, the dataset has 2 classes")
    assert os.path.exists("one/student.onnx")


main(test_two_targets, test_one_target, test_refused)
