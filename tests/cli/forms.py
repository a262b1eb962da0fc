"""What a label store keeps of a teacher: taps as fields, in the forms of the table, against NumPy; terms of a student that
read them, against the same teacher running beside it.

Arguments: the program retort, an empty folder."""
import os
import shutil
import subprocess

import numpy as np
import onnx
import onnx.helper as oh
import onnx.numpy_helper as nh
import xarray as xr
from support.cli import RANKS, RETORT, edit, environment, main, nothing_half_written, outputs, read, run, same, sha, small
from support.witness import activations, far, principal, train_rows

JOB = dict(teacher_hidden="40,24", teacher_epochs=3, teacher_normalize="true", student_hidden=40)


def keep(name, source, form="dense", **options):
    return {f"label_taps_{name}_{key}": value for key, value in dict({"from": source}, form=form, **options).items()}


BARE = dict(JOB, label_taps_logits_form="rounded", label_taps_logits_relative=2.0**-12)
# Logits that are rounded, and a field of each form.
KEEP = {**BARE, **keep("pool", "hidden:1"), **keep("half", "hidden:1", "bf16"), **keep("near", "hidden:2", "rounded", absolute=0.01),
        **keep("short", "hidden:2", "rounded", relative=0.001), **keep("pca", "hidden:1", "components", components=6)}


def fresh(name):
    """A run with the teacher of the first one."""
    os.makedirs(name)
    shutil.copy("all/teacher.onnx", name)
    return name


def shards(folder, name):
    return np.concatenate([read(f"{folder}/labels/{file}", name) for file in sorted(os.listdir(f"{folder}/labels")) if file[0] != "."])


def bits(value):
    return value.astype("f4").view("u4")


def test_numpy():
    run("train", small("all", **JOB))
    run("label", small("all", **KEEP), says=r"6 components of '\w+' hold \d\d\.\d\d % of the variance of its 40 numbers")
    run("label", small(fresh("dense"), **JOB, **keep("deep", "hidden:2")))
    nothing_half_written("all")
    first, second = activations("all/teacher.onnx", train_rows)[:2]
    with xr.open_mfdataset("all/labels/*.nc") as labels:
        assert labels.sizes["sample"] == 1200 and labels.pool.dims == ("sample", "pool_axis1"), labels
        assert labels.pca.dims == ("sample", "pca_component") and labels.logits.dims == ("sample", "class")
        for name, form in dict(pool="dense", half="bf16", near="rounded", short="rounded", pca="components", logits="rounded").items():
            assert labels[name].attrs["form"] == form and labels[name].units == "1" and labels[name].long_name, labels[name]
        assert labels.near.maximum_absolute_error == 0.01 and labels.short.maximum_relative_error == 0.001
        assert labels.half.maximum_relative_error == 2.0**-8 and labels.logits.maximum_relative_error == 2.0**-12
        pool, half, near, short = (labels[name].values for name in ("pool", "half", "near", "short"))
        assert far(pool, first) < 1e-5, "other activations"
        # bf16, to the bit: the nearest, ties to even.
        assert (bits(half) == (bits(pool) + 0x7fff + (bits(pool) >> 16 & 1) & 0xffff0000)).all()
        deep, plain = shards("dense", "deep"), shards("dense", "logits")
        assert far(deep, second) < 1e-5
        assert 0.004 < np.abs(near - deep).max() <= 0.01 and (near * 64 == np.rint(near * 64)).all()
        assert (np.abs(short - deep) <= 0.001 * np.abs(deep)).all() and not (bits(short) & 0x3fff).any() and (bits(short) & 0x4000).any()
        assert (np.abs(labels.logits.values - plain) <= 2.0**-12 * np.abs(plain)).all() and (labels.logits.values != plain).any()
        value, vector = principal(first)
        assert far(labels.pca.values, (first - first.mean(0)) @ vector[:, :6]) < 1e-4
        assert abs(labels.pca.kept_variance - value[:6].sum() / value.sum()) < 1e-5
    header = subprocess.run(["ncdump", "-hs", "all/labels/shard-000000.nc"], capture_output=True, text=True).stdout
    assert "half:_DeflateLevel" in header and 'half:_Shuffle = "true"' in header and "pool:_DeflateLevel" not in header, header
    run("verify", small("all", **KEEP), ranks=2, says="largest relative difference 0.00")
    run("info", "all/labels", says=r"half: 40 numbers of '\w+', bf16, off by up to 0.00390625 of a number[^$]*near: 24 numbers of '\w+', rounded, off by up to 0.01\n")


def test_same_bytes():
    """On other numbers of ranks; after a kill; after damage, which distilling mends."""
    wanted = outputs("all")
    for ranks in range(2, min(3, RANKS) + 1):
        run("label", small(fresh(f"ranks{ranks}"), **KEEP), ranks=ranks)
        same(f"ranks{ranks}", wanted, f"{ranks} ranks")
    subprocess.run([RETORT, "label"] + small(fresh("killed"), **KEEP), capture_output=True, env=environment(RETORT_FAULT="kill:step:3"))
    assert 0 < len(outputs("killed")) - 1 < 4
    run("label", small("killed", **KEEP), ranks=2, says=r"label: [23] of [23] shards made")
    same("killed", wanted, "a kill")
    os.remove("killed/labels/shard-000002.nc")
    with open("killed/labels/shard-000001.nc", "r+b") as file:
        file.seek(-3000, 2)
        file.write(b"x" * 100)
    run("distill", small("killed", **KEEP), says="1 of 4 shards are missing and 1 damaged; they are made again")
    same("killed", {**wanted, "student.onnx": sha("killed/student.onnx")}, "shards made again")
    with edit("killed/labels/shard-000003.nc") as data:
        data["near"][100, 2] += 0.1
    run("verify", small("killed", **KEEP, verify_samples=1200), code=1, says="labels differ by")


def test_shapes():
    """A value of several axes keeps them; each view has its own numbers."""
    random = np.random.default_rng(3)
    constants = dict(w=random.standard_normal((784, 10)).astype("f4") / 28, shape=np.array([0, 4, 196]), flat=np.array([0, 784]))
    nodes = [oh.make_node("Reshape", ["image", "shape"], ["cube"]), oh.make_node("Relu", ["cube"], ["same"]), oh.make_node("Reshape", ["same", "flat"], ["x"]),
             oh.make_node("MatMul", ["x", "w"], ["score"])]
    graph = oh.make_graph(nodes, "own", [oh.make_tensor_value_info("image", 1, ["n", 28, 28])], [oh.make_tensor_value_info("score", 1, ["n", 10])],
                          [nh.from_array(value, name) for name, value in constants.items()])
    onnx.save(oh.make_model(graph, opset_imports=[oh.make_opsetid("", 13)], ir_version=7), "own.onnx")
    job = dict(teacher_model="own.onnx", **keep("picture", "same"), **keep("small", "same", "bf16"))
    run("label", small("cube", **job))
    with xr.open_mfdataset("cube/labels/*.nc") as labels:
        assert labels.picture.dims == ("sample", "picture_axis1", "picture_axis2") and labels.picture.shape == (1200, 4, 196)
        assert (labels.picture.values.reshape(1200, 784) == train_rows.astype("f4")).all()
        assert labels.picture.teacher_value == "same"
    job.update(label_views=2, augment_shift=2)
    run("label", small("views", **job), ranks=2)
    with xr.open_mfdataset("views/labels/*.nc") as labels:
        assert labels.picture.dims == ("sample", "view", "picture_axis1", "picture_axis2") and labels.small.shape == (1200, 2, 4, 196)
        assert (labels.picture[:, 0].values.reshape(1200, 784) == train_rows.astype("f4")).all()
        assert np.abs(labels.picture[:, 1].values - labels.picture[:, 0].values).max() > 0.5
        score = labels.picture.values.reshape(1200, 2, 784).astype("f8") @ constants["w"].astype("f8")
        assert far(labels.logits.values, score) < 1e-5, "views of other samples"
    run("verify", small("views", **job), ranks=2)


def weights(folder):
    return {t.name: t.raw_data or nh.to_array(t).tobytes() for t in onnx.load(f"{folder}/student.onnx").graph.initializer}


def term(loss, teacher, **options):
    """That term beside a cross-entropy."""
    return {f"distill_terms_{name}": value for name, value in dict(hard_loss="ce", soft_loss=loss, soft_teacher=teacher, soft_student="hidden:1", **options).items()}


def test_terms():
    """What is read from the store is what the teacher says beside the student: the same bits, on any ranks."""
    for loss in "hint", "rkd":
        here = small(fresh(f"here-{loss}"), **JOB, **term(loss, "hidden:1"), distill_teacher="here")
        run("distill", here)
        wanted = weights(f"here-{loss}"), read(f"here-{loss}/student-history.nc", "train_loss").tolist(), read(f"here-{loss}/student-history.nc", "holdout_loss").tolist()
        for ranks, name in enumerate(("pool", "hidden:1", "pool"), 1):
            folder = f"store-{loss}-{ranks}"
            shutil.copytree("all", folder)
            run("distill", small(folder, **KEEP, **term(loss, name)), ranks=min(ranks, RANKS))
            found = weights(folder), read(f"{folder}/student-history.nc", "train_loss").tolist(), read(f"{folder}/student-history.nc", "holdout_loss").tolist()
            assert found == wanted, f"{loss}, {name} on {ranks} ranks: other bits"
        shutil.copytree("all", f"half-{loss}")
        run("distill", small(f"half-{loss}", **KEEP, **term(loss, "half")))
        assert weights(f"half-{loss}") != wanted[0], "bf16 has the same bits"
        # A name of the store stands for its tap where the teacher runs here.
        run("distill", small(fresh(f"named-{loss}"), **KEEP, **term(loss, "pool"), distill_teacher="here"))
        assert weights(f"named-{loss}") == wanted[0]


def test_several():
    """Several fields at once, in windows as well; rkd reads components."""
    job = {**KEEP, **term("hint", "pool"), **{f"distill_terms_{name}": value for name, value in dict(
        last_loss="kl", last_teacher="logits", turn_loss="rkd", turn_teacher="pca", turn_student="hidden:1").items()}}
    for name, memory in ("whole", "1G"), ("windows", "1M"):
        wanted = None
        for ranks in 1, 2, 3:
            folder = f"several-{name}-{ranks}"
            shutil.copytree("all", folder)
            run("distill", small(folder, **job, data_memory=memory, distill_batch=64), ranks=min(ranks, RANKS))
            wanted = wanted or weights(folder)
            assert weights(folder) == wanted, f"{name} on {ranks} ranks: other bits"


def test_map():
    """A narrower student gets a map to a field's numbers, as to those of the teacher itself."""
    job = {**KEEP, "student_hidden": 12, **term("hint", "pool")}
    run("distill", small(fresh("here-map"), **job, distill_teacher="here"), ranks=2)
    shutil.copytree("all", "store-map")
    run("distill", small("store-map", **job))
    assert weights("store-map") == weights("here-map")
    shutil.copytree("all", "store-pca")
    run("distill", small("store-pca", **{**job, **term("hint", "pca")}))
    assert weights("store-pca") != weights("store-map")


def test_views():
    """Each epoch reads its view of every field, from memory and from windows."""
    job = {**KEEP, **term("hint", "short"), "student_hidden": 24, "label_views": 2, "augment_shift": 2, "distill_batch": 64}
    run("label", small(fresh("seen"), **job), ranks=2)
    for name, memory in ("whole", "1G"), ("windows", "1M"):
        for ranks in 1, min(3, RANKS):
            shutil.copytree("seen", f"seen-{name}-{ranks}")
            run("distill", small(f"seen-{name}-{ranks}", **job, data_memory=memory), ranks=ranks)
        assert weights(f"seen-{name}-1") == weights(f"seen-{name}-{min(3, RANKS)}"), f"{name}: other bits"
    # From epoch 2 on, view 1: with the numbers of view 0 in its place, the first epoch is the same and the second is not.
    shutil.copytree("seen", "swapped")
    for file in os.listdir("swapped/labels"):
        with edit(f"swapped/labels/{file}") as data:
            data["short"][:, 1] = data["short"][:, 0]
    run("distill", small("swapped", **job))
    losses = [read(f"{folder}/student-history.nc", "train_loss") for folder in ("seen-whole-1", "swapped")]
    assert losses[0][0] == losses[1][0] and losses[0][1] != losses[1][1], losses


def test_records():
    """A student remembers how what it has read was kept; what it has not read does not matter."""
    job = {**KEEP, **term("hint", "pool")}
    run("distill", small("store-hint-1", **job), says="is done already")
    run("distill", small("store-hint-1", **{**job, **keep("other", "hidden:2")}), says="is done already")
    run("distill", small("store-hint-1", **{**job, "label_taps_pool_form": "bf16"}), code=1, says="student.onnx was made with label_taps_pool .*dense.* now it is .*bf16")
    run("label", small("all", **BARE), says="is done already")  # fields that nobody asks for may be there
    run("label", small("all", **JOB), code=1, says="its field 'logits' has the form rounded, expected dense; .*-run_force")
    run("label", small("all", **{**KEEP, "label_taps_half_form": "dense"}), code=1, says="its field 'half' has the form bf16, expected dense; .*-run_force")
    run("label", small("all", **{**KEEP, "label_taps_near_absolute": 0.02}), code=1, says="its field 'near' is off by up to 0.01 and 0 of a number, expected 0.02 and 0")
    run("label", small("all", **{**KEEP, "label_taps_half_from": "hidden:2"}), code=1, says="its field 'half' holds 'Relu_")
    run("label", small("dense", **KEEP), code=1, says="its shards hold no pca")
    os.remove("all/labels/shard-000001.nc")
    run("label", small("all", **BARE), ranks=2, code=1, says="its shards hold the field 'half' .bf16 of 'Relu_.*-label_taps_half_")
    run("label", small("all", **KEEP))
    run("label", small("dense", **JOB, **keep("half", "hidden:1", "bf16"), run_force=1), ranks=2, says="4 of 4 shards made")
    assert (shards("dense", "half") == shards("all", "half")).all()


def test_refused():
    for code, says, options in (
            (2, "-label_taps_a_form: 'nonsense' is not one of dense|bf16|rounded|components", keep("a", "hidden:1", "nonsense")),
            (2, "-label_taps_a_absolute is for the form rounded, but -label_taps_a_form is bf16", keep("a", "hidden:1", "bf16", absolute=0.1)),
            (2, "-label_taps_a_components is for the form components", keep("a", "hidden:1", components=3)),
            (2, "-label_taps_a_form: rounded takes one tolerance above 0", keep("a", "hidden:1", "rounded")),
            (2, "-label_taps_a_form: rounded takes one tolerance above 0", keep("a", "hidden:1", "rounded", absolute=1, relative=0.1)),
            (2, "-label_taps_a_relative: 0.7 is out of bounds", keep("a", "hidden:1", "rounded", relative=0.7)),
            (2, "-label_taps_class_from: a label store has its own 'class'", keep("class", "hidden:1")),
            (2, "-label_taps_features_from: -label_features keeps a field of that name", dict(keep("features", "hidden:1"), label_features=1)),
            (2, "-label_taps_logits_from hidden:1: the field 'logits' holds the teacher's logits", keep("logits", "hidden:1")),
            (2, "-label_taps_logits_form components: losses need the logits themselves", dict(label_taps_logits_form="components")),
            (2, "-label_taps_a_from: say what is kept", dict(label_taps_a_form="bf16")),
            (2, "unknown option -label_taps_a_frm; did you mean -label_taps_a_from", dict(label_taps_a_frm="hidden:1")),
            (1, "the teacher has no tap 'hidden:9': it has 2 hidden layers", keep("a", "hidden:9")),
            (1, "has only 24 numbers a sample", keep("a", "hidden:2", "components", components=25)),
            (1, "has no row for each sample", keep("a", "layer0.weight"))):
        run("label", small("all", **JOB, **options), ranks=2, code=code, says=says)
        run("run", small("nothing", **JOB, **options), code=code, says=says)
    assert not os.path.exists("nothing/teacher.onnx"), "work before a refusal"
    for says, options in (
            ("-distill_terms_soft_teacher hidden:9: the store keeps logits, half, near, pca, pool, short; keep this as well", term("hint", "hidden:9")),
            ("-distill_terms_soft_loss kl: the field 'pca' has the form components, which serves losses that map widths", term("kl", "pca")),
            ("the loss .* cannot be bound|soft", {**term("hint", "pool"), "distill_terms_soft_label": "target"})):
        run("distill", small("all", **KEEP, **options), ranks=2, code=2, says=says)


main(test_numpy, test_same_bytes, test_shapes, test_terms, test_several, test_map, test_views, test_records, test_refused)
