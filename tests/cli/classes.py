"""5,000 classes, too many for a matrix of label and prediction: counts of each class instead, memory that does not grow
with their square, and a report all the same.

Arguments: the program retort, an empty folder."""
import os
import subprocess

import numpy as np
import xarray as xr
from support.cli import RANKS, RETORT, SOURCE, forward, main, options, run, sha

CLASSES, ROWS, BESIDE = 5000, 400, 20
random = np.random.default_rng(3)
JOB = dict(data_train="train.nc", data_test="test.nc", data_holdout=100, teacher_hidden=8, teacher_epochs=1, student_hidden=4, distill_epochs=1)


def table(name, classes):
    """Rows whose labels go from 0 to the last class; a few of them are frequent."""
    x = random.normal(size=(ROWS, 5)).astype("f4")
    label = np.where(np.arange(ROWS) % 2, random.integers(0, 3, ROWS), random.integers(0, classes, ROWS))
    label[0], label[1] = 0, classes - 1
    np.save(f"{name}-x.npy", x)
    np.save(f"{name}-y.npy", label.astype("i4"))
    run("import", "npy", f"{name}-x.npy", f"{name}-y.npy", "-o", f"{name}.nc")
    return x, label


def counts(values):
    return np.bincount(values, minlength=CLASSES)


def test_counts():
    table("train", CLASSES)
    x, label = table("test", CLASSES)
    run("run", options(run_dir="a", **JOB), ranks=2, says="5000 classes: eval.nc counts each alone; up to 1024")
    with xr.open_dataset("a/eval.nc") as result:
        assert not [name for name in result if "confusion" in name], list(result)
        assert (result.class_support.values == counts(label)).all()
        for role in "teacher", "student":
            given = forward(f"a/{role}.onnx", x).argmax(1)
            assert (given != result[f"{role}_prediction"].values).sum() <= 1  # of two logits that are equal but for the last bit
            given = result[f"{role}_prediction"].values
            assert (result[f"{role}_class_predicted"].values == counts(given)).all(), role
            assert (result[f"{role}_class_correct"].values == counts(label[given == label])).all(), role
            assert result[f"{role}_class_correct"].dims == ("class",) and result[f"{role}_class_correct"].attrs["long_name"]
            assert result[f"{role}_accuracy"] == (given == label).mean(), role
    wanted = sha("a/eval.nc")
    os.remove("a/eval.nc")
    run("eval", options(run_dir="a", **JOB), ranks=RANKS, OMP_NUM_THREADS=2)
    assert sha("a/eval.nc") == wanted, "other ranks and threads count otherwise"


def test_corrected():
    """A bias of named classes needs no matrix either."""
    os.remove("a/eval.nc")
    run("eval", options(run_dir="a", eval_bias_classes="1,4999", eval_bias=3.5, **JOB), ranks=2)
    with xr.open_dataset("a/eval.nc") as result:
        assert "student_accuracy_corrected" in result and not [name for name in result if "confusion" in name], list(result)


def peak(folder):
    """Bytes that an evaluation has at most: eight threads, each of which could keep matrices."""
    command = [RETORT, "eval", *options(run_dir=folder, eval_bias_classes="1", eval_bias=1, **JOB)]
    with open(os.devnull, "w") as null:
        child = subprocess.Popen(command, stdout=null, env={**os.environ, "OMP_NUM_THREADS": "8"})
        _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, status
    return usage.ru_maxrss * 1024


def test_memory():
    """One matrix of 5,000 classes has 200 MB. Ten classes against 5,000: the difference stays far below one."""
    os.remove("a/eval.nc")
    many = peak("a")
    for name in "train", "test":
        table(name, 10)
    run("train", options(run_dir="b", **JOB))
    few = peak("b")
    assert many - few < 80e6, f"{(many - few) / 1e6:.0f} MB more for {CLASSES} classes"


def test_report():
    table("train", CLASSES)
    table("test", CLASSES)
    run("run", options(run_dir="c", **JOB))
    subprocess.run([os.environ.get("RETORT_PYTHON", "python3"), os.path.join(SOURCE, "analysis", "report.py"), "c"], check=True)
    with open("c/report/index.html", encoding="utf-8") as file:
        page = file.read()
    assert "Reliability" in page and "What they confuse" not in page


main(test_counts, test_corrected, test_memory, test_report)
