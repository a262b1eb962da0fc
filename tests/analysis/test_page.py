"""The report: every figure is what eval.nc and the histories hold; it needs nothing but itself; and of what is missing it
says how to make it.

Arguments: the program retort, an empty folder."""
import base64
import glob
import io
import os
import re
import shutil

import matplotlib.image
import netCDF4
import numpy as np
from common import Page, script  # first, as it finds the others
import report as analysis
from pieces.command import Unusable
from support.cli import SLOW, TEST, TRAIN, main, options, read, run, sha, small

GOOD = dict(teacher_epochs=6, teacher_batch=50, distill_epochs=5, distill_batch=50, label_views=2, augment_shift=1, distill_temperature=3)
ALIKE = "How alike the layers are"
PARTS = ["Training", "Where the time went", "What they confuse", "How far their confidence can be trusted", "The teacher's soft labels",
         "Where they disagree most", "To make it again"]


def report(*runs, test_set=None):
    """The page of a run, made as the script makes it."""
    page = Page(analysis.write(runs[0], runs[1:], test_set))
    check_alone(page, os.path.join(runs[0], "report"))
    return page


def refused(says, *runs, test_set=None):
    try:
        analysis.write(runs[0], runs[1:], test_set)
    except Unusable as error:
        assert says in str(error) and "\n" not in str(error), f"does not say '{says}': {error}"
    else:
        raise AssertionError(f"{runs} gives a report, and should not: {says}")


def check_alone(page, folder):
    """The page needs no other file, no network and no script; pictures have words, and stand beside it."""
    assert not page.tags & {"script", "iframe", "object", "embed"}, page.tags
    outside = [link for link in page.links if not link.startswith(("#", "data:"))]
    assert not outside, f"links to the outside: {outside}"
    assert not re.findall(r"url\((?!#)|@import", page.source), "the style needs other files"
    twice = {i for i in page.ids if page.ids.count(i) > 1}
    assert not twice, f"ids that stand twice: {twice}"
    broken = [link for link in page.links if link.startswith("#") and link[1:] not in page.ids]
    assert not broken, f"links to nothing: {broken}"
    for picture in page.pictures:
        assert picture["role"] == "img" and len(picture["aria-label"]) > 20, picture
    assert all(len(image["alt"]) > 10 for image in page.images), "an image without words"
    files = sorted(name for name in os.listdir(folder) if name.endswith(".svg"))
    assert len(files) >= len(page.pictures), f"{len(files)} files for {len(page.pictures)} pictures"
    assert "nan" not in re.sub(r"[a-z-]*nan[a-z]+|base64,[^\"]*", "", page.source.lower()), "NaN stands in the page"


def number(text):
    """The number that people read in a figure's text."""
    scale = {"%": 0.01, "kB": 1e3, "MB": 1e6, "B": 1, "s": 1}
    parts = re.findall(r"([-+]?[\d.]+(?:e[-+]?\d+)?)\s*([%a-zA-Z]*)", text.replace("\u202f", ""))
    units = {"h": 3600, "min": 60, **scale}
    return sum(float(value) * units.get(unit, 1) for value, unit in parts)


def wanted_figures(folder):
    """All figures of a run's summary, straight from its files."""
    wanted = {}
    if os.path.exists(f"{folder}/eval.nc"):
        with netCDF4.Dataset(f"{folder}/eval.nc") as data:
            wanted = {name: float(v[...]) for name, v in data.variables.items() if v.ndim == 0}
    if "student_parameters" in wanted and "teacher_parameters" in wanted:
        wanted["times_smaller"] = wanted["teacher_parameters"] / wanted["student_parameters"]
    if "student_accuracy" in wanted and "teacher_accuracy" in wanted:
        wanted["accuracy_kept"] = wanted["student_accuracy"] / wanted["teacher_accuracy"]
    for role in "teacher", "student":
        if not os.path.exists(f"{folder}/{role}-history.nc"):
            continue
        column = {name: read(f"{folder}/{role}-history.nc", name) for name in ("seconds", "samples_per_second", "holdout_accuracy", "train_loss")}
        wanted |= {f"{role}_epochs": len(column["seconds"]), f"{role}_seconds": column["seconds"].sum(), f"{role}_last_train_loss": column["train_loss"][-1],
                   f"{role}_throughput": np.median(column["samples_per_second"])}
        if np.isfinite(column["holdout_accuracy"]).any():
            wanted[f"{role}_best_holdout_accuracy"] = column["holdout_accuracy"].max()
    for path in glob.glob(f"{folder}/labels/shard-000000.nc"):
        with netCDF4.Dataset(path) as data:
            if "features" in data.variables:
                wanted |= {"features_components": data.dimensions["component"].size, "features_kept_variance": float(data.features_kept_variance),
                           "features_bytes": data["features"][0].nbytes, "features_logit_bytes": data["logits"][0].nbytes}
    return wanted


def check_figures(page, folder):
    found, wanted = {k: v for k, v in page.figures.items() if not k.startswith(("model-", "cka-"))}, wanted_figures(folder)
    assert sorted(found) == sorted(wanted), f"{folder}: {sorted(set(found) ^ set(wanted))}"
    for name, value in wanted.items():
        assert np.isclose(found[name][0], value, rtol=1e-14, atol=0), f"{folder}: {name} is {found[name][0]}, not {value}"
        shown = number(found[name][1])
        assert abs(shown - value) <= 0.006 * abs(value) + 6e-5, f"{folder}: {name} reads '{found[name][1]}', but is {value}"
    return wanted


def test_whole():
    run("run", small("whole", **GOOD), ranks=2)
    page = report("whole")
    assert page.headings == ["whole", *PARTS], page.headings
    assert page.missing == [] and "principal components" not in page.source, page.missing
    wanted = check_figures(page, "whole")
    assert {"teacher_ece", "student_ece", "agreement", "student_bytes", "kl_divergence"} <= set(wanted), wanted
    names = {os.path.basename(name)[:-4] for name in glob.glob("whole/report/*.svg")}
    assert names == {"accuracy", "teacher-loss", "student-loss", "learning-rate", "teacher-time", "student-time", "throughput", "teacher-confusion",
                     "student-confusion", "confusion-difference", "reliability", "confidence", "soft-label-entropy", "class-similarity",
                     "class-dendrogram"}, names
    for role in "teacher", "student":
        assert sha(f"whole/{role}.onnx") in page.source, f"the hash of {role}.onnx is not in the page"
    assert "2 ranks of 1 thread<" in page.source and "retort run -run_dir whole" in page.source
    assert "<dt>distill_temperature</dt><dd>3</dd>" in page.source and "<dt>label_shard</dt><dd>300</dd>" in page.source
    assert script("report.py", "whole").stdout == "whole/report/index.html\n"
    assert Page("whole/report/index.html").source == page.source, "the same run gives another page"


def test_disagreement():
    """The images are those samples of the test set whose divergence is largest, in order."""
    page = report("whole")
    gap, label, inputs = read("whole/eval.nc", "sample_kl"), read("whole/eval.nc", "label"), read(TEST, "input")
    order = np.argsort(-gap, kind="stable")[:24]
    assert [int(re.match(r"test sample (\d+): ", image["alt"]).group(1)) for image in page.images] == list(order)
    for image, sample in zip(page.images, order):
        content = base64.b64decode(image["src"].split(",", 1)[1])
        assert open(f"whole/report/sample-{sample:06d}.png", "rb").read() == content
        shown = matplotlib.image.imread(io.BytesIO(content))[..., :3]
        values = inputs[sample].astype("f8")
        values = (values - values.min()) / np.ptp(values)
        assert np.abs(shown - values[..., None]).max() < 0.01, f"sample {sample} looks different"
        said = {role: (int(read("whole/eval.nc", f"{role}_prediction")[sample]), 100 * float(read("whole/eval.nc", f"{role}_confidence")[sample]))
                for role in ("teacher", "student")}
        for role, (k, sure) in said.items():
            assert f"{role} {k} ({sure:.0f} %)" in image["alt"], image["alt"]
        assert f"label {label[sample]}" in image["alt"] and f"KL {gap[sample]:.3g}" in image["alt"], image["alt"]
    os.rename("whole", "elsewhere")
    os.makedirs("far/away")
    shutil.move("elsewhere", "far/away/whole")
    page = report("far/away/whole")
    assert len(page.images) == 24, "an absolute path to the test set is not found from elsewhere"
    shutil.move("far/away/whole", "whole")
    shutil.copytree("whole", "lost")
    for name in glob.glob("lost/*-history.nc"):
        with netCDF4.Dataset(name, "r+") as data:
            data.test_set = "nowhere/test.nc"
    page = report("lost")
    assert not page.images and "the test set nowhere/test.nc is not there" in page.source
    os.makedirs("nowhere")
    shutil.copy(TEST, "nowhere/test.nc")
    assert len(report("lost").images) == 24, "a path is not found from the folders around the run"
    shutil.rmtree("nowhere")
    assert len(Page(script("report.py", "lost", "--test", TEST).stdout.strip()).images) == 24
    script("report.py", "lost", "--test", "nothing.nc", code=1, says="nothing.nc: there is no such test set")
    refused("this is not the test set that eval.nc was made on", "lost", test_set="whole/eval.nc")


def written(folder):
    """The words of the picture of layers, in the order in which they stand there."""
    with open(f"{folder}/report/layer-similarity.svg", encoding="utf-8") as file:
        return re.findall(r"<text[^>]*>([^<]*)</text>", file.read())


def check_similarity(page, folder):
    """Numbers in the cells, names and widths beside them, and what is said of each teacher layer."""
    values, words = read(f"{folder}/cka.nc", "cka"), written(folder)
    assert [w for w in words if re.fullmatch(r"\d\.\d\d|–", w)] == [f"{v:.2f}" if np.isfinite(v) else "–" for v in values.flatten()], words
    assert {"0.0", "1.0"} <= set(words), f"the scale is not from 0 to 1: {words}"
    names = {}
    with netCDF4.Dataset(f"{folder}/cka.nc") as data:
        for role in "teacher", "student":
            names[role] = data[f"{role}_layer"].names.split()
            beside = list(zip(names[role], map(str, data[f"{role}_width"][...])))
            assert any([tuple(words[i + 2 * k : i + 2 * k + 2]) for k in range(len(beside))] == beside for i in range(len(words))), f"{beside}: {words}"
    alt = next(picture["aria-label"] for picture in page.pictures if "layers of the teacher" in picture["aria-label"])
    known = [t for t in range(len(values)) if np.isfinite(values[t]).any()]
    assert sorted(name for name in page.figures if name.startswith("cka-")) == [f"cka-{t + 1}" for t in known]
    for t in known:
        u = int(np.nanargmax(values[t]))
        assert page.figures[f"cka-{t + 1}"] == (values[t, u], f"{values[t, u]:.3f}"), page.figures
        assert f"{names['student'][u]} for {names['teacher'][t]} ({values[t, u]:.2f})" in alt, alt
        said = rf"<code>{names['student'][u]}</code> \(<data id=\"cka-{t + 1}\"[^>]*>[\d.]*</data>\) (is most alike to the teacher's|to) <code>{names['teacher'][t]}<"
        assert re.search(said, page.source), f"does not say {said}"


def test_similarity():
    """Layers of the models that eval.nc knows; of others a line that says how to come to theirs."""
    shutil.copytree("whole", "alike", ignore=shutil.ignore_patterns("report"))
    run("distill", small("alike", **GOOD, student_hidden="12,8", run_force=1)), run("eval", small("alike", **GOOD, eval_cka="true"))
    page = report("alike")
    assert page.headings == ["alike", *PARTS[:4], ALIKE, *PARTS[4:]] and page.missing == [], page.headings
    check_similarity(page, "alike"), check_figures(page, "alike")
    assert "Grey is" not in page.source
    with netCDF4.Dataset("alike/cka.nc", "r+") as data:  # a student layer that never changes, and a teacher layer
        data["cka"][:, 1], data["cka"][0] = np.nan, np.nan
    page = report("alike")
    check_similarity(page, "alike")
    assert "cka-1" not in page.figures and "Grey is a layer that gives the same for all samples." in page.source
    with netCDF4.Dataset("alike/cka.nc", "r+") as data:
        data["teacher_layer"].names = "a name with blanks"
        data["student_layer"].names = "/encoder/1/part/Relu_output_0 /encoder/2/part/Relu_output_0 <b>&x_output_0"
    page = report("alike")
    assert {"layer 1", "layer 2", "1 /encod…/Relu · 12", "2 /encod…/Relu · 8", "&lt;b&gt;&amp;x · 10"} <= set(written("alike")), written("alike")
    assert "<b>&" not in page.source and "&lt;b&gt;&amp;x_output_0 for layer 2" in page.source

    again = "`retort eval -job JOB -run_dir alike -eval_cka true` makes it again."
    run("distill", small("alike", **GOOD, run_force=1)), run("eval", small("alike", **GOOD))
    page = report("alike")
    assert ALIKE not in page.headings and page.missing == [f"cka.nc belongs to other models than eval.nc: {again}"], page.missing
    run("eval", small("alike", **GOOD, eval_cka="true"))
    assert ALIKE in report("alike").headings
    run("eval", small("alike", **{**GOOD, "data_test": TRAIN}))
    page = report("alike")
    assert ALIKE not in page.headings and page.missing == [f"cka.nc belongs to another test set than eval.nc: {again}"], page.missing
    os.remove("alike/eval.nc")
    page = report("alike")
    assert ALIKE not in page.headings and page.missing[1:] == [f"cka.nc is of models that are not known without eval.nc: {again}"], page.missing
    shutil.copy("whole/eval.nc", "alike/cka.nc")
    refused("alike/cka.nc: this is not a similarity of layers", "alike")
    open("alike/cka.nc", "w").close()
    refused("alike/cka.nc is damaged, cut off, or not a NetCDF file; make it again with `retort eval -job JOB -run_dir alike -eval_cka true`", "alike")


def test_features():
    shutil.copytree("whole", "kept", ignore=shutil.ignore_patterns("report", "labels"))
    run("label", small("kept", **GOOD, label_features=1, label_components=3))
    page = report("kept")
    wanted = check_figures(page, "kept")
    assert wanted["features_components"] == 3 and wanted["features_bytes"] == 3 * 2 * 4 and 0 < wanted["features_kept_variance"] < 1
    with netCDF4.Dataset("kept/labels/shard-000000.nc") as data:
        assert f"the teacher's layer <code>{data.features_layer}</code>" in page.source


def test_missing():
    """Runs that are not whole: the page shows what is there, and says in a line each what is missing and how to make it."""
    job = small("untested", **GOOD)
    del job[job.index("-data_test") : job.index("-data_test") + 2]
    run("run", job, says="results    untested/student-history.nc\nreport     python3 analysis/report.py untested\n")
    page = report("untested")
    assert len(page.missing) == 1 and "No eval.nc: `retort eval" in page.missing[0], page.missing
    assert page.headings == ["untested", *PARTS[:2], PARTS[4], PARTS[6]], page.headings
    check_figures(page, "untested")

    with open("job.yaml", "w") as file:
        file.write("run: {dir: stopped}\n")
    while not os.path.exists("stopped/teacher-history.nc"):
        run("run", "-job", "job.yaml", small("stopped", **{**GOOD, "teacher_epochs": 4000}, stop_after=0.4 * SLOW), code=75)
    page = report("stopped")
    epochs = len(read("stopped/teacher-history.nc", "epoch"))
    assert page.missing == [f"The teacher is not finished: {epochs} of 4000 epochs are done; `retort run -job job.yaml -run_dir stopped` goes on.",
                            "No student-history.nc: `retort distill -job job.yaml -run_dir stopped` writes it.",
                            "No label store: `retort label -job job.yaml -run_dir stopped` makes it; without it there are no pictures of soft labels.",
                            "No eval.nc: `retort eval -job job.yaml -run_dir stopped` writes it, where the job names a test set (-data_test)."], page.missing
    assert page.headings == ["stopped", "Training", "Where the time went", "To make it again"], page.headings
    check_figures(page, "stopped")

    run("train", small("began", **{**GOOD, "teacher_epochs": 4000}, stop_after=1e-6), code=75)
    if not os.path.exists("began/teacher-history.nc"):
        page = report("began")
        assert page.headings == ["began"] and page.figures == {} and len(page.missing) == 4, page.missing

    shutil.copytree("whole", "partly")
    os.remove("partly/labels/shard-000002.nc"), os.remove("partly/teacher-history.nc")
    page = report("partly")
    assert [line.split(":")[0] for line in page.missing] == ["No teacher-history.nc", "1 of 4 shards of the label store are missing"], page.missing
    assert "a teacher of your own has none" in page.missing[0]
    check_figures(page, "partly")
    shutil.rmtree("partly/labels")
    run("distill", small("partly", **{**GOOD, "distill_epochs": 2, "distill_alpha": 0}, run_force="true"))
    assert "eval.nc is older than student.onnx: `retort eval -job JOB -run_dir partly` measures again." in report("partly").missing

    run("run", small("hard", **GOOD, distill_alpha=0))
    page = report("hard")
    assert page.missing == [] and "teacher_accuracy" not in page.figures, page.missing
    check_figures(page, "hard")
    run("train", small("alone", **GOOD)), run("eval", small("alone", **GOOD))
    page = report("alone")
    assert [line.split(":")[0] for line in page.missing] == ["No student-history.nc", "No label store", "eval.nc does not know the student"], page.missing
    check_figures(page, "alone")


def test_regression():
    random = np.random.default_rng(3)
    for name, rows in ("train", 400), ("test", 120):
        x = random.uniform(-1, 1, (rows, 3)).astype("f4")
        np.save(name + "-x.npy", x), np.save(name + "-y.npy", np.stack([x[:, 0] * x[:, 1], np.sin(2 * x[:, 2])], 1).astype("f4"))
        run("import", "npy", f"{name}-x.npy", f"{name}-y.npy", "-o", f"{name}.nc")
    job = options(run_dir="regression", data_train="train.nc", data_test="test.nc", data_holdout=50, teacher_hidden=16, teacher_epochs=4,
                  teacher_rate=0.03, student_hidden=8, distill_epochs=4, distill_rate=0.03, distill_loss="mse", label_shard=100)
    run("run", job)
    page = report("regression")
    assert page.missing == [], page.missing
    assert page.headings == ["regression", *PARTS[:2], "How large the errors are", *PARTS[4:]], page.headings
    wanted = check_figures(page, "regression")
    assert {"teacher_rmse", "student_rmse", "difference"} <= set(wanted)
    assert not page.images, "three numbers are drawn as an image"
    gap = read("regression/eval.nc", "sample_difference")
    first = int(np.argmax(gap))
    assert f'<th scope="row">{first}</th>' in page.source and f"<td>{gap[first]:.3g}</td>" in page.source
    names = {os.path.basename(name)[:-4] for name in glob.glob("regression/report/*.svg")}
    assert names == {"teacher-loss", "student-loss", "learning-rate", "teacher-time", "student-time", "throughput", "errors", "soft-labels"}, names
    os.remove("regression/eval.nc")
    page = report("regression")
    assert "entropy" not in page.source.lower(), "a regression's labels have no entropy"
    run("eval", job)
    refused("some of these runs are regressions and some are not", "whole", "regression")


def test_names():
    """Classes with names that HTML and TeX would take for their own; more classes than a matrix has room for numbers; no labels."""
    random, names = np.random.default_rng(4), ['<b>&"x"', "$y_1$", "猫", "a very long name of a class"]
    with open("named.csv", "w") as file:
        file.write("a,b,kind\n" + "".join(f'{a:.4f},{b:.4f},"{names[i % 4].replace(chr(34), chr(34) * 2)}"\n' for i, (a, b) in enumerate(random.normal(0, 1, (200, 2)))))
    run("import", "csv", "named.csv", "-label", "kind", "-o", "named.nc")
    job = options(data_train="named.nc", data_test="named.nc", teacher_hidden=8, teacher_epochs=2, student_hidden=4, distill_epochs=2, label_shard=80)
    run("run", job, "-run_dir", "named")
    page = report("named")
    check_figures(page, "named")
    assert "&lt;b&gt;&amp;" in page.source and "<b>&" not in page.source and "$y_1$" in page.source and "猫" in page.source
    np.save("many-x.npy", random.normal(0, 1, (600, 5)).astype("f4")), np.save("many-y.npy", np.arange(600) % 70)
    run("import", "npy", "many-x.npy", "many-y.npy", "-o", "many.nc")
    run("import", "npy", "many-x.npy", "-o", "bare.nc")
    many = [word.replace("named.nc", "many.nc") for word in job]
    run("run", many, "-run_dir", "many")
    check_figures(report("many"), "many")
    run("eval", many, "-run_dir", "many", "-data_test", "bare.nc")
    page = report("many")
    assert "teacher_accuracy" not in page.figures and "agreement" in page.figures, page.figures
    check_figures(page, "many")


def test_several():
    """Beside other runs: the table is what their eval.nc hold, and nothing on the front is beaten."""
    for hidden in 4, 32:
        shutil.copytree("whole", f"students/h{hidden}", ignore=shutil.ignore_patterns("student*", "eval.nc", "report"))
        run("run", small(f"students/h{hidden}", **GOOD, student_hidden=hidden))
    runs = ["whole", "students/h4", "students/h32"]
    page = report(*runs)
    check_figures(page, "whole")
    assert page.headings[1] == "Beside other runs" and os.path.exists("whole/report/pareto.svg")
    rows = [("whole", "teacher")] + [(folder, "student") for folder in runs]
    points = []
    for i, (folder, role) in enumerate(rows):
        for key, name in ("parameters", f"{role}_parameters"), ("quality", f"{role}_accuracy"), ("ece", f"{role}_ece"), ("bytes", f"{role}_bytes"):
            value = float(read(f"{folder}/eval.nc", name))
            assert page.figures[f"model-{i}-{key}"][0] == value, f"{folder}: {key} of the {role}"
        points.append((page.figures[f"model-{i}-parameters"][0], page.figures[f"model-{i}-quality"][0]))
    lines = re.findall(r'<tr><th scope="row">([^<]*)</th><td>(teacher|student)</td>.*?<td>(yes|)</td></tr>', page.source)
    assert [line[:2] for line in lines] == [("shared by 3", "teacher"), ("whole", "student"), ("h4", "student"), ("h32", "student")], lines
    for (size, good), (*_, front) in zip(points, lines):
        beaten = any(p <= size and q >= good and (p, q) != (size, good) for p, q in points)
        assert (front == "yes") == (not beaten), f"{size}, {good} is wrongly marked: {lines}"
    assert "tested on different data" not in page.source
    run("eval", small("students/h4", **{**GOOD, "data_test": TRAIN}))
    assert "tested on different data" in report(*runs).source


def test_bad():
    """What cannot be read is named in one line."""
    def bad(folder, says):
        refused(says, folder)

    script("report.py", "absent", code=1, says="absent: there is no such run directory")
    bad("job.yaml", "job.yaml: this is a file")
    os.makedirs("empty")
    bad("empty", "empty: a folder without results of Retort")
    for name, verb in ("eval.nc", "eval"), ("student-history.nc", "distill"), ("labels/shard-000001.nc", "label"):
        shutil.copytree("whole", "broken", ignore=shutil.ignore_patterns("report"))
        whole = open(f"broken/{name}", "rb").read()
        for content in whole[: len(whole) // 2], b"", b"nonsense":
            open(f"broken/{name}", "wb").write(content)
            bad("broken", f"broken/{name} is damaged, cut off, or not a NetCDF file; make it again with `retort {verb}")
        shutil.rmtree("broken")
    shutil.copytree("whole", "flipped", ignore=shutil.ignore_patterns("report"))
    path = "flipped/labels/shard-000001.nc"
    content = bytearray(open(path, "rb").read())
    content[content.index(read(path, "logits")[20:24, 0].tobytes())] ^= 1
    open(path, "wb").write(content)
    script("report.py", "flipped", code=1, says="flipped/labels/shard-000001.nc is damaged; remove it and run `retort label`")
    shutil.copytree("whole", "foreign", ignore=shutil.ignore_patterns("report", "labels"))
    with netCDF4.Dataset("foreign/eval.nc", "w") as data:
        data.createDimension("time", 3)
    bad("foreign", "foreign/eval.nc was not made by Retort")
    shutil.copy("whole/eval.nc", "foreign/eval.nc"), shutil.copy("whole/eval.nc", "foreign/student-history.nc")
    bad("foreign", "foreign/student-history.nc: this is not a history of epochs")
    shutil.copytree("whole", "mixed", ignore=shutil.ignore_patterns("report"))
    with netCDF4.Dataset("mixed/labels/shard-000003.nc", "r+") as data:
        data.teacher_hash = "0" * 64
    bad("mixed", "mixed/labels/shard-000003.nc: its teacher_hash is not that of the other shards")
    shutil.copytree("whole", "blocked", ignore=shutil.ignore_patterns("report"))
    open("blocked/report", "w").close()
    bad("blocked", "blocked/report: cannot be written: File exists")


main(test_whole, test_disagreement, test_similarity, test_features, test_missing, test_regression, test_names, test_several, test_bad)
