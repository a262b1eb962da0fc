"""Layers wider than 2048, whose matrices ScaLAPACK spreads over all ranks (rt_grid_worth): features, starts, compress and
similarity against NumPy in double precision, and alike on other grids of ranks.

Arguments: the program retort, an empty folder."""
import os
import shutil

import numpy as np
import xarray as xr
from support.cli import RANKS, TRAIN, forward, main, nothing_half_written, read, run, sha, small
from support.witness import (activations, borrow, check_pca, cka, cut, far, hidden, principal, ridge, soft_labels, tensors, test_rows,
                             train_rows)

WIDE = 2100
JOB = dict(teacher_hidden=f"{WIDE},24", teacher_epochs=1, teacher_batch=50, teacher_normalize="true", student_hidden=WIDE, student_normalize="true",
           distill_batch=300, distill_epochs=1, distill_rate=0, data_holdout=0, teacher_select="last")
KEEP = dict(JOB, label_features=1, label_components=6)
OTHER = RANKS if RANKS > 2 else 1  # a grid of another shape than that of two ranks


def start(name, ranks, **options):
    """Tensors of a student that made a step of no length."""
    borrow(name)
    run("distill", small(name, **{**JOB, **options}), ranks=ranks)
    return tensors(f"{name}/student.onnx")


def test_features():
    run("train", small("base", **JOB), ranks=2)
    os.makedirs("other")
    shutil.copy("base/teacher.onnx", "other")
    run("label", small("base", **KEEP), ranks=2, says=rf"hold \d\d\.\d\d % of the variance of its {WIDE} numbers")
    run("label", small("other", **KEEP), ranks=OTHER)
    nothing_half_written("base")
    rows = activations("base/teacher.onnx", train_rows)[0]
    value, vector = principal(rows)
    with xr.open_mfdataset("base/labels/*.nc") as two, xr.open_mfdataset("other/labels/*.nc") as other:
        off = far(two.features.values, (rows - rows.mean(0)) @ vector[:, :6])
        assert off < 1e-4, f"features are {off} off"
        assert abs(two.attrs["features_kept_variance"] / (value[:6].sum() / value.sum()) - 1) < 1e-5, two.attrs
        off = far(other.features.values, two.features.values)
        assert off < 1e-5, f"features on {OTHER} ranks are {off} off those on 2"
        assert abs(other.attrs["features_kept_variance"] / two.attrs["features_kept_variance"] - 1) < 1e-5, other.attrs
    with xr.open_dataset("base/components.nc") as two, xr.open_dataset("other/components.nc") as other:
        assert far(two.component_vector.values, vector[:, :6]) < 1e-4 and np.allclose(two.variance, value[:6], rtol=1e-5)
        assert far(other.component_vector.values, two.component_vector.values) < 1e-5
        assert (other.variance.values != two.variance.values).any(), f"the same bits on 2 and {OTHER} ranks: one rank had it all"
    # What is made once holds for all shards, on whatever ranks they are made again.
    wanted = sha("base/labels/shard-000001.nc")
    os.remove("base/labels/shard-000001.nc")
    run("label", small("base", **KEEP), ranks=OTHER)
    assert sha("base/labels/shard-000001.nc") == wanted, "a shard that is made again on other ranks has other bits"
    run("verify", small("base", **KEEP), ranks=2, says="largest relative difference")


def test_lost():
    """components.nc cannot be made again on other ranks, where it comes out otherwise: labels that are there stay good."""
    many = dict(KEEP, label_components=1000)
    os.makedirs("many")
    shutil.copy("base/teacher.onnx", "many")
    run("label", small("many", **many), ranks=2)
    wanted = sha("many/components.nc")
    os.remove("many/components.nc")
    run("label", small("many", **many), ranks=OTHER, code=1, says="hold other components of the layer .* on as many ranks as made them")
    run("label", small("many", **many), ranks=2, says="is done already")
    assert sha("many/components.nc") == wanted


def test_ridge():
    t = start("ridge", 2, student_init="ridge")
    weight, bias = ridge(hidden(t, train_rows, 1), soft_labels("base"), 0.1)
    assert far(t["layer1.weight"], weight) < 1e-4, f"ridge is {far(t['layer1.weight'], weight)} off"
    assert far(t["layer1.bias"], bias) < 1e-4, f"ridge's bias is {far(t['layer1.bias'], bias)} off"
    other = start("ridge-other", min(3, RANKS), student_init="ridge")
    for name in t:
        if name.startswith("layer1"):
            assert far(other[name], t[name]) < 1e-4, f"{name} is {far(other[name], t[name])} off on other ranks"
        else:
            assert np.array_equal(other[name], t[name]), f"{name} has other bits on other ranks"


def test_pca():
    """Data of so many features: the digits, and as much again of random mixtures of their pixels."""
    random = np.random.default_rng(5)
    rows = np.hstack([train_rows, np.maximum(train_rows @ random.normal(0, 0.1, (784, WIDE - 784)), 0)]).astype("f4")
    np.save("x.npy", rows), np.save("y.npy", read(TRAIN, "label").astype("i8"))
    run("import", "npy", "x.npy", "y.npy", "-o", "wide.nc")
    job = dict(data_train="wide.nc", data_test="wide.nc", distill_alpha=0, student_hidden=32)
    plain, pca = (start(name, 2, student_init=name, student_init_energy=0.9, **job) for name in ("random", "pca"))
    check_pca(pca, plain, hidden(pca, rows.astype("f8"), 0), 0.9)


def test_cut():
    """Weighted: the eigenvectors of so many outputs; else the singular vectors of a matrix with more columns than rows, and
    of one with more rows."""
    teacher = "base/teacher.onnx"
    for name, weighted in ("weighted.onnx", True), ("plain.onnx", False):
        run("compress", small("base", **JOB, compress_ranks="40,12", compress_weighted=str(weighted).lower()), "-o", name, ranks=2)
        wanted = cut(teacher, (40, 12, None), weighted)[0]
        off = far(forward(name, test_rows.reshape(-1, 28, 28)), wanted)
        assert off < 1e-4, f"{name}: off by {off}"
        shapes = {t.shape for t in tensors(name).values()}
        assert {(784, 40), (40, WIDE), (WIDE, 12), (12, 24)} <= shapes, shapes
    start("svd", min(3, RANKS), student_init="svd", student_hidden="40,12")
    off = far(forward("svd/student.onnx", test_rows.reshape(-1, 28, 28)), forward("weighted.onnx", test_rows.reshape(-1, 28, 28)))
    assert off < 1e-4, f"the start svd is {off} off the cut teacher"


def test_similarity():
    run("eval", small("ridge", **JOB, eval_cka="true"), ranks=2, says="similarity of 3 teacher and 2 student layers")
    teacher, student = (activations(f"ridge/{role}.onnx", test_rows) for role in ("teacher", "student"))
    wanted = np.array([[cka(x, y) for y in student] for x in teacher])
    with xr.open_dataset("ridge/cka.nc") as result:
        off = np.abs(result.cka.values - wanted).max()
        assert off < 1e-6, f"cka is {off} off\n{result.cka.values}\n{wanted}"
        assert (result.teacher_width.values == [WIDE, 24, 10]).all() and (result.student_width.values == [WIDE, 10]).all()


main(test_features, test_lost, test_ridge, test_pca, test_cut, test_similarity)
