"""What the outside world may do wrong: one clear line, soon, on any number of ranks, and nothing half-written.

Arguments: the program retort, an empty folder."""
import concurrent.futures
import os
import shutil
import subprocess

import netCDF4
import numpy as np
import onnx
from support.cli import RANKS, SLOW, TRAIN, edit, main, nothing_half_written, outputs, read, run, same, sha, small

MANY = min(3, RANKS)


def bad(verb, job, says, code=1, ranks=(0, MANY), before=None):
    """It fails, on one rank and on several, within ten seconds and with a line that fits."""
    with concurrent.futures.ThreadPoolExecutor() as pool:  # a failure writes nothing, so they do not meet
        for number, done in [(n, pool.submit(run, verb, job, ranks=n, code=code, says=says, seconds=10, before=before)) for n in ranks]:
            done.result()
    folder = job[job.index("-run_dir") + 1] if "-run_dir" in job else "."
    if os.path.isdir(folder) and folder != ".":
        left = [name for _, _, names in os.walk(folder) for name in names if ".tmp-" in name]
        assert not left, f"{verb}: left behind {left}"


def content(path):
    with open(path, "rb") as file:
        return file.read()


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def dataset(name, elements, classes, kind="float32", change=None, claimed=None):
    """A dataset made by hand. change(input, label) may spoil it."""
    random = np.random.default_rng(3)
    x, y = random.normal(0, 1, (200, elements)).astype(kind), np.arange(200) % classes
    if change:
        change(x, y)
    with netCDF4.Dataset(name, "w") as data:
        data.createDimension("sample", 200), data.createDimension("feature", elements)
        data.createVariable("input", x.dtype, ("sample", "feature"))[:] = x
        label = data.createVariable("label", "i4", ("sample",))
        label[:] = y
        if claimed:
            label.classes = np.int32(claimed)
    return name


def copy(name, **less):
    """A copy of the good run, for spoiling."""
    shutil.rmtree(name, ignore_errors=True)
    shutil.copytree("good", name)
    return name


def prepare():
    run("run", small("good"), ranks=MANY)
    nothing_half_written("good")


def test_files():
    """Datasets and models that are absent, cut off, empty or something else."""
    os.mkdir("folder")
    data, model = content(TRAIN), content("good/teacher.onnx")
    put("empty", b""), put("text", b"sample,label\n1,2\n" * 50), put("cut.nc", data[:len(data) // 2]), put("head.nc", data[:300])
    put("cut.onnx", model[:len(model) // 2]), put("zero.nc", bytes(5000))
    with netCDF4.Dataset("other.nc", "w") as other:
        other.createDimension("x", 3)
        other.createVariable("y", "f4", ("x",))[:] = 0
    middle = bytearray(data)
    middle[len(data) // 2] ^= 1
    put("flipped.nc", bytes(middle))
    for name, says in (("absent", "absent.*[Nn]o such file"), ("empty", "empty"), ("text", "text"), ("cut.nc", "cut.nc"), ("head.nc", "head.nc"),
                       ("zero.nc", "zero.nc"), ("good/teacher.onnx", "teacher.onnx"), ("other.nc", "other.nc.*'input'"), ("folder", "folder"),
                       ("flipped.nc", "flipped.nc")):
        bad("train", small("files", data_train=name), says)
        if name in ("absent", "cut.nc", "text"):
            bad("eval", small("good", data_test=name), says, ranks=(MANY,))
        run("info", name, code=0 if name in ("good/teacher.onnx", "other.nc") else 1)
    for name, says in (("absent", "absent.*[Nn]o such file"), ("empty", "empty"), ("text", "text"), ("cut.onnx", "cut.onnx"),
                       (TRAIN, "mnist-train.nc"), ("folder", "folder"), ("/dev/null", "/dev/null")):
        bad("label", small("files", teacher_model=name), says)
        if name in ("absent", "cut.onnx", TRAIN):
            bad("distill", small("files", student_model=name, distill_alpha=0), says, ranks=(MANY,))
    for name in "teacher.onnx", "student.onnx":
        put(copy("spoilt") + "/" + name, content("good/" + name)[:9000])
        bad("eval", small("spoilt"), name, ranks=(MANY,))
    before = outputs("good")
    same("good", before, "failures")


def test_contents():
    """Numbers that do not fit each other or make no sense."""
    wide, few = dataset("wide.nc", 100, 10), dataset("few.nc", 784, 7)
    bad("label", small("good", data_train=wide, data_holdout=0), "teacher's input 'input' reads 28 x 28 numbers a sample, the field 'input' of the dataset has 100")
    bad("eval", small("good", data_test=wide), "teacher's input 'input' reads 28 x 28 numbers a sample, the field 'input' of the dataset has 100")
    bad("label", small("good", data_train=few), "teacher gives 10 numbers a sample, the dataset has 7 classes")
    bad("eval", small("good", data_test=few), "teacher gives 10 numbers a sample, the dataset has 7 classes")
    bad("distill", small("good", data_train=few), "10 .*7 ")

    def with_nan(x, y):
        x[150, 5] = np.nan

    def with_infinity(x, y):
        x[150, 5] = np.inf

    def negative(x, y):
        y[150] = -1

    def beyond(x, y):
        y[150] = 10

    for change in with_nan, with_infinity:
        name = dataset("nan.nc", 50, 10, change=change)
        bad("train", small("contents", data_train=name), "nan.nc.*(sample 150|150).*not finite")
    bad("train", small("contents", data_train=dataset("negative.nc", 50, 10, change=negative)), "negative.nc.*150.*-1")
    bad("train", small("contents", data_train=dataset("beyond.nc", 50, 10, change=beyond, claimed=10)), "beyond.nc.*150.*10")
    for changes, says in (
            (dict(data_holdout=1200), "1200"), (dict(data_holdout=5000), "5000"), (dict(teacher_omit="0,1,2,3,4,5,6,7,8,9"), "nothing is left to train on"),
            (dict(teacher_omit="10"), "class 10|10")):
        bad("train", small("contents", **changes), says, ranks=(MANY,))
    bad("train", small("contents", teacher_dropout="0.1,0.1,0.1"), "-teacher_dropout has 3 numbers; there are 2 layers", code=2)
    bad("distill", small("good", student_dropout="0.1,0.1,0.1", run_force=1), "-student_dropout has 3 numbers", code=2)
    bad("eval", small("good", eval_bias_classes="10"), "-eval_bias_classes: there is no class 10", code=2)
    bad("label", small("good", label_views=2), "-label_views 2 asks for augmented views", ranks=(0,))
    bad("eval", small(copy("unheld"), data_holdout=0, eval_bias_classes="1", eval_bias_fit="holdout"), "holds no samples out", ranks=(MANY,))
    if RANKS >= 3:
        bad("train", small("contents", teacher_lanes=2), "3 ranks are more than the 2 lanes", ranks=(3,))
        bad("distill", small("good", distill_lanes=2, run_force=1), "3 ranks are more than the 2 lanes", ranks=(3,))
    assert not os.path.exists("contents/teacher.onnx"), "a teacher was made of nonsense"
    nothing_half_written("good")


def test_numbers():
    """Training that runs away and models that do not compute say so."""
    bad("train", small("wild", teacher_rate=1e30), "-teacher_rate: 1e.30 is out of bounds", code=2, ranks=(0,))
    bad("train", small("wild", teacher_rate=1e6, teacher_weight_decay=1000), "teacher: not finite in epoch 1, step 2, lane 0: the loss; lower the learning rate.*no checkpoint was written yet")
    assert not os.path.exists("wild/teacher.onnx"), "a model that is not finite was written"
    bad("distill", small(copy("runaway"), distill_rate=1e6, distill_loss="logits", run_force=1), "student: not finite in epoch .*, lane .*lower the learning rate|is not finite after the update")
    nothing_half_written("runaway")
    model = onnx.load("good/teacher.onnx")
    for tensor in model.graph.initializer:
        if tensor.name.endswith("bias"):
            array = onnx.numpy_helper.to_array(tensor).copy()
            array[0] = np.nan
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    onnx.save(model, "nan.onnx")
    bad("label", small("nan", teacher_model="nan.onnx"), "teacher's tensor 'layer.*bias' has a number that is not finite")
    for tensor in model.graph.initializer:  # finite, but what comes out is not
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full_like(array, 1e30), tensor.name))
    onnx.save(model, "huge.onnx")
    bad("label", small("nan", teacher_model="huge.onnx"), "teacher's output for sample .* is not finite")
    assert not os.listdir("nan/labels") if os.path.isdir("nan/labels") else True, "labels that are not finite were written"


def test_memory():
    """What no machine has room for is refused in one line too."""
    if SLOW > 1:
        return  # the sanitizer has its own opinion of such requests
    most = "ulimit -v 16000000"  # 16 GB, whatever the machine has
    bad("train", small("memory", teacher_hidden="10,1000000,1000000"), "not enough memory", ranks=(0, 2), before=most)
    bad("train", small("memory", teacher_batch=100000000), "not enough memory", ranks=(0,), before=most)
    run("verify", small("good", verify_samples=9000000000000000), says="verify: 1200 samples")


def test_order():
    """Stages before what they need."""
    bad("label", small("order"), "order/teacher.onnx is missing: run `retort train` first, or name")
    bad("distill", small("order"), "order/teacher.onnx is missing: run `retort train` first")
    bad("verify", small("order"), "order/teacher.onnx is missing", ranks=(0,))
    bad("eval", small("order"), "order holds neither teacher.onnx nor student.onnx")
    shutil.copy("good/teacher.onnx", "order")
    bad("distill", small("order"), "order/labels: 4 of 4 shards are missing; run `retort label` first")
    bad("verify", small("order"), "order/labels: 4 of 4 shards are missing; run `retort label`", ranks=(MANY,))
    bad("train", small("order", teacher_model="good/teacher.onnx"), "there is nothing to train", code=2, ranks=(0,))


def spoil_text(path):
    put(path, b"not a shard\n")


def spoil_cut(path):
    put(path, content(path)[:len(content(path)) * 2 // 3])


def spoil_empty(path):
    put(path, b"")


def spoil_middle(path):
    with netCDF4.Dataset(path) as data:
        filters = data["logits"].filters()
    whole = bytearray(content(path))
    at = bytes(whole).find(read(path, "logits")[100:104].tobytes())
    if at < 0:  # compressed: the end of a file of labels is data
        assert filters["zlib"] or filters["shuffle"], filters
        at = len(whole) * 2 // 3
    for i in range(at, at + 16):
        whole[i] ^= 0x55
    put(path, bytes(whole))


def spoil_nan(path):
    with edit(path) as data:
        data["logits"][100, 3] = np.nan


def test_store():
    """A label store that belongs to something else; and one that is damaged, which is no mistake: it is made again."""
    run("train", small("seed2", run_seed=2))
    copy("store")
    for name in "student.onnx", "eval.nc":
        os.remove("store/" + name)
    kept = outputs("store")
    shutil.copytree("store", "foreign")
    shutil.copy("seed2/teacher.onnx", "foreign")
    for verb in "distill", "verify", "label":
        bad(verb, small("foreign"), "was made from something else: its teacher_hash is '[0-9a-f]{64}', expected '[0-9a-f]{64}'",
            ranks=(MANY if verb == "distill" else 0,))
    with edit(TRAIN, "changed.nc") as data:
        data["label"][0] = (data["label"][0] + 1) % 10
        data["label"].delncattr("sha256")
        data.delncattr("content_hash")
    for changes, says in ((dict(data_train="changed.nc"), "its dataset_hash is"), (dict(label_precision="bf16"), "its precision is 'fp32', expected 'bf16'"),
                          (dict(label_views=3, augment_shift=1), "its (augment|views) is"), (dict(label_shard=400), "shard-000003.nc does not belong"),
                          (dict(label_shard=100), "its shard_size is 300, expected 100")):
        bad("distill", small("store", **changes), says, ranks=(MANY,))
    shutil.copy("good/labels/shard-000002.nc", "keep.nc")
    for spoil in spoil_text, spoil_cut, spoil_empty, spoil_middle, spoil_nan:
        spoil("store/labels/shard-000002.nc")
        done = run("verify", small("store"), code=1, says="store/labels: 1 of 4 shards are damaged; run `retort label`$")
        assert "note: store/labels/shard-000002.nc is damaged: " in done.stderr, f"{spoil.__name__}: {done.stderr}"
        verb, ranks = ("label", 2) if spoil in (spoil_text, spoil_nan) else ("distill", MANY)
        done = run(verb, small("store"), ranks=ranks, says="label: 1 of 1 shards made")
        assert "note: store/labels/shard-000002.nc is damaged: " in done.stderr, f"{spoil.__name__}: {done.stderr}"
        if os.path.exists("store/student.onnx"):
            assert sha("store/student.onnx") == sha("good/student.onnx"), f"{spoil.__name__}: the student has other bits"
            os.remove("store/student.onnx")
        same("store", kept, f"{spoil.__name__}: a store that was mended by {verb}")
    shutil.copy("store/labels/shard-000001.nc", "store/labels/shard-000002.nc")
    bad("distill", small("store"), "shard-000002.nc .*its shard is 1, expected 2", ranks=(MANY,))
    shutil.copy("keep.nc", "store/labels/shard-000002.nc")
    os.remove("store/labels/shard-000001.nc")
    bad("verify", small("store"), "store/labels: 1 of 4 shards are missing; run `retort label`$", ranks=(MANY,))
    run("label", small("store"), says="1 of 1 shards made")
    same("store", kept, "a store that was repaired")


def test_full_disk():
    """A limit on the size of files, and a full disk: what was there stays, and nothing half-written is left."""
    np.save("x.npy", np.random.default_rng(1).normal(0, 1, (400, 100)).astype("f4"))
    np.save("y.npy", np.arange(400) % 10)
    run("import", "npy", "x.npy", "y.npy", "-o", "limited.nc", before="ulimit -S -f 40", code=1, says="limited.nc: cannot be written|limited.nc")
    assert not [name for name in os.listdir(".") if "limited" in name], "import left something"
    copy("full")
    before = outputs("full")
    for name, limit, verb in ("teacher.onnx", 20, "train"), ("labels/shard-000001.nc", 16, "label"), ("student.onnx", 20, "distill"), (
            "eval.nc", 8, "eval"):
        os.remove("full/" + name)
        run(verb, small("full"), before=f"ulimit -S -f {limit}", code=1, says="full/.*: cannot be written: (File too large|the limit of a file's size)")
        nothing_half_written("full")
        assert not os.path.exists("full/" + name), f"{verb} wrote {name} beyond the limit"
        shutil.rmtree("full/checkpoint", ignore_errors=True)
        run(verb, small("full"))
        same("full", before, f"{verb} after room was made")
    os.mkdir("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", "disk"], capture_output=True).returncode:
        print("bad_input: no disk can be mounted here, a full one is not tested")
        return
    try:
        put("disk/filler", bytes(40 << 10))
        bad("run", small("disk/run"), "disk/run/.*No space left on device|disk/run/")
        nothing_half_written("disk/run")
        run("import", "npy", "x.npy", "y.npy", "-o", "disk/limited.nc", code=1, says="limited.nc")
        assert not [name for name in os.listdir("disk") if "limited" in name], "import left something on the full disk"
    finally:
        subprocess.run(["umount", "disk"], check=True)


def test_places():
    """Run directories that cannot be."""
    put("file", b"")
    bad("train", small("file"), "file: .*(Not a directory|folder)")
    bad("train", small("file/run"), "file.*: the folder cannot be made: Not a directory|file: .*folder")
    bad("train", small("/proc/nowhere/run"), "/proc/nowhere: the folder cannot be made: No such file")
    os.makedirs("blocked/teacher.onnx")
    bad("train", small("blocked"), "blocked/teacher.onnx", ranks=(0,))
    os.makedirs("blocked2/labels/shard-000001.nc"), shutil.copy("good/teacher.onnx", "blocked2")
    bad("label", small("blocked2"), "blocked2/labels/shard-000001.nc")
    os.makedirs("blocked3"), shutil.copy("good/teacher.onnx", "blocked3"), put("blocked3/labels", b"")
    bad("label", small("blocked3"), "blocked3/labels")
    os.makedirs("blocked4/eval.nc"), shutil.copy("good/teacher.onnx", "blocked4")
    bad("eval", small("blocked4"), "blocked4/eval.nc")
    if os.geteuid() == 0:
        return
    os.makedirs("closed"), os.chmod("closed", 0o500)
    bad("train", small("closed"), "closed: the folder cannot be written: Permission denied")


main(prepare, test_files, test_contents, test_numbers, test_memory, test_order, test_store, test_full_disk, test_places)
