"""`retort import` beside NumPy, netCDF4 and xarray: what it writes is what they read, what they write it reads.

Arguments: the program retort, an empty folder."""
import csv
import gzip
import hashlib
import os
import re
import subprocess
import sys
import time

import netCDF4
import numpy as np
import xarray as xr

RETORT = os.path.abspath(sys.argv[1])
MPIRUN = os.environ.get("RETORT_MPIRUN", "mpirun --oversubscribe").split()
TEST_DATASET = os.path.join(os.environ.get("RETORT_BUILD", "build"), "tests", "unit", "test_dataset")
random = np.random.default_rng(1)


def run(*words, code=0, says=None, ranks=0):
    """Run retort import; compare exit code and message, which must be one line."""
    launch = MPIRUN + ["-n", str(ranks)] if ranks else []
    done = subprocess.run(launch + [RETORT, "import"] + list(words), capture_output=True, text=True)
    assert done.returncode == code, (words, done)
    if code and not ranks:
        lines = [line for line in done.stderr.strip().split("\n") if not line.startswith("retort: note: ")]
        assert len(lines) == 1 and not lines[0].endswith("."), (words, done.stderr)
        assert not done.stdout, done.stdout
    if says:
        assert re.search(says, done.stderr if code else done.stdout), (words, says, done)
    return done


def idx(name, array, pack=open):
    code = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}[str(array.dtype)]
    with pack(name, "wb") as file:
        file.write(bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes())
        file.write(array.astype(array.dtype.newbyteorder(">")).tobytes())


def content_hash(data):
    """The content hash by its definition, from what netCDF4 reads."""
    data.set_auto_maskandscale(False)
    source, classes, targets = data["input"], 0, 0
    parts = {"input": source[:].tobytes(), "label": None, "target": None}
    if "label" in data.variables:
        classes, parts["label"] = int(data["label"].classes), data["label"][:].astype("<i4").tobytes()
    if "target" in data.variables:
        target = data["target"]
        targets, parts["target"] = 1 if target.ndim == 1 else target.shape[1], target[:].astype("<f4").tobytes()
    scale = float(getattr(source, "scale_factor", 1))
    lines = ["dataset 1", f"samples {source.shape[0]}"]
    lines += [f"dimension {n} {d}" for n, d in zip(source.shape[1:], source.dimensions[1:])]
    short = re.sub(r"\.?0*p", "p", scale.hex())
    lines += [f"type {'uint8' if source.dtype == 'u1' else 'float'} {short} 0x0p+0", f"outputs {classes} {targets}"]
    if classes and hasattr(data["label"], "flag_meanings"):
        names = getattr(data["label"], "class_names", data["label"].flag_meanings.replace(" ", "\n")).split("\n")
        lines += [f"class {name}" for name in names]
    lines += [f"{k} {hashlib.sha256(v).hexdigest() if v is not None else ''}" for k, v in parts.items()]
    return hashlib.sha256(("\n".join(lines) + "\n").encode()).hexdigest()


def check(name, values, labels=None, targets=None):
    """Compare a dataset with arrays; every variable must say its units and name."""
    with xr.open_dataset(name) as data:
        assert data.attrs["Conventions"] == "CF-1.10" and data.attrs["retort_version"] and data.attrs["title"]
        assert all(v.attrs["units"] and v.attrs["long_name"] for v in data.variables.values()), data
        assert data.input.dims[0] == "sample" and data.input.shape == values.shape, data
        assert np.allclose(data.input.values, values, rtol=1e-7, atol=0), name
        assert ("label" in data) == (labels is not None) and ("target" in data) == (targets is not None), data
        if labels is not None:
            assert data.label.dtype == "int32" and (data.label.values == labels).all(), data.label
        if targets is not None:
            assert data.target.dtype == "float32" and (data.target.values == targets.astype("f4")).all(), data.target
    with netCDF4.Dataset(name) as data:
        assert data.content_hash == content_hash(data), name


def test_idx():
    images = random.integers(0, 256, (300, 9, 7), "uint8")
    labels = random.integers(0, 10, 300, "uint8")
    labels[7] = 9
    idx("images", images), idx("labels", labels)
    idx("images.gz", images, gzip.open), idx("labels.gz", labels, gzip.open)
    run("idx", "images", "labels", "-o", "a.nc", says=r"^a\.nc: 300 samples of 9 x 7 \(uint8\), 10 classes, \d\.\d MB$")
    check("a.nc", images / np.float32(255), labels)
    with xr.open_dataset("a.nc") as data:
        assert data.input.dims == ("sample", "y", "x"), data.input.dims
    first = open("a.nc", "rb").read()
    time.sleep(1.1)
    run("idx", "images", "labels", "-o", "a.nc", ranks=3)
    assert open("a.nc", "rb").read() == first, "the same import gave other bytes"
    run("idx", "images.gz", "labels.gz", "-o", "b.nc")
    with netCDF4.Dataset("a.nc") as a, netCDF4.Dataset("b.nc") as b:
        assert a.content_hash == b.content_hash
        assert a.source.startswith("images sha256:" + hashlib.sha256(open("images", "rb").read()).hexdigest()), a.source
    for kind in "int8", "int16", "int32", "float32", "float64":
        array = random.normal(0, 30, (5, 3, 4, 2)).astype(kind)
        idx("images", array), idx("labels", np.arange(5, dtype="int32"))
        run("idx", "images", "labels", "-o", "a.nc", says="5 samples of 3 x 4 x 2 .float., 5 classes")
        check("a.nc", array.astype("float32"), np.arange(5))


def test_npy():
    for kind in "u1 b1 i1 <u2 >i2 <i4 <u4 <i8 >u8 <f2 >f4 <f8".split():
        array = (random.normal(0, 40, (41, 6)) if "u" not in kind else random.integers(0, 99, (41, 6))).astype(kind)
        label = random.integers(0, 2, 41).astype("i8" if kind == "u1" or "f" in kind else kind)
        np.save("x.npy", array), np.save("y.npy", label)
        run("npy", "x.npy", "y.npy", "-o", "a.nc", says="41 samples of 6 .(uint8|float)., 2 classes")
        check("a.nc", array.astype("float32") / np.float32(255 if kind == "u1" else 1), label.astype(int))
    for version in (1, 0), (2, 0), (3, 0):
        with open("x.npy", "wb") as file:
            np.lib.format.write_array(file, array, version)
        run("npy", "x.npy", "-o", "a.nc", says="no labels")
        check("a.nc", array.astype("float32"))
    target = random.normal(0, 1, (41, 3))
    np.save("y.npy", target)
    run("npy", "x.npy", "y.npy", "-o", "a.nc", says="3 targets")
    check("a.nc", array.astype("float32"), targets=target)
    np.save("y.npy", target[:, 0])
    run("npy", "x.npy", "y.npy", "-o", "a.nc", says="1 target,")
    check("a.nc", array.astype("float32"), targets=target[:, 0])
    x, y = random.normal(0, 1, (20, 2, 5, 5)).astype("f4"), np.arange(20) % 4
    for name, arrays in ("xy", {"y": y, "x": x}), ("XY", {"X": x, "Y": y}), ("Xy", {"y": y, "X": x, "a": x}), (
            "two", {"first": x, "second": y}):
        for save in np.savez, np.savez_compressed:
            save(name + ".npz", **arrays)
            done = run("npy", name + ".npz", "-o", "a.nc")
            assert "is the input" in done.stderr, done
            check("a.nc", x, y)
    np.savez("one.npz", x=x)
    run("npy", "one.npz", "-o", "a.nc", says="no labels")
    np.savez("plain.npz", x=x, y=y)
    whole = open("plain.npz", "rb").read()
    for cut in 10, 100, len(whole) // 2, len(whole) - 1:
        open("cut.npz", "wb").write(whole[:cut])
        run("npy", "cut.npz", "-o", "bad.nc", code=1)
    at = whole.index(x.tobytes()[:64])
    open("cut.npz", "wb").write(whole[:at + 5] + bytes([whole[at + 5] ^ 1]) + whole[at + 6:])
    run("npy", "cut.npz", "-o", "bad.nc", code=1, says="damaged")
    np.save("f.npy", np.asfortranarray(random.normal(0, 1, (6, 4))))
    run("npy", "f.npy", "-o", "bad.nc", code=1, says="Fortran order.*ascontiguousarray")
    np.save("f.npy", np.array([[1, np.nan], [1, 1]]))
    run("npy", "f.npy", "-o", "bad.nc", code=1, says="sample 0 is not finite")
    np.save("f.npy", np.array([{}, 1]), allow_pickle=True)
    run("npy", "f.npy", "-o", "bad.nc", code=1, says="not supported")


def test_csv():
    names = ["plain", "with, comma", 'with "quote"', "Grüße"]
    rows = [[float(np.float32(v)) for v in random.normal(0, 1000, 3)] + [names[random.integers(4)]] for _ in range(500)]
    rows[0][3], rows[1][3], rows[2][3], rows[3][3] = names
    with open("t.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["a", "b, c", "d", "kind"]] + rows)
    run("csv", "t.csv", "-label", "kind", "-o", "a.nc", says="500 samples of 3 .float., 4 classes")
    order = sorted(names, key=lambda name: name.encode())
    values = np.array([row[:3] for row in rows], "float32")
    check("a.nc", values, np.array([order.index(row[3]) for row in rows]))
    with xr.open_dataset("a.nc") as data:
        assert data.label.attrs["class_names"].split("\n") == order, data.label.attrs
        assert len(data.label.attrs["flag_meanings"].split()) == 4 and list(data.label.attrs["flag_values"]) == [0, 1, 2, 3]
    with gzip.open("t.csv.gz", "wb") as file:
        file.write(open("t.csv", "rb").read())
    run("csv", "t.csv.gz", "-label", "kind", "-features", "d,a", "-o", "a.nc", says="500 samples of 2 ")
    check("a.nc", values[:, [2, 0]], np.array([order.index(row[3]) for row in rows]))
    run("csv", "t.csv", "-target", "d", "-features", "a", "-o", "a.nc", says="1 target,")
    check("a.nc", values[:, :1], targets=values[:, 2])
    run("csv", "t.csv", "-target", "d,a", "-o", "bad.nc", code=1, says="t.csv:2: column 'kind': '.*' is not a number")
    open("t.csv", "w").write("age,k\n1,a\n" + "2,b\n" * 14 + "abc,b\n")
    run("csv", "t.csv", "-label", "k", "-o", "bad.nc", code=1, says="^retort: t.csv:17: column 'age': 'abc' is not a number$")
    open("t.csv", "w").write('age,k\n1,"a\n\nb"\n')
    run("csv", "t.csv", "-label", "k", "-o", "bad.nc", code=1, says="t.csv:2: column 'k': a label must stand on one line")
    open("t.csv", "w").write("age,k\n1,a\n\n2\n")
    run("csv", "t.csv", "-label", "k", "-o", "bad.nc", code=1, says="t.csv:4: 1 values, but the header has 2 columns")
    run("csv", "t.csv", "-label", "z", "-o", "bad.nc", code=1, says="no column 'z'; its first line names: age, k")
    open("t.csv", "w").write("age,k\n,a\n")
    run("csv", "t.csv", "-label", "k", "-o", "bad.nc", code=1, says="t.csv:2: column 'age' has no value; fill or drop")


def test_usage():
    for words in ([], ["-o", "bad.nc"], ["jpeg", "a", "-o", "bad.nc"], ["idx", "a", "-o", "bad.nc"], ["idx", "a", "b"],
                  ["idx", "a", "b", "c", "-o", "bad.nc"], ["npy", "-o", "bad.nc"], ["csv", "a", "-o", "bad.nc"],
                  ["csv", "a", "-label", "k", "-target", "k", "-o", "bad.nc"], ["npy", "a", "-label", "k", "-o", "bad.nc"],
                  ["idx", "a", "b", "-o"], ["idx", "a", "b", "-out", "bad.nc"], ["idx", "a", "b", "-o", "c", "-o", "d"]):
        run(*words, code=2)
    run("idx", "absent", "labels", "-o", "bad.nc", code=1, says="absent: cannot be read: No such file")
    run("idx", "absent", "labels", "-o", "bad.nc", code=1, ranks=3)
    open("t.csv", "w").write("a,k\n1,2\n")
    run("csv", "t.csv", "-label", "k", "-o", "./t.csv", code=1, says="would be overwritten")
    run("csv", "t.csv", "-label", "k", "-o", "no/such/folder.nc", code=1)
    run("csv", "t.csv", "-label", "k", "-o", ".", code=1, says="folder")


def test_foreign():
    """Datasets made by hand with xarray, for test_dataset to read."""
    sample, element = np.arange(53), np.arange(6)
    values = sample[:, None] - element[None, :] / 8
    os.mkdir("foreign")
    for name, kind, encoding, label in (("float32", "float32", {}, "int64"), ("float64", "float64", {"zlib": True}, "uint8"),
                                        ("packed", "float64", {"dtype": "int16", "scale_factor": 0.125, "add_offset": 1.0,
                                                              "_FillValue": -9999},
                                         "int16")):
        data = xr.Dataset({"input": (("case", "band"), values.astype(kind)), "label": ("case", (sample % 3).astype(label))},
                          coords={"case": sample + 1000})
        data.to_netcdf(f"foreign/{name}.nc", encoding={"input": encoding}, engine="netcdf4")
        if name == "float32":
            data = data.assign(label=data.label.astype("int32")).drop_vars("case")
            data.to_netcdf("foreign/netcdf3.nc", engine="netcdf4", format="NETCDF3_CLASSIC")
    data = data.drop_vars("label").assign(target=("case", sample * 1.0))
    data.to_netcdf("foreign/target.nc", engine="netcdf4", unlimited_dims=["case"])
    subprocess.run([TEST_DATASET, "foreign"], check=True)
    subprocess.run(MPIRUN + ["-n", "3", TEST_DATASET], check=True)


os.chdir(sys.argv[2])
for test in test_idx, test_npy, test_csv, test_usage, test_foreign:
    test()
left = [name for name in os.listdir(".") if "tmp-" in name or name == "bad.nc"]
assert not left, left
print("import: ok")
