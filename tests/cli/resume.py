"""Stop and go on: by -stop_after, by signal, on other numbers of ranks, with the same bits; what is done is skipped.

Arguments: the program retort, an empty folder."""
import os
import signal
import subprocess
import time

from support.cli import (MPIRUN, RANKS, RETORT, SLOW, TRAIN, checkpoints, edit, environment, main, nothing_half_written,
                         outputs, read, run, same, small)

# A second or two of training and labelling, so that there is a middle to stop in.
LONG = dict(teacher_epochs=50, teacher_batch=60, teacher_dropout="0.1,0.3", distill_epochs=50, distill_batch=60, distill_optimizer="adamw",
            distill_rate=0.002, label_views=60, augment_shift=2, label_shard=40, label_batch=20, run_seed=5)
wanted = {}


def test_undisturbed():
    run("run", small("whole", **LONG))
    wanted.update(outputs("whole"))
    assert not os.listdir("whole/checkpoint"), f"checkpoints are left: {os.listdir('whole/checkpoint')}"


def finish(folder, job, ranks):
    """Start again until done, each time on another number of ranks. Returns how often it was started."""
    for start in range(200):
        command = MPIRUN + ["-n", str(ranks[start % len(ranks)])] if ranks[start % len(ranks)] else []
        done = subprocess.run(command + [RETORT, "run"] + job, capture_output=True, text=True, timeout=60 * SLOW)
        nothing_half_written(folder)
        if done.returncode == 0:
            return start + 1
        assert done.returncode == 75, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "retort: " not in done.stderr.replace("retort: note: ", ""), done.stderr
    raise AssertionError("no end after 200 starts")


def test_stop_after():
    """Bits do not depend on how often, where and on how many ranks a run was stopped."""
    run("train", small("stopped", **LONG, stop_after=1e-6), code=75)
    assert checkpoints("stopped", "teacher") == [1] and not os.path.exists("stopped/teacher.onnx")
    run("train", small("stopped", **LONG, stop_after=1e-6), ranks=2, code=75, says="teacher: going on after epoch 0, step 1 of")
    run("run", small("stopped", **LONG, stop_after=1e-6), code=75)
    starts = finish("stopped", small("stopped", **LONG, stop_after=0.4 * SLOW), [r for r in (2, 0, 3, 1, 4) if r <= RANKS])
    assert starts > 1, f"the run was too short to be stopped: {starts} starts"
    print(f"stopped {starts + 2} times")
    same("stopped", wanted, f"a run in {starts + 3} parts")
    for role in "teacher", "student":
        for name in "train_loss", "train_accuracy", "holdout_loss", "holdout_accuracy", "learning_rate", "epoch":
            a, b = read(f"stopped/{role}-history.nc", name), read(f"whole/{role}-history.nc", name)
            assert a.tobytes() == b.tobytes(), f"{role}-history.nc: {name} differs after {starts} starts"


def interrupt(folder, number, ready, ranks, job):
    """Start a run, send the signal as soon as ready() says so; returns (exit code, seconds until the end, output)."""
    command = (MPIRUN + ["-n", str(ranks)] if ranks else []) + [RETORT, "run"] + job
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
    start = time.time()
    while not ready():
        assert process.poll() is None, f"{folder} ended before its signal: {process.returncode}\n{process.stdout.read()}"
        assert time.time() - start < 60 * SLOW, f"{folder} does not get far enough"
        time.sleep(0.005)
    sent = time.time()
    process.send_signal(number)
    output = process.communicate(timeout=30 * SLOW)[0]
    return process.returncode, time.time() - sent, output


def shards(folder):
    labels = os.path.join(folder, "labels")
    return len(os.listdir(labels)) if os.path.isdir(labels) else 0


def test_signals():
    """SIGUSR1 to mpirun, SIGTERM, SIGINT and SIGUSR1 to a single process, in each of the three stages."""
    for name, number, ranks in ("usr1", signal.SIGUSR1, 2), ("term", signal.SIGTERM, 0), ("int", signal.SIGINT, 0):
        job = small(name, **LONG)
        for stage, ready in (("train", lambda: checkpoints(name, "teacher")),
                             ("label", lambda: shards(name) > 1),
                             ("distill", lambda: checkpoints(name, "student"))):
            code, seconds, output = interrupt(name, number, ready, ranks, job)
            what = f"{number.name} during {stage}"
            assert code == 75, f"{what}: exit {code}\n{output}"
            assert seconds < 5 * SLOW, f"{what}: {seconds:.1f} s until the end"
            assert "PETSC ERROR" not in output, output
            nothing_half_written(name)
            made = os.path.exists(f"{name}/teacher.onnx"), shards(name) == 30, os.path.exists(f"{name}/student.onnx")
            assert made == {"train": (0, 0, 0), "label": (1, 0, 0), "distill": (1, 1, 0)}[stage], f"{what}: {made}"
        run("run", job, ranks=ranks)
        same(name, wanted, f"{name}: after three signals")
    job = small("kill", **LONG)
    interrupt("kill", signal.SIGKILL, lambda: shards("kill") > 1, 0, job)
    run("run", job, ranks=2)
    same("kill", wanted, "a run that was killed")
    left = [name for name in os.listdir("kill/labels") if ".tmp-" in name]
    assert all(name[0] == "." for name in left), f"a killed run left files in sight: {left}"


def times(folder):
    return {os.path.join(path, name): os.stat(os.path.join(path, name)).st_mtime_ns
            for path, _, names in os.walk(folder) for name in names if name != "eval.nc"}


def test_done():
    before = times("whole")
    text = run("run", small("whole", **LONG), ranks=2).stdout
    assert times("whole") == before, "a stage that was done was done again"
    same("whole", wanted, "a run started again")
    assert text.count("is done already") == 3, text
    for verb in "train", "label", "distill":
        run(verb, small("whole", **LONG), says="is done already")
    assert times("whole") == before, "a stage that was done was done again"


def test_changed():
    """Other options or inputs are refused by name; -run_force starts over."""
    base = dict(teacher_epochs=2)
    run("run", small("changed", **base))
    for changes, verb, says in (
            (dict(teacher_rate=0.01), "train", "teacher.onnx was made with teacher_rate 0.05, now it is 0.01.*-run_force"),
            (dict(run_seed=9), "run", "teacher.onnx was made with run_seed 1, now it is 9"),
            (dict(distill_temperature=2), "distill", "student.onnx was made with distill_temperature 4, now it is 2"),
            (dict(student_hidden="16,16"), "run", "student.onnx was made with student_hidden 16, now it is 16,16"),
            (dict(label_shard=200), "label", r"shard-00000\d.nc was made from something else: its shard_size is 300, expected 200"),
            (dict(label_precision="bf16"), "label", "its precision is 'fp32', expected 'bf16'"),
            (dict(label_views=2, augment_shift=1), "label", "was made from something else: its (views|augment)")):
        before = times("changed")
        run(verb, small("changed", **{**base, **changes}), code=1, says=says)
        assert times("changed") == before, f"{changes}: something was made although it was refused"
    with edit(TRAIN, "other.nc") as data:
        label = data["label"][:]
        label[0] = (label[0] + 1) % 10
        data["label"][:] = label
        data["label"].delncattr("sha256")
        data.delncattr("content_hash")
    run("run", small("changed", **base, data_train=os.path.abspath("other.nc")), code=1,
        says="teacher.onnx was made with dataset [0-9a-f]{64}, now it is [0-9a-f]{64}")
    old = outputs("changed")
    run("run", small("changed", **base, run_seed=9, run_force="true", label_shard=200), ranks=2)
    run("run", small("fresh", **base, run_seed=9, label_shard=200))
    same("changed", outputs("fresh"), "-run_force")
    assert outputs("changed")["teacher.onnx"] != old["teacher.onnx"], "-run_force made nothing again"
    run("train", small("midway", **LONG, stop_after=1e-6), code=75)
    more = {**LONG, "teacher_momentum": 0.5}
    run("train", small("midway", **more), code=1,
        says=r"checkpoint/teacher-0000000001\.nc was written with teacher_momentum 0.9, now it is 0.5")
    run("train", small("midway", **{**more, "teacher_epochs": 1}, run_force="yes"))
    run("train", small("anew", **{**more, "teacher_epochs": 1}))
    same("midway", outputs("anew"), "-run_force over a checkpoint")


main(test_undisturbed, test_stop_after, test_signals, test_done, test_changed)
