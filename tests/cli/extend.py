"""Losses and operators of users (-extend): libraries that are built outside the tree, against the installed Retort.

Arguments: the program retort, an empty folder."""
import os
import re
import shutil
import subprocess

import netCDF4
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from support import cli
from support.cli import RANKS, SOURCE, main, metadata, options, outputs, read, run, same, sha

FEATURES, HIDDEN, CLASSES, SAMPLES, RATE, BETA = 6, 8, 4, 96, 0.5, 1.5
EXAMPLES = os.path.join(SOURCE, "tests", "install")
subprocess.run(["cmake", "--install", os.environ["RETORT_BUILD"], "--prefix", os.path.abspath("prefix")], check=True, stdout=subprocess.DEVNULL)
cli.RETORT = os.path.abspath("prefix/bin/retort")


def example(name):
    with open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
        return file.read()


def build(library, source, *flags):
    """As retort/extend.h says: the flags of pkg-config, and nothing to link."""
    with open("source.c", "w", encoding="utf-8") as file:
        file.write(source)
    for folder, _, names in os.walk("prefix"):
        if "retort.pc" in names:
            os.environ["PKG_CONFIG_PATH"] = os.path.abspath(folder)
    found = subprocess.run(["pkg-config", "--cflags", "retort"], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Werror", "-shared", "-fPIC", *flags, *found, "source.c", "-o", library], check=True)


def network(path, seed):
    random = np.random.default_rng(seed)
    shape = {"w1": (FEATURES, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, CLASSES), "b2": (CLASSES,)}
    weights = {name: random.standard_normal(size).astype("f4") / 2 for name, size in shape.items()}
    nodes = [helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]), helper.make_node("Swish", ["h"], ["s"], domain="my.ops", beta=BETA),
             helper.make_node("Gemm", ["s", "w2", "b2"], ["y"])]
    graph = helper.make_graph(nodes, "n", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", CLASSES])],
                              [numpy_helper.from_array(value, name) for name, value in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("my.ops", 1)])
    model.ir_version = 8
    onnx.save(model, path)


def weights_of(path):
    return {t.name: numpy_helper.to_array(t).astype("f8") for t in onnx.load(path).graph.initializer}


def logits(w, x):
    h = x @ w["w1"] + w["b1"]
    return h / (1 + np.exp(-BETA * h)) @ w["w2"] + w["b2"]


def objective(w, x, t, power):
    return (np.abs(logits(w, x) - t) ** power).sum(1).mean() / power


def job(run_dir, **values):
    """One step over all samples, so that numpy can follow it."""
    all_of_it = dict(run_dir=run_dir, data_train="data.nc", data_test="data.nc", teacher_model="teacher.onnx", student_model="start.onnx",
                     distill_epochs=1, distill_batch=SAMPLES, distill_momentum=0, distill_nesterov="false", distill_rate=RATE,
                     distill_terms_mine_loss="power", distill_terms_mine_exponent=1.5, extend="./my_loss.so,./my_operator.so")
    all_of_it.update(values)
    return options(**{name: value for name, value in all_of_it.items() if value is not None})


def prepare():
    random = np.random.default_rng(1)
    np.save("x.npy", random.standard_normal((SAMPLES, FEATURES)).astype("f4"))
    np.save("y.npy", random.integers(0, CLASSES, SAMPLES))
    run("import", "npy", "x.npy", "y.npy", "-o", "data.nc")
    network("teacher.onnx", 2)
    network("start.onnx", 3)
    build("my_loss.so", example("my_loss.c"))
    build("my_operator.so", example("my_operator.c"))


def test_student():
    """Value and gradient are numpy's, on any ranks to the bit."""
    x = np.load("x.npy").astype("f8")
    t, start = logits(weights_of("teacher.onnx"), x), weights_of("start.onnx")
    run("label", job("one"))
    far = np.abs(read("one/labels/shard-000000.nc", "logits") - t).max()
    assert far < 1e-5, f"labels are {far} away from numpy's"
    run("distill", job("one"))
    value = objective(start, x, t, 1.5)
    for name in "train_loss", "train_mine_loss":
        assert abs(read("one/student-history.nc", name)[0] - value) < 1e-6 * value, f"{name} is not the loss"
    made = weights_of("one/student.onnx")
    for name in start:
        for index in np.ndindex(start[name].shape):
            slope = 0
            for sign in 1, -1:
                moved = {n: w.copy() for n, w in start.items()}
                moved[name][index] += sign * 1e-5
                slope += sign * objective(moved, x, t, 1.5) / 2e-5
            far = abs(start[name][index] - RATE * slope - made[name][index])
            assert far < 1e-5, f"{name}{index} is {far} away from numpy's step"
    before = outputs("one")
    for ranks in {2, RANKS}:
        run("run", job(f"on{ranks}"), ranks=ranks)
        os.remove(f"on{ranks}/eval.nc")
        same(f"on{ranks}", before, f"on {ranks} ranks")
    domains = {entry.domain for entry in onnx.load("one/student.onnx").opset_import}
    assert domains == {"", "my.ops"}, domains


def test_job_file():
    with open("job.yaml", "w", encoding="utf-8") as file:
        file.write("extend: [./my_loss.so, ./my_operator.so]\ndistill:\n  terms:\n    mine: {loss: power, exponent: 1.5}\n")
    words = job("file", extend=None, distill_terms_mine_loss=None, distill_terms_mine_exponent=None)
    run("run", "-job", "job.yaml", words, ranks=2)
    same("file", {**outputs("on2"), "eval.nc": sha("file/eval.nc")}, "from a job file")
    for words in (["-job", "job.yaml"], ["-extend", "my_loss.so"]):
        said = run("distill", words, "-help").stdout
        assert "-distill_terms_NAME_exponent <number>\n      power: the power (default: 2, 1 to 10)" in said, said
        assert re.search(r"-distill_terms_NAME_loss [^\n]*power", said), said
    run("job", "-job", "job.yaml", "-print", "distill_terms_mine_exponent", says="^1.5$")
    run("info", "-extend", "my_operator.so", "start.onnx", says="92 parameters, 3 nodes")
    run("info", "start.onnx", code=1, says="my.ops.Swish 's'")


def test_cmake():
    """A module that is linked with the shared library as well: there is still one table, that of the program."""
    os.makedirs("module")
    with open("module/CMakeLists.txt", "w", encoding="utf-8") as file:
        file.write("cmake_minimum_required(VERSION 3.25)\nproject(mine LANGUAGES C)\nfind_package(Retort 0.1 REQUIRED)\n"
                   f"add_library(mine MODULE {EXAMPLES}/my_loss.c)\ntarget_link_libraries(mine PRIVATE Retort::retort)\n")
    for words in (["-S", "module", "-B", "built", "-DCMAKE_PREFIX_PATH=" + os.path.abspath("prefix")], ["--build", "built"]):
        subprocess.run(["cmake", *words], check=True, stdout=subprocess.DEVNULL)
    run("label", job("module"))
    twice = os.environ.get("ASAN_OPTIONS", "") + ":detect_odr_violation=0"  # that there are two copies is what is tested
    run("distill", job("module", extend="built/libmine.so,./my_operator.so"), ranks=2, ASAN_OPTIONS=twice)
    assert weights_of("module/student.onnx").keys() == weights_of("one/student.onnx").keys()
    for name, value in weights_of("one/student.onnx").items():
        assert (weights_of("module/student.onnx")[name] == value).all(), name


def test_record():
    """Other bytes of a library make another student, and other labels where the teacher has its operator."""
    run("distill", job("one"), says="is done already")
    run("distill", job("one", extend="my_operator.so,my_loss.so"), says="is done already")
    assert re.search(r"^extend=[0-9a-f]{64},[0-9a-f]{64}$", metadata("one/student.onnx")["retort_record"], re.M)
    shutil.copy("my_loss.so", "kept.so")
    build("my_loss.so", example("my_loss.c").replace("/ p;", "/ p * 1;"), "-O0")
    run("distill", job("one"), code=1, says="was made with extend [0-9a-f]+,?[0-9a-f]*, now it is [0-9a-f]+")
    os.replace("kept.so", "my_loss.so")
    shutil.copy("my_operator.so", "kept.so")
    build("my_operator.so", example("my_operator.c"), "-O0")
    run("label", job("one"), code=1, says="was made from something else: its teacher_hash is")
    os.replace("kept.so", "my_operator.so")
    run("distill", job("one"), says="is done already")


def wrong(says, *, source=None, path="wrong.so", code=1, verb="label", ranks=0, **values):
    """A library that is refused."""
    if source:
        build(path, source)
    run(verb, job("wrong", extend=path, **values), code=code, says=says, ranks=ranks)


def test_wrong():
    loss, operator = example("my_loss.c"), example("my_operator.c")
    wrong("^retort: -extend none.so: there is no such file$", path="none.so", ranks=2)
    wrong("-extend prefix: there is no such file", path="prefix")
    wrong("-extend x.npy: is no library that can be loaded here: .*ELF", path="x.npy")
    wrong("-extend wrong.so: is no library .*undefined symbol: nowhere", source=loss.replace("pow(fabs(difference), p) / p", "nowhere()").replace("static", "double nowhere(void);\nstatic", 1))
    wrong("-extend wrong.so: defines no function rt_extend;", source="int nothing;")
    wrong("-extend wrong.so: its rt_extend adds nothing", source="#include <retort/extend.h>\nPetscErrorCode rt_extend(void) { return 0; }")
    wrong("-extend wrong.so: built with the headers of another release of Retort; build it again", source=loss.replace("RT_EXTEND_VERSION", "7"))
    wrong("-extend wrong.so: there is a loss 'kl' already", source=loss.replace('"power"', '"kl"'), ranks=2)
    wrong("-extend wrong.so: there is an operator 'Relu' already", source=operator.replace('"Swish"', '"Relu"').replace('"my.ops"', "NULL"))
    wrong("-extend ./my_loss.so: there is a loss 'power' already", path="my_loss.so,./my_loss.so")
    wrong("-extend wrong.so: a loss has a name that is not 1 to 31 small letters", source=loss.replace('"power"', '"Power"'))
    wrong("-extend wrong.so: the loss 'power' has an option 'weight', which every term has already", source=loss.replace('"exponent"', '"weight"'))
    wrong("has another default or other bounds than that of 'rkd'", source=loss.replace('"exponent"', '"angle"'))
    wrong("the option 'exponent' of the loss 'power' has a default that is out of its bounds", source=loss.replace("2, 1, 10", "2, 3, 10"))
    wrong("must have either evaluate or meet", source=loss.replace(".evaluate = evaluate", ".meet = NULL").replace("static PetscErrorCode evaluate", "PetscErrorCode evaluate"))
    wrong("-distill_terms_mine_loss: 'power' is not one of kl", path="my_operator.so", verb="distill", code=2, distill_terms_mine_exponent=None)
    wrong("-extend wrong.so: it is Monday$", source='#include <retort/extend.h>\nPetscErrorCode rt_extend(void) { RtFail("it is Monday"); }')


def test_only_this_file():
    """A name without a slash is a file here, not a library in the loader's folders."""
    os.makedirs("elsewhere")
    shutil.copy("my_loss.so", "elsewhere/other.so")
    run("label", job("one", extend="other.so"), code=1, says="-extend other.so: there is no such file", LD_LIBRARY_PATH=os.path.abspath("elsewhere"))


def test_small_numbers():
    """A library that is built with -ffast-math would flush small numbers to zero in the whole process."""
    tells = "  volatile float tiny = 1e-40f;\n\n  RtCheck(tiny * 0.5f > 0, \"small numbers are gone\");\n"
    source = example("my_loss.c").replace("  const RtExtend mine", tells + "  const RtExtend mine")
    build("fast.so", source, "-ffast-math")
    run("info", "-extend", "fast.so", "data.nc", says="96 samples")


prepare()
main(test_student, test_job_file, test_cmake, test_record, test_wrong, test_only_this_file, test_small_numbers)
