"""Checkpoints: when they are written and which are kept, damage, changed options, full disks, faults in their midst; the
student that comes out has the same bits.

Arguments: the program retort, an empty folder."""
import os
import random
import re
import shutil
import signal
import subprocess
import time
import zlib

import numpy as np
from support.cli import (MPIRUN, RANKS, RETORT, SLOW, TEST, checkpoint, checkpoints, environment, main, nothing_half_written, options, outputs,
                         own_lines, read, run, same, sha, small)

# 10 steps in an epoch, 120 in all.
JOB = dict(distill_epochs=12, distill_batch=110, distill_optimizer="adamw", distill_rate=0.002, distill_select="best", checkpoint_seconds=0)
STEPS, ALL = 10, 120
draw = random.Random(1)
wanted = {}


def folder(name, source="start"):
    """A run directory with a teacher and its labels, or a copy of another one."""
    shutil.copytree(source, name)
    return name


def distill(name, ranks=0, code=0, says=None, before=None, fault=None, **changes):
    return run("distill", small(name, **{**JOB, **changes}), ranks=ranks, code=code, says=says, before=before,
               **({"RETORT_FAULT": fault} if fault else {}))


def attempt(name, fault, ranks=0):
    """As distill, whatever the end is."""
    command = (MPIRUN + ["-n", str(ranks)] if ranks else []) + [RETORT, "distill"] + small(name, **JOB)
    return subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOW, env=environment(RETORT_FAULT=fault))


def whole(path):
    """Whether a checkpoint fits its seal, by zlib."""
    with open(path, "rb") as file:
        content = file.read()
    seal = re.fullmatch(rb"retort-seal crc32 ([0-9a-f]{8}) ([0-9]{20})\n", content[-48:])
    return bool(seal) and int(seal[2]) == len(content) - 48 and int(seal[1], 16) == zlib.crc32(content[:-48])


def all_whole(name):
    steps = checkpoints(name, "student")
    for step in steps:
        assert whole(checkpoint(name, "student", step)), f"{name}: step {step} is damaged"
    return steps


def goes_on(name, step, ranks=0, **changes):
    """To the end from this step, with the bits of the run that nothing disturbed."""
    done = distill(name, ranks=ranks, **changes)
    begin = re.search(r"student: going on after epoch (\d+), step (\d+) of", done.stdout)
    found = int(begin[1]) * STEPS + int(begin[2]) if begin else 0
    assert found == step, f"{name}: went on from step {found}, not {step}\n{done.stdout}{done.stderr}"
    same(name, wanted, f"{name}, from step {step} on")
    left = [file for file in os.listdir(f"{name}/checkpoint") if file[0] != "."]
    assert not left, f"checkpoints are left: {left}"
    shutil.rmtree(name)
    return done


def test_undisturbed():
    run("train", small("start"))
    run("label", small("start"))
    distill(folder("whole"))
    wanted.update(outputs("whole"))
    assert not os.listdir("whole/checkpoint")
    distill(folder("none"), checkpoint_epochs=0)
    same("none", wanted, "without checkpoints")


def test_intervals():
    """By epochs, by steps, by seconds, and on a stop; each can be gone on from, on other ranks."""
    for number, (every, steps) in enumerate(((dict(checkpoint_epochs=3), {30, 60, 90}), (dict(checkpoint_epochs=0, checkpoint_steps=7), set(range(7, ALL, 7))),
                                             (dict(checkpoint_epochs=4, checkpoint_steps=25), {25, 40, 50, 75, 80, 100}),
                                             (dict(checkpoint_epochs=0, checkpoint_seconds=1e-6), {s for s in range(1, ALL) if s % STEPS == 0 or s % 16 == 0}))):
        name = folder("intervals")
        at = draw.choice((95, 103, 111))
        distill(name, ranks=(0, 2)[number % 2], code=75, fault=f"term:step:{at}", checkpoint_keep=1000, **every)
        found = all_whole(name)
        assert found == sorted({s for s in steps if s < at} | {at}), f"{every}, stopped at {at}: {found}"
        goes_on(name, at, ranks=(2, 0, 3, 1)[number] if RANKS > 2 else 0, **every)
    # The best of the epochs by the history, and the last three.
    for keep, last, job in (3, {90, 100, 105}, {}), (1, {105}, dict(distill_rate=1, distill_optimizer="sgd", distill_schedule="constant")):
        distill(folder("keep"), code=75, fault="term:step:105", checkpoint_keep=keep, **job)
        accuracy, loss = read("keep/student-history.nc", "holdout_accuracy"), read("keep/student-history.nc", "holdout_loss")
        best = STEPS * (1 + min(range(10), key=lambda epoch: (-accuracy[epoch], loss[epoch], epoch)))
        assert all_whole("keep") == sorted(last | {best}), f"best {best}: {all_whole('keep')}"
        shutil.rmtree("keep")


def test_damage():
    """Wherever a checkpoint is damaged: the one before is taken, which is said, and the bits are the same."""
    distill(folder("base"), code=75, fault="term:step:95", checkpoint_keep=3)
    steps = all_whole("base")
    assert steps[-3:] == [80, 90, 95], steps
    with open(checkpoint("base", "student", 95), "rb") as file:
        content = file.read()

    def damage(new, ranks=0):
        name = folder("damaged", "base")
        path = checkpoint(name, "student", 95)
        os.remove(path)
        if new is None:
            os.mkdir(path)
        else:
            with open(path, "wb") as file:
                file.write(new)
        done = goes_on(name, 90, ranks=ranks) if new is not None else distill(name)
        notes = [line for line in own_lines(done.stderr) if path in line]
        assert len(notes) == 1 and re.match(f"retort: note: {path}.*(damaged|cannot be read).*before it is tried", notes[0]), done.stderr
        shutil.rmtree(name, ignore_errors=True)

    for length in 0, 47, 48, 1000, len(content) // 2, len(content) - 1, *draw.sample(range(len(content)), 2):
        damage(content[:length])
    damage(content + b"x")
    damage(bytes(len(content)))
    for number in range(20 if SLOW == 1 else 5):
        at = draw.randrange(len(content))
        damage(content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1:], ranks=2 if number % 10 == 0 else 0)
    for at in range(3):  # the head, of which HDF5 makes much
        damage(content[:8 * at] + bytes(255 - b for b in content[8 * at:8 * at + 8]) + content[8 * at + 8:])
    # Two of three, then all.
    name = folder("two", "base")
    for step in 95, 90:
        os.truncate(checkpoint(name, "student", step), 5000)
    done = goes_on(name, 80)
    assert done.stderr.count("is damaged") == 2, done.stderr
    name = folder("all", "base")
    for step in steps:
        with open(checkpoint(name, "student", step), "r+b") as file:
            file.seek(draw.randrange(len(content) - 100))
            file.write(b"damage")
    done = goes_on(name, 0, ranks=2)
    assert done.stderr.count("is damaged") == len(steps) and "note: no checkpoint of the student is whole" in done.stderr, done.stderr
    # A damaged one is removed once a new one is complete, and does not take the place of a whole one.
    name = folder("replaced", "base")
    os.truncate(checkpoint(name, "student", 95), 5000)
    distill(name, code=75, fault="term:step:2", checkpoint_keep=1, checkpoint_epochs=0)
    assert set(all_whole(name)) in ({92}, {90, 92}), f"{all_whole(name)}: not the new one, and the best before it at most"
    goes_on(name, 92)


def test_options():
    """What changes the result is refused by name; what does not is fine."""
    distill(folder("base2"), code=75, fault="term:step:35")
    before = {step: sha(checkpoint("base2", "student", step)) for step in checkpoints("base2", "student")}
    for name, value in dict(distill_rate=0.003, distill_epochs=13, distill_batch=100, distill_lanes=4, distill_optimizer="sgd", distill_beta1=0.8,
                            distill_temperature=3, distill_alpha=0.5, distill_select="last", distill_precision="bf16", distill_samples=900,
                            student_hidden=17, student_dropout="0.1", data_holdout=101, data_holdout_seed=1, reduce="fast").items():
        old = {"distill_beta1": "0.9", "distill_select": "best", "distill_dropout": ""}.get(name, ".*")
        distill("base2", code=1, says=f"student-0000000035.nc was written with {name} {old}, now it is {value}; .*-run_force", **{name: value})
    assert {step: sha(checkpoint("base2", "student", step)) for step in checkpoints("base2", "student")} == before, "a refusal changes something"
    for number, harmless in enumerate((dict(checkpoint_epochs=2, checkpoint_steps=9, checkpoint_seconds=0.01, checkpoint_keep=5), dict(stop_after=1e6), dict(eval_batch=7, data_test=TEST),
                                       dict(run_force="true"), dict(label_batch=33))):
        goes_on(folder("harmless", "base2"), 35, ranks=number % 4 if RANKS > 2 else 0, **harmless)
    os.environ["OMP_NUM_THREADS"] = "3"
    goes_on(folder("harmless", "base2"), 35)
    os.environ["OMP_NUM_THREADS"] = "1"
    distill("base2", code=75, fault="term:step:4", run_force="true", distill_rate=0.003)
    assert checkpoints("base2", "student") == [4], f"-run_force leaves {checkpoints('base2', 'student')}"
    distill("base2", distill_rate=0.003)
    distill(folder("fresh"), distill_rate=0.003)
    same("base2", outputs("fresh"), "-run_force")


def test_full_disk():
    """One line, the checkpoints before stay whole, and after space is freed the run goes on."""
    os.mkdir("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", "disk"], capture_output=True).returncode:
        print("checkpoint: no disk can be mounted here, a full one is not tested")
        return
    try:
        for ranks, every in (0, {}), (2, dict(checkpoint_epochs=0, checkpoint_steps=3)):
            name = folder("disk/run")
            distill(name, code=75, fault="term:step:45", **every)
            steps = checkpoints(name, "student")
            free = os.statvfs("disk")
            with open("disk/filler", "wb") as file:
                file.write(bytes(free.f_bavail * free.f_frsize - (100 << 10)))  # for a history, not for a checkpoint
            # the checkpoint is written in the background: what it has of the disk may be what the history lacks
            distill(name, ranks=ranks, code=1, says=r"disk/run/(checkpoint/student-\d+|student-history).nc: cannot be written: "
                    "the disk is full; free some space and start again", **every)
            assert all_whole(name) == steps, f"{all_whole(name)}, not {steps}"
            nothing_half_written(name)
            os.remove("disk/filler")
            goes_on(name, 45, ranks=ranks, **every)
    finally:
        subprocess.run(["umount", "disk"], check=True)


def test_faults():
    """An error or a kill at a write in a checkpoint's midst: what is complete stays whole, and the run goes on from it."""
    distill(folder("base3"), code=75, fault="term:step:45")
    steps = all_whole("base3")
    ends, points = [], draw.sample(range(1, 500), 18) + [1, 2]
    for number, point in enumerate(points if SLOW == 1 else points[9:18]):
        name, ranks = folder("fault", "base3"), (0, 0, 2)[number % 3]
        action = ("fail", "kill", "term")[number % 3 if number < 15 else 0]
        if action == "kill":
            assert attempt(name, f"kill:write:{point}", ranks).returncode, "a killed run ends well"
        else:
            done = distill(name, ranks=ranks, code=1 if action == "fail" else 75, fault=f"{action}:write:{point}",
                           says=f"RETORT_FAULT: failed at write {point}, as asked" if action == "fail" else None)
        found = all_whole(name)
        ends.append(found[-1])
        assert found[-1] > 45 or found[-2:] == steps[-2:], f"{action} at write {point}: {found}"
        goes_on(name, found[-1], ranks=2 - ranks)
    assert len(set(ends)) > 2, f"all faults came between the same two checkpoints: {ends}"
    # A checkpoint that cannot be opened is as good as damaged; files of other kinds are errors.
    notes = 0
    for point in range(1, 20):
        done = attempt(folder("unread", "base3"), f"fail:open:{point}")
        if "the checkpoint before it is tried" in done.stderr:
            notes += 1
            assert done.returncode == 0 and "going on after epoch 4, step 0" in done.stdout, done.stdout + done.stderr
            same("unread", wanted, f"fail:open:{point}")
        nothing_half_written("unread")
        shutil.rmtree("unread")
    assert notes == 2, f"{notes} of the two ways to open a checkpoint have failed"


def computes(process, seconds):
    """Whether the process listens to SIGUSR1, and has computed for so many seconds since then."""
    with open(f"/proc/{process.pid}/status") as file:
        caught = int(re.search(r"SigCgt:\s*(\w+)", file.read())[1], 16)
    if not caught >> signal.SIGUSR1 - 1 & 1:
        return False
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    now = sum(int(word) for word in fields[11:13]) / os.sysconf("SC_CLK_TCK")
    process.began = getattr(process, "began", now)
    return now - process.began > seconds


def interrupt(verb, job, computed, numbers):
    """Start, and send the signals after so many seconds of computing; returns exit code, seconds since then, output."""
    process = subprocess.Popen([RETORT, verb] + job, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
    start = time.time()
    while not computes(process, computed):
        assert process.poll() is None and time.time() - start < 60 * SLOW, f"{verb} cannot be interrupted\n{process.stdout.read()}"
        time.sleep(0.01)
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.02)
    sent = time.time()
    output = process.communicate(timeout=60 * SLOW)[0]
    return process.returncode, time.time() - sent, output


def test_stops():
    """Within the held-out evaluation and within eval, which take long here; and a second SIGINT within a step."""
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.integers(0, 256, (12100, 784), dtype="u1")), np.save("y.npy", np.arange(12100) % 10)
    run("import", "npy", "x.npy", "y.npy", "-o", "many.nc")
    model = dict(data_train="many.nc", teacher_hidden="2500,2500", teacher_epochs=1)
    job = options(run_dir="held", data_holdout=12000, teacher_batch=100, **model)  # one step, and a long look at the result
    code, seconds, output = interrupt("train", job, 0.5, [signal.SIGTERM])
    assert code == 75 and seconds < 3 * SLOW, f"exit {code} after {seconds:.2f} s\n{output}"
    text = run("info", checkpoint("held", "teacher", 1)).stdout
    assert "after step 1, whole" in text and "0 epochs are done, and 1 of the next one's 1 steps" in text, text
    run("train", job, says="going on after epoch 0, step 1 of 1(.|\n)*teacher epoch  1/1 ")
    code, seconds, output = interrupt("eval", options(run_dir="held", data_train="many.nc", data_test="many.nc"), 0.3, [signal.SIGTERM])
    assert code == 75 and seconds < 3 * SLOW and not os.path.exists("held/eval.nc"), f"eval: exit {code} after {seconds:.2f} s\n{output}"
    job = options(run_dir="step", teacher_batch=12100, teacher_lanes=1, **model)
    code, seconds, output = interrupt("train", job, 0.5, [signal.SIGINT, signal.SIGINT])
    assert code == 130 and seconds < 1 * SLOW, f"second SIGINT: exit {code} after {seconds:.2f} s\n{output}"
    assert not checkpoints("step", "teacher") and not os.path.exists("step/teacher.onnx")


main(test_undisturbed, test_intervals, test_damage, test_options, test_full_disk, test_faults, test_stops)
