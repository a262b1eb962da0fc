"""`eval -eval_cka`: how alike layers of teacher and student are, against NumPy in double precision.

Arguments: the program retort, an empty folder."""
import os

import numpy as np
import xarray as xr
from support.cli import RANKS, main, nothing_half_written, read, run, sha, small
from support.witness import activations, cka, test_rows

JOB = dict(teacher_hidden="30,20", student_hidden="16", teacher_dropout="0.2", teacher_normalize="true", distill_alpha=0)


def test_numpy():
    run("train", small("all", **JOB))
    run("distill", small("all", **JOB))
    run("eval", small("all", **JOB, eval_cka="true"), ranks=2, says="similarity of 3 teacher and 2 student layers")
    nothing_half_written("all")
    teacher, student = (activations(f"all/{role}.onnx", test_rows) for role in ("teacher", "student"))
    with xr.open_dataset("all/cka.nc") as result:
        assert result.cka.dims == ("teacher_layer", "student_layer") and result.cka.shape == (3, 2)
        wanted = np.array([[cka(x, y) for y in student] for x in teacher])
        off = np.abs(result.cka.values - wanted).max()
        assert off < 1e-5, f"cka is {off} off\n{result.cka.values}\n{wanted}"
        assert (result.cka.values > 0).all() and (result.cka.values < 1).all()
        assert (result.teacher_width.values == [30, 20, 10]).all() and (result.student_width.values == [16, 10]).all()
        assert result.teacher_layer.attrs["names"].split()[-1] == "logits"
        assert result.attrs["teacher_hash"] == sha("all/teacher.onnx") and result.attrs["student_hash"] == sha("all/student.onnx")
    before = sha("all/cka.nc")
    run("eval", small("all", **JOB, eval_cka="true"), ranks=min(3, RANKS), OMP_NUM_THREADS=2)
    assert sha("all/cka.nc") == before, "other bits on other ranks and threads"


def test_equal():
    """A model is like itself, and like itself turned: here, with its own logits."""
    run("eval", small("self", **{**JOB, "teacher_model": "all/student.onnx"}), "-eval_cka", "true", code=1, says="there is one in self")
    assert not os.path.exists("self/eval.nc"), "the mistake came after the work"
    run("run", small("hard", **JOB, eval_cka="true"), code=2, says="the job has no teacher")
    os.makedirs("self", exist_ok=True)
    os.symlink(os.path.abspath("all/student.onnx"), "self/student.onnx")
    run("eval", small("self", **{**JOB, "teacher_model": "all/student.onnx"}), "-eval_cka", "true")
    found = read("self/cka.nc", "cka")
    assert np.abs(np.diag(found) - 1).max() < 1e-12 and np.abs(found - found.T).max() < 1e-12, found


main(test_numpy, test_equal)
