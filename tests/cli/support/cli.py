"""What the tests of the program share. Each is called as  X.py RETORT FOLDER : the program, an empty folder to work in."""
import hashlib
import os
import re
import subprocess
import sys
import tempfile

import netCDF4
import numpy as np
import onnx
import onnx.numpy_helper

RETORT = os.path.abspath(sys.argv[1])
MPIRUN = os.environ.get("RETORT_MPIRUN", "mpirun --oversubscribe").split()
RANKS = int(os.environ.get("RETORT_RANKS", "4"))  # most ranks to test with
SLOW = 6 if os.environ.get("RETORT_BUILD_TYPE") in ("Sanitize", "Threads") else 1
SOURCE = os.path.abspath(os.environ.get("RETORT_SOURCE", os.path.join(os.path.dirname(__file__), "..", "..", "..")))
TRAIN = os.path.join(SOURCE, "tests", "data", "mnist-train.nc")
TEST = os.path.join(SOURCE, "tests", "data", "mnist-test.nc")
# Ranks and threads that wait leave the core to those that work, as tests share few cores. And when one rank ends with an
# error, mpirun does not give the others a second to do so as well.
os.environ["OMPI_MCA_mpi_yield_when_idle"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"
os.environ["OMPI_MCA_odls_base_sigkill_timeout"] = "0"
# Open MPI's programs without mpirun all share one folder under /tmp, and one that ends removes it while another starts.
own = tempfile.TemporaryDirectory(prefix="retort-")
os.environ["OMPI_MCA_orte_tmpdir_base"] = own.name
os.chdir(sys.argv[2])


def options(**values):
    """Words of a command line: options(run_dir="r", label_views=3)."""
    return [word for name, value in values.items() for word in ("-" + name, str(value))]


def small(run_dir, **values):
    """A job that takes a tenth of a second: small networks on 1200 digits, all else as it is."""
    job = dict(run_dir=run_dir, data_train=TRAIN, data_test=TEST, data_holdout=100, label_shard=300, teacher_hidden=16,
               teacher_epochs=2, student_hidden=16, distill_epochs=2)
    job.update(values)
    return options(**job)


asked = []  # faults: what RETORT_FAULT was, and the log that must tell of each


def environment(**changes):
    """That of a program. A fault that is asked for must come before the test ends (main); who gives a RETORT_FAULT_LOG
    looks for itself."""
    if changes.get("RETORT_FAULT") and "RETORT_FAULT_LOG" not in changes:
        changes["RETORT_FAULT_LOG"] = os.path.join(own.name, f"fault-{len(asked)}")
        asked.append((changes["RETORT_FAULT"], changes["RETORT_FAULT_LOG"]))
    return {**os.environ, **{name: str(value) for name, value in changes.items()}}


def fault_log(path):
    """Lines of a RETORT_FAULT_LOG as pairs: what, [action, point, number, rank] (src/core/fault.h)."""
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [(what, fault.split(":")) for what, fault in (line.split() for line in file)]


def fault_came(text, path):
    """Whether every fault of a RETORT_FAULT came."""
    fired = [fault for what, fault in fault_log(path) if what == "fired"]
    return all((fault.split(":") + ["0"])[:4] in fired for fault in text.split(","))


def missing(what):
    """What the test compares with is not there: a failure where it must be (harness/in-folder.sh), else a line."""
    assert os.environ.get("RETORT_NEED_WITNESSES") != "1", f"{what}: install it"
    print(f"{os.path.basename(sys.argv[0])}: {what}")


def own_lines(stderr):
    """Lines of standard error that are not mpirun's: it puts its own between lines of dashes, and sometimes fails to;
    its libevent warns of what is closed already."""
    lines, inside = [], False
    for line in stderr.split("\n"):
        if re.fullmatch(r"-{50,}", line):
            inside = not inside
        elif line.strip() and not inside and "ORTE_ERROR_LOG" not in line and not line.startswith("[warn] "):
            lines.append(line)
    return lines


def judge(command, done, code, says):
    """An end as it should be: the exit code, and for a failure one line that begins with "retort: "."""
    assert done.returncode == code, f"{command}: exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    assert "PETSC ERROR" not in done.stderr and "Sanitizer" not in done.stderr, f"{command}: a trace\n{done.stderr}"
    lines = [line for line in own_lines(done.stderr) if not line.startswith("retort: note: ")]
    wanted = 1 if code in (1, 2) else 0
    assert len(lines) == wanted, f"{command}: {len(lines)} lines on standard error, not {wanted}\n{done.stderr}"
    for line in lines:
        assert re.fullmatch(r"retort: \S.*[^.\s]", line), f"{command}: not a line for the user: {line!r}"
    if says:
        text = "\n".join(lines) if wanted else done.stdout
        assert re.search(says, text), f"{command}: does not say /{says}/\n{done.stdout}\n{done.stderr}"


def flatten(words):
    for word in words:
        if isinstance(word, str):
            yield word
        else:
            yield from flatten(word)


def run(*words, ranks=0, code=0, says=None, seconds=60, before=None, **changes):
    """Run retort on ranks (0: without mpirun) and judge its end. words: text or lists of it. before: a command of the
    shell that sets a limit. changes: of the environment."""
    flat = list(flatten(words))
    command = (MPIRUN + ["-n", str(ranks)] if ranks else []) + [RETORT] + flat
    if before:
        command = ["bash", "-c", before + '; exec "$@"', "limit"] + command
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds * SLOW, env=environment(**changes))
    judge(" ".join(flat) + (f" on {ranks} ranks" if ranks else ""), done, code, says)
    return done


def sha(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def outputs(folder):
    """{name: SHA-256} of the files that must be the same whenever their inputs are."""
    names = [n for n in ("teacher.onnx", "student.onnx", "eval.nc") if os.path.exists(os.path.join(folder, n))]
    labels = os.path.join(folder, "labels")
    names += sorted(os.path.join("labels", n) for n in os.listdir(labels) if n[0] != ".") if os.path.isdir(labels) else []
    return {name: sha(os.path.join(folder, name)) for name in names}


def same(folder, wanted, what):
    found = outputs(folder)
    assert sorted(found) == sorted(wanted), f"{what}: files {sorted(found)}, not {sorted(wanted)}"
    for name in wanted:
        assert found[name] == wanted[name], f"{what}: {name} has other bits"


def checkpoints(folder, role):
    """Steps of the checkpoints in a run directory, ascending."""
    place = os.path.join(folder, "checkpoint")
    names = os.listdir(place) if os.path.isdir(place) else []
    return sorted(int(name[len(role) + 1:-3]) for name in names if re.fullmatch(role + r"-\d{10,}\.nc", name))


def checkpoint(folder, role, step):
    return f"{folder}/checkpoint/{role}-{step:010}.nc"


def nothing_half_written(folder):
    """Every file in the folder can be read to its end, and no temporary one is left."""
    for path, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(path, name)
            assert ".tmp-" not in name, f"{file} is left behind"
            if name.endswith(".nc"):
                with netCDF4.Dataset(file) as data:
                    for variable in data.variables.values():
                        variable[...]
            elif name.endswith(".onnx"):
                onnx.checker.check_model(onnx.load(file))


def read(path, name):
    with netCDF4.Dataset(path) as data:
        data.set_auto_mask(False)
        return np.array(data[name][...])


def metadata(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def forward(path, inputs):
    """Logits of a multilayer perceptron in double precision, by the definition of its ONNX operators."""
    graph = onnx.load(path).graph
    value = {tensor.name: onnx.numpy_helper.to_array(tensor).astype(np.float64) for tensor in graph.initializer}
    given = [entry.name for entry in graph.input if entry.name not in value]
    value[given[0]] = np.asarray(inputs, np.float64)
    for node in graph.node:
        attribute = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        x = [value[name] for name in node.input if name]
        if node.op_type == "Gemm":
            a = x[0].T if attribute.get("transA") else x[0]
            b = x[1].T if attribute.get("transB") else x[1]
            result = attribute.get("alpha", 1.0) * (a @ b)
            result = result + attribute.get("beta", 1.0) * x[2] if len(x) > 2 else result
        elif node.op_type == "MatMul":
            result = x[0] @ x[1]
        elif node.op_type in ("Add", "Sub", "Div", "Mul"):
            result = {"Add": np.add, "Sub": np.subtract, "Div": np.divide, "Mul": np.multiply}[node.op_type](*x)
        elif node.op_type == "Relu":
            result = np.maximum(x[0], 0)
        elif node.op_type in ("Flatten", "Reshape"):
            result = x[0].reshape(len(x[0]), -1)
        elif node.op_type in ("Dropout", "Identity"):
            result = x[0]
        else:
            raise AssertionError(f"{path}: no {node.op_type} in this test")
        value[node.output[0]] = result
    return value[graph.output[0].name]


def edit(path, copy=None):
    """The netCDF file, opened to be altered; copy: alter a copy of that name."""
    if copy:
        with open(path, "rb") as source, open(copy, "wb") as target:
            target.write(source.read())
    data = netCDF4.Dataset(copy or path, "r+")
    data.set_auto_maskandscale(False)
    return data


def main(*tests):
    for test in tests:
        test()
    for text, log in asked:
        assert fault_came(text, log), f"RETORT_FAULT={text} never came: the test has proved nothing by it"
    print(f"{os.path.basename(sys.argv[0])}: {len(tests)} groups of checks hold")
