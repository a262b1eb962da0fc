"""What people see while it runs: in a log one line an epoch, on a terminal a bar that leaves nothing behind.

Arguments: the program retort, an empty folder."""
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import termios

import numpy as np
import onnx
from support.cli import MPIRUN, RETORT, SLOW, environment, main, missing, run, small

EPOCHS = 12
JOB = dict(teacher_epochs=EPOCHS, teacher_batch=20, distill_epochs=EPOCHS, distill_batch=20, label_shard=100)
BAR = re.compile(r"^(teacher epoch +\d+/\d+|student epoch +\d+/\d+|label) \[[#.]+\] +\d+%(  [1-9][\d.]{0,4}[kM]? samples/s  \d+:\d\d left)? *$")


def on_terminal(command, columns=100, wanted=0, **changes):
    """Run on a pseudo-terminal of that width; returns what arrived, as text."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment(TERM="xterm", **changes), start_new_session=True)
    os.close(slave)
    received = b""
    while True:
        try:
            some = os.read(master, 65536)
        except OSError:  # the other side is closed
            break
        if not some:
            break
        received += some
    os.close(master)
    text = received.decode("utf-8")
    code = process.wait(timeout=30 * SLOW)
    assert code == wanted, f"{command}: exit {code}\n{text}"
    return text.replace("\r\n", "\n")


def screen(text):
    """The lines that stay on the terminal."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part):]
        lines.append(shown.rstrip())
    return lines


def plain(lines):
    """Without what differs from run to run: rates, times, names of folders."""
    for pattern, name in ((r"\S+ samples/s  [\d.]+ s$", "RATE"), (r"in [\d.]+ s(, [\d.]+ % of the time)?", "TIME"), (r" +\d+\.\d$", " TIME"), (r"\bt-\w+", "DIR")):
        lines = [re.sub(pattern, name, line) for line in lines]
    return lines


def check_log(text, what):
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text), f"{what}: control characters\n{text!r}"
    lines = text.split("\n")
    for role in "teacher", "student":
        found = [line for line in lines if re.match(rf"{role} epoch ", line)]
        assert len(found) == EPOCHS, f"{what}: {len(found)} lines for {EPOCHS} epochs of the {role}\n{text}"
        for number, line in enumerate(found, 1):
            assert re.match(rf"{role} epoch +{number}/{EPOCHS}  loss \d", line), f"{what}: {line!r}"
    assert "[#" not in text and "% " not in re.sub(r"\d %", "", text), f"{what}: a bar in a log\n{text}"
    assert len(lines) < 2 * EPOCHS + 24, f"{what}: {len(lines)} lines\n{text}"
    return lines


def check_terminal(text, what, wanted, columns=100):
    shots = [shot for line in text.split("\n") for shot in line.split("\r")]
    for title in "teacher epoch", "student epoch", "label":
        assert any(BAR.match(shot) and shot.startswith(title) for shot in shots), f"{what}: no bar for {title}\n{text!r}"
    for shot in shots:
        assert "[" not in shot or len(shot) < columns, f"{what}: a bar of {len(shot)} characters on {columns} columns"
    assert any("100%" in shot for shot in shots), f"{what}: no bar is full"
    assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", text), f"{what}: other control characters than return\n{text!r}"
    assert plain(screen(text)) == plain(wanted), f"{what}: leftovers on the screen\n" + "\n".join(screen(text))


def test_log():
    with open("log", "w") as log:
        subprocess.run([RETORT, "run"] + small("t-log", **JOB), stdout=log, stderr=subprocess.STDOUT, check=True)
    lines = check_log(open("log").read(), "a file")
    with open("log2", "w") as log:
        subprocess.run(MPIRUN + ["-n", "2", RETORT, "run"] + small("t-log2", **JOB), stdout=log, stderr=subprocess.STDOUT, check=True)
    check_log(open("log2").read(), "a file under mpirun")
    check_log(run("run", small("t-pipe", **JOB)).stdout, "a pipe")
    check_log(run("run", small("t-pipe2", **JOB), ranks=2).stdout, "a pipe under mpirun")
    return lines


def test_terminal():
    wanted = open("log").read().split("\n")
    check_terminal(on_terminal([RETORT, "run"] + small("t-tty", **JOB)), "a terminal", wanted)
    on_ranks = open("log2").read().split("\n")
    check_terminal(on_terminal(MPIRUN + ["-n", "2", RETORT, "run"] + small("t-tty2", **JOB)), "a terminal under mpirun", on_ranks)
    text = on_terminal([RETORT, "run"] + small("t-narrow", **JOB), columns=60)
    for shot in re.split(r"[\r\n]", text):
        assert "[#" not in shot or len(shot) < 60, f"a bar of {len(shot)} characters on 60 columns: {shot!r}"
    text = on_terminal(["env", "TERM=dumb", RETORT, "run"] + small("t-dumb", **JOB))
    check_log(text, "a terminal that cannot move back")
    # Output to a file is a log, though mpirun is started from a terminal.
    on_terminal(["sh", "-c", '"$@" >log3 2>&1', "sh"] + MPIRUN + ["-n", "2", RETORT, "run"] + small("t-tty3", **JOB))
    check_log(open("log3").read(), "a file, from a terminal, under mpirun")


def test_failure():
    """A message does not stand behind a bar."""
    model = onnx.load("t-log/teacher.onnx")
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 1:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(tensor.dims, np.nan, "f4"), tensor.name))
    onnx.save(model, "nan.onnx")
    lines = screen(on_terminal([RETORT, "label"] + small("t-nan", teacher_model="nan.onnx"), wanted=1))
    assert len(lines) == 2 and lines[0].startswith("retort: ") and not lines[1], lines


def test_script():
    """The same with script(1), as people record a session."""
    if not shutil.which("script"):
        return missing("there is no script(1)")
    command = " ".join([RETORT, "run"] + small("t-script", **JOB))
    subprocess.run(["script", "-qec", command, "typescript"], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                   env=environment(TERM="xterm"))
    text = open("typescript", newline="").read().replace("\r\n", "\n")
    assert "\r" in text and "[#" in text, "no bar under script"
    body = [line for line in screen(text) if not line.startswith("Script ")]
    wanted = plain(open("log").read().split("\n"))
    assert [line for line in plain(body) if line] == [line for line in wanted if line], "leftovers on the screen\n" + "\n".join(body)


main(test_log, test_terminal, test_failure, test_script)
