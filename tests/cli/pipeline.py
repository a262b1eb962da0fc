"""The whole of it: what `retort run` does, and that the numbers in its outputs are what they are called.

Arguments: the program retort, an empty folder."""
import json
import os
import re
import shutil
import subprocess

import netCDF4
import numpy as np
import onnx
import xarray as xr
from support.cli import RANKS, SOURCE, TEST, TRAIN, forward, main, metadata, missing, nothing_half_written, options, outputs, read, run, same, sha, small

GOOD = dict(teacher_epochs=10, teacher_batch=50, distill_epochs=6, distill_batch=50, label_shard=500, eval_bins=12)


def onnxruntime(models, inputs):
    """Logits of each model by ONNX Runtime, or by our own arithmetic in NumPy where that is not installed."""
    package, node = os.environ.get("RETORT_ORT", ""), shutil.which("node")
    script = os.path.join(SOURCE, "tests", "conformance", "ort_run.js")
    if not node or not os.path.isdir(package) or not os.path.exists(script):
        missing("ONNX Runtime is not there (RETORT_ORT), NumPy computes instead")
        return [forward(model, inputs) for model in models]
    inputs.astype("f4").tofile("inputs.raw")
    entry = {"file": "inputs.raw", "type": "float32", "dims": list(inputs.shape)}
    with open("jobs.json", "w") as file:
        json.dump([{"model": model, "inputs": [entry], "output": f"out{i}.raw"} for i, model in enumerate(models)], file)
    done = subprocess.run([node, script, package, "jobs.json"], capture_output=True, text=True)
    assert done.returncode == 0 and "error" not in done.stdout, done
    found = [np.fromfile(f"out{i}.raw", "f4").astype("f8").reshape(len(inputs), -1) for i in range(len(models))]
    for model, logits in zip(models, found):
        assert np.abs(logits - forward(model, inputs)).max() < 1e-4, f"{model}: ONNX Runtime and NumPy do not agree"
    return found


def log_softmax(logits, temperature=1.0):
    scaled = logits / temperature
    return scaled - np.log(np.exp(scaled - scaled.max(1, keepdims=True)).sum(1, keepdims=True)) - scaled.max(1, keepdims=True)


def close(result, name, wanted, tolerance=1e-6):
    found = result[name].values
    assert np.allclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True), f"{name} is {found}, not {wanted}"


def confusion(labels, predictions):
    table = np.zeros((10, 10), int)
    np.add.at(table, (labels, predictions), 1)
    return table


def test_eval():
    run("run", small("all", **GOOD), ranks=2)
    nothing_half_written("all")
    labels, inputs = read(TEST, "label"), read(TEST, "input")
    logits = dict(zip(("teacher", "student"), onnxruntime(["all/teacher.onnx", "all/student.onnx"], inputs)))
    prediction = {role: z.argmax(1) for role, z in logits.items()}
    with xr.open_dataset("all/eval.nc") as result:
        assert int(result.samples) == 400
        for role, z in logits.items():
            top = np.sort(z, 1)
            assert (top[:, -1] - top[:, -2]).min() > 1e-4, "a tie: this test needs another seed"
            p = np.exp(log_softmax(z))
            confidence, right = p.max(1), prediction[role] == labels
            close(result, f"{role}_accuracy", right.mean(), 0)
            close(result, f"{role}_cross_entropy", -log_softmax(z)[np.arange(400), labels].mean())
            assert (result[f"{role}_confusion"].values == confusion(labels, prediction[role])).all(), f"{role}_confusion"
            assert result[f"{role}_confusion"].dims == ("class", "prediction")
            bins = np.minimum((confidence * 12).astype(int), 11)
            count = np.bincount(bins, minlength=12)
            assert (result[f"{role}_bin_count"].values == count).all(), f"{role}_bin_count"
            with np.errstate(invalid="ignore"):
                close(result, f"{role}_bin_confidence", np.bincount(bins, confidence, 12) / count, 1e-5)
                close(result, f"{role}_bin_accuracy", np.bincount(bins, right, 12) / count)
            gap = np.abs(np.bincount(bins, right, 12) - np.bincount(bins, confidence, 12)).sum() / 400
            close(result, f"{role}_ece", gap, 1e-5)
            assert (result[f"{role}_prediction"].values == prediction[role]).all(), f"{role}_prediction"
            close(result, f"{role}_confidence", confidence, 1e-5)
            assert float(result[f"{role}_bytes"]) == sum(
                onnx.numpy_helper.to_array(t).nbytes for t in onnx.load(f"all/{role}.onnx").graph.initializer), f"{role}_bytes"
            size = sum(int(np.prod(t.dims)) for t in onnx.load(f"all/{role}.onnx").graph.initializer if len(t.dims))
            assert int(result[f"{role}_parameters"]) == size == 784 * 16 + 16 + 160 + 10, f"{role}_parameters"
            assert result.attrs[f"{role}_hash"] == sha(f"all/{role}.onnx"), f"{role}_hash"
        close(result, "agreement", (prediction["teacher"] == prediction["student"]).mean(), 0)
        lt, ls = log_softmax(logits["teacher"]), log_softmax(logits["student"])
        close(result, "kl_divergence", (np.exp(lt) * (lt - ls)).sum(1).mean(), 1e-5)
        close(result, "sample_kl", (np.exp(lt) * (lt - ls)).sum(1), 1e-5)
        assert (result.label.values == labels).all(), "label"
        assert float(result.teacher_accuracy) > 0.7 and float(result.student_accuracy) > 0.6, "the models learned nothing"
        with netCDF4.Dataset(TEST) as data:
            assert result.attrs["dataset_hash"] == data.content_hash
        assert "student_accuracy_corrected" not in result
    run("eval", small("all", **GOOD) + ["-eval_batch", "17"], ranks=min(3, RANKS))
    with xr.open_dataset("all/eval.nc") as again:
        close(again, "teacher_accuracy", (prediction["teacher"] == labels).mean(), 0)


def test_alone():
    """A rank that fails alone while samples are gathered takes the others with it, and eval.nc stays as it was."""
    before = sha("all/eval.nc")
    run("eval", small("all", **GOOD), ranks=2, code=1, says="failed at send 1, as asked", RETORT_FAULT="fail:send:1:1")
    assert sha("all/eval.nc") == before, "eval.nc was written although a rank failed"


def test_blocks():
    """A test set of more than one block of samples: the same bytes on other ranks, and a stop of one rank is one of all."""
    random = np.random.default_rng(6)
    for name, rows in ("few", 300), ("many", 140000):
        np.save("x.npy", random.normal(0, 1, (rows, 4)).astype("f4")), np.save("y.npy", np.arange(rows) % 3)
        run("import", "npy", "x.npy", "y.npy", "-o", name + ".nc")
    job = options(run_dir="blocks", data_train="few.nc", data_test="many.nc", teacher_hidden=8, teacher_epochs=1, student_hidden=4, distill_epochs=1)
    run("run", job)
    before = sha("blocks/eval.nc")
    run("eval", job, ranks=min(3, RANKS))
    assert sha("blocks/eval.nc") == before, "eval.nc has other bits on other ranks"
    with netCDF4.Dataset("blocks/eval.nc") as result:
        assert (result["label"][:] == np.arange(140000) % 3).all(), "samples are not in the order of the test set"
        assert float(result["student_accuracy"][...]) == (result["student_prediction"][:] == result["label"][:]).mean()
    run("eval", job, ranks=2, code=75, RETORT_FAULT="term:send:1:1")
    assert sha("blocks/eval.nc") == before, "eval.nc was written although the evaluation was stopped"


def test_bias():
    """A class that the student never saw: what is added to its logit, and what that gives."""
    shutil.copytree("all", "bias", ignore=shutil.ignore_patterns("student*", "eval.nc"))
    job = dict(GOOD, distill_omit="3", eval_bias_classes="3")
    run("run", small("bias", **job, eval_bias_fit="test"))
    labels, inputs = read(TEST, "label"), read(TEST, "input")
    logits = onnxruntime(["bias/student.onnx"], inputs)[0]

    def corrected(bias, classes=(3,)):
        moved = logits.copy()
        moved[:, list(classes)] += bias
        return moved.argmax(1)

    grid = np.arange(-200, 201) / 10
    accuracy = np.array([(corrected(b) == labels).mean() for b in grid])
    with xr.open_dataset("bias/eval.nc") as result:
        close(result, "student_accuracy_corrected", accuracy.max(), 1e-9)
        best = float(result.bias)
        assert np.isclose(grid, best).any(), f"{best} is not in tenths"
        assert accuracy[np.isclose(grid, best)] == accuracy.max(), f"{best} is not the best"
        nearest = np.abs(grid[accuracy == accuracy.max()]).min()
        assert abs(best) <= nearest + 1e-9, f"{best}: {nearest} is as good and nearer to none"
        close(result, "student_accuracy", (logits.argmax(1) == labels).mean(), 0)
        assert best > 0 and accuracy.max() > (logits.argmax(1) == labels).mean(), "there was nothing to correct"
    for classes, bias in ((3,), 2.5), ((3, 7), -1.5), ((0,), 0):
        run("eval", small("bias", **{**job, "eval_bias_classes": ",".join(map(str, classes))}, eval_bias=bias), ranks=2)
        with xr.open_dataset("bias/eval.nc") as result:
            wanted = corrected(bias, classes)
            close(result, "bias", bias, 0)
            close(result, "student_accuracy_corrected", (wanted == labels).mean(), 1e-9)
            assert (result.student_confusion_corrected.values == confusion(labels, wanted)).all(), f"confusion with {bias} on {classes}"
    # Which samples are held out is not known here, but of all except one it hardly matters.
    run("eval", small("bias", **{**job, "data_holdout": 1199}, eval_bias_fit="holdout"), ranks=2)
    with xr.open_dataset("bias/eval.nc") as result:
        bias = float(result.bias)
        close(result, "student_accuracy_corrected", (corrected(bias) == labels).mean(), 1e-9)
    logits, train = forward("bias/student.onnx", read(TRAIN, "input")), read(TRAIN, "label")
    right = np.array([(corrected(b) == train).sum() for b in grid])
    assert bias > 0 and right[np.isclose(grid, bias)] >= right.max() - 1, f"{bias} gives {right[np.isclose(grid, bias)]}, the best {right.max()}"


def test_history():
    """Losses are what they are called: with a learning rate of zero they are known."""
    still = dict(teacher_epochs=1, distill_epochs=1, teacher_rate=0, distill_rate=0, data_holdout=0, distill_temperature=3,
                 distill_alpha=0.7, teacher_batch=70, distill_batch=70)
    run("run", small("still", **still), ranks=2)
    labels, inputs = read(TRAIN, "label"), read(TRAIN, "input")
    t, s = (forward(f"still/{role}.onnx", inputs) for role in ("teacher", "student"))
    assert np.abs(t - s).max() > 0.1, "teacher and student start with the same weights"
    hard_t, hard_s = (-log_softmax(z)[np.arange(1200), labels].mean() for z in (t, s))
    lt, ls = log_softmax(t, 3), log_softmax(s, 3)
    soft = 9 * (np.exp(lt) * (lt - ls)).sum(1).mean()
    with xr.open_dataset("still/teacher-history.nc") as history:
        close(history, "train_loss", [hard_t], 1e-5)
        close(history, "train_accuracy", [(t.argmax(1) == labels).mean()], 1e-9)
    with xr.open_dataset("still/student-history.nc") as history:
        close(history, "train_soft_loss", [soft], 1e-5)
        close(history, "train_hard_loss", [hard_s], 1e-5)
        close(history, "train_loss", [0.7 * soft + 0.3 * hard_s], 1e-5)
        assert np.isnan(history.holdout_accuracy).all(), "nothing was held out"
    for role, epochs in ("teacher", 10), ("student", 6):
        with xr.open_dataset(f"all/{role}-history.nc") as history:
            assert (history.epoch.values == np.arange(1, epochs + 1)).all(), history.epoch
            assert np.isfinite(history.holdout_accuracy).all() and (history.holdout_accuracy * 100 % 1 < 1e-9).all(), "of 100 samples"
            best = int(history.holdout_accuracy.argmax())
            said = metadata(f"all/{role}.onnx")
            assert float(said["retort_holdout_accuracy"]) == round(float(history.holdout_accuracy.max()), 6), said
            first = float(history.holdout_loss[best])
            chosen = int(said["retort_epoch"]) - 1
            assert float(history.holdout_accuracy[chosen]) == float(history.holdout_accuracy[best]) and float(history.holdout_loss[chosen]) <= first, said
            rate = history.learning_rate.values
            assert (np.diff(rate) < 0).all() and 0 <= rate[-1] < rate[0] <= 0.05, f"not a cosine from 0.05: {rate}"
            assert (history.samples_per_second > 0).all() and (history.seconds > 0).all()


def test_described():
    """Everything opens in xarray, with units and names; what it was made with stands in it."""
    seen = 0
    for path, _, names in os.walk("all"):
        for name in names:
            if not name.endswith(".nc"):
                continue
            with xr.open_dataset(os.path.join(path, name)) as data:
                seen += 1
                assert data.attrs["Conventions"] == "CF-1.10" and data.attrs["title"] and data.attrs["retort_version"], name
                assert "=" in data.attrs["options"], f"{name} does not say its options"
                if name.endswith("-history.nc"):
                    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: retort run -run_dir all .*", data.history), data.history
                    assert data.test_set == TEST and data.train_set == TRAIN, f"{name} does not say its data"
                else:
                    assert "history" not in data.attrs, f"{name} tells the time, and would have other bits each time"
                for variable in data.variables.values():
                    assert variable.attrs["units"] and variable.attrs["long_name"], f"{name}: {variable}"
    assert seen == 6, f"{seen} NetCDF files in a run"
    with xr.open_mfdataset("all/labels/*.nc") as store:
        assert store.logits.shape == (1200, 10)
    record = dict(line.split("=", 1) for line in metadata("all/student.onnx")["retort_record"].strip().split("\n"))
    assert record["distill_epochs"] == "6" and record["teacher"] == sha("all/teacher.onnx"), record
    with netCDF4.Dataset(TRAIN) as data:
        assert record["dataset"] == data.content_hash
    for role in "teacher", "student":
        onnx.checker.check_model(onnx.load(f"all/{role}.onnx"))


def test_stages():
    """run is its stages one after the other; from a job file too."""
    with open("job.yaml", "w") as file:
        file.write(f"""
run: {{dir: from-file}}
data: {{train: {TRAIN}, test: {TEST}, holdout: 100}}
teacher: {{hidden: [16], epochs: 10, batch: 50}}
label: {{shard: 500}}
student: {{hidden: [16]}}
distill: {{epochs: 6, batch: 50}}
eval: {{bins: 12}}
""")
    run("eval", small("all", **GOOD))
    wanted = outputs("all")
    run("run", "-job", "job.yaml")
    same("from-file", wanted, "run from a job file")
    for verb in "train", "label", "distill", "eval":
        run(verb, "-job", "job.yaml", "-run_dir", "by-stage")
    same("by-stage", wanted, "stage by stage")
    text = run("run", small("hard", distill_alpha=0)).stdout
    assert os.path.exists("hard/student.onnx") and not os.path.exists("hard/teacher.onnx") and not os.path.exists("hard/labels"), text
    assert "student_accuracy" in netCDF4.Dataset("hard/eval.nc").variables
    job = small("untested", teacher_epochs=1, distill_epochs=1)
    del job[job.index("-data_test"):job.index("-data_test") + 2]
    run("run", job, says="eval: left out")
    assert not os.path.exists("untested/eval.nc")
    run("train", small("alone"))
    run("eval", small("alone"))
    with xr.open_dataset("alone/eval.nc") as result:
        assert "teacher_accuracy" in result and "student_accuracy" not in result and "agreement" not in result, result


def test_refused_early():
    """What a later stage would refuse is said before the first one has worked."""
    svd = dict(student_init="svd")
    for code, says, options in (
            (1, "none.nc", dict(data_test="none.nc")), (2, "there is no class 11", dict(eval_bias_classes=11)), (1, "none.onnx", dict(student_model="none.onnx")),
            (1, "asks for 800 parameters", dict(svd, student_init_parameters=800)),
            (1, "4 ranks are given, the teacher has 2 layers", dict(svd, student_hidden="4,4,4,4")),
            (2, "drops out", dict(distill_optimizer="tao", student_dropout="0.1")), (2, "clip does not go with", dict(distill_optimizer="tao", distill_clip=1)),
            (2, "unknown option -tao_x", dict(distill_optimizer="tao", tao_x=1)), (2, "the dataset has classes", dict(distill_loss="mse")),
            (1, "class 10|10", dict(distill_omit=10)), (1, "no -augment", dict(label_views=2)), (1, r"has 1 hidden layer \(", dict(label_features=2)),
            (1, "has only 16 numbers", dict(label_features=1, label_components=17)), (1, "2 ranks are more than the 1 lanes", dict(distill_lanes=1))):
        run("run", small("early", **options), ranks=2, code=code, says=says)
        assert not os.path.exists("early/teacher.onnx"), f"trained before {options} is refused"


def test_select_and_limits():
    """What -select, -samples and -omit are for."""
    run("train", small("best", teacher_epochs=6, teacher_rate=0.5, teacher_schedule="constant"))
    run("train", small("last", teacher_epochs=6, teacher_rate=0.5, teacher_schedule="constant", teacher_select="last"))
    history = read("best/teacher-history.nc", "holdout_accuracy")
    assert (history == read("last/teacher-history.nc", "holdout_accuracy")).all(), "-select changes the training"
    assert int(metadata("last/teacher.onnx")["retort_epoch"]) == 6, metadata("last/teacher.onnx")
    assert history[int(metadata("best/teacher.onnx")["retort_epoch"]) - 1] == history.max()
    run("train", small("few", teacher_samples=200), says="teacher: 12730 parameters, 200 samples")
    labels = read(TRAIN, "label")
    done = run("train", small("omit", teacher_omit="3,5", data_holdout=0))
    wanted = int(np.isin(labels, (3, 5), invert=True).sum())
    assert f"teacher: 12730 parameters, {wanted} samples" in done.stdout, done.stdout
    run("eval", small("omit"))
    assert read("omit/eval.nc", "teacher_confusion")[:, [3, 5]].sum() < 30, "classes that were left out are predicted"


main(test_eval, test_alone, test_blocks, test_bias, test_history, test_described, test_stages, test_refused_early, test_select_and_limits)
