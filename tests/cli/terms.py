"""Objectives of terms: lanes that meet, layers, regressors, teachers that run beside the student. The same bits on any
numbers of ranks and threads, whether lanes keep their buffers or run forward again, through stops, with windows, in
full batches, from a store or from a teacher beside the student; what does not go is refused in a line.

Arguments: the program retort, an empty folder."""
import os
import shutil

import netCDF4
import numpy as np
import onnx
from onnx import numpy_helper

from support.cli import (RANKS, TEST, TRAIN, checkpoint, checkpoints, forward, main, metadata, options, read, run, sha,
                         small)


def term(name, **values):
    return {f"distill_terms_{name}_{key}": value for key, value in values.items()}


LOGITS = {**term("soft", loss="kl", weight=0.9, temperature=3), **term("pairs", loss="rkd", weight=0.3),
          **term("hard", loss="ce", weight=0.1)}
LAYERS = {**LOGITS, **term("layer", loss="hint", weight=0.2, student="hidden:1", teacher="hidden:1"),
          **term("rows", loss="rkd", weight=0.1, student="hidden:1", teacher="hidden:2")}
JOB = dict(teacher_model=os.path.abspath("teacher.onnx"), student_hidden=12, distill_batch=48, distill_epochs=2)
wanted = {}


def weights(folder):
    graph = onnx.load(os.path.join(folder, "student.onnx")).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def same_weights(a, b, what):
    first, second = weights(a), weights(b)
    assert sorted(first) == sorted(second), f"{what}: {sorted(first)}, {sorted(second)}"
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), f"{what}: {name} has other bits"
    for name in read_columns(a):
        assert read(f"{a}/student-history.nc", name).tobytes() == read(f"{b}/student-history.nc", name).tobytes(), \
            f"{what}: {name} differs"


def read_columns(folder):
    with netCDF4.Dataset(f"{folder}/student-history.nc") as data:
        return [name for name in data.variables if name.startswith(("train_", "holdout_"))]


def distill(folder, *jobs, ranks=0, **more):
    values = dict(JOB)
    for job in jobs:
        values.update(job)
    environment = {key: more.pop(key) for key in list(more) if key.isupper()}
    code, says = more.pop("code", 0), more.pop("says", None)
    values.update(more)
    return run("run", small(folder, **values), ranks=ranks, code=code, says=says, **environment)


def test_bits():
    run("train", small("teacher", teacher_hidden="20,14"))
    shutil.copy("teacher/teacher.onnx", "teacher.onnx")
    here = dict(distill_teacher="here")
    distill("one", LAYERS, here)
    wanted["student"], wanted["eval"] = sha("one/student.onnx"), sha("one/eval.nc")
    for ranks, threads in (1, 2), (2, 1), (2, 2), (3, 1), (4, 1), (8, 1):
        if ranks <= RANKS or RANKS >= 4:
            folder = f"many-{ranks}-{threads}"
            distill(folder, LAYERS, here, ranks=ranks, OMP_NUM_THREADS=threads)
            assert sha(f"{folder}/student.onnx") == wanted["student"], f"{ranks} ranks of {threads} threads: other bits"
            assert sha(f"{folder}/eval.nc") == wanted["eval"], f"{ranks} ranks of {threads} threads: another eval.nc"
    distill("seed", LAYERS, here, run_seed=2)
    assert sha("seed/student.onnx") != wanted["student"], "another seed gives the same bits"


def test_memory():
    """Lanes that keep nothing, or some of them, run forward again."""
    for name, memory, ranks in ("nothing", 1, 0), ("some", "90K", 2):
        distill(name, LAYERS, dict(distill_teacher="here", distill_memory=memory), ranks=min(ranks, RANKS))
        assert sha(f"{name}/student.onnx") == wanted["student"], f"-distill_memory {memory}: other bits"
    # dropout drops the same in both passes
    drop = dict(distill_teacher="here", student_dropout="0.1,0.2")
    distill("drop", LAYERS, drop)
    distill("drop-nothing", LAYERS, drop, distill_memory=1, ranks=min(3, RANKS))
    same_weights("drop", "drop-nothing", "dropout and lanes that run forward again")
    assert sha("drop/student.onnx") != wanted["student"], "dropout has no effect"


def test_history():
    """Each term has a column of its own, and the loss is their weighted sum; the student has no regressor."""
    columns = {name: read("one/student-history.nc", f"train_{name}_loss") for name in ("soft", "hard", "pairs", "layer", "rows")}
    total = sum(LAYERS[f"distill_terms_{name}_weight"] * columns[name] for name in columns)
    assert np.allclose(total, read("one/student-history.nc", "train_loss"), rtol=1e-6), f"{total} is not the loss"
    assert all((values > 0).all() for values in columns.values()), columns
    x, y = read(TEST, "input"), read(TEST, "label")
    z = forward("one/student.onnx", x)
    assert len(weights("one")) == 4, f"the student has {sorted(weights('one'))}"
    counted = read("one/eval.nc", "student_errors") if "student_errors" in names("one/eval.nc") else None
    if counted is not None:
        assert counted == (z.argmax(1) != y).sum()


def names(path):
    with netCDF4.Dataset(path) as data:
        return list(data.variables)


def test_store_or_here():
    """What a batch gets is the same whichever way it comes."""
    views = dict(augment_shift=2, augment_rotate=10, label_views=3)
    for name, job in ("plain", {}), ("views", views), ("half", dict(label_precision="bf16", **views)), \
            ("short", dict(distill_alpha=0.7)):
        terms = {} if name == "short" else LOGITS
        distill(f"{name}-store", terms, job, ranks=min(2, RANKS))
        distill(f"{name}-here", terms, job, distill_teacher="here", ranks=min(3, RANKS))
        same_weights(f"{name}-store", f"{name}-here", f"{name}: store and here")
        assert os.path.isdir(f"{name}-store/labels") and not os.path.isdir(f"{name}-here/labels"), "labels"
    # each epoch sees new views where none are counted
    new = dict(augment_shift=2, distill_teacher="here", distill_epochs=3)
    distill("new", LOGITS, new)
    distill("new-ranks", LOGITS, new, ranks=min(3, RANKS))
    same_weights("new", "new-ranks", "new views on other ranks")
    distill("counted", LOGITS, new, label_views=3)
    assert sha("counted/student.onnx") != sha("new/student.onnx"), "views that are counted are new ones"


def test_short_form():
    """The short form is two terms."""
    distill("sugar", dict(distill_alpha=0.7, distill_temperature=3))
    distill("terms", term("soft", loss="kl", weight=0.7, temperature=3), term("hard", loss="ce", weight=1 - 0.7))
    same_weights("sugar", "terms", "the short form and its terms")


def test_self():
    """The student as its own teacher, as it is or as a moving average, beside a map that trains: the same bits."""
    deep = dict(distill_teacher="self", student_hidden="20,12", student_dropout="0.1",
                **term("layer", loss="hint", student="hidden:1", teacher="hidden:2", weight=0.2), **term("hard", loss="ce"))
    mean = dict(distill_teacher="self", distill_decay=0.9, **LOGITS)
    for name, job in ("deep", deep), ("mean", mean):
        for ranks in 0, 2, 3:
            distill(f"{name}-{ranks}", job, augment_shift=2, ranks=min(ranks, RANKS), teacher_model="")
            same_weights(f"{name}-0", f"{name}-{ranks}", f"{name} on {ranks} ranks")
        assert not os.path.exists(f"{name}-0/teacher.onnx") and not os.path.isdir(f"{name}-0/labels"), "a teacher was made"
    stop_and_go("average", mean, dict(teacher_model="", distill_optimizer="adamw", distill_rate=0.002))
    distill("other", mean, augment_shift=2, distill_decay=0.5, teacher_model="")
    assert sha("other/student.onnx") != sha("mean-0/student.onnx"), "the decay has no effect"


def stop_and_go(name, *jobs):
    """Stopped in some steps, on other ranks each time, then to the end: the same as in one go."""
    distill(f"{name}-whole", *jobs)
    values = dict(JOB)
    for job in jobs:
        values.update(job)
    if "distill_teacher" not in values:
        run("label", small(f"{name}-parts", **values))
    for ranks, step in (1, 2), (2, 5), (3, 3):
        run("run", small(f"{name}-parts", **values, checkpoint_steps=3), ranks=min(ranks, RANKS), code=75,
            RETORT_FAULT=f"term:step:{step}")
        assert checkpoints(f"{name}-parts", "student"), f"{name}: no checkpoint"
    distill(f"{name}-parts", *jobs, ranks=min(4, RANKS), checkpoint_steps=3)
    same_weights(f"{name}-whole", f"{name}-parts", f"{name}: stopped and gone on")


def test_stops():
    stop_and_go("memory", LAYERS, dict(distill_teacher="here", distill_optimizer="adamw", distill_rate=0.002))
    stop_and_go("windows", LAYERS, dict(distill_teacher="here", data_memory="400K", distill_epochs=2))
    stop_and_go("tao", LAYERS, dict(distill_teacher="here", distill_optimizer="tao", distill_epochs=4))
    stop_and_go("store", LOGITS, dict(data_memory="400K", augment_shift=2, label_views=2))


def test_wrong():
    def refuse(says, *jobs, code=1, **more):
        distill("wrong", *jobs, code=code, says=says, **more)
        assert not os.path.exists("wrong/student.onnx")

    here = dict(distill_teacher="here")
    refuse("-distill_alpha is the short form", LOGITS, dict(distill_alpha=0.5), code=2)
    refuse("'sof' is not one of kl", term("a", loss="sof"), code=2)
    refuse("'a-b' cannot be a name", term("a-b", loss="kl"), code=2)
    refuse("student of the term 'a' has no tap 'hidden:2'", term("a", loss="hint", student="hidden:2"), here)
    refuse("teacher of the term 'a' has no tap 'hidden:7'", term("a", loss="hint", teacher="hidden:7"), here)
    refuse("term 'a' is compared at 'layer0.weight', which no layer", term("a", loss="hint", student="layer0.weight"), here)
    refuse("set -distill_teacher here", term("a", loss="hint", student="hidden:1", teacher="hidden:1"), code=2)
    refuse("12 numbers of the student .* with 10 of the teacher", term("a", loss="logits", student="hidden:1"), here)
    refuse("weight: the term has no weight", term("a", loss="kl", weight=0), code=2)
    refuse("smoothing: 2 is out of bounds", term("a", loss="ce", smoothing=2), code=2)
    refuse("smoothing: the loss kl does not read it", term("a", loss="kl", smoothing=0.5), code=2)
    refuse("teacher: the loss ce does not read it", term("a", loss="ce", teacher="hidden:1"), code=2)
    refuse("temperature_last: the loss rkd does not read it", term("a", loss="rkd", temperature_last=1), code=2)
    refuse("mse is for float targets", term("a", loss="mse", label="target"), code=2)
    refuse("compares 'hidden:1' of the student with itself", term("a", loss="hint", student="hidden:1", teacher="hidden:1"),
           distill_teacher="self", teacher_model="")
    many = {key: value for i in range(17) for key, value in term(f"t{i}", loss="kl").items()}
    refuse("17 terms, more than 16", many, code=2)


main(test_bits, test_memory, test_history, test_store_or_here, test_short_form, test_self, test_stops, test_wrong)
