"""A label store of several views: its shape, its first view, and what verify finds.

Arguments: the program retort, an empty folder."""
import os
import shutil

import netCDF4
import numpy as np
import xarray as xr
from support.cli import RANKS, TRAIN, edit, forward, main, outputs, read, run, same, small

VIEWS = dict(label_views=3, augment_shift=2, augment_rotate=15, augment_scale=0.1, augment_shear=0.2)


def test_store():
    run("train", small("one"))
    run("label", small("one"))
    os.mkdir("three")
    shutil.copy("one/teacher.onnx", "three")
    run("label", small("three", **VIEWS), ranks=2)
    inputs = read(TRAIN, "input")
    for shard in range(4):
        name = f"labels/shard-{shard:06d}.nc"
        with xr.open_dataset("three/" + name) as many, xr.open_dataset("one/" + name) as plain:
            assert many.logits.dims == ("sample", "view", "class") and many.logits.shape == (300, 3, 10), many.logits
            assert plain.logits.dims == ("sample", "class") and plain.logits.shape == (300, 10), plain.logits
            assert many.logits[:, 0].values.tobytes() == plain.logits.values.tobytes(), f"{name}: view 0 is not the plain sample"
            for view in 1, 2:
                moved = (np.abs(many.logits[:, view] - many.logits[:, 0]).max("class") > 1e-3).mean()
                assert moved > 0.95, f"{name}: view {view} is the plain sample in {1 - moved:.0%}"
            assert (np.abs(many.logits[:, 1] - many.logits[:, 2]).max("class") > 1e-3).mean() > 0.95, f"{name}: two views are equal"
            assert (many.sample_id.values == np.arange(300 * shard, 300 * shard + 300)).all(), f"{name}: sample_id"
            assert all(v.attrs["units"] and v.attrs["long_name"] for v in many.variables.values()), many
            assert np.abs(plain.logits.values - forward("one/teacher.onnx", inputs[300 * shard:300 * shard + 300])).max() < 1e-4, (
                f"{name}: the logits are not the teacher's")
    with xr.open_mfdataset("three/labels/*.nc") as store:
        assert store.logits.shape == (1200, 3, 10), store


def test_views_are_functions():
    """Views depend on the seed and on how they are drawn, not on shards, micro-batches or ranks."""
    shutil.copytree("one", "parts", ignore=shutil.ignore_patterns("labels"))
    run("label", small("parts", **VIEWS, label_batch=17) + ["-label_shard", "500"], ranks=min(3, RANKS))
    whole = np.concatenate([read(f"three/labels/shard-{s:06d}.nc", "logits") for s in range(4)])
    parts = np.concatenate([read(f"parts/labels/shard-{s:06d}.nc", "logits") for s in range(3)])
    # Another micro-batch may take another kernel, so nearly the same is what can be asked for.
    assert np.abs(whole - parts).max() < 1e-5, f"labels depend on shards: {np.abs(whole - parts).max()}"
    shutil.copytree("one", "seed", ignore=shutil.ignore_patterns("labels"))
    run("label", small("seed", **{**VIEWS, "run_seed": 2}))
    other = read("seed/labels/shard-000000.nc", "logits")
    assert np.abs(other[:, 0] - whole[:300, 0]).max() == 0 and np.abs(other[:, 1] - whole[:300, 1]).max() > 0.01, "the seed has no effect"
    run("distill", small("seed", **VIEWS), code=1, says="was made from something else: its augment is")
    run("label", small("three", **{**VIEWS, "augment_shift": 3}), code=1, says="was made from something else: its augment is")


def test_verify():
    run("verify", small("one"), says="verify: 256 samples of 4 shards labelled again, largest relative difference 0$")
    run("verify", small("three", **VIEWS, verify_samples=1200), ranks=2, says="verify: 1200 samples of 4 shards labelled again.* 0$")
    run("verify", small("one", verify_samples=1), says="verify: ")
    run("verify", small("one", verify_samples=5000), ranks=min(3, RANKS), says="verify: 1200 samples of 4 shards")
    for amount, code in ((1e-2, 1), (1e-6, 0)):
        shutil.rmtree("altered", ignore_errors=True)
        shutil.copytree("one", "altered")
        alter("one/labels/shard-000002.nc", "altered/labels/shard-000002.nc", amount)
        for ranks in 0, 2:
            run("verify", small("altered"), ranks=ranks, code=code, says="altered/labels: labels differ by 0.0" if code else "largest")
    shutil.copytree("three", "turned")
    with edit("turned/labels/shard-000001.nc") as data:
        values = data["logits"][:]
        data["logits"][:] = values[:, [0, 2, 1]]
    run("verify", small("turned", **VIEWS), code=1, says="labels differ by")


def alter(source, target, amount):
    """Write a shard anew with other numbers, valid in every other respect."""
    with netCDF4.Dataset(source) as old, netCDF4.Dataset(target, "w") as new:
        new.setncatts({name: old.getncattr(name) for name in old.ncattrs()})
        for name, dimension in old.dimensions.items():
            new.createDimension(name, len(dimension))
        for name, variable in old.variables.items():
            copy = new.createVariable(name, variable.dtype, variable.dimensions, fletcher32=True)
            copy.setncatts({a: variable.getncattr(a) for a in variable.ncattrs()})
            copy[:] = variable[:] + (np.float32(amount) if name == "logits" else 0)


def test_student_sees_views():
    """With views the student trains on augmented samples: other bits than without, and the same on other ranks."""
    run("distill", small("three", **VIEWS))
    run("distill", small("one"))
    assert outputs("three")["student.onnx"] != outputs("one")["student.onnx"], "views do not reach the student"
    before = outputs("three")
    os.remove("three/student.onnx")
    run("distill", small("three", **VIEWS), ranks=2)
    same("three", before, "views on two ranks")


main(test_store, test_views_are_functions, test_verify, test_student_sees_views)
