"""soft_labels.py, compare.py and scaling.py: their numbers against plain arithmetic and SciPy, their files, their messages, and
that a store larger than memory can be read.

Arguments: the program retort, an empty folder."""
import os
import shutil
import subprocess
import sys

from common import SCRIPTS, script  # first, as it finds the others
import compare
import netCDF4
import numpy as np
import scaling
import soft_labels
from pieces import training
from pieces.runs import Run
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from support.cli import main, options, read, run, small

GOOD = dict(teacher_epochs=3, distill_epochs=3, label_views=2, augment_shift=1, distill_temperature=5)


def close(found, wanted, what):
    assert np.allclose(found, wanted, rtol=1e-9, atol=1e-12, equal_nan=True), f"{what} is {found}, not {wanted}"


def test_soft_labels():
    """Entropy, mean soft labels and their distance, from the whole store at once."""
    run("run", small("a", **GOOD), ranks=2)
    z = np.concatenate([read(f"a/labels/shard-{s:06d}.nc", "logits") for s in range(4)]).reshape(-1, 10).astype("f8")
    summary = soft_labels.summarise("a/labels", temperature=5)
    assert summary.attrs["rows"] == 2400 and list(summary.temperature.values) == [1, 5]
    for t, value in enumerate((1, 5)):
        p = np.exp(z / value) / np.exp(z / value).sum(1, keepdims=True)
        entropy = -(p * np.log(p)).sum(1)
        close(summary.entropy_mean.values[t], entropy.mean(), "mean entropy")
        close(summary.entropy_count.values[t], np.histogram(entropy, 60, (0, np.log(10)))[0], "counts by entropy")
    mean = np.stack([p[z.argmax(1) == k].mean(0) if (z.argmax(1) == k).any() else np.full(10, np.nan) for k in range(10)])
    close(summary.similarity.values, mean, "mean soft labels")
    close(summary.top_count.values, np.bincount(z.argmax(1), minlength=10), "counts of classes")
    for i, j in (0, 1), (3, 5), (9, 4):
        wanted = np.sqrt(max(0, 1 - np.sqrt(mean[i] * mean[j]).sum()))
        assert np.isnan(wanted) or abs(summary.distance.values[i, j] - wanted) < 1e-7, f"distance of {i} and {j}"
    small_blocks = list(soft_labels.Store("a/labels").blocks(numbers=130))
    assert max(map(len, small_blocks)) <= 130 // 10 and sum(map(len, small_blocks)) == 2400
    close(np.concatenate(small_blocks), z, "logits in small blocks")


def test_cluster():
    """Average linkage as SciPy has it, and an order of leaves without crossings."""
    random = np.random.default_rng(2)
    for n in 2, 3, 10, 57:
        points = random.normal(0, 1, (n, 3))
        distance = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1))
        joins, wanted = soft_labels.cluster(distance), hierarchy.linkage(squareform(distance, checks=False), "average")
        close([d for *_, d in joins], wanted[:, 2], "distances of joins")
        assert [set(j[:2]) for j in joins] == [set(map(int, w[:2])) for w in wanted], f"{n} points: other joins"
        order, groups = soft_labels.leaves(joins, n), {k: [k] for k in range(n)}
        assert sorted(order) == list(range(n))
        for step, (a, b, _) in enumerate(joins):
            groups[n + step] = groups[a] + groups[b]
            places = sorted(order.index(k) for k in groups[n + step])
            assert places == list(range(places[0], places[-1] + 1)), "lines of the dendrogram cross"
    assert soft_labels.cluster(np.zeros((1, 1))) == [] and soft_labels.leaves([], 1) == [0]


def test_files():
    """Pictures in each format, by each script; what cannot be is said in one line."""
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    for kind, name, words in (("png", "soft_labels.py", ["a"]), ("svg", "soft_labels.py", ["a/labels", "--draw", "similarity", "--temperature", "2"]),
                              ("pdf", "soft_labels.py", ["a", "--draw", "dendrogram"]), ("svg", "compare.py", ["a"]),
                              ("pdf", "compare.py", ["a", "--draw", "curves", "--column", "learning_rate"]), ("png", "scaling.py", ["a"]),
                              ("svg", "scaling.py", ["a", "--draw", "efficiency", "--role", "teacher"])):
        script(name, *words, "-o", f"picture.{kind}", says=f"picture.{kind}: ")
        assert open(f"picture.{kind}", "rb").read(5).startswith(begins[kind]), f"{name}: this is no {kind}"
        os.remove(f"picture.{kind}")
    for name in "report.py", "soft_labels.py", "compare.py", "scaling.py":
        script(name, "--help", says="usage: " + name)
        script(name, code=2, says="usage: " + name)
    script("soft_labels.py", "a", "-o", "picture.gif", code=1, says="picture.gif: name a file that ends in .png, .svg or .pdf")
    script("soft_labels.py", "a", "-o", "absent/picture.png", code=1, says="absent/picture.png: cannot be written: No such file")
    script("soft_labels.py", "a", "-o", "x.png", "--temperature", "0", code=2, says="--temperature must be above 0")
    script("compare.py", "a", "--draw", "curves", "--column", "speed", "-o", "x.png", code=1, says="no history of a student here has speed; there are")
    run("train", small("b", **GOOD))
    script("soft_labels.py", "b", "-o", "x.png", code=1, says="b: there is no label store; `retort label -job JOB -run_dir b` makes it")
    script("compare.py", "b", "-o", "x.png", code=1, says="none of these runs has an eval.nc")
    script("scaling.py", "b", "-o", "x.png", code=1, says="b: no student-history.nc")
    script("compare.py", "b", "--draw", "curves", "--role", "teacher", "-o", "x.png", says="b ends at")


def test_regression():
    random = np.random.default_rng(3)
    x = random.uniform(-1, 1, (300, 3)).astype("f4")
    np.save("x.npy", x), np.save("y.npy", np.sin(x))
    run("import", "npy", "x.npy", "y.npy", "-o", "r.nc")
    job = options(data_train="r.nc", data_test="r.nc", teacher_hidden=8, teacher_epochs=2, distill_epochs=2, distill_loss="mse", label_shard=100)
    for hidden in 2, 6:
        run("run", job, "-run_dir", f"r{hidden}", "-student_hidden", str(hidden))
    script("soft_labels.py", "r2", "-o", "x.png", code=1, says="r2: a regression's labels have no entropy; take --draw outputs")
    z = np.concatenate([read(f"r2/labels/shard-{s:06d}.nc", "logits") for s in range(3)])
    script("soft_labels.py", "r2", "--draw", "outputs", "-o", "x.png", says=f"output 2 from {z[:, 2].min():.4g} to {z[:, 2].max():.4g}")
    rows = compare.table(["r2", "r6"])
    assert [row["measure"] for row in rows] == ["rmse"] * 3 and rows[0]["runs"] == 2
    best = min(rows, key=lambda row: row["quality"])
    assert best["front"] and best["quality"] == min(float(read(f"{r}/eval.nc", f"{m}_rmse")) for r in ("r2", "r6") for m in ("teacher", "student"))
    script("compare.py", "r2", "r6", "-o", "x.png", says="shared by 2  teacher")


def test_scaling():
    """Throughput and efficiency of runs on 1, 2 and 4 workers, from their histories."""
    for ranks, threads in (1, 1), (2, 1), (2, 2):
        run("run", small(f"n{ranks}x{threads}", **GOOD), ranks=ranks, OMP_NUM_THREADS=threads)
    points = scaling.measure(["n2x2", "n1x1", "n2x1"])
    assert [(p["ranks"], p["threads"], p["workers"]) for p in points] == [(1, 1, 1), (2, 1, 2), (2, 2, 4)], points
    for p in points:
        close(p["throughput"], np.median(read(f"n{p['ranks']}x{p['threads']}/student-history.nc", "samples_per_second")[1:]), "throughput")
        close(p["efficiency"], p["throughput"] / p["workers"] / points[0]["throughput"], "efficiency")
    run("run", small("wide", **GOOD, student_hidden=64))
    jobs = scaling.jobs_of(scaling.measure(["n1x1", "wide", "n2x1"]))
    assert [(label, [p["run"] for p in chosen]) for label, chosen in jobs] == [("student_hidden 16", ["n1x1", "n2x1"]), ("student_hidden 64", ["wide"])], jobs
    script("scaling.py", "n1x1", "wide", "n2x1", "-o", "x.svg", says="n2x1      2        1")
    with netCDF4.Dataset("wide/student-history.nc", "r+") as data:
        data.parallel = "many"
    script("scaling.py", "wide", "-o", "x.svg", code=1, says="does not say on how many ranks and threads")


def test_columns():
    """Histories with more columns than today's: time that is hidden behind other work is not counted twice, and every new column
    is drawn."""
    shutil.copytree("a", "more")
    with netCDF4.Dataset("more/student-history.nc", "r+") as data:
        for name, units, values in (("exposed_communication_seconds", "s", [1.0, 2, 3]), ("gradient_norm", "1", [0.0, 4, 0]), ("empty", "1", [np.nan] * 3)):
            data.createVariable(name, "f8", ("epoch",))[:] = values
            data[name].units, data[name].long_name = units, "a column of tomorrow"
        data["communication_seconds"][:] = 50
    history = Run("more").history["student"]
    parts, beside = training.time_parts(history)
    assert [n for n, _ in parts] == ["compute_seconds", "input_seconds", "exposed_communication_seconds"], parts
    assert [n for n, _ in beside] == ["communication_seconds"], beside
    names = [picture.name for picture in training.curves(Run("more"))]
    assert names == ["accuracy", "teacher-loss", "student-loss", "learning-rate", "gradient-norm"], names
    with netCDF4.Dataset("more/teacher-history.nc", "r+") as data:
        for name in "seconds", "holdout_accuracy", "learning_rate":
            data.renameVariable(name, "former_" + name)
    script("report.py", "more")


def test_large_store():
    """A store of 480 MB is read within a fraction of that."""
    os.makedirs("large")
    samples, views, classes = 30000, 10, 100
    for shard in range(4):
        with netCDF4.Dataset(f"large/shard-{shard:06d}.nc", "w") as data:
            for name, size in ("sample", samples), ("view", views), ("class", classes):
                data.createDimension(name, size)
            data.setncatts(dict(retort_version="0.1.0", teacher_hash="t", dataset_hash="d", precision="fp32", augment="x", samples_total=4 * samples,
                                shard_size=samples, views=views, options=""))
            logits = data.createVariable("logits", "f4", ("sample", "view", "class"), zlib=True, complevel=1, chunksizes=(256, views, classes))
            logits[:] = np.broadcast_to((np.arange(classes) == shard).astype("f4"), (samples, views, classes))
    program = f"""
import re, sys
sys.path.insert(0, {SCRIPTS!r})
import soft_labels

def most():  # KiB that this program has held at once
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1))

soft_labels.summarise("a/labels")
before = most()
summary = soft_labels.summarise("large")
print(most() - before, int(summary.top_count[3]), summary.attrs["rows"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    grown, count, rows = map(int, done.stdout.split())
    assert count == samples * views and rows == 4 * samples * views
    assert grown < 120 << 10, f"reading 480 MB of labels took {grown >> 10} MiB"
    print(f"480 MB of labels read with {grown >> 10} MiB")
    shutil.rmtree("large")


main(test_soft_labels, test_cluster, test_files, test_regression, test_scaling, test_columns, test_large_store)
