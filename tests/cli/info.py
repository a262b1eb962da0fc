"""`retort info`: what a file is, who made it, whether it is complete.

Arguments: the program retort, an empty folder."""
import os
import shutil

import netCDF4
import numpy as np
from support.cli import TEST, TRAIN, main, run, sha, small


def say(*names, ranks=0):
    return run("info", list(names), ranks=ranks).stdout


def test_files():
    run("run", small("r"))
    model = say("r/teacher.onnx")
    for text in ("r/teacher.onnx: ONNX model, complete", "12730 parameters", "input 'input': float sample x 28 x 28", "output 'logits'",
                 f"sha256 {sha('r/teacher.onnx')}", "retort_version: 0.1.0", "retort_role: teacher", "teacher_hidden=16", "teacher_epochs=2"):
        assert text in model, f"{text!r} is not in\n{model}"
    with netCDF4.Dataset(TRAIN) as data:
        assert f"dataset={data.content_hash}" in model
        text = say(TRAIN)
        for part in "dataset, complete", "1200 samples of 28 x 28 (uint8)", "10 classes", f"content {data.content_hash}":
            assert part in text, f"{part!r} is not in\n{text}"
        store = say("r/labels")
        for part in ("r/labels: label store, complete", "1200 samples in shards of 300, 1 view, 10 numbers each, fp32", f"teacher {sha('r/teacher.onnx')}",
                     f"dataset {data.content_hash}"):
            assert part in store, f"{part!r} is not in\n{store}"
    assert "r/eval.nc: Evaluation of teacher and student, complete" in say("r/eval.nc")
    assert "eval_bins=15" in say("r/eval.nc")
    history = say("r/student-history.nc")
    assert "Training history of the student, complete" in history and "2 epochs" in history and "student_hidden=16" in history, history
    assert "logits of a teacher, complete" in say("r/labels/shard-000001.nc")
    folder = say("r")
    assert folder.split("\n")[0] == "r: run directory with", folder
    for name in "teacher.onnx", "teacher-history.nc", "labels", "student.onnx", "student-history.nc", "eval.nc":
        assert f"  {name}\n" in folder, folder
    both = say("r/teacher.onnx", TEST)
    assert both == model + say(TEST), "two files are not described one after the other"
    assert say("r/teacher.onnx", ranks=2) == model, "two ranks say something else"


def test_unfinished():
    shutil.copytree("r/labels", "gone")
    os.remove("gone/shard-000000.nc"), os.remove("gone/shard-000002.nc")
    assert "gone: label store, 2 of 4 shards are missing" in say("gone"), say("gone")
    run("train", small("half", stop_after=1e-6, teacher_batch=20), code=75)
    name = "half/checkpoint/teacher-0000000001.nc"
    text = say(name)
    for part in f"{name}: checkpoint of the teacher after step 1, whole", "0 epochs are done, and 1 of the next one's 55 steps", "teacher_batch=20":
        assert part in text, f"{part!r} is not in\n{text}"
    assert "  checkpoint/teacher-0000000001.nc, whole" in say("half"), say("half")
    with open(name, "r+b") as file:
        file.seek(200)
        file.write(b"damage")
    done = run("info", name, code=1, says=f"{name} is damaged: its checksum")
    assert f"{name}: checkpoint of the teacher after step 1, damaged" in done.stdout, done.stdout
    assert "  checkpoint/teacher-0000000001.nc, damaged" in say("half"), say("half")


def test_classes():
    with open("flowers.csv", "w") as file:
        file.write("a,kind\n" + "".join(f"{i},{'red blue green'.split()[i % 3]}\n" for i in range(60)))
    run("import", "csv", "flowers.csv", "-label", "kind", "-o", "flowers.nc")
    text = say("flowers.nc")
    for part in "60 samples of 1 (float)", "3 classes:", "    0 blue", "    1 green", "    2 red":
        assert part in text, f"{part!r} is not in\n{text}"
    run("run", small("named", data_train="flowers.nc", data_test="flowers.nc", data_holdout=0))
    with netCDF4.Dataset("named/eval.nc") as data:
        assert data["class"].flag_meanings == "blue green red", data["class"]
    with netCDF4.Dataset("foreign.nc", "w") as data:
        data.createDimension("x", 3)
        data.createVariable("y", "f4", ("x",))[:] = np.arange(3)
    assert "not made by Retort" in say("foreign.nc")


def test_bad():
    with open("r/teacher.onnx", "rb") as file:
        model = file.read()
    for name, content, says in (("text", b"hello world\n" * 30, "text: not an ONNX model"), ("empty", b"", "empty"), ("cut.onnx", model[:20000], "cut.onnx"),
                                ("cut.nc", open("r/eval.nc", "rb").read()[:5000], "cut.nc is damaged or cut off")):
        with open(name, "wb") as file:
            file.write(content)
        for ranks in 0, 2:
            run("info", name, ranks=ranks, code=1, says=says)
    os.mkdir("folder")
    run("info", "folder", code=1, says="folder: a folder without files of Retort")
    run("info", "absent", code=1, says="absent: there is no such file")
    run("info", "/dev/null", code=1, says="/dev/null: is not a file")
    done = run("info", TEST, "absent", code=1, says="absent")
    assert "dataset, complete" in done.stdout, "what came before the mistake is not said"
    with open("gone/shard-000001.nc", "r+b") as file:
        file.truncate(9000)
    done = run("info", "gone", says="gone: label store, 2 of 4 shards are missing, 1 damaged")
    assert "gone/shard-000001.nc is damaged" in done.stderr, done.stderr


main(test_files, test_unfinished, test_classes, test_bad)
